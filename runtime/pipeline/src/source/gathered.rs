//! What was polled and waits for more, so that the log makes fewer and larger transactions of it.

use crate::source::way::PollTimes;
use crate::spec::Gathering;
use jackfield_log::Append;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Bytes that wait for no more: they lie in memory beside what is on its way to the log.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// An append that waits for others.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) poll: PollTimes,
    pub(crate) append: Append,
    /// How many of the way's batches are its.
    pub(crate) batches: usize,
}

/// Appends that wait for others, in their order.
#[derive(Debug)]
pub(crate) struct Gathered {
    gathering: Gathering,
    waiting: VecDeque<Waiting>,
    records: u64,
    /// Of outputs and positions.
    bytes: usize,
    /// When the first has waited long enough.
    due: Option<Instant>,
}

impl Gathered {
    pub(crate) fn new(gathering: Gathering) -> Self {
        Self {
            gathering,
            waiting: VecDeque::new(),
            records: 0,
            bytes: 0,
            due: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One more, with so many records.
    pub(crate) fn add(&mut self, waiting: Waiting, records: u64, now: Instant) {
        let outputs = waiting.append.outputs.iter();
        self.bytes += outputs.map(|it| it.batch.len()).sum::<usize>();
        let positions = waiting.append.positions.iter();
        let bytes =
            positions.map(|it| it.partition.len() + it.offset.as_ref().map_or(0, String::len));
        self.bytes += bytes.sum::<usize>();
        self.waiting.push_back(waiting);
        self.records += records;
        self.due.get_or_insert(now + self.gathering.linger);
    }

    /// Whether they have waited long enough, or are enough.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let enough =
            self.records >= u64::from(self.gathering.records_max) || self.bytes >= BYTES_MAX;
        self.due.is_some_and(|due| enough || now >= due)
    }

    /// Returns when they have waited long enough; never where none waits.
    pub(crate) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Takes the oldest.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        let next = self.waiting.pop_front();
        if self.waiting.is_empty() {
            self.records = 0;
            self.bytes = 0;
            self.due = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_log::Output;
    use std::time::Duration;

    fn gathered(linger_ms: u64, records_max: u32) -> Gathered {
        Gathered::new(Gathering {
            linger: Duration::from_millis(linger_ms),
            records_max,
        })
    }

    fn add(gathered: &mut Gathered, records: u64, now: Instant) {
        add_with(gathered, records, Vec::new(), now);
    }

    fn add_with(gathered: &mut Gathered, records: u64, outputs: Vec<Output>, now: Instant) {
        let waiting = Waiting {
            poll: PollTimes {
                began: now,
                ended: now,
            },
            append: Append {
                outputs,
                positions: Vec::new(),
                mark: None,
            },
            batches: 0,
        };
        gathered.add(waiting, records, now);
    }

    #[test]
    fn without_linger_none_waits() {
        let (now, mut gathered) = (Instant::now(), gathered(0, 100));
        assert!(!gathered.is_due(now));
        add(&mut gathered, 1, now);
        assert!(gathered.is_due(now));
        assert!(gathered.next().is_some() && gathered.next().is_none());
        assert!(!gathered.is_due(now));
    }

    #[test]
    fn the_first_waits_no_longer_than_the_linger() {
        let (now, mut gathered) = (Instant::now(), gathered(10, 100));
        let after = |ms| now + Duration::from_millis(ms);
        add(&mut gathered, 1, now);
        add(&mut gathered, 1, after(9));
        assert!(!gathered.is_due(after(9)));
        assert!(gathered.is_due(after(10)));
        while gathered.next().is_some() {}
        add(&mut gathered, 1, after(11));
        assert!(!gathered.is_due(after(20)), "it counts anew");
    }

    #[test]
    fn enough_bytes_wait_for_no_more() {
        let (now, mut gathered) = (Instant::now(), gathered(1000, 100));
        let output = |bytes: usize| Output {
            topic: "topic".into(),
            partition: 0,
            batch: vec![0; bytes].into(),
        };
        add_with(&mut gathered, 1, vec![output(BYTES_MAX / 2)], now);
        assert!(!gathered.is_due(now));
        add_with(&mut gathered, 1, vec![output(BYTES_MAX / 2)], now);
        assert!(gathered.is_due(now));
    }

    #[test]
    fn enough_records_wait_for_no_more() {
        let (now, mut gathered) = (Instant::now(), gathered(1000, 100));
        add(&mut gathered, 99, now);
        assert!(!gathered.is_due(now));
        add(&mut gathered, 1, now);
        assert!(gathered.is_due(now));
        while gathered.next().is_some() {}
        add(&mut gathered, 99, now);
        assert!(!gathered.is_due(now), "they are counted anew");
    }
}
