//! Positions and marks: what is stored of a source.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, append_ok, close};
use super::records::{deleted, of, output, position};
use crate::{Append, Identity, InboxMark, Position, Stored};
use uuid::Uuid;

/// Nothing is stored of a connector before its first append, whether a writer is open or not.
pub async fn nothing_is_stored_of_a_new_connector(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    assert_eq!(corner.stored("0").await, Stored::default());
    let writer = corner.writer("0").await;
    assert_eq!(corner.stored("0").await, Stored::default());
    close(writer).await;
}

/// An append sets a position, replaces it, and with no offset deletes it.
pub async fn appends_set_and_delete_positions(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, at([position("p", 1), position("q", 1)])).await;
    append_ok(&mut writer, at([position("p", 2)])).await;
    let both = [position("p", 2), position("q", 1)];
    assert_eq!(corner.stored("0").await.positions, both);
    // Deleting one that there is not does nothing.
    append_ok(&mut writer, at([deleted("q"), deleted("r")])).await;
    assert_eq!(corner.stored("0").await.positions, [position("p", 2)]);
    append_ok(&mut writer, at([position("q", 3), deleted("p")])).await;
    assert_eq!(corner.stored("0").await.positions, [position("q", 3)]);
}

/// All slots of a connector see and replace the same positions; another connector sees none.
pub async fn positions_are_the_connectors(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (mut one, mut two) = (corner.writer("1").await, corner.writer("2").await);
    append_ok(&mut one, at([position("p", 1), position("r", 1)])).await;
    append_ok(&mut two, at([position("q", 2)])).await;
    append_ok(&mut two, at([position("p", 3), deleted("r")])).await;
    for slot in ["1", "2", "never opened"] {
        let expected = [position("p", 3), position("q", 2)];
        assert_eq!(corner.stored(slot).await.positions, expected);
    }
    // Its name begins like the first one's.
    let other = Identity {
        connector: format!("{}x", corner.name("connector")),
        ..corner.identity("1")
    };
    assert_eq!(corner.stored_of(&other).await, Stored::default());
    let mut writer = corner.writer_of(&other).await;
    append_ok(&mut writer, at([position("p", 9)])).await;
    assert_eq!(corner.stored_of(&other).await.positions, [position("p", 9)]);
    let own = corner.stored("1").await.positions;
    assert_eq!(own, [position("p", 3), position("q", 2)]);
}

/// Positions are ordered by partition, in whatever order they were set.
pub async fn positions_are_ordered_by_partition(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let mut writer = corner.writer("0").await;
    let names = ["m", "a", "z", "b", "aa", "Z", "ä", "10", "9"];
    let positions = names.map(|name| position(name, 1));
    let (first, second) = positions.split_at(5);
    append_ok(&mut writer, at(second.to_vec())).await;
    append_ok(&mut writer, at(first.to_vec())).await;
    let mut expected = positions.to_vec();
    expected.sort_by(|a, b| a.partition.cmp(&b.partition));
    assert_eq!(corner.stored("0").await.positions, expected);
}

/// A slot has the mark of its own last append that had one, of whatever epoch.
pub async fn a_mark_is_the_slots(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (mut one, mut two) = (corner.writer("1").await, corner.writer("2").await);
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    append_ok(&mut one, marked(old, 100)).await;
    append_ok(&mut two, marked(old, 5)).await;
    append_ok(&mut one, marked(old, 200)).await;
    let mark = |epoch, done_through| {
        Some(InboxMark {
            epoch,
            done_through,
        })
    };
    assert_eq!(corner.stored("1").await.mark, mark(old, 200));
    assert_eq!(corner.stored("2").await.mark, mark(old, 5));
    append_ok(&mut one, marked(new, 1)).await;
    assert_eq!(corner.stored("1").await.mark, mark(new, 1));
    append_ok(&mut two, marked(old, u64::MAX)).await;
    assert_eq!(corner.stored("2").await.mark, mark(old, u64::MAX));
    assert_eq!(corner.stored("3").await.mark, None);
}

/// An append leaves the positions that it does not name, and the mark when it has none.
pub async fn an_append_leaves_what_it_does_not_name(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    let epoch = Uuid::new_v4();
    append_ok(&mut writer, at([position("p", 1)])).await;
    append_ok(&mut writer, marked(epoch, 1)).await;
    let before = corner.stored("0").await;
    append_ok(&mut writer, of([output(&topic, 0, &["a"])])).await;
    assert_eq!(corner.stored("0").await, before);
    append_ok(&mut writer, at([position("q", 2)])).await;
    let after = corner.stored("0").await;
    assert_eq!(after.positions, [position("p", 1), position("q", 2)]);
    assert_eq!(after.mark, before.mark);
    append_ok(&mut writer, marked(epoch, 2)).await;
    assert_eq!(corner.stored("0").await.positions, after.positions);
}

/// Positions of a stopped connector are set and deleted by hand. Its marks stay, and appends later
/// go on from there.
pub async fn positions_are_set_by_hand(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let connector = corner.name("connector");
    let set = |positions: Vec<Position>| {
        let (log, connector) = (corner.log.clone(), connector.clone());
        async move {
            let set = log.set_positions(&connector, &positions);
            within("positions are set", set).await.unwrap();
        }
    };
    set(vec![position("p", 1)]).await;
    assert_eq!(corner.stored("0").await.positions, [position("p", 1)]);

    let mut writer = corner.writer("0").await;
    let epoch = Uuid::new_v4();
    append_ok(&mut writer, marked(epoch, 7)).await;
    append_ok(&mut writer, at([position("q", 2), position("r", 2)])).await;
    close(writer).await;
    set(vec![position("r", 3), deleted("q"), position("o", 3)]).await;
    let stored = corner.stored("0").await;
    let expected = [position("o", 3), position("p", 1), position("r", 3)];
    assert_eq!(stored.positions, expected);
    assert_eq!(stored.mark.map(|mark| mark.done_through), Some(7));

    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, at([position("o", 4), deleted("r")])).await;
    let expected = [position("o", 4), position("p", 1)];
    assert_eq!(corner.stored("0").await.positions, expected);
}

/// Closing a writer, and opening another, changes nothing of what is stored.
pub async fn closing_a_writer_keeps_what_is_stored(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, at([position("p", 1)])).await;
    append_ok(&mut writer, marked(Uuid::new_v4(), 1)).await;
    let before = corner.stored("0").await;
    close(writer).await;
    assert_eq!(corner.stored("0").await, before);
    close(corner.writer("0").await).await;
    assert_eq!(corner.stored("0").await, before);
}

/// An append of nothing but positions.
fn at(positions: impl IntoIterator<Item = Position>) -> Append {
    Append {
        positions: positions.into_iter().collect(),
        ..Append::default()
    }
}

/// An append of nothing but a mark.
fn marked(epoch: Uuid, done_through: u64) -> Append {
    let mark = Some(InboxMark {
        epoch,
        done_through,
    });
    Append {
        mark,
        ..Append::default()
    }
}
