//! The faults still to come and whom they strike, shared by all connections.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::fault::{Fault, Scheduled, When};

/// Trades that are nowhere to be had.
#[derive(Clone, Debug)]
pub(crate) struct Hole {
    pub(crate) symbol: String,
    pub(crate) from_id: i64,
    pub(crate) to_id: i64,
}

impl Hole {
    pub(crate) fn hides(&self, symbol: &str, id: i64) -> bool {
        self.symbol == symbol && (self.from_id..=self.to_id).contains(&id)
    }
}

struct Entry {
    at: u64,
    fault: Fault,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    /// A connection fault: connections opened before it struck, those with a
    /// smaller number than this, are struck too.
    Struck {
        before: u64,
    },
    /// A request fault with this many requests to go.
    Requests(u32),
    Until(Instant),
    Over,
}

/// What a request meets.
#[derive(Default)]
pub(crate) struct Met {
    pub(crate) delay: Duration,
    pub(crate) answer: Option<Answer>,
}

/// The answer in place of the right one.
pub(crate) enum Answer {
    RateLimited { retry_after_s: u64 },
    Banned { retry_after_s: u64 },
    ServerError { status: u16 },
}

/// What a connection has to do now, and where it must look again.
pub(crate) struct Strike {
    pub(crate) faults: Vec<Fault>,
    pub(crate) next_at: u64,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    holes: Vec<Hole>,
    struck: Vec<String>,
}

