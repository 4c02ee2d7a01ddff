//! What a reader is given: each record of its partitions once, in order, as it was written.

use super::Fixture;
use super::bounds::{look, within};
use super::corner::{Corner, all, append, append_ok, at};
use super::follower::Follower;
use super::records::{Owned, of, output, pack, texts};
use crate::{Output, ReaderEvent};
use jackfield_batch::SchemaIds;
use std::time::Duration;
use tokio::time::timeout;

/// Keys, values, headers, times and schema ids are read as they were written; what is null stays
/// apart from what is empty.
pub async fn records_are_read_as_they_were_written(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let records = odd_records();
    let outputs = [Output {
        topic: topic.name.clone(),
        partition: 0,
        batch: pack(&records),
    }];
    append_ok(&mut corner.writer("0").await, of(outputs)).await;
    let seen = corner.content(&topic).await.remove(0);
    assert_eq!(seen.len(), records.len());
    for (seen, written) in seen.iter().zip(&records) {
        assert_eq!(seen.record, *written);
    }
    // Also when reading begins in between, so that the batch is cut.
    let mut follower = corner.at_start(&[&topic]).await;
    let from = at(&topic, 0);
    for (i, expected) in seen.iter().enumerate() {
        follower.take(&from);
        follower.seek(&from, expected.offset);
        let again = follower.read(&from, seen.len() - i).await;
        assert_eq!(again[..seen.len() - i], seen[i..]);
    }
    follower.close().await;
}

/// Records that differ in all that a record has, in stretches of the same schemas.
fn odd_records() -> Vec<Owned> {
    let plain = Owned::text("plain");
    let ids = |value, key| SchemaIds { value, key };
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let headers = vec![
        header("a", Some(b"1")),
        header("a", Some(b"2")),
        header("null", None),
        header("empty", Some(b"")),
        header("größe", Some(&[0, 255])),
    ];
    vec![
        Owned {
            schemas: ids(7, 8),
            value: Some(vec![0, 1, 2, 255]),
            key: Some(vec![0, 0, 0]),
            ..plain.clone()
        },
        Owned {
            schemas: ids(7, 8),
            value: Some(Vec::new()),
            key: Some(Vec::new()),
            timestamp_ms: plain.timestamp_ms - 1000,
            ..Owned::default()
        },
        // A tombstone has no schema.
        Owned {
            schemas: ids(0, 8),
            value: None,
            ..plain.clone()
        },
        Owned {
            schemas: ids(7, 0),
            key: None,
            headers: headers.clone(),
            ..plain.clone()
        },
        Owned {
            headers: headers[..1].to_vec(),
            timestamp_ms: plain.timestamp_ms - 5,
            ..plain.clone()
        },
        Owned {
            key: None,
            value: None,
            ..plain.clone()
        },
        Owned {
            key: Some(Vec::new()),
            value: Some(Vec::new()),
            ..plain.clone()
        },
        plain,
    ]
}

/// Many appends to several partitions of two topics are read by one reader, each record once and
/// each partition in order. (The follower checks that batches follow one another without a gap.)
pub async fn batches_follow_one_another(fixture: &dyn Fixture) {
    const APPENDS: usize = 200;
    let corner = Corner::of(fixture).await;
    let (one, two) = (corner.topic("one", 2).await, corner.topic("two", 1).await);
    let mut writer = corner.writer("0").await;
    let mut expected = vec![Vec::new(); 3];
    let mut pendings = Vec::new();
    for n in 0..APPENDS {
        let mut outputs = Vec::new();
        let to = [(&one, 0), (&one, 1), (&two, 0)];
        for (i, (topic, partition)) in to.into_iter().enumerate() {
            // Every second append has records for the first of them, every third for the next.
            if n % (i + 2) == 0 {
                let records: Vec<String> = (0..=n % 7).map(|r| format!("{n}.{r}")).collect();
                outputs.push(output(topic, partition, &records));
                expected[i].extend(records);
            }
        }
        if !outputs.is_empty() {
            let queued = writer.append(of(outputs));
            pendings.push(within("an append is queued", queued).await.unwrap());
        }
    }
    let mut follower = corner.at_start(&[&one, &two]).await;
    for (at, expected) in all(&[&one, &two]).iter().zip(&expected) {
        let seen = follower.read(at, expected.len()).await;
        assert_eq!(texts(seen), *expected, "{at}");
    }
    for pending in pendings {
        let outcome = within("an append has its outcome", pending).await;
        outcome.unwrap();
    }
    follower.close().await;
}

/// A reader that waits at the end is woken by an append.
pub async fn a_waiting_reader_wakes(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let from = at(&topic, 0);
    let mut writer = corner.writer("0").await;
    let mut follower = corner.at_start(&[&topic]).await;
    for n in 0..50 {
        // The reader is asked first, so that it waits already when the append is made.
        let outputs = [output(&topic, 0, &[n.to_string()])];
        let (seen, appended) = tokio::join!(
            biased;
            follower.read(&from, n + 1),
            append(&mut writer, of(outputs)),
        );
        appended.unwrap();
        assert_eq!(seen.len(), n + 1);
        assert_eq!(seen[n].text(), n.to_string());
    }
    follower.close().await;
}

