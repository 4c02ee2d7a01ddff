//! A loaded plugin: what it says of itself, and of settings.

use crate::call::{Caller, call};
use crate::convert;
use crate::engine::Inner;
use crate::error::CallError;
use crate::limits::{Call, CallLimits};
use crate::linkers::{Pre, World};
use crate::state::{Given, State};
use crate::types::{Description, Finding};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// An instance that is granted nothing.
macro_rules! instance {
    ($self:ident, $pre:ident, $limits:ident) => {
        Caller::instantiate(
            &$self.inner.engine,
            $self.denied($limits),
            $limits,
            |mut store| async move {
                let made = $pre.instantiate_async(&mut store).await;
                (store, made)
            },
        )
        .await?
    };
}

/// A compiled connector. Cheap to clone; many instances can be made of it.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<PluginInner>,
}

pub(crate) struct PluginInner {
    pub(crate) engine: Arc<Inner>,
    digest: String,
    pub(crate) pre: Pre,
    imports: Vec<String>,
    /// A description is constant, so it is asked for once.
    description: OnceCell<Description>,
}

impl PluginInner {
    pub(crate) fn new(engine: Arc<Inner>, digest: String, pre: Pre, imports: Vec<String>) -> Self {
        Self {
            engine,
            digest,
            pre,
            imports,
            description: OnceCell::new(),
        }
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("digest", &self.inner.digest)
            .field("world", &self.world())
            .finish()
    }
}

impl Plugin {
    pub(crate) fn of(inner: Arc<PluginInner>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &PluginInner {
        &self.inner
    }

    /// SHA-256 of the file, in hex.
    pub fn digest(&self) -> &str {
        self.inner.digest()
    }

    /// What kind of connector it is.
    pub fn world(&self) -> World {
        match self.inner.pre {
            Pre::Source(_) => World::Source,
            Pre::Sink(_) => World::Sink,
            Pre::Transform(_) => World::Transform,
        }
    }

    /// The capabilities that it reaches for, as the contract names them: `websocket`, `store` ….
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// What the component says of itself, asked on an instance that is granted nothing.
    ///
    /// # Errors
    /// It died, or its answer is malformed.
    pub async fn describe(&self, limits: &CallLimits) -> Result<Description, CallError> {
        self.inner
            .description
            .get_or_try_init(|| self.ask_description(limits))
            .await
            .cloned()
    }

    /// What the component says of settings, asked on an instance that is granted nothing.
    ///
    /// # Errors
    /// It died, or its answer is malformed.
    pub async fn check(
        &self,
        settings: &str,
        limits: &CallLimits,
    ) -> Result<Vec<Finding>, CallError> {
        let settings = settings.to_owned();
        match &self.inner.pre {
            Pre::Source(pre) => {
                let mut caller = instance!(self, pre, limits);
                let answer = call!(caller, Call::Check, |guest, store| guest
                    .jackfield_connector_source()
                    .call_check(store, &settings));
                caller.judge(convert::findings(answer))
            }
            Pre::Sink(pre) => {
                let mut caller = instance!(self, pre, limits);
                let answer = call!(caller, Call::Check, |guest, store| guest
                    .jackfield_connector_sink()
                    .call_check(store, &settings));
                caller.judge(convert::findings(answer))
            }
            Pre::Transform(pre) => {
                let mut caller = instance!(self, pre, limits);
                let answer = call!(caller, Call::Check, |guest, store| guest
                    .jackfield_connector_transform()
                    .call_check(store, &settings));
                caller.judge(convert::findings(answer))
            }
        }
    }

    async fn ask_description(&self, limits: &CallLimits) -> Result<Description, CallError> {
        match &self.inner.pre {
            Pre::Source(pre) => {
                let mut caller = instance!(self, pre, limits);
                let answer = call!(caller, Call::Describe, |guest, store| guest
                    .jackfield_connector_source()
                    .call_describe(store));
                caller.judge(convert::description(answer))
            }
            Pre::Sink(pre) => {
                let mut caller = instance!(self, pre, limits);
                let answer = call!(caller, Call::Describe, |guest, store| guest
                    .jackfield_connector_sink()
                    .call_describe(store));
                caller.judge(convert::description(answer))
            }
            Pre::Transform(pre) => {
                let mut caller = instance!(self, pre, limits);
                let answer = call!(caller, Call::Describe, |guest, store| guest
                    .jackfield_connector_transform()
                    .call_describe(store));
                caller.judge(convert::description(answer))
            }
        }
    }

    fn denied(&self, limits: &CallLimits) -> State {
        State::new(
            Given::Nothing,
            &self.inner.digest[..12],
            Arc::default(),
            limits.memory_bytes_max,
        )
    }
}
