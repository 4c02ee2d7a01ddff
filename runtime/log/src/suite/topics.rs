//! Topics: created, described, deleted.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, append_ok, at};
use super::records::{of, output, texts};
use crate::{LogError, TopicSpec};

/// Creating a topic gives its name, its partitions and an id, and describing it gives the same.
pub async fn a_topic_is_described_as_it_was_created(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let name = corner.name("created");
    assert_eq!(corner.describe(&name).await, None);
    let created = corner.create(&TopicSpec::new(&name, 3)).await.unwrap();
    assert_eq!((&*created.name, created.partitions), (&*name, 3));
    assert_eq!(corner.describe(&name).await, Some(created));
}

/// All topics are listed as they are described, ordered by name.
pub async fn topics_are_listed_by_name(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let mut own = Vec::new();
    for name in ["b", "c", "a"] {
        own.push(corner.topic(name, 2).await);
    }
    let listed = within("topics are listed", corner.log.topics())
        .await
        .unwrap();
    assert!(listed.is_sorted_by(|a, b| a.name < b.name), "{listed:?}");
    for topic in own {
        assert!(listed.contains(&topic), "{topic:?} is not listed");
    }
}

/// A topic that does not exist is described as none, and whatever needs it is rejected.
pub async fn an_unknown_topic_is_nowhere(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let known = corner.topic("known", 2).await;
    let unknown = corner.name("unknown");
    assert_eq!(corner.describe(&unknown).await, None);
    rejected("delete", corner.delete(&unknown).await);
    for (topic, partition) in [(&*unknown, 0), (&*known.name, 2), (&*known.name, -1)] {
        let ends = within("ends are told", corner.log.ends(topic, partition)).await;
        rejected("ends", ends);
    }
    let mut spec = corner.spec("group", "member", &[&known]);
    spec.topics.push(unknown.clone());
    let reader = within("a member joins", corner.log.reader(&spec)).await;
    rejected("reader", reader.map(|_| ()));
    assert_eq!(corner.describe(&unknown).await, None, "asking made it");
}

/// Creating a topic that exists, with as many partitions, returns it and leaves its records.
pub async fn creating_again_returns_what_there_is(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    append_ok(
        &mut corner.writer("0").await,
        of([output(&topic, 1, &["a"])]),
    )
    .await;
    assert_eq!(corner.topic("topic", 2).await, topic);
    assert_eq!(texts(&corner.content(&topic).await[1]), ["a"]);
}

/// Creating a topic that exists with another number of partitions is rejected, saying both.
pub async fn creating_with_other_partitions_is_rejected(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 3).await;
    let outcome = corner.create(&TopicSpec::new(&*topic.name, 17)).await;
    let text = rejected("create", outcome).replace(&*topic.name, "");
    assert!(text.contains('3') && text.contains("17"), "{text}");
    assert_eq!(corner.describe(&topic.name).await, Some(topic));
}

/// Names are 1 to 249 characters of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
pub async fn names_are_as_in_kafka(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let long = format!("{:x<249}", corner.name("long"));
    let mixed = corner.name("aZ09._-");
    for name in [long.clone(), mixed] {
        let created = corner.create(&TopicSpec::new(&name, 1)).await;
        assert_eq!(*created.unwrap().name, *name);
    }
    let too_long = format!("{long}x");
    let tagged = |what: &str| corner.name(what);
    for name in [
        "".into(),
        ".".into(),
        "..".into(),
        too_long,
        tagged("a b"),
        tagged("a/b"),
        tagged("a:b"),
        tagged("ä"),
        tagged("a\0b"),
    ] {
        let outcome = corner.create(&TopicSpec::new(&name, 1)).await;
        rejected(&format!("create {name:?}"), outcome);
    }
}

/// A topic has at least one partition.
pub async fn a_topic_has_at_least_one_partition(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let name = corner.name("topic");
    for partitions in [0, -1] {
        let outcome = corner.create(&TopicSpec::new(&name, partitions)).await;
        rejected("create", outcome);
    }
    assert_eq!(corner.describe(&name).await, None);
}

