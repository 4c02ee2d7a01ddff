//! A source task between `poll` and the log.

use std::collections::VecDeque;

/// Appends on their way at once, each at most one poll's output: as many as fill one of the log's
/// transactions, which takes some milliseconds to commit, and the next one meanwhile. What they hold
/// is bounded in bytes by the inbox and by the log.
pub const IN_FLIGHT_MAX: usize = 256;

/// A rule of the contract that the component broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenPromise {
    /// `done-through` went backwards.
    #[error("done-through went back from {from} to {to}")]
    WentBack {
        /// What the last poll reported.
        from: u64,
        /// What this poll reported.
        to: u64,
    },
    /// `done-through` names an event that the host never gave.
    #[error("done-through {claimed} is past the last event given, {given}")]
    NeverGiven {
        /// What the poll reported.
        claimed: u64,
        /// The number of the last event of the inbox.
        given: u64,
    },
    /// A poll came after the one that reported `ended`.
    #[error("polled after it had ended")]
    AfterEnd,
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceStep {
    /// Call `poll`.
    Poll,
    /// Wait for the oldest append.
    AwaitAppend,
    /// Everything polled is settled, and nothing more will be polled.
    Drained,
}

/// What became durable: the inbox may drop events up to `done_through`, and the component may be
/// told `positions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledUpTo<P> {
    /// Inbox events up to here are contained in what is stored.
    pub done_through: u64,
    /// The positions that were stored, in the order they were polled.
    pub positions: Vec<P>,
}

#[derive(Debug)]
struct Flight<P> {
    done_through: u64,
    positions: Vec<P>,
    /// False for a poll that only consumed events: settled as soon as all before it are.
    appended: bool,
}

/// The window of appends between a component and the log.
///
/// `P` is a position as the contract has it. Outcomes of appends arrive in the order in which
/// the appends were made; after the first that fails the task is given up and another one starts
/// from what is stored.
#[derive(Debug)]
pub struct SourceTask<P> {
    flights: VecDeque<Flight<P>>,
    last_done: u64,
    draining: bool,
    ended: bool,
}

impl<P> SourceTask<P> {
    /// A task whose inbox is given from the event after `done_through`.
    pub fn new(done_through: u64) -> Self {
        Self {
            flights: VecDeque::new(),
            last_done: done_through,
            draining: false,
            ended: false,
        }
    }

    /// What to do now.
    pub fn step(&self) -> SourceStep {
        let polling = !self.draining && !self.ended;
        if polling && self.flights.len() < IN_FLIGHT_MAX {
            SourceStep::Poll
        } else if self.flights.is_empty() {
            SourceStep::Drained
        } else {
            SourceStep::AwaitAppend
        }
    }

    /// Stop polling; what is on its way is waited for.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Events up to here are contained in what was polled.
    pub fn last_done(&self) -> u64 {
        self.last_done
    }

    /// The same once a poll has claimed so much; 0 says nothing of events, as the contract has it.
    pub fn done_through(&self, claimed: u64) -> u64 {
        if claimed == 0 {
            self.last_done
        } else {
            claimed
        }
    }

    /// Appends whose outcome is not known yet.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Positions that were polled and are not durable yet, in their order.
    pub fn in_flight_positions(&self) -> impl Iterator<Item = &P> {
        self.flights.iter().flat_map(|flight| &flight.positions)
    }

    /// A poll returned. `needs_append`: there are records, positions or dead letters to store.
    /// Without any, the result says what is settled at once.
    ///
    /// # Errors
    /// The component's answer contradicts the contract; the instance must be replaced.
    pub fn polled(
        &mut self,
        done_through: u64,
        last_given: u64,
        positions: Vec<P>,
        needs_append: bool,
        ended: bool,
    ) -> Result<Option<SettledUpTo<P>>, BrokenPromise> {
        if self.ended {
            return Err(BrokenPromise::AfterEnd);
        }
        let done_through = self.done_through(done_through);
        if done_through < self.last_done {
            return Err(BrokenPromise::WentBack {
                from: self.last_done,
                to: done_through,
            });
        }
        if done_through > last_given.max(self.last_done) {
            return Err(BrokenPromise::NeverGiven {
                claimed: done_through,
                given: last_given,
            });
        }
        self.ended = ended;
        if !needs_append && done_through == self.last_done {
            return Ok(None);
        }
        self.last_done = done_through;
        self.flights.push_back(Flight {
            done_through,
            positions,
            appended: needs_append,
        });
        Ok(self.settle_front(false))
    }

