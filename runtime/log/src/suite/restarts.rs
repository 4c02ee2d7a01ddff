//! What was acknowledged is there after a stop, without anything having been closed.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, append_ok, at};
use super::numbered::{check_outcomes, mark, numbered};
use super::records::{of, output, position, texts};

/// Topics keep their ids, partitions and ends; a deleted one stays deleted.
pub async fn topics_survive(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (topic, gone) = (
        corner.topic("topic", 3).await,
        corner.topic("gone", 1).await,
    );
    let appended = append_ok(
        &mut corner.writer("0").await,
        of([output(&topic, 1, &["a", "b"]), output(&gone, 0, &["a"])]),
    )
    .await;
    corner.delete(&gone.name).await.unwrap();
    let start = corner.ends(&topic, 1).await.start;
    let corner = corner.restarted(fixture).await;
    assert_eq!(corner.describe(&topic.name).await, Some(topic.clone()));
    assert_eq!(corner.describe(&gone.name).await, None);
    let ends = corner.ends(&topic, 1).await;
    assert_eq!(ends.start, start);
    assert!(appended.first_offsets[0] + 2 <= ends.end, "{ends:?}");
    let ends = corner.ends(&topic, 0).await;
    assert_eq!(ends.start, ends.end, "nothing was appended");
    assert_ne!(corner.topic("gone", 1).await.id, gone.id);
}

/// Records lie where they lay, and those appended later come after them.
pub async fn records_survive(fixture: &dyn Fixture) {
    let mut corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut expected: Vec<(i64, String)> = Vec::new();
    for round in 0..3 {
        let mut writer = corner.writer("0").await;
        for n in 0..20 {
            let text = format!("{round}.{n}");
            let outputs = [output(&topic, 0, &[&text]), output(&topic, 1, &["x"])];
            let first = append_ok(&mut writer, of(outputs)).await.first_offsets[0];
            let last = expected.last().map(|(offset, _)| *offset);
            assert!(last < Some(first), "{first} comes after {last:?}");
            expected.push((first, text));
        }
        drop(writer);
        corner = corner.restarted(fixture).await;
        let content = corner.content(&topic).await;
        let read: Vec<(i64, String)> = content[0]
            .iter()
            .map(|seen| (seen.offset, seen.text().to_owned()))
            .collect();
        assert_eq!(read, expected);
        assert_eq!(content[1].len(), expected.len());
    }
}

/// Positions and marks stay, also those set and deleted by hand.
pub async fn progress_survives(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    for n in 1..=3 {
        append_ok(&mut writer, numbered(&topic, n)).await;
    }
    drop(writer);
    let connector = corner.identity("0").connector;
    let positions = [position("q", 1)];
    let set = corner.log.set_positions(&connector, &positions);
    within("positions are set", set).await.unwrap();
    let before = corner.stored("0").await;
    let corner = corner.restarted(fixture).await;
    assert_eq!(corner.stored("0").await, before);
    assert_eq!(before.positions, [position("p", 3), position("q", 1)]);
    assert_eq!(before.mark, Some(mark(3)));
    // And a writer goes on from there.
    append_ok(&mut corner.writer("0").await, numbered(&topic, 4)).await;
    assert_eq!(corner.stored("0").await.mark, Some(mark(4)));
    let content = corner.content(&topic).await;
    assert_eq!(texts(&content[0]), ["1", "2", "3", "4"]);
}

/// What a group committed stays.
pub async fn group_offsets_survive(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let outputs = [output(&topic, 0, &["a", "b", "c"])];
    let appended = append_ok(&mut corner.writer("0").await, of(outputs)).await;
    let next = appended.first_offsets[0] + 2;
    let (mut follower, _) = corner.join_alone("group", &[&topic]).await;
    follower.commit(&[(at(&topic, 0), next)]).await.unwrap();
    drop(follower);
    let corner = corner.restarted(fixture).await;
    let (mut follower, assigned) = corner.join_alone("group", &[&topic]).await;
    let committed: Vec<Option<i64>> = assigned.iter().map(|it| it.committed).collect();
    assert_eq!(committed, [Some(next), None]);
    assert_eq!(assigned[0].topic_id, topic.id);
    follower.seek_to_committed(&assigned);
    let seen = follower.read(&at(&topic, 0), 1).await;
    assert_eq!(seen[0].text(), "c");
    follower.close().await;
}

/// Of appends that were on their way at a stop the first ones landed, as many as may be but all
/// that were acknowledged, each of them whole.
pub async fn appends_in_flight_survive_whole(fixture: &dyn Fixture) {
    const APPENDS: u64 = 1000;
    const AWAITED: usize = 10;
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 3).await;
    let mut writer = corner.writer("0").await;
    let mut pendings = Vec::new();
    for n in 1..=APPENDS {
        let queued = writer.append(numbered(&topic, n));
        pendings.push(within("an append is queued", queued).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for pending in pendings.drain(..AWAITED) {
        let outcome = within("an append has its outcome", pending).await;
        outcomes.push(Ok(outcome.unwrap()));
    }
    drop(writer);
    let corner = corner.restarted(fixture).await;
    let newer = corner.writer("0").await;
    let stored = corner.stored("0").await;
    for pending in pendings {
        outcomes.push(within("an append has its outcome", pending).await);
    }
    let landed = stored.mark.map_or(0, |mark| mark.done_through);
    check_outcomes(&outcomes, landed);
    assert_eq!(stored.positions, [position("p", landed)]);
    let expected: Vec<String> = (1..=landed).map(|n| n.to_string()).collect();
    for partition in &corner.content(&topic).await {
        assert_eq!(texts(partition), expected);
    }
    drop(newer);
}
