//! One instance of a sink, a task's or the committer's. Calls into it never overlap: each takes
//! it mutably.

use crate::bindings::sink::SinkConnector;
use crate::call::{Caller, call};
use crate::convert;
use crate::error::{CallError, Death};
use crate::grants::HttpGrants;
use crate::interrupt::Interrupt;
use crate::lake::Lake;
use crate::limits::{Call, CallLimits};
use crate::linkers::Pre;
use crate::plugin::Plugin;
use crate::sink_host::SinkGiven;
use crate::state::{Given, State};
use crate::types::{Committed, Context, Holding, Piece, Saved, Span, Taken};
use crate::usage::Usage;
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_schema::Registry;
use std::sync::Arc;

/// What a sink's instance is given.
pub struct SinkHost {
    /// The connector's name, for log lines.
    pub connector: String,
    /// The granted lake; `None`: every use of store and catalog is denied.
    pub lake: Option<Arc<Lake>>,
    /// Schemas by id.
    pub schemas: Arc<dyn Registry>,
    /// Where it may send requests.
    pub http: HttpGrants,
    /// Ends waits inside its calls.
    pub interrupt: Interrupt,
    /// What it uses.
    pub usage: Arc<Usage>,
}

/// An instance of a sink.
pub struct SinkInstance {
    caller: Caller<SinkConnector>,
    /// Of the pieces that it stages, as it describes itself.
    staged_version: u32,
}

impl std::fmt::Debug for SinkInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkInstance")
            .field("live", &self.is_live())
            .finish()
    }
}

impl SinkInstance {
    /// Makes an instance.
    ///
    /// # Errors
    /// The plugin is no sink, or dies at once.
    pub async fn new(
        plugin: &Plugin,
        host: SinkHost,
        limits: &CallLimits,
    ) -> Result<Self, CallError> {
        let inner = plugin.inner();
        let Pre::Sink(pre) = &inner.pre else {
            return Err(CallError::Dead(Death::Host(format!(
                "the plugin is a {:?}, not a sink",
                plugin.world()
            ))));
        };
        let staged_version = plugin.describe(limits).await?.staged_version;
        let given = Given::Sink(SinkGiven::new(
            host.lake,
            host.schemas,
            host.http,
            host.interrupt,
        ));
        let state = State::new(given, &host.connector, host.usage, limits.memory_bytes_max);
        let caller = Caller::instantiate(&inner.engine, state, limits, |mut store| async move {
            let made = pre.instantiate_async(&mut store).await;
            (store, made)
        })
        .await?;
        Ok(Self {
            caller,
            staged_version,
        })
    }

    /// Takes up a role.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn open(
        &mut self,
        context: Context,
        settings: String,
        state: Option<Saved>,
    ) -> Result<(), CallError> {
        let context = convert::into_context(context);
        let state = state.map(convert::into_saved);
        let answer = call!(self.caller, Call::Open, |guest, store| guest
            .jackfield_connector_sink()
            .call_open(store, &context, &settings, state.as_ref()));
        self.caller.judge(convert::sink_nothing(answer))
    }

    /// Says what the targets hold.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn assigned(&mut self, held: Vec<Holding>) -> Result<(), CallError> {
        let held = convert::into_holdings(held);
        let answer = call!(self.caller, Call::Assigned, |guest, store| guest
            .jackfield_connector_sink()
            .call_assigned(store, &held));
        self.caller.judge(convert::sink_nothing(answer))
    }

    /// Gives a batch that carries log coordinates.
    ///
    /// # Errors
    /// As the plugin says, or it died. A batch that is malformed is not given.
    pub async fn put(&mut self, at: Span, records: Bytes) -> Result<Taken, CallError> {
        let count = match Batch::parse(&records, &Limits::default()) {
            Ok(batch) => batch.len(),
            Err(error) => {
                return Err(CallError::Dead(Death::Host(format!(
                    "a batch of the log is malformed: {error}"
                ))));
            }
        };
        let at = convert::span(at);
        let records = Vec::from(records);
        let answer = call!(self.caller, Call::Put, |guest, store| guest
            .jackfield_connector_sink()
            .call_put(store, &at, &records));
        self.caller.judge(convert::taken(answer, count))
    }

    /// Closes what was put into pieces.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn stage(&mut self) -> Result<Vec<Piece>, CallError> {
        let answer = call!(self.caller, Call::Stage, |guest, store| guest
            .jackfield_connector_sink()
            .call_stage(store));
        self.caller
            .judge(convert::pieces(answer, self.staged_version))
    }

    /// Forgets what was put or staged and not committed.
    ///
    /// # Errors
    /// It died.
    pub async fn discard(&mut self) -> Result<(), CallError> {
        call!(self.caller, Call::Discard, |guest, store| guest
            .jackfield_connector_sink()
            .call_discard(store));
        Ok(())
    }

    /// Asks what the targets hold.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn stored(&mut self, known: Vec<String>) -> Result<Vec<Holding>, CallError> {
        let answer = call!(self.caller, Call::Stored, |guest, store| guest
            .jackfield_connector_sink()
            .call_stored(store, &known));
        self.caller.judge(convert::holdings(answer))
    }

    /// Makes one target's pieces visible. Idempotent by `id`.
    ///
    /// # Errors
    /// As the plugin says, or it died; then the outcome is unknown.
    pub async fn commit(
        &mut self,
        target: String,
        pieces: Vec<Piece>,
        spans: Vec<Span>,
        id: String,
    ) -> Result<Committed, CallError> {
        let pieces = convert::into_pieces(pieces)?;
        let spans = convert::into_spans(spans);
        let answer = call!(self.caller, Call::Commit, |guest, store| guest
            .jackfield_connector_sink()
            .call_commit(store, &target, &pieces, &spans, &id));
        self.caller.judge(convert::committed(answer))
    }

    /// State for the next version.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn save(&mut self) -> Result<Saved, CallError> {
        let answer = call!(self.caller, Call::Save, |guest, store| guest
            .jackfield_connector_sink()
            .call_save(store));
        self.caller.judge(convert::saved(answer))
    }

    /// The last call.
    ///
    /// # Errors
    /// It died.
    pub async fn close(&mut self) -> Result<(), CallError> {
        call!(self.caller, Call::Close, |guest, store| guest
            .jackfield_connector_sink()
            .call_close(store));
        Ok(())
    }

    /// Whether it can be called.
    pub fn is_live(&self) -> bool {
        self.caller.is_live()
    }
}
