//! Tables whose metadata gets as large as their catalog takes, and what keeps it from that.

use std::time::{Duration, SystemTime};

use jackfield_sdk::sink::LogLevel;
use jackfield_sdk::sink::testing::{Refused, TableFormat};

use super::*;
use crate::commit::Schedule;
use crate::maintain;

const HOUR: Duration = Duration::from_secs(3600);

/// Iceberg's rules, and documents of so many bytes at most, as a host has it.
struct Bounded(usize);

impl TableFormat for Bounded {
    fn create(&self, ident: &str, location: &str, creation: &str) -> Result<String, String> {
        format::Iceberg.create(ident, location, creation)
    }

    fn apply(
        &self,
        metadata_location: &str,
        metadata: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<String, Refused> {
        let next = format::Iceberg.apply(metadata_location, metadata, requirements, updates)?;
        if next.len() > self.0 {
            let why = format!(
                "its metadata has {} bytes: expire old snapshots",
                next.len()
            );
            return Err(Refused::Invalid(why));
        }
        Ok(next)
    }
}

/// With one trade in it.
fn world(bytes_max: usize, more: &str) -> World {
    let lake = FakeLake::new(Bounded(bytes_max));
    let schema = lake.schemas.avro(TRADE);
    let world = World {
        lake,
        settings: settings(&format!(r#"{{"table":"market.trades"{more}}}"#)),
        connector: "trades-lake".to_owned(),
        schema,
    };
    world.land(0, 0, 1, "c0").unwrap();
    world
}

fn expiring(bytes_near: usize) -> Schedule {
    Schedule {
        document_bytes_near: bytes_near,
        ..Schedule::default()
    }
}

/// A commit that tells the next position only.
fn move_on(committer: &mut IcebergSink, at: i64) -> Result<Committed, Failure> {
    committer.commit(TABLE, &[], &[span(0, at, at + 1)], &format!("c{at}"))
}

const EXPIRE: &str = r#","maintain":{"expire":"1h"}"#;

/// None of the snapshots is old enough to go for its age.
#[test]
fn however_quickly_commits_come_the_metadata_stays_within_its_bounds() {
    const COMMITS: i64 = 2000;
    let world = world(1024 * 1024, EXPIRE);
    let mut committer = world.committer();
    committer.set_schedule(expiring(128 * 1024));
    for at in 1..=COMMITS {
        move_on(&mut committer, at).unwrap();
    }
    assert_eq!(world.positions(), BTreeMap::from([(0, COMMITS + 1)]));
    assert_eq!(world.trade_ids(), [0]);
}

#[test]
fn a_table_that_is_full_is_mended_by_a_sink_that_expires() {
    let world = world(256 * 1024, "");
    let mut committer = world.committer();
    let full = (1..1000).find_map(|at| move_on(&mut committer, at).err().map(|why| (at, why)));
    let (at, why) = full.unwrap();
    assert!(why.to_string().contains("expire old snapshots"), "{why}");
    let mending = World {
        settings: settings(&format!(r#"{{"table":"market.trades"{EXPIRE}}}"#)),
        ..world.sibling("trades-lake")
    };
    let mut committer = mending.committer();
    committer.set_schedule(expiring(128 * 1024));
    for at in at..at + 20 {
        move_on(&mut committer, at).unwrap();
    }
    assert_eq!(mending.positions(), BTreeMap::from([(0, at + 20)]));
    assert_eq!(mending.trade_ids(), [0]);
}

#[test]
fn a_table_of_which_nothing_expires_is_warned_of_in_time_and_seldom() {
    let world = world(1024 * 1024, "");
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        document_bytes_large: 16 * 1024,
        ..Schedule::default()
    });
    for at in 1..60 {
        move_on(&mut committer, at).unwrap();
    }
    let lines = world.lake.lines.all();
    let warnings = lines.iter().filter(|(level, line)| {
        *level == LogLevel::Warn && line.contains("`maintain: { expire: 7d }`")
    });
    assert_eq!(warnings.count(), 1, "{lines:?}");
}

#[test]
fn snapshots_beyond_a_number_go_whatever_their_age() {
    let world = world(1024 * 1024, "");
    let mut committer = world.committer();
    for at in 1..10 {
        move_on(&mut committer, at).unwrap();
    }
    let metadata = world.metadata();
    let now = SystemTime::now();
    assert!(maintain::expire(&metadata, now, HOUR, |_| 10).is_none());
    let upkeep = maintain::expire(&metadata, now, HOUR, |_| 4).unwrap();
    world.foreign(&serde_json::to_string(&upkeep.updates).unwrap());
    assert_eq!(world.snapshots(), 4);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
}

#[test]
fn snapshots_that_others_keep_do_not_count() {
    let world = world(1024 * 1024, "");
    let mut committer = world.committer();
    for at in 1..8 {
        move_on(&mut committer, at).unwrap();
    }
    let tagged = world.metadata().current_snapshot_id().unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"kept","type":"tag","snapshot-id":{tagged}}}]"#
    ));
    for at in 8..12 {
        move_on(&mut committer, at).unwrap();
    }
    assert_eq!(world.snapshots(), 12);
    // The head and three more are there that no tag keeps.
    let now = SystemTime::now();
    assert!(maintain::expire(&world.metadata(), now, HOUR, |_| 4).is_none());
    let upkeep = maintain::expire(&world.metadata(), now, HOUR, |_| 3).unwrap();
    world.foreign(&serde_json::to_string(&upkeep.updates).unwrap());
    assert_eq!(world.snapshots(), 11);
}

/// Nor do they make the others go, however many they are.
#[test]
fn a_sink_leaves_the_history_beside_many_snapshots_that_a_tag_keeps() {
    let world = world(1024 * 1024, EXPIRE);
    let mut committer = world.committer();
    for at in 1..30 {
        move_on(&mut committer, at).unwrap();
    }
    let tagged = world.metadata().current_snapshot_id().unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"kept","type":"tag","snapshot-id":{tagged}}}]"#
    ));
    committer.set_schedule(at_most_twenty());
    for at in 30..50 {
        move_on(&mut committer, at).unwrap();
    }
    assert_eq!(world.snapshots(), 30 + 20);
}

#[test]
fn a_sink_leaves_as_many_snapshots_as_are_allowed_and_few_less() {
    let world = world(1024 * 1024, EXPIRE);
    let mut committer = world.committer();
    committer.set_schedule(at_most_twenty());
    for at in 1..30 {
        move_on(&mut committer, at).unwrap();
    }
    let left = world.snapshots();
    assert!((18..=20).contains(&left), "{left}");
    assert_eq!(world.positions(), BTreeMap::from([(0, 30)]));
}

fn at_most_twenty() -> Schedule {
    Schedule {
        tidy_each: 1,
        snapshots_max: 20,
        ..Schedule::default()
    }
}

#[test]
fn a_new_table_keeps_few_documents_unless_it_is_told_otherwise() {
    const DELETE: &str = "write.metadata.delete-after-commit.enabled";
    const VERSIONS: &str = "write.metadata.previous-versions-max";
    let of = |more: &str| {
        let properties = world(1024 * 1024, more).metadata();
        let properties = properties.properties();
        (properties[DELETE].clone(), properties[VERSIONS].clone())
    };
    assert_eq!(of(""), ("true".to_owned(), "100".to_owned()));
    let given = format!(r#","properties":{{"{DELETE}":"false","{VERSIONS}":"7"}}"#);
    assert_eq!(of(&given), ("false".to_owned(), "7".to_owned()));
}