/// Waiting for the next event may be given up at any time, and nothing is lost or doubled.
pub async fn a_wait_may_be_dropped(fixture: &dyn Fixture) {
    const APPENDS: usize = 300;
    /// Waits that are dropped between two that are not, so that a log that has to begin anew after
    /// each comes forward too.
    const DROPPED: u64 = 20;
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut follower = corner.at_start(&[&topic]).await;
    let mut writer = corner.writer("0").await;
    let task = tokio::spawn({
        let topic = topic.clone();
        async move {
            for n in 0..APPENDS {
                let outputs =
                    (0..2).map(|p| output(&topic, p, &[format!("{n}a"), format!("{n}b")]));
                append(&mut writer, of(outputs)).await.unwrap();
            }
        }
    });
    let partitions = all(&[&topic]);
    let unread = |it: &Follower| partitions.iter().any(|at| it.seen(at).len() < 2 * APPENDS);
    while unread(&follower) {
        for n in 0..DROPPED {
            // One look without waiting, or up to about as long as an append takes.
            let event = match n % 4 {
                0 | 1 => look(follower.try_next()).await,
                ms => timeout(Duration::from_millis(ms), follower.try_next())
                    .await
                    .ok(),
            };
            if let Some(event) = event {
                event.unwrap();
            }
        }
        if unread(&follower) {
            follower.next().await;
        }
    }
    within("the writer is done", task).await.unwrap();
    let expected: Vec<String> = (0..APPENDS)
        .flat_map(|n| [format!("{n}a"), format!("{n}b")])
        .collect();
    for at in &partitions {
        assert_eq!(texts(follower.seen(at)), expected, "{at}");
    }
    follower.close().await;
}

/// A paused partition delivers nothing, while others do.
pub async fn a_paused_partition_delivers_nothing(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let (paused, other) = (at(&topic, 0), at(&topic, 1));
    let mut writer = corner.writer("0").await;
    let mut both = async |n: usize| {
        let outputs = (0..2).map(|p| output(&topic, p, &[n.to_string()]));
        append_ok(&mut writer, of(outputs)).await;
    };
    both(0).await;
    both(1).await;
    let mut follower = corner.at_start(&[&topic]).await;
    // Records of it lie ready, some of them perhaps fetched already.
    follower.read(&other, 1).await;
    follower.pause(std::slice::from_ref(&paused));
    // From here on the follower fails when the paused one delivers.
    for n in 2..20 {
        both(n).await;
        follower.read(&other, n + 1).await;
    }
    follower.resume(std::slice::from_ref(&paused));
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for at in [paused, other] {
        assert_eq!(texts(follower.read(&at, 20).await), expected, "{at}");
    }
    follower.close().await;
}

/// A partition that is resumed goes on where it stood, however often it was paused.
pub async fn a_resumed_partition_goes_on_where_it_stood(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let partitions = all(&[&topic]);
    let mut writer = corner.writer("0").await;
    let mut follower = corner.at_start(&[&topic]).await;
    let mut expected = Vec::new();
    for n in 0..60 {
        let text = n.to_string();
        let outputs = (0..2).map(|p| output(&topic, p, &[&text]));
        append_ok(&mut writer, of(outputs)).await;
        expected.push(text);
        // Each in turn; pausing twice is as good as once.
        let paused = &partitions[n % 2..=n % 2];
        follower.pause(paused);
        follower.pause(paused);
        // The other one has a record that is not read yet.
        let event = follower.next().await;
        assert!(matches!(event, ReaderEvent::Batch(_)), "{event:?}");
        follower.resume(paused);
    }
    for at in &partitions {
        assert_eq!(texts(follower.read(at, 60).await), expected, "{at}");
    }
    follower.close().await;
}

/// A partition that is paused stays so when it is sought, and goes on from there when resumed.
pub async fn a_seek_does_not_resume(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let (paused, other) = (at(&topic, 0), at(&topic, 1));
    let mut writer = corner.writer("0").await;
    let outputs = (0..2).map(|p| output(&topic, p, &["a", "b", "c"]));
    append_ok(&mut writer, of(outputs)).await;
    let mut follower = corner.at_start(&[&topic]).await;
    let second = follower.read(&paused, 3).await[1].offset;
    follower.take(&paused);
    follower.pause(std::slice::from_ref(&paused));
    follower.seek(&paused, second);
    // The follower fails when the paused one delivers meanwhile.
    append_ok(&mut writer, of([output(&topic, 1, &["d"])])).await;
    follower.read(&other, 4).await;
    follower.resume(std::slice::from_ref(&paused));
    assert_eq!(texts(follower.read(&paused, 2).await), ["b", "c"]);
    follower.close().await;
}
