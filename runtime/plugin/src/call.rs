//! Calling into an instance: the deadline, what a failed call means, and that a store which can't
//! be trusted any more is never called again.

use crate::cpu_time;
use crate::engine::Inner;
use crate::error::{CallError, Death, Failure};
use crate::limits::{Call, CallLimits, DEADLINE_GRACE, Deadlines};
use crate::sink_host::Patience;
use crate::state::State;
use crate::usage::Usage;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

/// Bytes of a trace; the beginning says where, the end what stderr said last.
const TRACE_BYTES_MAX: usize = 16 * 1024;

/// An instance between calls.
pub(crate) struct Live<G> {
    pub(crate) store: Store<State>,
    pub(crate) guest: G,
}

/// An instance, or what is left of it.
///
/// For a call the live part is taken out, and put back only after the call has returned: a call
/// that is cancelled by dropping its future takes the store with it.
pub(crate) struct Caller<G> {
    live: Option<Live<G>>,
    deadlines: Deadlines,
    usage: Arc<Usage>,
}

/// The call did not return in time.
struct Late;

/// How a call came back.
pub(crate) struct Outcome<T>(Result<wasmtime::Result<T>, Late>);

impl<G> Caller<G> {
    /// Makes an instance.
    pub(crate) async fn instantiate<F>(
        engine: &Inner,
        state: State,
        limits: &CallLimits,
        make: impl FnOnce(Store<State>) -> F,
    ) -> Result<Self, CallError>
    where
        F: Future<Output = (Store<State>, wasmtime::Result<G>)>,
    {
        let usage = Arc::clone(&state.usage);
        let after = limits.deadlines.of(Call::Instantiate);
        let mut store = engine.store(state);
        prepare(&mut store, after);
        let began = Instant::now();
        let made = timed(&usage, after, make(store)).await;
        usage.called(Call::Instantiate, began.elapsed());
        let Ok((mut store, made)) = made else {
            usage.died();
            return Err(CallError::Dead(Death::Deadline {
                call: Call::Instantiate.name(),
                after,
            }));
        };
        match made {
            Ok(guest) => Ok(Self {
                live: Some(Live { store, guest }),
                deadlines: limits.deadlines.clone(),
                usage,
            }),
            Err(error) => {
                usage.died();
                Err(CallError::Dead(death(
                    store.data_mut(),
                    Call::Instantiate,
                    after,
                    &error,
                )))
            }
        }
    }

    /// Takes the instance out for a call.
    pub(crate) fn begin(&mut self, call: Call) -> Result<Live<G>, CallError> {
        let Some(mut live) = self.live.take() else {
            let reason = format!("`{}` on an instance that is gone", call.name());
            return Err(CallError::Dead(Death::Host(reason)));
        };
        prepare(&mut live.store, self.deadlines.of(call));
        Ok(live)
    }

    /// Waits for the call, no longer than its deadline. The future borrows nothing of the caller,
    /// whose store could not be shared with the thread that the call goes on in.
    pub(crate) fn within<T, F>(
        &self,
        call: Call,
        answer: F,
    ) -> impl Future<Output = Outcome<T>> + use<G, T, F>
    where
        F: Future<Output = wasmtime::Result<T>>,
    {
        let (usage, after) = (Arc::clone(&self.usage), self.deadlines.of(call));
        async move {
            let began = Instant::now();
            let outcome = timed(&usage, after, answer).await;
            usage.called(call, began.elapsed());
            Outcome(outcome)
        }
    }

    /// Puts the instance back if the call returned.
    pub(crate) fn end<T>(
        &mut self,
        call: Call,
        mut live: Live<G>,
        outcome: Outcome<T>,
    ) -> Result<T, CallError> {
        let after = self.deadlines.of(call);
        let death = match outcome.0 {
            Ok(Ok(answer)) => {
                self.live = Some(live);
                return Ok(answer);
            }
            Ok(Err(error)) => death(live.store.data_mut(), call, after, &error),
            Err(Late) => Death::Deadline {
                call: call.name(),
                after,
            },
        };
        self.usage.died();
        Err(CallError::Dead(death))
    }

    /// Discards the instance if its answer shows that it can't be trusted.
    pub(crate) fn judge<T>(&mut self, verdict: Result<T, CallError>) -> Result<T, CallError> {
        match &verdict {
            Err(CallError::Dead(_) | CallError::Failure(Failure::Broken(_))) => {
                self.live = None;
                self.usage.died();
            }
            Ok(_) | Err(CallError::Failure(_)) => {}
        }
        verdict
    }

    /// Whether it can be called.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }
}

/// One call of an exported function, from taking the instance out to putting it back.
macro_rules! call {
    ($caller:expr, $call:expr, |$guest:ident, $store:ident| $answer:expr) => {{
        let caller = &mut $caller;
        let mut live = caller.begin($call)?;
        let outcome = {
            let ($guest, $store) = (&live.guest, &mut live.store);
            caller.within($call, $answer).await
        };
        caller.end($call, live, outcome)?
    }};
}
pub(crate) use call;

fn prepare(store: &mut Store<State>, after: Duration) {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.deadline = Instant::now() + after;
    state.patience = Patience::of_call(after);
    state.take_memory_denied();
}

/// Waits for a call with the outer time-out, which sees a guest asleep in a host call, and counts
/// the CPU time of each step.
async fn timed<T>(
    usage: &Usage,
    after: Duration,
    answer: impl Future<Output = T>,
) -> Result<T, Late> {
    let mut answer = pin!(answer);
    let metered = poll_fn(|context| {
        let before = cpu_time::of_this_thread();
        let polled = answer.as_mut().poll(context);
        usage.cpu(cpu_time::of_this_thread().saturating_sub(before));
        polled
    });
    tokio::time::timeout(after + DEADLINE_GRACE, metered)
        .await
        .map_err(|_| Late)
}

/// What an error of the engine means.
fn death(state: &mut State, call: Call, after: Duration, error: &wasmtime::Error) -> Death {
    let denied = state.take_memory_denied();
    let trap = error.downcast_ref::<Trap>().copied();
    if trap == Some(Trap::Interrupt) {
        return Death::Deadline {
            call: call.name(),
            after,
        };
    }
    if error.chain().any(|cause| {
        cause
            .to_string()
            .contains("fuel allocated for hostcalls has been exhausted")
    }) {
        return Death::TooLarge {
            what: "what came out",
            max: state.crossing_bytes_max as u64,
        };
    }
    let trace = trace(state, error);
    match (denied, trap) {
        (Some(bytes_max), _) => Death::Memory { bytes_max, trace },
        (None, Some(_)) => Death::Trap { trace },
        (None, None) if error.downcast_ref::<I32Exit>().is_some() => Death::Trap { trace },
        (None, None) => Death::Malformed(trace),
    }
}

fn trace(state: &State, error: &wasmtime::Error) -> String {
    let mut trace = format!("{error:?}");
    trace.truncate(trace.floor_char_boundary(TRACE_BYTES_MAX));
    let tail = state.lines.tail();
    if !tail.is_empty() {
        trace.push_str("\nstderr:\n");
        trace.push_str(&tail.join("\n"));
    }
    trace
}
