//! Offsets of a sink's group that were set or reset by hand. What the log keeps of where targets begin
//! and stood gives way to them; what a target itself says it holds does not.

use super::known_targets::KnownTargets;
use crate::failures::Failed;
use jackfield_log::{Log, TopicPartition};

/// Partitions whose offsets were set or reset by hand.
#[derive(Debug, Clone, Copy)]
pub enum ByHand<'a> {
    /// All that the connector reads or ever read.
    All,
    /// These.
    Of(&'a [TopicPartition]),
}

impl ByHand<'_> {
    pub(super) fn names(&self, topic: &str, partition: i32) -> bool {
        match self {
            Self::All => true,
            Self::Of(places) => places
                .iter()
                .any(|at| *at.topic == *topic && at.partition == partition),
        }
    }
}

/// Offsets of a sink's group were set or reset: targets that say nothing of these partitions begin
/// there, and no longer where the log has kept that they begin or stood. The connector must be stopped.
///
/// Where they begin is kept before the first commit of the next life. If that starts at the log's end
/// and is killed before, they begin where reading began: at what others hold, if that is less, so that
/// they have records from before the reset, and lack none.
///
/// # Errors
/// The log fails: some of it may be kept still.
pub async fn offsets_set_by_hand(
    log: &dyn Log,
    cluster: &str,
    connector: &str,
    by_hand: ByHand<'_>,
) -> Result<(), Failed> {
    let mut known = KnownTargets::load(log, cluster, connector).await?;
    known.give_way(by_hand).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::books::{Begin, Books};
    use jackfield_log::{Assignment, Ends, Start};
    use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
    use jackfield_plugin::{Holding, LogPosition, Span};
    use std::sync::Arc;
    use tempfile::TempDir;
    use uuid::Uuid;

    const TOPIC_ID: Uuid = Uuid::from_u128(7);
    const ENDS: Ends = Ends {
        start: 5,
        end: 1000,
    };

    struct Kept {
        log: Arc<dyn Log>,
        _dir: TempDir,
    }

    impl Kept {
        /// A target that was never told where it begins, and one that may be made anew.
        async fn of_two() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path())).unwrap();
            let kept = Self { log, _dir: dir };
            let mut known = kept.known().await;
            known.keep(&holds("untold", &[30, 30])).await.unwrap();
            known.keep_stood(&holds("failed", &[50, 50])).await.unwrap();
            kept
        }

        async fn known(&self) -> KnownTargets {
            KnownTargets::load(&*self.log, "test", "c").await.unwrap()
        }

        async fn set(&self, by_hand: ByHand<'_>) {
            let set = offsets_set_by_hand(&*self.log, "test", "c", by_hand).await;
            set.unwrap();
        }

        /// A life that begins with what the targets say.
        async fn life(&self, told: Vec<Holding>) -> Books {
            let known = self.known().await;
            assert_eq!(known.names(), ["failed", "untold"], "all are still asked");
            let anew = known.anew(&told);
            Books::new(known.complete(told)).beginning_anew(anew)
        }
    }

    /// What a target holds of the first partitions.
    fn holds(target: &str, next_offsets: &[i64]) -> Holding {
        let position = |(partition, next_offset): (i32, &i64)| LogPosition {
            topic: "t".to_owned(),
            topic_id: TOPIC_ID.to_string(),
            partition,
            next_offset: *next_offset,
        };
        Holding {
            target: target.to_owned(),
            positions: (0..).zip(next_offsets).map(position).collect(),
        }
    }

    /// Another target, which has gone on and says so.
    fn goes_on() -> Holding {
        holds("other", &[100, 100])
    }

    fn assigned(partition: i32, committed: Option<i64>) -> Assignment {
        Assignment {
            at: TopicPartition::new("t", partition),
            topic_id: TOPIC_ID,
            committed,
            ends: ENDS,
        }
    }

    fn begin(books: &Books, partition: i32, committed: Option<i64>, start: Start) -> Begin {
        books.own(&assigned(partition, committed), start).unwrap()
    }

    #[tokio::test]
    async fn after_a_reset_of_offsets_targets_that_say_nothing_begin_at_the_start() {
        let kept = Kept::of_two().await;
        let before = kept.life(vec![goes_on()]).await;
        assert_eq!(begin(&before, 0, None, Start::Earliest).offset, 30);
        kept.set(ByHand::All).await;
        let books = kept.life(vec![goes_on()]).await;
        for partition in [0, 1] {
            let begin = begin(&books, partition, None, Start::Earliest);
            assert_eq!((begin.offset, begin.to_be_kept), (ENDS.start, false));
        }
        for target in ["untold", "failed"] {
            let start = holds(target, &[ENDS.start, ENDS.start]);
            assert_eq!(books.held_by(target), start);
        }
        assert_eq!(books.held_by("other"), goes_on(), "it drops what it holds");
    }

    #[tokio::test]
    async fn what_a_target_says_counts_more_than_a_reset() {
        let kept = Kept::of_two().await;
        kept.set(ByHand::All).await;
        let untold = holds("untold", &[80, 80]);
        let told = vec![goes_on(), holds("failed", &[60]), untold.clone()];
        let books = kept.life(told).await;
        let from = [0, 1].map(|it| begin(&books, it, None, Start::Earliest).offset);
        assert_eq!(from, [60, 80]);
        let why = "where it stood gave way, which counts while it says nothing at all";
        assert_eq!(books.held_by("failed"), holds("failed", &[60]), "{why}");
        let books = kept.life(vec![goes_on(), untold]).await;
        let from = [0, 1].map(|it| begin(&books, it, None, Start::Earliest).offset);
        assert_eq!(from, [ENDS.start; 2]);
    }

    #[tokio::test]
    async fn offsets_that_are_set_count_more_than_what_is_kept_and_others_stay() {
        let kept = Kept::of_two().await;
        kept.set(ByHand::Of(&[TopicPartition::new("t", 0)])).await;
        let books = kept.life(vec![goes_on()]).await;
        let first = begin(&books, 0, Some(70), Start::Earliest);
        let second = begin(&books, 1, Some(70), Start::Earliest);
        assert_eq!((first.offset, second.offset), (70, 30));
        assert_eq!(books.held_by("untold"), holds("untold", &[70, 30]));
        let again = begin(&books, 0, None, Start::Earliest);
        assert_eq!(again.offset, 70, "it stands there by now");

        let books = kept.life(vec![goes_on()]).await;
        let outside = assigned(0, Some(ENDS.end + 1));
        let failed = books.own(&outside, Start::Earliest).unwrap_err();
        assert!(
            failed.reason.starts_with("the group's position"),
            "{failed}"
        );
    }

    #[tokio::test]
    async fn a_beginning_at_the_end_after_a_reset_is_to_be_kept() {
        let kept = Kept::of_two().await;
        kept.set(ByHand::All).await;
        let books = kept.life(vec![goes_on()]).await;
        let begin = begin(&books, 0, None, Start::Latest);
        assert_eq!((begin.offset, begin.to_be_kept), (100, true));
        assert_eq!(books.held_by("untold"), holds("untold", &[ENDS.end]));
    }

    #[tokio::test]
    async fn a_reset_lets_go_of_a_topic_that_was_created_anew() {
        let kept = Kept::of_two().await;
        let new = Assignment {
            topic_id: Uuid::from_u128(8),
            ..assigned(0, None)
        };
        let before = kept.life(Vec::new()).await;
        let failed = before.own(&new, Start::Earliest).unwrap_err();
        assert!(failed.reason.contains("Reset"), "{failed}");
        kept.set(ByHand::All).await;
        let books = kept.life(Vec::new()).await;
        let begin = books.own(&new, Start::Earliest).unwrap();
        assert_eq!(begin.offset, ENDS.start);
    }

    #[tokio::test]
    async fn a_target_that_has_taken_a_commit_begins_anew_no_more() {
        let kept = Kept::of_two().await;
        kept.set(ByHand::All).await;
        let mut known = kept.known().await;
        for target in ["untold", "failed"] {
            let span = |partition| Span {
                topic: "t".to_owned(),
                topic_id: TOPIC_ID.to_string(),
                partition,
                first_offset: 5,
                next_offset: 20,
            };
            known.told(target, &[span(0), span(1)]).await.unwrap();
        }
        assert!(kept.known().await.anew(&[]).is_empty());
    }
}
