//! What is kept in the log before a commit, for a next life to begin rightly.

use crate::failures::Failed;
use crate::sink::books::Books;
use crate::sink::known_targets::KnownTargets;
use jackfield_core::Commit;
use jackfield_log::TopicPartition;
use jackfield_plugin::Piece;
use std::collections::BTreeSet;

/// What the next life has to know once commits are made: the targets' names, and where those begin
/// that no commit tells. Where a target has begun anew is among it, since the group's offset moves
/// with the others' commits.
pub(super) async fn keep_before(
    known: &mut KnownTargets,
    books: &Books,
    commits: &[Commit<TopicPartition, Piece>],
) -> Result<(), Failed> {
    let targets = commits.iter().map(|commit| commit.target.as_str());
    known.remember(targets).await?;
    for begins in books.begins_of_failed() {
        known.keep(&begins).await?;
    }
    for begun in books.begun_anew() {
        known.keep_anew(&begun).await?;
    }
    Ok(())
}

/// Where a target begins that was never told: as safe in the log as it would be in the target.
pub(super) async fn keep_beginning(
    known: &mut KnownTargets,
    books: &Books,
    commit: &Commit<TopicPartition, Piece>,
) -> Result<(), Failed> {
    match books.begins(commit) {
        Some(holding) => known.keep(&holding).await,
        None => Ok(()),
    }
}

