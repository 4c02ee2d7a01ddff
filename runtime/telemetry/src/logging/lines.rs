//! A bounded queue of lines, and the thread that writes them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Most lines that wait: a burst of a start or a failure, a second of a busy log.
const LINES_MAX: usize = 4096;
/// Most bytes of them, since a line may hold a plugin's trace.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where lines are put. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: SyncSender<Vec<u8>>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
    /// Lines taken into the queue, and lines written or given up.
    taken: AtomicU64,
    done: Mutex<u64>,
    progress: Condvar,
}

impl Lines {
    /// Starts the thread; it ends when the last clone is gone. `notice` is the line that says how
    /// many were dropped.
    pub(super) fn start(
        notice: fn(u64) -> String,
        to: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, lines) = mpsc::sync_channel(LINES_MAX);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::Builder::new()
            .name("log-lines".to_owned())
            .spawn(move || write(&lines, &shared, notice, to))?;
        Ok(Self(Arc::new(Inner { queue, state })))
    }

    /// Takes a line or drops it, at once.
    fn put(&self, line: Vec<u8>) {
        let state = &self.0.state;
        let bytes = line.len();
        if state.waiting_bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > BYTES_MAX {
            state.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            state.dropped.fetch_add(1, Ordering::AcqRel);
            return;
        }
        match self.0.queue.try_send(line) {
            Ok(()) => _ = state.taken.fetch_add(1, Ordering::AcqRel),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                state.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
                state.dropped.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// Waits until the lines taken so far are written, at most `patience`; whether they are.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let state = &self.0.state;
        let taken = state.taken.load(Ordering::Acquire);
        let done = state.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = state
            .progress
            .wait_timeout_while(done, patience, |done| *done < taken);
        let (done, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *done >= taken
    }
}

fn write(lines: &Receiver<Vec<u8>>, state: &State, notice: fn(u64) -> String, mut to: impl Write) {
    while let Ok(line) = lines.recv() {
        state.waiting_bytes.fetch_sub(line.len(), Ordering::AcqRel);
        let mut result = to.write_all(&line);
        let dropped = state.dropped.swap(0, Ordering::AcqRel);
        if dropped > 0 {
            result = result.and_then(|()| to.write_all(notice(dropped).as_bytes()));
        }
        // There is nobody left to tell that lines can't be written; the next one is tried again.
        let _unwritten = result.and_then(|()| to.flush());
        *state.done.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        state.progress.notify_all();
    }
}

/// Collects one line and puts it when dropped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    lines: &'a Lines,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.lines.put(std::mem::take(&mut self.bytes));
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            bytes: Vec::new(),
        }
    }
}