    /// The oldest append is durable.
    pub fn appended(&mut self) -> Option<SettledUpTo<P>> {
        self.settle_front(true)
    }

    /// Pops the oldest append if `durable`, and all that only consumed events behind it.
    fn settle_front(&mut self, durable: bool) -> Option<SettledUpTo<P>> {
        let mut settled: Option<SettledUpTo<P>> = None;
        let mut durable = durable;
        while let Some(front) = self.flights.front() {
            if front.appended && !std::mem::take(&mut durable) {
                break;
            }
            let Some(flight) = self.flights.pop_front() else {
                break;
            };
            match &mut settled {
                Some(s) => {
                    s.done_through = flight.done_through;
                    s.positions.extend(flight.positions);
                }
                None => {
                    settled = Some(SettledUpTo {
                        done_through: flight.done_through,
                        positions: flight.positions,
                    });
                }
            }
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_settled_before_its_append_is_durable() {
        let mut task = SourceTask::new(0);
        assert_eq!(task.polled(5, 9, vec!["a"], true, false).unwrap(), None);
        assert_eq!(
            task.polled(7, 9, vec![], false, false).unwrap(),
            None,
            "events after an open append wait for it"
        );
        let settled = task.appended().unwrap();
        assert_eq!(
            settled,
            SettledUpTo {
                done_through: 7,
                positions: vec!["a"]
            }
        );
    }

    #[test]
    fn events_that_made_no_record_settle_at_once_when_nothing_is_open() {
        let mut task = SourceTask::<()>::new(3);
        let settled = task.polled(4, 4, vec![], false, false).unwrap().unwrap();
        assert_eq!(settled.done_through, 4);
    }

    #[test]
    fn a_poll_that_says_nothing_of_events_is_where_the_last_one_was() {
        let mut task = SourceTask::<()>::new(3);
        assert_eq!((task.done_through(0), task.done_through(4)), (3, 4));
        assert_eq!(task.polled(0, 9, vec![], false, false).unwrap(), None);
        assert_eq!(task.last_done(), 3);
    }

    #[test]
    fn a_lying_component_is_caught() {
        let mut task = SourceTask::<()>::new(3);
        assert_eq!(
            task.polled(9, 4, vec![], false, false),
            Err(BrokenPromise::NeverGiven {
                claimed: 9,
                given: 4
            })
        );
        assert_eq!(
            task.polled(2, 4, vec![], false, false),
            Err(BrokenPromise::WentBack { from: 3, to: 2 })
        );
    }

    #[test]
    fn the_window_is_bounded_and_drains() {
        let mut task = SourceTask::<()>::new(0);
        let mut n = 0;
        while task.step() == SourceStep::Poll {
            n += 1;
            task.polled(n, n, vec![], true, false).unwrap();
        }
        assert_eq!(task.in_flight(), IN_FLIGHT_MAX);
        assert_eq!(task.step(), SourceStep::AwaitAppend);
        task.drain();
        while task.step() == SourceStep::AwaitAppend {
            task.appended();
        }
        assert_eq!(task.step(), SourceStep::Drained);
    }

    proptest! {
        /// Whatever the order of polls and outcomes, what is settled is a prefix of what was
        /// polled, each position once, and never past an append that is still open.
        #[test]
        fn settled_is_always_a_durable_prefix(ops in proptest::collection::vec((0u8..3, 0u64..3), 1..200)) {
            let mut task = SourceTask::new(0);
            let (mut done, mut next, mut open) = (0u64, 0u64, VecDeque::new());
            let mut settled_positions = Vec::new();
            for (op, step) in ops {
                let settled = if op == 0 && !open.is_empty() {
                    open.pop_front();
                    task.appended()
                } else if task.step() == SourceStep::Poll {
                    done += step;
                    let append = op == 1;
                    let positions = if append { next += 1; open.push_back((done, next)); vec![next] } else { vec![] };
                    task.polled(done, done, positions, append, false).unwrap()
                } else { None };
                if let Some(s) = settled {
                    settled_positions.extend(s.positions);
                    if let Some((_, first_open)) = open.front() {
                        prop_assert!(settled_positions.iter().all(|p| p < first_open));
                    }
                }
            }
            let expected: Vec<u64> = (1..=settled_positions.len() as u64).collect();
            prop_assert_eq!(settled_positions, expected);
        }
    }
}
