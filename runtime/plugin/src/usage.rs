//! What a connector's instances used, counted by the host.

use crate::limits::Call;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of one slot or task; they outlive its instances. Recording cannot fail or block.
#[derive(Debug, Default)]
pub struct Usage {
    host_calls: AtomicU64,
    denials: AtomicU64,
    connects: AtomicU64,
    reconnects: AtomicU64,
    frames: AtomicU64,
    frame_bytes: AtomicU64,
    requests: AtomicU64,
    requests_failed: AtomicU64,
    memory_bytes: AtomicU64,
    cpu_ns: AtomicU64,
    log_lines_dropped: AtomicU64,
    held_back_ns: AtomicU64,
    deaths: AtomicU64,
    observer: Observer,
}

/// Told of each call, if anyone is.
#[derive(Default)]
struct Observer(Option<Box<dyn Fn(Call, Duration) + Send + Sync>>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some" } else { "None" })
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSnapshot {
    /// Calls of host functions.
    pub host_calls: u64,
    /// Those that reached for what was not granted.
    pub denials: u64,
    /// Connections that were opened.
    pub connects: u64,
    /// Those of a name that had been open before.
    pub reconnects: u64,
    /// Frames received.
    pub frames: u64,
    /// Their bytes.
    pub frame_bytes: u64,
    /// HTTP requests sent.
    pub requests: u64,
    /// Those that brought no response.
    pub requests_failed: u64,
    /// Linear memory of the instances that live now.
    pub memory_bytes: u64,
    /// CPU time inside calls, host functions that don't wait included.
    pub cpu: Duration,
    /// Log lines over the rate limit.
    pub log_lines_dropped: u64,
    /// Time that they rested for, since they called the host too often.
    pub held_back: Duration,
    /// Instances that died in a call.
    pub deaths: u64,
}

impl Usage {
    /// Counters that also tell of each call that ended, well or not, and how long it took, waits
    /// inside it included. The observer is called between a call and its caller: it must not block.
    pub fn observed(observer: impl Fn(Call, Duration) + Send + Sync + 'static) -> Self {
        Self {
            observer: Observer(Some(Box::new(observer))),
            ..Self::default()
        }
    }

    /// Reads every counter.
    pub fn snapshot(&self) -> UsageSnapshot {
        UsageSnapshot {
            host_calls: self.host_calls.load(Relaxed),
            denials: self.denials.load(Relaxed),
            connects: self.connects.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            frames: self.frames.load(Relaxed),
            frame_bytes: self.frame_bytes.load(Relaxed),
            requests: self.requests.load(Relaxed),
            requests_failed: self.requests_failed.load(Relaxed),
            memory_bytes: self.memory_bytes.load(Relaxed),
            cpu: Duration::from_nanos(self.cpu_ns.load(Relaxed)),
            log_lines_dropped: self.log_lines_dropped.load(Relaxed),
            held_back: Duration::from_nanos(self.held_back_ns.load(Relaxed)),
            deaths: self.deaths.load(Relaxed),
        }
    }

    pub(crate) fn called(&self, call: Call, took: Duration) {
        if let Some(observer) = &self.observer.0 {
            observer(call, took);
        }
    }

    pub(crate) fn host_call(&self) {
        self.host_calls.fetch_add(1, Relaxed);
    }

    pub(crate) fn denied(&self) {
        self.denials.fetch_add(1, Relaxed);
    }

    pub(crate) fn connected(&self, again: bool) {
        self.connects.fetch_add(1, Relaxed);
        if again {
            self.reconnects.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn frame(&self, bytes: usize) {
        self.frames.fetch_add(1, Relaxed);
        self.frame_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn request_failed(&self) {
        self.requests_failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn memory_grew(&self, bytes: usize) {
        self.memory_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn memory_freed(&self, bytes: usize) {
        self.memory_bytes.fetch_sub(bytes as u64, Relaxed);
    }

    pub(crate) fn cpu(&self, spent: Duration) {
        self.cpu_ns
            .fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn log_line_dropped(&self) {
        self.log_lines_dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn held_back(&self, rest: Duration) {
        self.held_back_ns
            .fetch_add(u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn died(&self) {
        self.deaths.fetch_add(1, Relaxed);
    }
}
