//! Lines of plugins for people: rate limited, cut, tagged with the connector.

use crate::usage::Usage;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Lines of an instance a second, in the long run: more than a person reads.
const LINES_PER_SECOND: u32 = 50;
/// Lines at once, such as while it starts.
const BURST_MAX: u32 = 500;
/// Bytes of a line; the rest is cut.
const LINE_BYTES_MAX: usize = 2 * 1024;
/// The last lines on stderr are kept for the trace of a death: a panic says why just before.
const TAIL_LINES_MAX: usize = 16;

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// The rate limit, without a clock.
#[derive(Debug)]
struct Bucket {
    lines: f64,
    at: Instant,
    dropped: u64,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self {
            lines: f64::from(BURST_MAX),
            at: now,
            dropped: 0,
        }
    }

    /// Whether a line may pass, with the number of lines dropped before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.lines = (self.lines + elapsed * f64::from(LINES_PER_SECOND)).min(f64::from(BURST_MAX));
        self.at = now;
        if self.lines < 1.0 {
            self.dropped += 1;
            return None;
        }
        self.lines -= 1.0;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    tail: VecDeque<String>,
    /// What stderr has of a line so far.
    partial: Vec<u8>,
}

/// The lines of one instance.
#[derive(Debug)]
pub(crate) struct LogLines {
    connector: String,
    usage: Arc<Usage>,
    inner: Mutex<Inner>,
}

impl LogLines {
    pub(crate) fn new(connector: &str, usage: Arc<Usage>) -> Arc<Self> {
        Arc::new(Self {
            connector: connector.to_owned(),
            usage,
            inner: Mutex::new(Inner {
                bucket: Bucket::new(Instant::now()),
                tail: VecDeque::new(),
                partial: Vec::new(),
            }),
        })
    }

    /// A line of the log import.
    pub(crate) fn write(&self, level: Level, message: &str) {
        let Some(dropped) = self.inner().bucket.take(Instant::now()) else {
            self.usage.log_line_dropped();
            return;
        };
        let line = clean(message);
        let connector = self.connector.as_str();
        if dropped > 0 {
            tracing::warn!(
                connector,
                dropped,
                "the plugin logs too much, lines were dropped"
            );
        }
        match level {
            Level::Debug => tracing::debug!(connector, line, "plugin"),
            Level::Info => tracing::info!(connector, line, "plugin"),
            Level::Warn => tracing::warn!(connector, line, "plugin"),
            Level::Error => tracing::error!(connector, line, "plugin"),
        }
    }

    /// Bytes that the component wrote to stderr.
    pub(crate) fn stderr(&self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = {
                let mut inner = self.inner();
                let room = LINE_BYTES_MAX.saturating_sub(inner.partial.len());
                let whole = piece.ends_with(b"\n");
                let text = if whole {
                    &piece[..piece.len() - 1]
                } else {
                    piece
                };
                inner
                    .partial
                    .extend_from_slice(&text[..text.len().min(room)]);
                whole.then(|| inner.finish_line())
            };
            if let Some(line) = line {
                self.write(Level::Warn, &line);
            }
        }
    }

    /// What stderr said last, for a trace.
    pub(crate) fn tail(&self) -> Vec<String> {
        let mut inner = self.inner();
        if !inner.partial.is_empty() {
            inner.finish_line();
        }
        inner.tail.iter().cloned().collect()
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing in between can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn finish_line(&mut self) -> String {
        let line = clean(&String::from_utf8_lossy(&std::mem::take(&mut self.partial)));
        if self.tail.len() == TAIL_LINES_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        line
    }
}

/// Cut to its limit, and on one line: a plugin can't forge lines of others.
fn clean(message: &str) -> String {
    let cut = &message[..message.floor_char_boundary(LINE_BYTES_MAX)];
    cut.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lines() -> LogLines {
        Arc::into_inner(LogLines::new("c", Arc::default())).unwrap()
    }

    #[test]
    fn a_flood_is_cut_to_the_burst_and_then_to_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let passed = (0..10_000).filter(|_| bucket.take(start).is_some()).count();
        assert_eq!(passed, BURST_MAX as usize);
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(later), Some(10_000 - u64::from(BURST_MAX)));
        let passed = (0..10_000).filter(|_| bucket.take(later).is_some()).count();
        assert_eq!(passed, LINES_PER_SECOND as usize - 1);
    }

    #[test]
    fn lines_over_the_rate_are_counted() {
        let lines = lines();
        for _ in 0..BURST_MAX + 7 {
            lines.write(Level::Debug, "x");
        }
        assert!(lines.usage.snapshot().log_lines_dropped >= 5);
    }

    #[test]
    fn a_line_is_one_line_of_bounded_length() {
        assert_eq!(clean("a\nb\u{1b}[31m"), "a b [31m");
        assert_eq!(clean(&"é".repeat(5000)).len(), LINE_BYTES_MAX);
    }

    #[test]
    fn stderr_is_put_together_to_lines_and_its_end_is_kept() {
        let lines = lines();
        lines.stderr(b"one\ntw");
        lines.stderr(b"o\nthree");
        assert_eq!(lines.tail(), ["one", "two", "three"]);
        for i in 0..100 {
            lines.stderr(format!("{i}\n").as_bytes());
        }
        let tail = lines.tail();
        assert_eq!(
            (tail.len(), tail.last().unwrap().as_str()),
            (TAIL_LINES_MAX, "99")
        );
        lines.stderr(&vec![b'x'; 1_000_000]);
        assert_eq!(lines.tail().last().unwrap().len(), LINE_BYTES_MAX);
    }
}
