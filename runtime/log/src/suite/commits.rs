//! What groups commit.

use super::Fixture;
use super::corner::{Corner, all, append_ok, at};
use super::members::Members;
use super::records::{of, output, texts};
use crate::{Assignment, LogError, TopicInfo, TopicPartition};

/// What a group committed last is in the next assignment, also when it went back. A commit of
/// nothing is one, and changes nothing.
pub async fn the_last_commit_is_in_the_next_assignment(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, offsets) = written(&corner).await;
    let mut expected = None;
    for next in [offsets[1], offsets[3], offsets[2], offsets[3] + 1] {
        let (mut follower, assigned) = corner.join_alone("group", &[&topic]).await;
        assert_eq!(committed(&assigned, &at(&topic, 0)), expected);
        assert_eq!(committed(&assigned, &at(&topic, 1)), None);
        // Of several commits of one member the last counts.
        for offset in [offsets[0], next] {
            let commit = [(at(&topic, 0), offset)];
            follower.commit(&commit).await.unwrap();
        }
        follower.commit(&[]).await.unwrap();
        expected = Some(next);
        follower.close().await;
    }
    // And a member with another name sees it too, and goes on there.
    let mut follower = corner.join("group", "another", &[&topic]).await;
    let assigned = follower.until_held(&all(&[&topic])).await;
    assert_eq!(committed(&assigned, &at(&topic, 0)), expected);
    follower.seek_to_committed(&assigned);
    append_ok(
        &mut corner.writer("0").await,
        of([output(&topic, 0, &["e"])]),
    )
    .await;
    assert_eq!(texts(follower.read(&at(&topic, 0), 1).await), ["e"]);
    follower.close().await;
}

/// What one group commits is nothing to another.
pub async fn a_commit_is_the_groups_alone(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, offsets) = written(&corner).await;
    for (group, offset) in [("one", offsets[1]), ("two", offsets[2])] {
        let (mut follower, assigned) = corner.join_alone(group, &[&topic]).await;
        assert_eq!(committed(&assigned, &at(&topic, 0)), None, "{group}");
        let commit = [(at(&topic, 0), offset)];
        follower.commit(&commit).await.unwrap();
        follower.close().await;
    }
    for (group, offset) in [("one", offsets[1]), ("two", offsets[2])] {
        let (follower, assigned) = corner.join_alone(group, &[&topic]).await;
        let expected = Some(offset);
        assert_eq!(committed(&assigned, &at(&topic, 0)), expected, "{group}");
        follower.close().await;
    }
}

/// A group's offsets are seen and set from outside, but not while it has members.
pub async fn offsets_are_set_by_hand(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, offsets) = written(&corner).await;
    let (log, name) = (&corner.log, topic.name.to_string());
    let topics = [name];
    let place = at(&topic, 0);
    let group = corner.name("group");
    assert_eq!(log.group_offsets(&group, &topics).await.unwrap(), []);
    let (mut follower, _) = corner.join_alone("group", &[&topic]).await;
    follower
        .commit(&[(place.clone(), offsets[1])])
        .await
        .unwrap();
    let seen = log.group_offsets(&group, &topics).await.unwrap();
    assert_eq!(seen, [(place.clone(), offsets[1])]);
    follower.close().await;

    let set = [(place.clone(), Some(offsets[3]))];
    log.set_group_offsets(&group, &topics, &set).await.unwrap();
    let seen = log.group_offsets(&group, &topics).await.unwrap();
    assert_eq!(seen, [(place.clone(), offsets[3])]);
    let (follower, assigned) = corner.join_alone("group", &[&topic]).await;
    assert_eq!(committed(&assigned, &place), Some(offsets[3]));
    let refused = log.set_group_offsets(&group, &topics, &set).await;
    assert!(matches!(refused, Err(LogError::Rejected(_))), "{refused:?}");
    let refused = log.set_group_offsets(&group, &topics, &[]).await;
    assert!(matches!(refused, Err(LogError::Rejected(_))), "{refused:?}");
    follower.close().await;

    let gone = [(place.clone(), None)];
    log.set_group_offsets(&group, &topics, &gone).await.unwrap();
    assert_eq!(log.group_offsets(&group, &topics).await.unwrap(), []);
    let nowhere = [(at(&topic, 99), Some(0))];
    let refused = log.set_group_offsets(&group, &topics, &nowhere).await;
    assert!(matches!(refused, Err(LogError::Rejected(_))), "{refused:?}");
}

