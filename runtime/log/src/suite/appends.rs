//! What an append answers, and that all of it lands.

use super::Fixture;
use super::bounds::{known, within};
use super::corner::{Corner, append, append_ok, close};
use super::records::{Owned, Seen, of, output, pack, position, push, texts};
use crate::{Append, Appended, InboxMark, Output};
use jackfield_batch::{BATCH_BYTES_MAX, BatchWriter, RECORDS_MAX};
use uuid::Uuid;

/// Appends on their way at once.
const IN_FLIGHT: usize = 300;

/// The offset of each output's first record is told, in the order of the outputs.
pub async fn first_offsets_tell_where_each_output_begins(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 3).await;
    let mut writer = corner.writer("0").await;
    let mut expected: Vec<(i32, i64, String)> = Vec::new();
    for round in 0..5 {
        let to = [(0, "a"), (2, "b"), (1, "c"), (0, "d")];
        let heads = to.map(|(_, name)| format!("{round}{name}"));
        let outputs = to.iter().zip(&heads).map(|((partition, _), head)| {
            output(&topic, *partition, &[head.clone(), format!("{head}+")])
        });
        let appended = append_ok(&mut writer, of(outputs)).await;
        assert_eq!(appended.first_offsets.len(), to.len());
        for (i, head) in heads.into_iter().enumerate() {
            expected.push((to[i].0, appended.first_offsets[i], head));
        }
    }
    let content = corner.content(&topic).await;
    for (partition, first, head) in expected {
        let seen = &content[usize::try_from(partition).unwrap()];
        let found = seen.iter().find(|it| it.offset == first).map(Seen::text);
        assert_eq!(found, Some(&*head), "{partition} at {first}");
    }
}

/// Several outputs for one partition lie there in their order.
pub async fn outputs_for_one_partition_keep_their_order(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let outputs = [
        output(&topic, 0, &["a", "b"]),
        output(&topic, 1, &["x"]),
        output(&topic, 0, &["c"]),
        output(&topic, 0, &["d", "e"]),
        output(&topic, 1, &["y"]),
    ];
    let appended = append_ok(&mut corner.writer("0").await, of(outputs)).await;
    let first = &appended.first_offsets;
    assert!(first[0] < first[2] && first[2] < first[3], "{first:?}");
    assert!(first[1] < first[4], "{first:?}");
    let content = corner.content(&topic).await;
    assert_eq!(texts(&content[0]), ["a", "b", "c", "d", "e"]);
    assert_eq!(texts(&content[1]), ["x", "y"]);
}

/// Records for several topics, positions and the mark land together.
pub async fn an_append_lands_with_all_its_parts(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (one, two) = (corner.topic("one", 2).await, corner.topic("two", 1).await);
    let what = Append {
        outputs: vec![
            output(&one, 0, &["a"]),
            output(&two, 0, &["b"]),
            output(&one, 1, &["c"]),
        ],
        positions: vec![position("p", 1), position("q", 2)],
        mark: Some(InboxMark {
            epoch: Uuid::new_v4(),
            done_through: 3,
        }),
    };
    append_ok(&mut corner.writer("0").await, what.clone()).await;
    let stored = corner.stored("0").await;
    assert_eq!(stored.positions, what.positions);
    assert_eq!(stored.mark, what.mark);
    let content = corner.content(&one).await;
    assert_eq!(texts(&content[0]), ["a"]);
    assert_eq!(texts(&content[1]), ["c"]);
    assert_eq!(texts(&corner.content(&two).await[0]), ["b"]);
}

/// An append of positions alone, or of a mark alone, lands like any other.
pub async fn an_append_without_records_lands(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let mut writer = corner.writer("0").await;
    let positions = Append {
        positions: vec![position("p", 1)],
        ..Append::default()
    };
    let mark = InboxMark {
        epoch: Uuid::new_v4(),
        done_through: 9,
    };
    let marked = Append {
        mark: Some(mark),
        ..Append::default()
    };
    for what in [positions, marked] {
        assert_eq!(append_ok(&mut writer, what).await, Appended::default());
    }
    let stored = corner.stored("0").await;
    assert_eq!(stored.positions, [position("p", 1)]);
    assert_eq!(stored.mark, Some(mark));
}

/// Once the outcome of an append is known, so are those of all appends before it.
pub async fn outcomes_resolve_in_the_order_of_calls(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 3).await;
    let mut writer = corner.writer("0").await;
    let mut pendings = Vec::new();
    for n in 0..IN_FLIGHT {
        // Sizes differ, so that a log that serves them apart has small ones overtake.
        let partition = i32::try_from(n % 3).unwrap();
        let padding = if n % 5 == 0 { 20_000 } else { 1 };
        let outputs = [output(&topic, partition, &[format!("{n:0padding$}")])];
        let queued = writer.append(of(outputs));
        pendings.push(within("an append is queued", queued).await.unwrap());
    }
    // Every tenth is waited for; those before it must be known then.
    let mut earlier = Vec::new();
    for (n, pending) in pendings.into_iter().enumerate() {
        if n % 10 != 9 {
            earlier.push(pending);
            continue;
        }
        within("an append has its outcome", pending).await.unwrap();
        for pending in earlier.drain(..) {
            known(pending).await.unwrap();
        }
    }
    assert_counted(&corner.content(&topic).await, IN_FLIGHT);
}

