//! How the commits to each target went. Kept from life to life: a target whose rows have to be read
//! again ends the life, and nobody else would know that it is always the same one.

use crate::clock::Clock;
use crate::failures::Failed;
use crate::retries::Retries;
use jackfield_core::Patience;
use jackfield_plugin::Span;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lives that a target has to end before it is given up: with much to read again one of them may be
/// longer than the connector's patience.
const REWINDS_MIN: u32 = 3;

/// Where a target stands: offsets by topic id and partition.
type Position = BTreeMap<(String, i32), i64>;

/// What is known of one target. There are as many as the log keeps names of, which is bounded.
#[derive(Default)]
struct TrackRecord {
    /// Its last commit, however that ended.
    took: Duration,
    stuck: Option<Stuck>,
}

/// A target whose rows had to be read again, and that no commit has moved since.
struct Stuck {
    at: Position,
    rewinds: Retries,
}

/// All targets of one connector.
pub(crate) struct TrackRecords {
    patience: Patience,
    clock: Clock,
    targets: BTreeMap<String, TrackRecord>,
}

impl TrackRecords {
    pub(crate) fn new(patience: Patience, clock: Clock) -> Self {
        Self {
            patience,
            clock,
            targets: BTreeMap::new(),
        }
    }

    fn of(&mut self, target: &str) -> &mut TrackRecord {
        self.targets.entry(target.to_owned()).or_default()
    }

    /// A commit took so long, however it ended.
    pub(crate) fn took(&mut self, target: &str, took: Duration) {
        self.of(target).took = took;
    }

    /// How long the target's last commit took; nothing, if it had none.
    pub(crate) fn last_took(&self, target: &str) -> Duration {
        let known = self.targets.get(target);
        known.map_or(Duration::ZERO, |it| it.took)
    }

    /// The target has taken a commit of these spans.
    pub(crate) fn committed(&mut self, target: &str, spans: &[Span]) {
        if spans.iter().any(|it| it.first_offset < it.next_offset) {
            self.of(target).stuck = None;
        }
    }

    /// A commit of these spans ended with the target's rows to be read again.
    ///
    /// # Errors
    /// It was so three times, without progress for as long as the connector is patient. Reading them
    /// again helps nobody, and holds up the others.
    pub(crate) fn rewound(
        &mut self,
        target: &str,
        spans: &[Span],
        failed: &Failed,
    ) -> Result<(), Failed> {
        let (patience, clock) = (self.patience, self.clock);
        let at = position(spans);
        let stuck = self.of(target).stuck.get_or_insert_with(|| Stuck {
            at: at.clone(),
            rewinds: Retries::new(patience, clock).after_failures(REWINDS_MIN),
        });
        // By another worker, which had these partitions meanwhile.
        if moved(&stuck.at, &at) {
            stuck.rewinds.progressed();
        }
        stuck.at = at;
        // The supervisor waits between two lives.
        stuck.rewinds.wait(failed).map(drop)
    }
}

fn position(spans: &[Span]) -> Position {
    let of = |it: &Span| ((it.topic_id.clone(), it.partition), it.first_offset);
    spans.iter().map(of).collect()
}

/// Whether a partition has moved on. One that came or went says nothing.
fn moved(from: &Position, to: &Position) -> bool {
    let mut both = to.iter().filter_map(|(at, now)| Some((from.get(at)?, now)));
    both.any(|(before, now)| before < now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_core::Consequence;

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_secs(300),
    };
    const LONGER: Duration = Duration::from_secs(301);

    fn spans(ends: &[(i32, i64, i64)]) -> Vec<Span> {
        let span = |(partition, first_offset, next_offset): &(i32, i64, i64)| Span {
            topic: "t".to_owned(),
            topic_id: "i".to_owned(),
            partition: *partition,
            first_offset: *first_offset,
            next_offset: *next_offset,
        };
        ends.iter().map(span).collect()
    }

    fn records() -> TrackRecords {
        TrackRecords::new(PATIENCE, Clock::start())
    }

    /// Rewinds a target that stands there, and lets patience end.
    async fn rewind(records: &mut TrackRecords, ends: &[(i32, i64, i64)]) -> Result<(), Failed> {
        let failed = Failed::new("commit", Consequence::Rewind, "its files were lost");
        let rewound = records.rewound("table", &spans(ends), &failed);
        tokio::time::advance(LONGER).await;
        rewound
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_is_given_up_that_ends_three_lives_where_it_stands() {
        let mut records = records();
        assert!(rewind(&mut records, &[(0, 5, 9)]).await.is_ok());
        assert!(rewind(&mut records, &[(0, 5, 30)]).await.is_ok());
        let given_up = rewind(&mut records, &[(0, 5, 9)]).await.unwrap_err();
        assert_eq!(given_up.consequence, Consequence::Fail);
        assert!(given_up.reason.contains("after 3 attempts"), "{given_up}");
        let at_once = rewind(&mut records, &[(0, 5, 9)]).await;
        assert!(at_once.is_err(), "in the next life it has one try");
        let other = Failed::new("commit", Consequence::Rewind, "its files were lost");
        let others = records.rewound("other", &spans(&[(0, 5, 9)]), &other);
        assert!(others.is_ok(), "each is counted by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_ends_many_lives_in_a_short_time_has_all_the_patience_there_is() {
        let mut records = records();
        let failed = Failed::new("commit", Consequence::Rewind, "its files were lost");
        for _ in 0..20 {
            let rewound = records.rewound("table", &spans(&[(0, 5, 9)]), &failed);
            assert!(rewound.is_ok());
        }
        tokio::time::advance(LONGER).await;
        assert!(rewind(&mut records, &[(0, 5, 9)]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_moves_on_is_counted_anew() {
        // By a commit of ours; by another's; and a partition that came is no progress.
        for (ours, next, given_up) in [
            (Some((0, 5, 9)), (0, 5, 30), false),
            (None, (0, 9, 30), false),
            (Some((0, 5, 5)), (0, 5, 30), true),
            (None, (0, 5, 30), true),
        ] {
            let mut records = records();
            for _ in 0..2 {
                assert!(rewind(&mut records, &[(0, 5, 9)]).await.is_ok());
            }
            if let Some(ours) = ours {
                records.committed("table", &spans(&[ours]));
            }
            let third = rewind(&mut records, &[next, (1, 0, 7)]).await;
            assert_eq!(third.is_err(), given_up, "{ours:?} {next:?}");
        }
    }

    #[test]
    fn the_last_commit_counts() {
        let mut records = records();
        assert_eq!(records.last_took("table"), Duration::ZERO);
        for took in [9, 3] {
            records.took("table", Duration::from_secs(took));
        }
        assert_eq!(records.last_took("table"), Duration::from_secs(3));
    }
}
