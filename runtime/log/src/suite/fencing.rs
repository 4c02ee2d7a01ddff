//! Writers that were replaced: of all writers of an identity only the newest can append.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, append, append_ok, at};
use super::numbered::{check_outcomes, mark, numbered};
use super::records::{of, output, position, texts};
use crate::{Appended, Identity, LogError};
use tokio::task::JoinSet;

/// Once a writer is open, nothing of an earlier one of its identity lands, and the earlier one is
/// told that it is fenced.
pub async fn a_newer_writer_fences_the_older(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut older = corner.writer("0").await;
    append_ok(&mut older, numbered(&topic, 1)).await;
    let mut newer = corner.writer("0").await;
    let outcome = append(&mut older, numbered(&topic, 2)).await;
    assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    append_ok(&mut newer, numbered(&topic, 3)).await;
    assert_eq!(texts(&corner.content(&topic).await[0]), ["1", "3"]);
    let stored = corner.stored("0").await;
    assert_eq!(stored.positions, [position("p", 3)]);
    assert_eq!(stored.mark, Some(mark(3)));
}

/// After one append has failed, all later ones fail, also those asked for after the failure, and
/// nothing of them lands.
pub async fn a_fenced_writer_stays_fenced(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut older = corner.writer("0").await;
    let newer = corner.writer("0").await;
    drop(newer);
    for n in 1..=10 {
        failed_for_good(&append(&mut older, numbered(&topic, n)).await);
    }
    let mut newest = corner.writer("0").await;
    for n in 11..=20 {
        failed_for_good(&append(&mut older, numbered(&topic, n)).await);
    }
    append_ok(&mut newest, numbered(&topic, 21)).await;
    assert_eq!(texts(&corner.content(&topic).await[0]), ["21"]);
    assert_eq!(corner.stored("0").await.positions, [position("p", 21)]);
}

/// Writers of another slot, of another connector and of another installation go on.
pub async fn other_identities_are_not_fenced(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let own = corner.identity("0");
    let others = [
        corner.identity("1"),
        Identity {
            connector: corner.name("other"),
            ..own.clone()
        },
        Identity {
            cluster: corner.name("other"),
            ..own.clone()
        },
    ];
    let mut writers = Vec::new();
    for identity in &others {
        let mut writer = corner.writer_of(identity).await;
        append_ok(&mut writer, of([output(&topic, 0, &["a"])])).await;
        writers.push(writer);
    }
    let mut writer = corner.writer_of(&own).await;
    for other in &mut writers {
        append_ok(other, of([output(&topic, 0, &["b"])])).await;
    }
    append_ok(&mut writer, of([output(&topic, 0, &["c"])])).await;
    let expected = ["a", "a", "a", "b", "b", "b", "c"];
    assert_eq!(texts(&corner.content(&topic).await[0]), expected);
}

/// A writer that has appends on their way when it is fenced has landed some of them, whole and
/// without a gap, before the newer one is open, and none later. Who reads meanwhile is given
/// nothing that did not land.
pub async fn nothing_lands_after_a_fence(fixture: &dyn Fixture) {
    const APPENDS: u64 = 2000;
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut tail = corner.at_start(&[&topic]).await;
    let mut older = corner.writer("0").await;
    let task = tokio::spawn({
        let topic = topic.clone();
        async move {
            let mut queued = Vec::new();
            for n in 1..=APPENDS {
                let append = older.append(numbered(&topic, n));
                queued.push(within("an append is queued", append).await);
                if queued.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            let mut outcomes = Vec::new();
            for queued in queued {
                outcomes.push(match queued {
                    Ok(pending) => within("an append has its outcome", pending).await,
                    Err(error) => Err(error),
                });
            }
            outcomes
        }
    });
    tail.read(&at(&topic, 0), 1).await;
    let mut newer = corner.writer("0").await;
    let stored = corner.stored("0").await;
    let landed = stored.mark.map_or(0, |mark| mark.done_through);
    append_ok(&mut newer, numbered(&topic, APPENDS + 1)).await;

    let outcomes = within("the fenced writer ends", task).await.unwrap();
    check_outcomes(&outcomes, landed);
    assert_eq!(stored.positions, [position("p", landed)]);
    let expected: Vec<String> = (1..=landed)
        .chain([APPENDS + 1])
        .map(|n| n.to_string())
        .collect();
    for partition in &corner.content(&topic).await {
        assert_eq!(texts(partition), expected);
    }
    for partition in 0..2 {
        let seen = tail.read(&at(&topic, partition), expected.len()).await;
        assert_eq!(texts(&seen[..expected.len()]), expected);
    }
    tail.close().await;
}

/// However many writers of one identity are opened at once, exactly one of them can append after
/// that.
pub async fn of_writers_opened_at_once_one_can_append(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut opening = JoinSet::new();
    for _ in 0..4 {
        let (log, identity) = (corner.log.clone(), corner.identity("0"));
        opening.spawn(async move { within("a writer opens", log.writer(&identity)).await });
    }
    let mut landed = Vec::new();
    let mut writers = Vec::new();
    for opened in opening.join_all().await {
        match opened {
            Ok(writer) => writers.push(writer),
            // It was replaced while it opened.
            Err(LogError::Fenced(_)) => {}
            Err(error) => panic!("a writer does not open: {error}"),
        }
    }
    for (n, writer) in (0..).zip(&mut writers) {
        match append(writer, numbered(&topic, n)).await {
            Ok(_) => landed.push(n.to_string()),
            Err(LogError::Fenced(_)) => {}
            Err(error) => panic!("a replaced writer must be fenced: {error:?}"),
        }
    }
    assert_eq!(landed.len(), 1, "{landed:?} can append");
    assert_eq!(texts(&corner.content(&topic).await[0]), landed);
}

fn failed_for_good(outcome: &Result<Appended, LogError>) {
    assert!(
        matches!(outcome, Err(LogError::Fenced(_) | LogError::Unknown(_))),
        "{outcome:?}"
    );
}