/// Two groups have all partitions each and read all records each, as far as each likes.
pub async fn groups_read_apart(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, offsets) = written(&corner).await;
    let from = at(&topic, 0);
    let (mut one, assigned) = corner.join_alone("one", &[&topic]).await;
    one.seek_to_committed(&assigned);
    one.read(&from, offsets.len()).await;
    let (mut two, assigned) = corner.join_alone("two", &[&topic]).await;
    two.seek_to_committed(&assigned);
    two.pause(std::slice::from_ref(&from));
    one.seek(&from, offsets[0]);
    one.read(&from, 2 * offsets.len()).await;
    two.resume(std::slice::from_ref(&from));
    let seen = two.read(&from, offsets.len()).await;
    assert_eq!(texts(seen), ["a", "b", "c", "d"]);
    one.close().await;
    append_ok(
        &mut corner.writer("0").await,
        of([output(&topic, 0, &["e"])]),
    )
    .await;
    let seen = two.read(&from, offsets.len() + 1).await;
    assert_eq!(texts(seen), ["a", "b", "c", "d", "e"]);
    two.close().await;
}

/// A commit for a partition that the member has let go of is fenced, and changes nothing.
pub async fn a_commit_after_a_release_is_fenced(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let outputs = (0..2).map(|partition| output(&topic, partition, &["a", "b", "c"]));
    let appended = append_ok(&mut writer, of(outputs)).await;
    let first_of =
        |at: &TopicPartition| appended.first_offsets[usize::try_from(at.partition).unwrap()];
    let mut first = corner.join("group", "first", &[&topic]).await;
    first.until_held(&all(&[&topic])).await;
    let mut others = Members::of(&corner, "group", &[&topic]);
    first.meanwhile(others.join("second")).await;
    let released = first.until_revoking().await;
    // Until it is released it is still this member's.
    for at in &released {
        let commit = [(at.clone(), first_of(at) + 1)];
        first.commit(&commit).await.unwrap();
    }
    first.release(&released).await;
    for at in &released {
        let outcome = first.commit(&[(at.clone(), first_of(at))]).await;
        assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    }
    first.close().await;
    // The second member goes on where the first one had come to.
    others
        .until("the second has all", |it| it.shared_by(&["second"], 2))
        .await;
    corner.append_sentinels(&topic).await;
    others
        .until("what was left is read", |it| {
            released.iter().all(|at| {
                it.done
                    .iter()
                    .any(|(of, seen)| of == at && seen.text_is("c"))
            })
        })
        .await;
    for (at, seen) in &others.books().done {
        let skipped = released.contains(at) && seen.text_is("a");
        assert!(!skipped, "{at} was committed past its first record");
    }
    others.end().await;
}

/// A topic of two partitions with four records in the first, and where they lie.
async fn written(corner: &Corner) -> (TopicInfo, Vec<i64>) {
    let topic = corner.topic("topic", 2).await;
    let outputs = [output(&topic, 0, &["a", "b", "c", "d"])];
    append_ok(&mut corner.writer("0").await, of(outputs)).await;
    let mut follower = corner.at_start(&[&topic]).await;
    let seen = follower.read(&at(&topic, 0), 4).await;
    let offsets = seen.iter().map(|it| it.offset).collect();
    follower.close().await;
    (topic, offsets)
}

fn committed(assigned: &[Assignment], at: &TopicPartition) -> Option<i64> {
    let assigned = assigned.iter().find(|it| it.at == *at);
    assigned.unwrap().committed
}
