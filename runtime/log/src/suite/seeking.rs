//! Where a reader stands: nowhere until it is told, then exactly there.

use super::Fixture;
use super::corner::{Corner, all, append_ok, at};
use super::follower::Follower;
use super::records::{Seen, of, output, texts};
use crate::{LogError, ReaderSpec, Start, TopicInfo, TopicPartition};

/// An assignment says the topic's id, where the partition begins and ends, and that nothing is
/// committed where nothing was, wherever the group is to start.
pub async fn an_assignment_says_where_its_partition_stands(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let appended = append_ok(&mut writer, of([output(&topic, 0, &["a", "b"])])).await;
    let first = appended.first_offsets[0];
    for start in [Start::Earliest, Start::Latest] {
        let spec = ReaderSpec {
            start,
            ..corner.spec(&format!("{start:?}"), "member", &[&topic])
        };
        let mut follower = Follower::open(&corner.log, &spec).await;
        let assigned = follower.until_held(&all(&[&topic])).await;
        assert_eq!(assigned.len(), 2);
        for assignment in assigned {
            assert_eq!(assignment.topic_id, topic.id);
            assert_eq!(assignment.committed, None, "{start:?}");
            let ends = assignment.ends;
            if assignment.at == at(&topic, 0) {
                assert!(ends.start <= first && first + 2 <= ends.end, "{ends:?}");
            } else {
                assert_eq!(ends.start, ends.end, "nothing was appended");
            }
        }
        follower.close().await;
    }
}

/// An assigned partition delivers nothing until it is sought, wherever the group is to start; and
/// then from there, also from before where a group starts that begins at the latest.
pub async fn nothing_is_read_before_a_seek(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let (waits, sought) = (at(&topic, 0), at(&topic, 1));
    let mut writer = corner.writer("0").await;
    let both = |text: &str| of([output(&topic, 0, &[text]), output(&topic, 1, &[text])]);
    append_ok(&mut writer, both("a")).await;
    for (round, start) in (0..).zip([Start::Earliest, Start::Latest]) {
        let spec = ReaderSpec {
            start,
            ..corner.spec(&format!("{start:?}"), "member", &[&topic])
        };
        let mut follower = Follower::open(&corner.log, &spec).await;
        let assigned = follower.until_held(&all(&[&topic])).await;
        // Only this one is sought. The follower fails when the other delivers.
        let start_of = |at: &TopicPartition| {
            let assigned = assigned.iter().find(|it| it.at == *at);
            assigned.unwrap().ends.start
        };
        follower.seek(&sought, start_of(&sought));
        append_ok(&mut writer, both("b")).await;
        let records = 2 + round;
        follower.read(&sought, records).await;
        follower.seek(&waits, start_of(&waits));
        let seen = follower.read(&waits, records).await;
        assert_eq!(texts(seen)[..2], ["a", "b"], "{start:?}");
        follower.close().await;
    }
}

/// A reader can go on from any record, also one inside a batch that was appended as a whole, and
/// gets all records from there on.
pub async fn a_seek_may_go_to_any_record(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, mut follower, content) = written(&corner).await;
    let from = at(&topic, 0);
    for (i, record) in content.iter().enumerate() {
        let rest = &content[i..];
        follower.take(&from);
        follower.seek(&from, record.offset);
        let seen = follower.read(&from, rest.len()).await;
        assert_eq!(seen, rest, "from {}", record.offset);
    }
    // And forward, over records that were not read.
    for step in [1, 3, 7] {
        for record in content.iter().step_by(step) {
            follower.take(&from);
            follower.seek(&from, record.offset);
            let seen = follower.read(&from, 1).await;
            assert_eq!(seen.first(), Some(record));
        }
    }
    follower.close().await;
}

/// A reader at the end gets what is appended from then on, and nothing before.
pub async fn a_seek_may_go_to_the_end(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, mut follower, content) = written(&corner).await;
    let from = at(&topic, 0);
    follower.take(&from);
    // Past the last record: the partition's end, unless the log keeps something there of its own.
    let end = content.last().unwrap().offset + 1;
    follower.seek(&from, end);
    let append = of([output(&topic, 0, &["new", "newer"])]);
    append_ok(&mut corner.writer("0").await, append).await;
    assert_eq!(texts(follower.read(&from, 2).await), ["new", "newer"]);
    // And in a partition that has no record.
    let empty = at(&topic, 1);
    let end = corner.ends(&topic, 1).await.end;
    follower.seek(&empty, end);
    let append = of([output(&topic, 1, &["first"])]);
    append_ok(&mut corner.writer("0").await, append).await;
    assert_eq!(texts(follower.read(&empty, 1).await), ["first"]);
    follower.close().await;
}

