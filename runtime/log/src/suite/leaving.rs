//! Partitions that lose their member, and members that lose their partitions.

use super::Fixture;
use super::corner::{Corner, all, append_ok, at};
use super::members::{Leave, Members};
use super::records::{of, output, texts};
use crate::{LogError, ReaderEvent};

/// The partitions of a reader that is closed go to the other members.
pub async fn a_closed_reader_leaves_its_partitions(fixture: &dyn Fixture) {
    one_of_two_leaves(fixture, Leave::Close).await;
}

/// The partitions of a reader that is dropped go to the other members.
pub async fn a_dropped_reader_leaves_its_partitions(fixture: &dyn Fixture) {
    one_of_two_leaves(fixture, Leave::Drop).await;
}

async fn one_of_two_leaves(fixture: &dyn Fixture, how: Leave) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 3).await;
    let mut members = Members::of(&corner, "group", &[&topic]);
    members.join("a").await;
    members.join("b").await;
    members
        .until("two share", |it| it.shared_by(&["a", "b"], 3))
        .await;
    members.leave("a", how).await;
    members
        .until("the other has all", |it| it.shared_by(&["b"], 3))
        .await;
    members.leave("b", how).await;
    // Nobody is left to give them away.
    members.join("c").await;
    members
        .until("a new one has all", |it| it.shared_by(&["c"], 3))
        .await;
    members.end().await;
}

/// With more members than partitions one waits, is told so, and takes over when the other leaves.
pub async fn a_member_too_many_waits_its_turn(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let partitions = all(&[&topic]);
    let mut first = corner.join("group", "a", &[&topic]).await;
    first.until_held(&partitions).await;
    let joins = async {
        let mut second = corner.join("group", "b", &[&topic]).await;
        let told = second.next().await;
        (second, told)
    };
    let (mut second, told) = first.meanwhile(joins).await;
    assert_eq!(told, ReaderEvent::Assigned(Vec::new()));
    first.close().await;
    second.until_held(&partitions).await;
    second.close().await;
}

/// A member that joins again under its name gets the partitions of the earlier one, whose calls
/// fail as fenced from then on.
pub async fn a_member_that_joins_again_fences_the_earlier(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let partitions = all(&[&topic]);
    let outputs = (0..2).map(|partition| output(&topic, partition, &["a", "b"]));
    let appended = append_ok(&mut corner.writer("0").await, of(outputs)).await;
    let first = appended.first_offsets[0];
    let mut older = corner.join("group", "member", &[&topic]).await;
    let assigned = older.until_held(&partitions).await;
    older.seek_to_committed(&assigned);
    older.read(&partitions[0], 1).await;
    let commit = [(partitions[0].clone(), first + 1)];
    older.commit(&commit).await.unwrap();

    let mut newer = corner.join("group", "member", &[&topic]).await;
    // The older one may be given first what it had before.
    let (error, assigned) = tokio::join!(older.until_failed(), newer.until_held(&partitions));
    assert!(matches!(error, LogError::Fenced(_)), "{error:?}");
    assert_eq!(assigned[0].committed, Some(first + 1));
    let outcome = older.commit(&[(partitions[0].clone(), first)]).await;
    assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    let outcome = older.until_failed().await;
    assert!(matches!(outcome, LogError::Fenced(_)), "{outcome:?}");
    // That it is gone for good disturbs the newer one no more than its calls did.
    drop(older);
    newer.seek(&partitions[0], first);
    newer.seek(&partitions[1], appended.first_offsets[1]);
    for at in &partitions {
        assert_eq!(texts(newer.read(at, 2).await), ["a", "b"]);
    }
    newer.commit(&commit).await.unwrap();
    newer.close().await;
}

/// Readers lose the partitions of a deleted topic, and go on with the others.
pub async fn a_deleted_topic_is_lost(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (gone, kept) = (corner.topic("gone", 2).await, corner.topic("kept", 1).await);
    let kept_at = at(&kept, 0);
    let mut writer = corner.writer("0").await;
    let outputs = [
        output(&gone, 0, &["a"]),
        output(&gone, 1, &["a"]),
        output(&kept, 0, &["a"]),
    ];
    append_ok(&mut writer, of(outputs)).await;
    let mut follower = corner.at_start(&[&gone, &kept]).await;
    follower.read(&kept_at, 1).await;
    corner.delete(&gone.name).await.unwrap();
    // Nothing is released here, so that a partition that is not held any more was lost.
    follower
        .until("the deleted topic is lost", |it| {
            all(&[&gone]).iter().all(|at| !it.holds(at))
        })
        .await;
    for at in all(&[&gone]) {
        let outcome = follower.try_seek(&at, 0);
        assert!(matches!(outcome, Err(LogError::Rejected(_))), "{outcome:?}");
        let outcome = follower.commit(&[(at, 0)]).await;
        assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    }
    append_ok(&mut writer, of([output(&kept, 0, &["b"])])).await;
    assert_eq!(texts(follower.read(&kept_at, 2).await), ["a", "b"]);
    follower.close().await;
}