/// More appends than a log can have on their way are taken all the same, even when nobody looks at
/// the outcomes meanwhile.
pub async fn appends_wait_for_room_and_go_on(fixture: &dyn Fixture) {
    // 50 MB in all, so that a log has to make the writer wait or holds all of it in memory.
    const APPENDS: usize = 200;
    const RECORD_BYTES: usize = BATCH_BYTES_MAX - 1024;
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    let record = Owned {
        value: Some(vec![b'x'; RECORD_BYTES]),
        ..Owned::text("")
    };
    let batch = pack(&[record]);
    let mut pendings = Vec::new();
    for _ in 0..APPENDS {
        let outputs = [Output {
            topic: topic.name.clone(),
            partition: 0,
            batch: batch.clone(),
        }];
        let queued = writer.append(of(outputs));
        pendings.push(within("an append is queued", queued).await.unwrap());
    }
    let mut last = None;
    for pending in pendings {
        let outcome = within("an append has its outcome", pending).await;
        let first = outcome.unwrap().first_offsets[0];
        assert!(last < Some(first), "{first} after {last:?}");
        last = Some(first);
    }
}

/// A `Pending` that is dropped changes nothing about its append.
pub async fn a_dropped_pending_lands_all_the_same(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    for n in 0..20 {
        let queued = writer.append(of([output(&topic, 0, &[n.to_string()])]));
        drop(within("an append is queued", queued).await.unwrap());
    }
    append_ok(&mut writer, of([output(&topic, 0, &["20"])])).await;
    assert_counted(&corner.content(&topic).await, 21);
}

/// When closing a writer returns, the outcomes of all its appends are known.
pub async fn closing_waits_for_what_is_in_flight(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    let mut pendings = Vec::new();
    for n in 0..IN_FLIGHT {
        let queued = writer.append(of([output(&topic, 0, &[n.to_string()])]));
        pendings.push(within("an append is queued", queued).await.unwrap());
    }
    close(writer).await;
    for pending in pendings {
        known(pending).await.unwrap();
    }
    assert_counted(&corner.content(&topic).await, IN_FLIGHT);
}

/// Writers of different identities append to one partition at once; all records land, each
/// writer's in its order.
pub async fn writers_share_a_partition(fixture: &dyn Fixture) {
    const APPENDS: usize = 50;
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writers = tokio::task::JoinSet::new();
    for slot in ["a", "b", "c"] {
        let (mut writer, topic) = (corner.writer(slot).await, topic.clone());
        writers.spawn(async move {
            for n in 0..APPENDS {
                let outputs = [output(&topic, 0, &[format!("{slot}{n}")])];
                append(&mut writer, of(outputs)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let content = corner.content(&topic).await;
    for slot in ["a", "b", "c"] {
        let own: Vec<&str> = texts(&content[0])
            .into_iter()
            .filter(|text| text.starts_with(slot))
            .collect();
        let expected: Vec<String> = (0..APPENDS).map(|n| format!("{slot}{n}")).collect();
        assert_eq!(own, expected);
    }
    assert_eq!(content[0].len(), 3 * APPENDS);
}

/// A batch of as many records as are allowed lands, and one of as many bytes.
pub async fn the_largest_batches_land(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let records = usize::try_from(RECORDS_MAX).unwrap();
    let many: Vec<String> = (0..records).map(|n| n.to_string()).collect();
    let mut writer = BatchWriter::new();
    let small = Owned::text("large");
    push(&mut writer, &small);
    let room = BATCH_BYTES_MAX - writer.encoded_len();
    writer.finish();
    let mut value = b"large".to_vec();
    value.resize(value.len() + room, b'x');
    let large = Owned {
        value: Some(value),
        ..small
    };
    let batch = pack(std::slice::from_ref(&large));
    assert_eq!(batch.len(), BATCH_BYTES_MAX);
    let large_output = Output {
        topic: topic.name.clone(),
        partition: 1,
        batch,
    };
    let outputs = [output(&topic, 0, &many), large_output];
    append_ok(&mut corner.writer("0").await, of(outputs)).await;
    let content = corner.content(&topic).await;
    assert_eq!(texts(&content[0]), many);
    assert_eq!(content[1].len(), 1);
    assert!(content[1][0].record == large, "the large record is another");
}

/// That the records are the numbers from 0 on, each partition's in order. They may have leading
/// zeros.
fn assert_counted(content: &[Vec<Seen>], count: usize) {
    let mut all = Vec::new();
    for seen in content {
        let numbers: Vec<usize> = seen.iter().map(|it| it.text().parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "out of order: {numbers:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}