/// A reader that goes back is given the same records again, as often as it does.
pub async fn a_seek_back_reads_again(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, mut follower, content) = written(&corner).await;
    let from = at(&topic, 0);
    for _ in 0..5 {
        follower.take(&from);
        follower.seek(&from, content[0].offset);
        let seen = follower.read(&from, content.len()).await;
        assert_eq!(seen, content);
    }
    follower.close().await;
}

/// Offsets before the beginning of a partition, or past its end, are rejected.
pub async fn a_seek_outside_is_rejected(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, mut follower, content) = written(&corner).await;
    // Where nothing was ever appended both ends are where a new partition begins.
    let (full, empty) = (at(&topic, 0), at(&topic, 1));
    let ends = corner.ends(&topic, 1).await;
    for offset in [ends.start - 1, ends.end + 1, i64::MIN, i64::MAX] {
        rejected(follower.try_seek(&empty, offset));
    }
    follower.seek(&empty, ends.end);
    let start = corner.ends(&topic, 0).await.start;
    // Far enough that nothing the log keeps for itself lies there.
    let far = content.last().unwrap().offset + 1_000_000;
    for offset in [start - 1, far, i64::MIN, i64::MAX] {
        rejected(follower.try_seek(&full, offset));
    }
    follower.close().await;
}

/// After a seek that is rejected the reader stands where it stood.
pub async fn a_rejected_seek_changes_nothing(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, mut follower, content) = written(&corner).await;
    let from = at(&topic, 0);
    follower.take(&from);
    rejected(follower.try_seek(&from, i64::MAX));
    let append = of([output(&topic, 0, &["new"])]);
    append_ok(&mut corner.writer("0").await, append).await;
    assert_eq!(texts(follower.read(&from, 1).await), ["new"]);
    // Also when it stands before records that are there already.
    follower.take(&from);
    follower.seek(&from, content[1].offset);
    rejected(follower.try_seek(&from, -1));
    let seen = follower.read(&from, content.len()).await;
    assert_eq!(seen[..content.len() - 1], content[1..]);
    assert_eq!(texts(&seen[content.len() - 1..]), ["new"]);
    follower.close().await;
}

/// A partition that is not this member's can't be sought: one that there is not, one of a topic
/// that the member does not read, one that it has let go of.
pub async fn a_seek_elsewhere_is_rejected(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, other) = (
        corner.topic("topic", 2).await,
        corner.topic("other", 1).await,
    );
    let mut first = corner.join("group", "first", &[&topic]).await;
    let assigned = first.until_held(&all(&[&topic])).await;
    let start = assigned[0].ends.start;
    for wrong in [at(&topic, 2), at(&topic, -1), at(&other, 0)] {
        rejected(first.try_seek(&wrong, start));
    }
    let topics = [&topic];
    let joining = corner.join("group", "second", &topics);
    let mut second = first.meanwhile(joining).await;
    let released = second.meanwhile(first.until_revoking()).await;
    second.meanwhile(first.release(&released)).await;
    for at in &released {
        rejected(first.try_seek(at, start));
    }
    first.close().await;
    second.close().await;
}

/// A topic whose partition 0 has some batches of several records each and whose partition 1 has
/// none, a reader of both that has read it all, and what it read.
async fn written(corner: &Corner) -> (TopicInfo, Follower, Vec<Seen>) {
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let mut expected = Vec::new();
    for batch in 0..6 {
        let texts: Vec<String> = (0..=batch).map(|n| format!("{batch}.{n}")).collect();
        append_ok(&mut writer, of([output(&topic, 0, &texts)])).await;
        expected.extend(texts);
    }
    let from = at(&topic, 0);
    let mut follower = corner.at_start(&[&topic]).await;
    let content = follower.read(&from, expected.len()).await.to_vec();
    assert_eq!(texts(&content), expected);
    (topic, follower, content)
}

fn rejected(outcome: Result<(), LogError>) {
    assert!(matches!(outcome, Err(LogError::Rejected(_))), "{outcome:?}");
}
