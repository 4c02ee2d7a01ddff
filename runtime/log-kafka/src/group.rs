//! Appends that share a transaction.

use crate::positions::Put;
use crate::transactions::{Command, Queued};
use jackfield_log::{Appended, LogError};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes after which a transaction waits for no more appends: half of what may be on its way, so
/// that the next one fills up while this one is committed.
const BYTES_MAX: usize = 16 << 20;

/// What a transaction waits for, and up to what it grows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long it waits for further appends after the first.
    pub(crate) linger: Duration,
    /// Records after which it waits for no more.
    pub(crate) records_max: usize,
    /// Appends after which it waits for no more.
    pub(crate) appends_max: usize,
}

/// Appends that share a transaction: their records are handed over while it still grows.
pub(crate) struct Group {
    appends: Vec<Queued>,
    records: usize,
    bytes: usize,
    /// Whether nothing more joins.
    full: bool,
    /// Whoever asked for the writer's end while it grew.
    pub(crate) closing: Option<oneshot::Sender<()>>,
}

impl Group {
    /// One append that shares nothing.
    pub(crate) fn alone(append: Queued) -> Self {
        Self {
            full: true,
            ..Self::of(append)
        }
    }

    /// The first append of a transaction that others may join.
    pub(crate) fn of(first: Queued) -> Self {
        Self {
            records: first.prepared.records,
            bytes: first.prepared.cost,
            appends: vec![first],
            full: false,
            closing: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.appends.len()
    }

    pub(crate) fn appends(&self) -> &[Queued] {
        &self.appends
    }

    /// Waits for one more append. `None`: the transaction is as large as it gets.
    pub(crate) fn grow(
        &mut self,
        commands: &Receiver<Command>,
        began: Instant,
        bounds: Bounds,
    ) -> Option<&Queued> {
        let room = self.records < bounds.records_max
            && self.appends.len() < bounds.appends_max
            && self.bytes < BYTES_MAX;
        if self.full || !room {
            return None;
        }
        let next = match commands.try_recv() {
            Ok(command) => Ok(command),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {
                let left = bounds.linger.saturating_sub(began.elapsed());
                commands.recv_timeout(left)
            }
        };
        match next {
            Ok(Command::Append(queued)) => {
                self.records += queued.prepared.records;
                self.bytes += queued.prepared.cost;
                self.appends.push(queued);
                self.appends.last()
            }
            Ok(Command::Close(reply)) => {
                self.closing = Some(reply);
                self.full = true;
                None
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.full = true;
                None
            }
        }
    }

    /// What is stored of all these appends: where several store the same, what the last one does.
    pub(crate) fn puts(&self) -> BTreeMap<&str, Option<&str>> {
        let puts = self.appends.iter().flat_map(|it| &it.prepared.puts);
        puts.map(|put: &Put| (&*put.0, put.1.as_deref())).collect()
    }

    pub(crate) fn into_appends(self) -> Vec<Queued> {
        self.appends
    }

    /// Every append has landed; `firsts` has the offset of each output's first record.
    pub(crate) fn landed(self, firsts: Vec<Option<i64>>) {
        let mut firsts = firsts.into_iter();
        for queued in self.appends {
            let outputs = queued.prepared.outputs.len();
            let of_this: Vec<Option<i64>> = firsts.by_ref().take(outputs).collect();
            let of_this: Option<Vec<i64>> = of_this.into_iter().collect();
            queued.resolver.resolve(Ok(Appended {
                first_offsets: of_this.unwrap_or_default(),
            }));
            drop(queued.permit);
        }
    }

    /// The first append is told what happened; nothing of those after it landed either, unless
    /// nobody knows.
    pub(crate) fn failed(self, error: LogError) {
        let why = error.to_string();
        let unknown = matches!(error, LogError::Unknown(_));
        let mut first = Some(error);
        for queued in self.appends {
            let error = match first.take() {
                Some(error) => error,
                None if unknown => LogError::Unknown(why.clone()),
                None => behind(&why),
            };
            queued.resolver.resolve(Err(error));
            drop(queued.permit);
        }
    }

    /// The writer had ended before anything of this was sent.
    pub(crate) fn fenced(self, why: &str) {
        for queued in self.appends {
            queued.resolver.resolve(Err(behind(why)));
            drop(queued.permit);
        }
    }
}

fn behind(why: &str) -> LogError {
    LogError::Fenced(format!("an earlier append of this writer failed: {why}"))
}
