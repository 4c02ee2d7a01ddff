//! What instances use, carried over from the plugin host to the connector's status and metrics.

use crate::status::Status;
use jackfield_plugin::Usage;
use jackfield_telemetry::Used;
use std::sync::Arc;
use std::time::Duration;

/// How often usage is carried over: well within a scrape's interval.
const EVERY: Duration = Duration::from_secs(1);

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
