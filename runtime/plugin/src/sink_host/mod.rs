//! What sinks import: store, catalog, schemas, http. One module a capability.
//!
//! A call that waits ends early when the host wants it back. Writes to the store don't: broken
//! off half way they would leave the guest with half an object. All that is asked of the store,
//! and of the catalog but for commits, ends before the call does: [`Patience`].

mod catalog;
mod http;
mod patience;
mod schemas;
mod store;
#[cfg(test)]
mod tests;

use crate::grants::HttpGrants;
use crate::host_calls::OUTSIDE_CALLS;
use crate::interrupt::Interrupt;
use crate::lake::{Lake, LakeAccess};
use crate::state::{Given, State};
use jackfield_schema::Registry;
pub(crate) use patience::Patience;
use schemas::SchemaCache;
use std::sync::Arc;

/// The capabilities of a sink's instance.
pub(crate) struct SinkGiven {
    lake: Option<Arc<LakeAccess>>,
    schemas: SchemaCache,
    http: HttpGrants,
    interrupt: Interrupt,
}

impl SinkGiven {
    pub(crate) fn new(
        lake: Option<Arc<Lake>>,
        schemas: Arc<dyn Registry>,
        http: HttpGrants,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            lake: lake.map(|lake| Arc::new(lake.access())),
            schemas: SchemaCache::new(schemas),
            http,
            interrupt,
        }
    }
}

impl State {
    /// The sink's capabilities; the reason to deny them where there are none.
    fn sink(&self) -> Result<&SinkGiven, String> {
        self.called(OUTSIDE_CALLS);
        match &self.given {
            Given::Sink(sink) => Ok(sink),
            Given::Nothing | Given::Source(_) | Given::Staged(_) => {
                self.usage.denied();
                Err("nothing but the log is given while describing or checking".to_owned())
            }
        }
    }

    /// The granted lake; the reason to deny it where there is none.
    fn lake(&self) -> Result<(Arc<LakeAccess>, Interrupt), String> {
        let sink = self.sink()?;
        let Some(lake) = &sink.lake else {
            self.usage.denied();
            return Err("no lake is granted: `allow: { lake: … }`".to_owned());
        };
        Ok((Arc::clone(lake), sink.interrupt.clone()))
    }
}

/// The work's outcome; none if the host wants the call back first.
async fn unless<T>(interrupt: &Interrupt, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = interrupt.raised() => None,
    }
}
