//! One instance of a source. Calls into it never overlap: each takes it mutably.

use crate::bindings::source::SourceConnector;
use crate::call::{Caller, call};
use crate::convert::{self, PollContext};
use crate::error::{CallError, Death};
use crate::inbox::Inbox;
use crate::interrupt::Interrupt;
use crate::limits::{Call, CallLimits};
use crate::linkers::Pre;
use crate::plugin::Plugin;
use crate::requests::Requests;
use crate::shadow::Stage;
use crate::state::{Given, SourceGiven, StagedGiven, State};
use crate::types::{Context, Feed, PollLimits, Polled, Position, Saved, Slot};
use crate::usage::Usage;
use crate::websocket::Connections;
use std::sync::Arc;

/// What a source's instance is given. All of it but the name belongs to the slot and outlives
/// the instance.
#[derive(Debug, Clone)]
pub struct SourceHost {
    /// The connector's name, for log lines.
    pub connector: String,
    /// Its only input.
    pub inbox: Arc<Inbox>,
    /// Its connections.
    pub connections: Arc<Connections>,
    /// Its requests.
    pub requests: Arc<Requests>,
    /// Ends waits inside its calls.
    pub interrupt: Interrupt,
    /// What it uses.
    pub usage: Arc<Usage>,
}

/// What an instance is given that runs beside a slot, or on a recording of one.
#[derive(Debug, Clone)]
pub struct StageHost {
    /// The connector's name, for log lines.
    pub connector: String,
    /// What it sees.
    pub stage: Arc<Stage>,
    /// Ends waits inside its calls.
    pub interrupt: Interrupt,
    /// What it uses.
    pub usage: Arc<Usage>,
}

/// Where an instance's events come from.
enum Input {
    Slot(Arc<Inbox>),
    Stage(Arc<Stage>),
}

/// An instance of a source.
pub struct SourceInstance {
    caller: Caller<SourceConnector>,
    input: Input,
    feeds: u32,
}

impl std::fmt::Debug for SourceInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceInstance")
            .field("live", &self.is_live())
            .field("feeds", &self.feeds)
            .finish()
    }
}

impl SourceInstance {
    /// Makes an instance.
    ///
    /// # Errors
    /// The plugin is no source, or dies at once.
    pub async fn new(
        plugin: &Plugin,
        host: SourceHost,
        limits: &CallLimits,
    ) -> Result<Self, CallError> {
        let description = plugin.describe(limits).await?;
        let input = Input::Slot(Arc::clone(&host.inbox));
        let given = Given::Source(SourceGiven {
            inbox: host.inbox,
            connections: host.connections,
            requests: host.requests,
            interrupt: host.interrupt,
            saved_versions: description.saved_version_min..=description.saved_version,
        });
        let state = State::new(given, &host.connector, host.usage, limits.memory_bytes_max);
        Self::of(plugin, state, input, limits).await
    }

    /// Makes an instance that sees a stage, and whose calls change nothing.
    ///
    /// # Errors
    /// The plugin is no source, or dies at once.
    pub async fn staged(
        plugin: &Plugin,
        host: StageHost,
        limits: &CallLimits,
    ) -> Result<Self, CallError> {
        let description = plugin.describe(limits).await?;
        let input = Input::Stage(Arc::clone(&host.stage));
        let given = Given::Staged(StagedGiven {
            stage: host.stage,
            interrupt: host.interrupt,
            saved_versions: description.saved_version_min..=description.saved_version,
        });
        let state = State::new(given, &host.connector, host.usage, limits.memory_bytes_max);
        Self::of(plugin, state, input, limits).await
    }

    async fn of(
        plugin: &Plugin,
        state: State,
        input: Input,
        limits: &CallLimits,
    ) -> Result<Self, CallError> {
        let inner = plugin.inner();
        let Pre::Source(pre) = &inner.pre else {
            return Err(CallError::Dead(Death::Host(format!(
                "the plugin is a {:?}, not a source",
                plugin.world()
            ))));
        };
        let caller = Caller::instantiate(&inner.engine, state, limits, |mut store| async move {
            let made = pre.instantiate_async(&mut store).await;
            (store, made)
        })
        .await?;
        Ok(Self {
            caller,
            input,
            feeds: 0,
        })
    }

    /// Splits the work into slots.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn plan(&mut self, settings: String, slots_max: u32) -> Result<Vec<Slot>, CallError> {
        let answer = call!(self.caller, Call::Plan, |guest, store| guest
            .jackfield_connector_source()
            .call_plan(store, &settings, slots_max));
        self.caller.judge(convert::slots(answer, slots_max))
    }

    /// Takes up a slot where the positions say.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn open(
        &mut self,
        context: Context,
        settings: String,
        slot: Slot,
        positions: Vec<Position>,
        state: Option<Saved>,
    ) -> Result<Vec<Feed>, CallError> {
        let context = convert::into_context(context);
        let slot = convert::into_slot(slot);
        let positions = convert::into_positions(positions);
        let state = state.map(convert::into_saved);
        let answer = call!(self.caller, Call::Open, |guest, store| guest
            .jackfield_connector_source()
            .call_open(
                store,
                &context,
                &settings,
                &slot,
                &positions,
                state.as_ref()
            ));
        let feeds = self.caller.judge(convert::feeds(answer))?;
        self.feeds = feeds.len() as u32;
        Ok(feeds)
    }

    /// Takes events, gives records. Batches are parsed and within the limits; positions are
    /// canonical; `done_through` is at most what was given.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn poll(&mut self, limits: PollLimits) -> Result<Polled, CallError> {
        let answer = call!(self.caller, Call::Poll, |guest, store| guest
            .jackfield_connector_source()
            .call_poll(store, convert::into_limits(limits)));
        let (settled, given) = match &self.input {
            Input::Slot(inbox) => (inbox.settled(), inbox.given()),
            Input::Stage(stage) => (stage.settled(), stage.given()),
        };
        let context = PollContext {
            limits,
            feeds: self.feeds,
            settled,
            given,
        };
        let polled = self.caller.judge(convert::polled(answer, context))?;
        self.feeds += polled.feeds.len() as u32;
        Ok(polled)
    }

    /// Says what is durable.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn settled(&mut self, positions: Vec<Position>) -> Result<(), CallError> {
        let positions = convert::into_positions(positions);
        let answer = call!(self.caller, Call::Settled, |guest, store| guest
            .jackfield_connector_source()
            .call_settled(store, &positions));
        self.caller.judge(convert::source_nothing(answer))
    }

    /// State for the next version.
    ///
    /// # Errors
    /// As the plugin says, or it died.
    pub async fn save(&mut self) -> Result<Saved, CallError> {
        let answer = call!(self.caller, Call::Save, |guest, store| guest
            .jackfield_connector_source()
            .call_save(store));
        self.caller.judge(convert::saved(answer))
    }

    /// The last call.
    ///
    /// # Errors
    /// It died.
    pub async fn close(&mut self) -> Result<(), CallError> {
        call!(self.caller, Call::Close, |guest, store| guest
            .jackfield_connector_source()
            .call_close(store));
        Ok(())
    }

    /// Whether it can be called.
    pub fn is_live(&self) -> bool {
        self.caller.is_live()
    }
}