pub(crate) struct Schedule {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Schedule {
    pub(crate) fn new() -> Schedule {
        Schedule {
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Every change below leaves the lists consistent, also in a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told whenever faults were added.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn add(&self, list: impl IntoIterator<Item = Scheduled>, position: u64) {
        let mut inner = self.inner();
        for Scheduled { fault, when } in list {
            if let Fault::Hole {
                symbol,
                from_id,
                to_id,
            } = fault
            {
                inner.holes.push(Hole {
                    symbol,
                    from_id,
                    to_id,
                });
                continue;
            }
            let at = match when {
                When::Now => position,
                When::Trade(number) => number,
            };
            let state = State::Waiting;
            inner.entries.push(Entry { at, fault, state });
        }
        drop(inner);
        self.changed.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn holes(&self) -> Vec<Hole> {
        self.inner().holes.clone()
    }

    /// The faults that have struck, in order, as text.
    pub(crate) fn struck(&self) -> Vec<String> {
        self.inner().struck.clone()
    }

    /// The connection faults that strike `connection` at `cursor`. `seen` is the
    /// connection's own: the entries that have struck it. `opened` is how many
    /// connections there have been.
    pub(crate) fn strike(
        &self,
        connection: u64,
        opened: u64,
        cursor: u64,
        seen: &mut Vec<usize>,
    ) -> Strike {
        let mut inner = self.inner();
        let Inner {
            entries, struck, ..
        } = &mut *inner;
        let mut faults = Vec::new();
        let mut next_at = u64::MAX;
        for (index, entry) in entries.iter_mut().enumerate() {
            if of_requests(&entry.fault) || seen.contains(&index) {
                continue;
            }
            match entry.state {
                State::Struck { before } if connection >= before => continue,
                _ if entry.at > cursor => {
                    next_at = next_at.min(entry.at);
                    continue;
                }
                State::Waiting => {
                    entry.state = State::Struck { before: opened };
                    struck.push(format!("{}@{}", entry.fault, entry.at));
                }
                _ => {}
            }
            seen.push(index);
            faults.push(entry.fault.clone());
        }
        Strike { faults, next_at }
    }

    /// Whether a new connection is refused now.
    pub(crate) fn refuses(&self, position: u64, now: Instant) -> bool {
        let mut inner = self.inner();
        let Inner {
            entries, struck, ..
        } = &mut *inner;
        entries.iter_mut().any(|entry| {
            let Fault::Refuse(ms) = entry.fault else {
                return false;
            };
            if entry.at <= position && entry.state == State::Waiting {
                entry.state = State::Until(now + Duration::from_millis(ms));
                struck.push(format!("{}@{}", entry.fault, entry.at));
            }
            matches!(entry.state, State::Until(until) if now < until)
        })
    }

    /// What the next request meets. One answer a request, delays beside it.
    pub(crate) fn meet(&self, position: u64, now: Instant) -> Met {
        let mut inner = self.inner();
        let Inner {
            entries, struck, ..
        } = &mut *inner;
        let mut met = Met::default();
        for entry in entries.iter_mut() {
            if entry.at > position || entry.state == State::Over {
                continue;
            }
            let answers = !matches!(entry.fault, Fault::Slow { .. });
            if answers && met.answer.is_some() {
                continue;
            }
            if entry.state == State::Waiting {
                entry.state = match entry.fault {
                    Fault::RateLimited { requests, .. }
                    | Fault::ServerError { requests, .. }
                    | Fault::Slow { requests, .. } => State::Requests(requests),
                    Fault::Banned { retry_after_s } => {
                        State::Until(now + Duration::from_secs(retry_after_s))
                    }
                    _ => continue,
                };
                struck.push(format!("{}@{}", entry.fault, entry.at));
            }
            let retry_after_s = match &mut entry.state {
                State::Requests(0) => {
                    entry.state = State::Over;
                    continue;
                }
                State::Requests(left) => {
                    *left -= 1;
                    0
                }
                State::Until(until) if now >= *until => {
                    entry.state = State::Over;
                    continue;
                }
                State::Until(until) => (*until - now).as_secs() + 1,
                State::Waiting | State::Struck { .. } | State::Over => continue,
            };
            match entry.fault {
                Fault::Slow { ms, .. } => met.delay += Duration::from_millis(ms),
                Fault::RateLimited { retry_after_s, .. } => {
                    met.answer = Some(Answer::RateLimited { retry_after_s });
                }
                Fault::ServerError { status, .. } => {
                    met.answer = Some(Answer::ServerError { status });
                }
                Fault::Banned { .. } => met.answer = Some(Answer::Banned { retry_after_s }),
                _ => {}
            }
        }
        met
    }
}

fn of_requests(fault: &Fault) -> bool {
    match fault {
        Fault::Refuse(_)
        | Fault::RateLimited { .. }
        | Fault::Banned { .. }
        | Fault::ServerError { .. }
        | Fault::Slow { .. }
        | Fault::Hole { .. } => true,
        Fault::Drop
        | Fault::Close(_)
        | Fault::HalfOpen
        | Fault::Silence { .. }
        | Fault::Shutdown { .. }
        | Fault::Duplicate(_)
        | Fault::Skip(_)
        | Fault::Reorder(_)
        | Fault::Late(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_those_open_at_its_moment_and_no_later_one() {
        let schedule = Schedule::new();
        schedule.add([Fault::Drop.at(10)], 0);
        let (mut first, mut second, mut third) = (vec![], vec![], vec![]);
        assert_eq!(schedule.strike(0, 2, 5, &mut first).next_at, 10);
        assert_eq!(schedule.strike(0, 2, 10, &mut first).faults, [Fault::Drop]);
        assert!(schedule.strike(0, 2, 11, &mut first).faults.is_empty());
        // Behind, but open when it struck.
        assert_eq!(schedule.strike(1, 2, 9, &mut second).next_at, 10);
        assert_eq!(schedule.strike(1, 3, 10, &mut second).faults, [Fault::Drop]);
        assert!(schedule.strike(2, 3, 10, &mut third).faults.is_empty());
        assert_eq!(schedule.struck(), ["drop@10"]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_meet_what_is_due() {
        let schedule = Schedule::new();
        let list = [
            Fault::RateLimited {
                requests: 2,
                retry_after_s: 1,
            }
            .at(10),
            Fault::Banned { retry_after_s: 5 }.at(20),
        ];
        schedule.add(list, 0);
        let now = Instant::now();
        assert!(schedule.meet(9, now).answer.is_none());
        for _ in 0..2 {
            assert!(matches!(
                schedule.meet(10, now).answer,
                Some(Answer::RateLimited { retry_after_s: 1 })
            ));
        }
        assert!(schedule.meet(10, now).answer.is_none());
        for _ in 0..3 {
            assert!(matches!(
                schedule.meet(20, now).answer,
                Some(Answer::Banned { .. })
            ));
        }
        assert!(
            schedule
                .meet(20, now + Duration::from_secs(6))
                .answer
                .is_none()
        );
        assert_eq!(schedule.struck(), ["rate-limited:2:1@10", "banned:5@20"]);
    }
}