/// Settings by Kafka's names are taken, whether they mean anything to this log or not; a value
/// that can't be read is rejected.
pub async fn settings_have_kafkas_names(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let spec = |name: &str, setting: &str, value: &str| {
        let mut spec = TopicSpec::new(corner.name(name), 1);
        spec.configs.insert(setting.into(), value.into());
        spec
    };
    for (name, setting, value) in [
        ("kept", "retention.ms", "86400000"),
        ("passed-over", "file.delete.delay.ms", "60000"),
    ] {
        let created = corner.create(&spec(name, setting, value)).await;
        created.unwrap();
    }
    let unreadable = spec("unreadable", "retention.ms", "soon");
    rejected("create", corner.create(&unreadable).await);
    assert_eq!(corner.describe(&unreadable.name).await, None);
}

/// A deleted topic is neither described nor listed, and has no partitions.
pub async fn a_deleted_topic_is_gone(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    append_ok(
        &mut corner.writer("0").await,
        of([output(&topic, 0, &["a"])]),
    )
    .await;
    corner.delete(&topic.name).await.unwrap();
    assert_eq!(corner.describe(&topic.name).await, None);
    let listed = within("topics are listed", corner.log.topics())
        .await
        .unwrap();
    assert!(listed.iter().all(|it| it.name != topic.name));
    let ends = within("ends are told", corner.log.ends(&topic.name, 0)).await;
    rejected("ends", ends);
    rejected("delete", corner.delete(&topic.name).await);
}

/// A topic that is deleted and created again has another id and none of the records, and may have
/// other partitions.
pub async fn a_topic_created_again_is_another(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let old = corner.topic("topic", 1).await;
    append_ok(
        &mut corner.writer("0").await,
        of([output(&old, 0, &["old"])]),
    )
    .await;
    corner.delete(&old.name).await.unwrap();
    let new = corner.topic("topic", 2).await;
    assert_ne!(new.id, old.id);
    assert_eq!(new.partitions, 2);
    for partition in 0..2 {
        let ends = corner.ends(&new, partition).await;
        assert_eq!(ends.start, ends.end, "a new topic is empty");
    }
    let outputs = [output(&new, 0, &["new"])];
    append_ok(&mut corner.writer("0").await, of(outputs)).await;
    assert_eq!(texts(&corner.content(&new).await[0]), ["new"]);
}

/// What groups committed of a topic goes with it.
pub async fn a_topic_created_again_has_no_group_offsets(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let old = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    let appended = append_ok(&mut writer, of([output(&old, 0, &["a", "b"])])).await;
    let first = appended.first_offsets[0];
    let (mut follower, _) = corner.join_alone("group", &[&old]).await;
    follower.commit(&[(at(&old, 0), first + 1)]).await.unwrap();
    follower.close().await;
    corner.delete(&old.name).await.unwrap();
    let new = corner.topic("topic", 1).await;
    let (follower, assigned) = corner.join_alone("group", &[&new]).await;
    assert_eq!(assigned[0].committed, None);
    assert_eq!(assigned[0].topic_id, new.id);
    follower.close().await;
}

/// A new partition is empty; each record lies at or past the end told before it, and before the
/// end told after it. The beginning stays.
pub async fn ends_move_with_the_records(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut before = corner.ends(&topic, 0).await;
    assert_eq!(before.start, before.end, "a new partition is empty");
    let start = before.start;
    let other = corner.ends(&topic, 1).await;
    let mut writer = corner.writer("0").await;
    for records in [1, 7, 100] {
        let batch = output(&topic, 0, &vec!["x"; records]);
        let first = append_ok(&mut writer, of([batch])).await.first_offsets[0];
        let after = corner.ends(&topic, 0).await;
        assert!(before.end <= first, "{first} is before {before:?}");
        let records = i64::try_from(records).unwrap();
        assert!(first + records <= after.end, "{first} is past {after:?}");
        assert_eq!(after.start, start);
        before = after;
    }
    assert_eq!(corner.ends(&topic, 1).await, other, "nothing was appended");
}

/// The text of a rejection.
fn rejected<T: std::fmt::Debug>(what: &str, outcome: Result<T, LogError>) -> String {
    match outcome {
        Err(LogError::Rejected(text)) => text,
        other => panic!("{what} must be rejected: {other:?}"),
    }
}