/// Where a target stands whose rows are to be read again, while others go on: one that was made anew
/// holds nothing, and reading would begin where the others stand. It counts only if the target itself
/// says nothing at all.
pub(super) async fn keep_standing(
    known: &mut KnownTargets,
    books: &Books,
    commit: &Commit<TopicPartition, Piece>,
    beside: &BTreeSet<String>,
) -> Result<(), Failed> {
    let target = &commit.target;
    // From now on it holds where this commit begins in partitions that it was never told of.
    keep_beginning(known, books, commit).await?;
    let held = books.held();
    let mut others = held.iter().map(|it| &it.target).chain(beside);
    if others.any(|other| other != target) {
        known.keep_stood(&books.held_by(target)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::by_hand::ByHand;
    use crate::sink::known_targets::fake::FakeKeyed;
    use jackfield_core::{Span as CoreSpan, Staged};
    use jackfield_log::{Assignment, Ends, Start};
    use jackfield_plugin::{Holding, LogPosition, Span};
    use std::sync::Arc;
    use std::time::Duration;
    use uuid::Uuid;

    const TOPIC_ID: Uuid = Uuid::from_u128(7);

    /// What a target holds of some partitions.
    fn holds(target: &str, next_offsets: &[(i32, i64)]) -> Holding {
        let position = |(partition, next_offset): &(i32, i64)| LogPosition {
            topic: "t".to_owned(),
            topic_id: TOPIC_ID.to_string(),
            partition: *partition,
            next_offset: *next_offset,
        };
        Holding {
            target: target.to_owned(),
            positions: next_offsets.iter().map(position).collect(),
        }
    }

    fn holding(target: &str, next_offset: i64) -> Holding {
        holds(target, &[(0, next_offset)])
    }

    /// Where reading of a partition begins.
    fn begin(books: &Books, partition: i32, committed: Option<i64>) -> i64 {
        let ends = Ends {
            start: 0,
            end: 1000,
        };
        let assigned = Assignment {
            at: TopicPartition::new("t", partition),
            topic_id: TOPIC_ID,
            committed,
            ends,
        };
        books.own(&assigned, Start::Earliest).unwrap().offset
    }

    /// A life that begins with what the targets say.
    fn life(known: &KnownTargets, told: Vec<Holding>) -> (Books, i64) {
        life_of_group(known, told, None)
    }

    /// The same where the group has committed this.
    fn life_of_group(
        known: &KnownTargets,
        told: Vec<Holding>,
        committed: Option<i64>,
    ) -> (Books, i64) {
        let anew = known.anew(&told);
        let books = Books::new(known.complete(told)).beginning_anew(anew);
        let from = begin(&books, 0, committed);
        (books, from)
    }

    /// The same of two partitions.
    fn life_of_two(known: &KnownTargets, told: Vec<Holding>) -> (Books, [i64; 2]) {
        let (books, from) = life(known, told);
        let second = begin(&books, 1, None);
        (books, [from, second])
    }

    #[tokio::test]
    async fn a_target_made_anew_beside_one_that_went_on_begins_where_it_stood() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let (books, from) = life(&known, vec![holding("a", 50), holding("b", 50)]);
        assert_eq!(from, 50);
        let piece = |target: &str| {
            let piece = Piece {
                target: target.to_owned(),
                version: 1,
                bytes: Vec::new(),
            };
            (target.to_owned(), piece)
        };
        let staged = Staged {
            pieces: vec![piece("a"), piece("b")],
            spans: vec![CoreSpan {
                partition: TopicPartition::new("t", 0),
                first: 50,
                next: 100,
            }],
        };
        let commits = books.interval(vec![staged], Duration::ZERO).unwrap();
        let of = |target: &str| commits.iter().find(|it| it.target == target).unwrap();
        let names = commits.iter().map(|it| it.target.as_str());
        known.remember(names).await.unwrap();
        books.committed(of("b")).unwrap();
        // What `a` was asked is answered with a rewind: it is another table by now.
        let beside = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let kept = keep_standing(&mut known, &books, of("a"), &beside).await;
        kept.unwrap();

        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let (books, from) = life(&known, vec![holding("b", 100)]);
        assert_eq!(from, 50, "reading begins where `a` stood");
        assert_eq!(books.held_by("a"), holding("a", 50));
        // What it says itself counts more, and once it has taken a commit nothing is kept.
        let (_, from) = life(&known, vec![holding("a", 30), holding("b", 100)]);
        assert_eq!(from, 30, "it was taken back");
        let spans: Vec<Span> = of("a").spans.iter().map(|it| books.span(it)).collect();
        known.told("a", &spans).await.unwrap();
        let known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (_, from) = life(&known, vec![holding("b", 100)]);
        assert_eq!(from, 100, "nothing is kept of it");
    }

    /// A table of one topic says nothing of the others, whatever it was told: where others have gone
    /// on there, nothing is read again.
    #[tokio::test]
    async fn where_a_target_stood_counts_only_if_it_says_nothing_at_all() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let stood = holds("a", &[(0, 50), (1, 500)]);
        let (books, from) = life_of_two(&known, vec![stood.clone(), holds("b", &[(1, 500)])]);
        assert_eq!(from, [50, 500]);
        let span = CoreSpan {
            partition: TopicPartition::new("t", 1),
            first: 500,
            next: 600,
        };
        let commit = Commit {
            target: "a".to_owned(),
            pieces: Vec::new(),
            spans: vec![span],
        };
        let beside = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let kept = keep_standing(&mut known, &books, &commit, &beside).await;
        kept.unwrap();

        let mut known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let goes_on = holds("b", &[(1, 900)]);
        let told = vec![holds("a", &[(0, 50)]), goes_on.clone()];
        let (_, from) = life_of_two(&known, told);
        assert_eq!(from, [50, 900], "it says where it stands");
        let (books, from) = life_of_two(&known, vec![goes_on.clone()]);
        assert_eq!(from, [50, 500], "it was made anew");
        assert_eq!(books.held_by("a"), stood);
        let spans: Vec<Span> = commit.spans.iter().map(|it| books.span(it)).collect();
        known.told("a", &spans).await.unwrap();
        let (_, from) = life_of_two(&known, vec![goes_on]);
        assert_eq!(from, [50, 900], "it was told of that one");
    }

    /// The group's offset, where such a target begins, moves with what others commit.
    #[tokio::test]
    async fn a_target_that_has_begun_anew_begins_there_in_the_next_life_too() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        known.keep(&holding("a", 30)).await.unwrap();
        let at = TopicPartition::new("t", 0);
        let set = ByHand::Of(std::slice::from_ref(&at));
        known.give_way(set).await.unwrap();
        let (books, from) = life_of_group(&known, vec![holding("b", 100)], Some(500));
        assert_eq!(from, 100);
        assert_eq!(books.held_by("a"), holding("a", 500));
        let piece = Piece {
            target: "b".to_owned(),
            version: 1,
            bytes: Vec::new(),
        };
        let staged = Staged {
            pieces: vec![("b".to_owned(), piece)],
            spans: vec![CoreSpan {
                partition: at.clone(),
                first: 100,
                next: 150,
            }],
        };
        let commits = books.interval(vec![staged], Duration::ZERO).unwrap();
        let places = std::slice::from_ref(&at);
        assert_eq!(books.group_offsets(places), [], "it is not kept yet");
        let kept = keep_before(&mut known, &books, &commits).await;
        kept.unwrap();
        for commit in &commits {
            books.committed(commit).unwrap();
        }
        assert_eq!(books.group_offsets(places), [(at.clone(), 150)]);

        let known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (books, from) = life_of_group(&known, vec![holding("b", 150)], Some(150));
        assert_eq!(from, 150);
        assert_eq!(books.held_by("a"), holding("a", 500));
    }

    #[tokio::test]
    async fn where_a_target_has_begun_anew_that_had_stood_counts_only_if_it_says_nothing_at_all() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let stood = holds("a", &[(0, 50), (1, 50)]);
        known.keep_stood(&stood).await.unwrap();
        known.give_way(ByHand::All).await.unwrap();
        let goes_on = holds("b", &[(0, 100), (1, 100)]);
        let (books, from) = life_of_two(&known, vec![goes_on.clone()]);
        assert_eq!(from, [0, 0]);
        keep_before(&mut known, &books, &[]).await.unwrap();

        let known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (_, from) = life_of_two(&known, vec![goes_on.clone()]);
        assert_eq!(from, [0, 0]);
        let told = vec![goes_on, holding("a", 60)];
        let (_, from) = life_of_two(&known, told);
        assert_eq!(from, [60, 100]);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_the_only_target() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (books, _) = life(&known, vec![holding("a", 50)]);
        let commit = Commit {
            target: "a".to_owned(),
            pieces: Vec::new(),
            spans: Vec::new(),
        };
        let beside = BTreeSet::from(["a".to_owned()]);
        let kept = keep_standing(&mut known, &books, &commit, &beside).await;
        kept.unwrap();
        assert!(known.complete(Vec::new()).is_empty());
    }
}
