//! How a sink changes to another version: prepared beside the running one, which goes on to stage
//! and commit, and cut over by all tasks together.

use super::{Coordinator, Extent};
use crate::failures::Failed;
use crate::host::Host;
use crate::sink::committer;
use crate::sink::standing::{self, Standing};
use crate::sink::task::{Command, HandOver};
use crate::spec::SinkSpec;
use crate::swap::{Given, Outcome, Refused, SwapOrder, SwapReport, Version, prepare};
use jackfield_core::Consequence;
use jackfield_plugin::{Holding, Interrupt, Role, SinkInstance, Usage};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Another version that is being prepared. Dropping it ends the preparation, and whoever ordered
/// it is told that the connector does not run.
pub(super) struct Preparing {
    order: SwapOrder,
    from: Arc<Version>,
    /// The connector as it would be.
    spec: Arc<SinkSpec>,
    /// What the targets held when it began.
    held: Vec<Holding>,
    /// One task: an instance for each of the connector's.
    task: JoinSet<Result<Vec<SinkInstance>, Refused>>,
}

/// What became of a preparation.
pub(super) struct Prepared {
    of: Preparing,
    instances: Result<Vec<SinkInstance>, Refused>,
}

/// Why a sink was not swapped.
enum NotSwapped {
    /// It goes on as it was.
    Refused(Refused),
    /// Its life ends.
    Broke(Failed),
}

impl From<Refused> for NotSwapped {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// The preparation's end; never, where nothing is being prepared. May be dropped while it waits.
pub(super) async fn prepared(preparing: &mut Option<Preparing>) -> Prepared {
    let joined = match preparing {
        Some(preparing) => preparing.task.join_next().await,
        None => std::future::pending().await,
    };
    match (preparing.take(), joined) {
        (Some(of), Some(joined)) => Prepared {
            of,
            instances: joined.unwrap_or_else(|panic| Err(panicked(&panic))),
        },
        // There is one task, which is waited for once.
        (None, _) | (_, None) => std::future::pending().await,
    }
}

fn panicked(panic: &JoinError) -> Refused {
    Refused::Fails(format!("its preparation panicked: {panic}"))
}

fn fails(failed: Failed) -> Refused {
    Refused::Fails(failed.to_string())
}

/// Everything that can be said against a version, and an instance of it for each task.
async fn instances(
    given: Given,
    from: Arc<Version>,
    to: Arc<Version>,
    spec: Arc<SinkSpec>,
    host: Host,
    usages: Vec<Arc<Usage>>,
    held: Vec<Holding>,
) -> Result<Vec<SinkInstance>, Refused> {
    prepare(given, &from, &to).await?;
    let mut instances = Vec::with_capacity(usages.len());
    for (number, usage) in (0u32..).zip(usages) {
        let role = Role::Task(number);
        let opened = committer::open(&spec, &host, role, usage, Interrupt::default(), None).await;
        let mut instance = opened.map_err(fails)?;
        assigned(&mut instance, held.clone()).await?;
        instances.push(instance);
    }
    Ok(instances)
}

/// What the targets hold an instance may drop; what is staged until the cut it is never given.
async fn assigned(instance: &mut SinkInstance, held: Vec<Holding>) -> Result<(), Refused> {
    let assigned = instance.assigned(held).await;
    assigned.map_err(|e| fails(Failed::call("assigned", e)))
}

impl Coordinator<'_> {
    /// Begins to prepare another version.
    pub(super) fn prepare(&mut self, order: SwapOrder, standing: &Standing<'_>) {
        if order.reply.is_closed() {
            return;
        }
        let busy = match (standing.on_probation(), &self.preparing) {
            (true, _) => Some("on probation"),
            (false, Some(_)) => Some("being made"),
            (false, None) => None,
        };
        if let Some(why) = busy {
            return self.answer(order.reply, Err(Refused::Busy(why)));
        }
        let from = Arc::clone(standing.version());
        let mut spec = SinkSpec::clone(&self.spec);
        spec.plugged = order.to.plugged.clone();
        let spec = Arc::new(spec);
        let held = self.books.held();
        let mut task = JoinSet::new();
        task.spawn(instances(
            standing::given(&self.spec),
            Arc::clone(&from),
            Arc::clone(&order.to),
            Arc::clone(&spec),
            self.host.clone(),
            self.usages.clone(),
            held.clone(),
        ));
        self.preparing = Some(Preparing {
            order,
            from,
            spec,
            held,
            task,
        });
    }

