//! What instances use, carried over from the plugin host to the connector's status and metrics.

use crate::status::Status;
use jackfield_plugin::{Call, Usage};
use jackfield_telemetry::{Call as Labelled, ConnectorMetrics, Used};
use std::sync::Arc;
use std::time::Duration;

/// How often usage is carried over: well within a scrape's interval.
const EVERY: Duration = Duration::from_secs(1);

/// Counters of one slot or task, whose calls are timed for the connector.
pub(crate) fn usage(metrics: &ConnectorMetrics) -> Arc<Usage> {
    let metrics = metrics.clone();
    Arc::new(Usage::observed(move |call, took| {
        if let Some(call) = labelled(call) {
            metrics.call(call, took);
        }
    }))
}

fn labelled(call: Call) -> Option<Labelled> {
    Some(match call {
        Call::Instantiate => Labelled::Instantiate,
        Call::Plan => Labelled::Plan,
        Call::Open => Labelled::Open,
        Call::Poll => Labelled::Poll,
        Call::Settled => Labelled::Settled,
        Call::Save => Labelled::Save,
        Call::Assigned => Labelled::Assigned,
        Call::Put => Labelled::Put,
        Call::Stage => Labelled::Stage,
        Call::Discard => Labelled::Discard,
        Call::Stored => Labelled::Stored,
        Call::Commit => Labelled::Commit,
        Call::Close => Labelled::Close,
        // These are asked of a plugin, on an instance that is no connector's.
        Call::Describe | Call::Check => return None,
    })
}

/// Carries one slot's or task's usage over. Dropping it carries over the rest.
pub(crate) struct Meter<'a> {
    usage: Arc<Usage>,
    status: &'a Status,
    before: Used,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(usage: &Arc<Usage>, status: &'a Status) -> Self {
        Self {
            usage: Arc::clone(usage),
            status,
            before: Used::default(),
        }
    }

    /// Carries over what was used since the last time.
    pub(crate) fn read(&mut self) {
        let now = self.usage.snapshot();
        let now = Used {
            memory_bytes: now.memory_bytes,
            cpu: now.cpu,
            deaths: now.deaths,
            host_calls: now.host_calls,
            denials: now.denials,
            log_lines_dropped: now.log_lines_dropped,
            held_back: now.held_back,
            connects: now.connects,
            reconnects: now.reconnects,
            frames: now.frames,
            frame_bytes: now.frame_bytes,
            requests: now.requests,
            requests_failed: now.requests_failed,
        };
        self.status.used(&self.before, &now);
        self.before = now;
    }

    /// Carries over until it is dropped.
    pub(crate) async fn run(&mut self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            self.read();
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.read();
    }
}