    /// Changes to the version that was prepared, or says why not.
    pub(super) async fn change(
        &mut self,
        prepared: Prepared,
        standing: &mut Standing<'_>,
    ) -> Result<(), Failed> {
        let Prepared { of, instances } = prepared;
        let Preparing {
            order,
            from,
            spec,
            held,
            task: _,
        } = of;
        let SwapOrder {
            to,
            options,
            claim,
            reply,
        } = order;
        let report = |outcome| standing.desk.report(&from, &to, &options.by, outcome);
        let swapped = match instances {
            Ok(_) if options.dry_run => Ok(report(Outcome::Prepared)),
            Ok(instances) => match claim.begin() {
                Ok(()) => {
                    let report = report(Outcome::OnProbation);
                    self.cut_over(&spec, &to, instances, &held, report).await
                }
                Err(given_up) => Err(given_up.into()),
            },
            Err(refused) => Err(refused.into()),
        };
        match swapped {
            Ok(report) => {
                if report.outcome == Outcome::OnProbation {
                    self.committer.change(&spec, &to).await;
                    self.spec = spec;
                    let work = self.status.work();
                    standing.begin(&report, from, to, options.probation, work);
                    self.committer.on_probation(standing.until());
                }
                self.answer(reply, Ok(report));
                Ok(())
            }
            Err(NotSwapped::Refused(refused)) => {
                self.answer(reply, Err(refused));
                Ok(())
            }
            Err(NotSwapped::Broke(failed)) => {
                self.answer(reply, Err(Refused::Fails(failed.to_string())));
                Err(failed)
            }
        }
    }

    fn answer(
        &self,
        reply: oneshot::Sender<Result<SwapReport, Refused>>,
        answer: Result<SwapReport, Refused>,
    ) {
        if let Err(refused) = &answer {
            tracing::warn!(connector = %self.spec.connector, %refused, "swap refused");
        }
        if reply.send(answer).is_err() {
            tracing::debug!(connector = %self.spec.connector, "nobody waits for the swap any more");
        }
    }

    /// All tasks stage with the old version and go on with the new one; what they staged is
    /// committed by the old one.
    async fn cut_over(
        &mut self,
        spec: &Arc<SinkSpec>,
        to: &Arc<Version>,
        mut instances: Vec<SinkInstance>,
        held_before: &[Holding],
        mut report: SwapReport,
    ) -> Result<SwapReport, NotSwapped> {
        let held = self.books.held();
        if held != held_before {
            for instance in &mut instances {
                assigned(instance, held.clone()).await?;
            }
        }
        // Another version is no longer what others were compared with.
        self.listeners.dismiss();
        let started = Instant::now();
        let rows = self.pending.take();
        let (mut commands, mut replies) = (Vec::new(), Vec::new());
        let mut pauses = Vec::new();
        for instance in instances {
            let (staged, reply) = oneshot::channel();
            let (paused, pause) = oneshot::channel();
            let hand_over = HandOver {
                spec: Arc::clone(spec),
                version: Arc::clone(to),
                instance,
                staged,
                paused,
            };
            commands.push(Command::HandOver(Box::new(hand_over)));
            replies.push(reply);
            pauses.push(pause);
        }
        let (staged, extent) = self.stage_all(commands, replies).await;
        if extent != Extent::All {
            let reason = "not every task could stage and hand over: read again from what is stored";
            let failed = Failed::new("swap", Consequence::Rewind, reason);
            return Err(NotSwapped::Broke(failed));
        }
        let mut longest = Duration::ZERO;
        for pause in pauses {
            longest = longest.max(pause.await.unwrap_or_default());
        }
        report.pause_us = Some(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX));
        report.in_flight = rows;
        // Until these are visible the old version is what runs: a life that ends now begins with it.
        let committed = self.commit_staged(staged, rows, started).await;
        committed.map_err(NotSwapped::Broke)?;
        Ok(report)
    }
}
