//! Appends that are wrong: refused by the call itself, after which the writer goes on.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, append, append_ok};
use super::records::{Owned, of, output, pack, position, push, texts};
use crate::{Append, InboxMark, LogError, Output, Stored, TopicInfo, Writer};
use bytes::Bytes;
use jackfield_batch::{BatchWriter, Limits, RECORDS_MAX, stamp_first_offset};
use uuid::Uuid;

/// An append to a topic or a partition that there is not is refused, and makes neither.
pub async fn an_append_to_nowhere_is_refused(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let unknown = TopicInfo {
        name: corner.name("unknown").into(),
        ..topic.clone()
    };
    refused(&mut writer, of([output(&unknown, 0, &["a"])])).await;
    for partition in [2, -1, i32::MAX] {
        refused(&mut writer, of([output(&topic, partition, &["a"])])).await;
    }
    assert_eq!(corner.describe(&unknown.name).await, None);
    goes_on(&corner, &topic, writer).await;
}

/// An append with a batch of no record is refused.
pub async fn an_append_of_no_record_is_refused(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    refused(&mut writer, of([raw(&topic, pack(&[]))])).await;
    goes_on(&corner, &topic, writer).await;
}

/// An append of bytes that are no batch, or a batch beyond the limits, is refused.
pub async fn a_malformed_batch_is_refused(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let sound = pack(&[Owned::text("a"), Owned::text("b")]);
    let cut_off = sound.slice(..sound.len() - 1);
    let mut longer = sound.to_vec();
    longer.push(0);
    let mut other_magic = sound.to_vec();
    other_magic[0] ^= 1;
    let mut other_version = sound.to_vec();
    other_version[4] = u8::MAX;
    let mut too_many = BatchWriter::with_limits(Limits {
        records_max: RECORDS_MAX + 1,
        ..Limits::default()
    });
    for _ in 0..=RECORDS_MAX {
        push(&mut too_many, &Owned::text("x"));
    }
    for bytes in [
        Bytes::new(),
        Bytes::from_static(b"no batch at all"),
        cut_off,
        longer.into(),
        other_magic.into(),
        other_version.into(),
        too_many.finish().into(),
    ] {
        refused(&mut writer, of([raw(&topic, bytes)])).await;
    }
    goes_on(&corner, &topic, writer).await;
}

/// An append of a batch that says already where it lies is refused: the log says that.
pub async fn a_batch_with_coordinates_is_refused(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let mut bytes = pack(&[Owned::text("a")]).to_vec();
    stamp_first_offset(&mut bytes, 7);
    refused(&mut writer, of([raw(&topic, bytes.into())])).await;
    goes_on(&corner, &topic, writer).await;
}

/// When one part of an append is wrong, nothing of its other parts lands.
pub async fn nothing_lands_of_a_refused_append(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 2).await;
    let mut writer = corner.writer("0").await;
    let wrong = [
        output(&topic, 9, &["wrong"]),
        raw(&topic, pack(&[])),
        raw(&topic, Bytes::from_static(b"no batch at all")),
    ];
    for wrong in wrong {
        let what = Append {
            outputs: vec![
                output(&topic, 0, &["before"]),
                wrong,
                output(&topic, 1, &["after"]),
            ],
            positions: vec![position("p", 1)],
            mark: Some(InboxMark {
                epoch: Uuid::new_v4(),
                done_through: 1,
            }),
        };
        refused(&mut writer, what).await;
    }
    assert_eq!(corner.stored("0").await, Stored::default());
    goes_on(&corner, &topic, writer).await;
}

/// A refusal touches neither the appends that are on their way nor those after it.
pub async fn a_refused_append_disturbs_none_in_flight(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", 1).await;
    let mut writer = corner.writer("0").await;
    let numbers: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let mut pendings = Vec::new();
    for n in &numbers {
        let queued = writer.append(of([output(&topic, 0, &[n])]));
        pendings.push(within("an append is queued", queued).await.unwrap());
        refused(&mut writer, of([output(&topic, 1, &["wrong"])])).await;
    }
    for pending in pendings {
        let outcome = within("an append has its outcome", pending).await;
        outcome.unwrap();
    }
    assert_eq!(texts(&corner.content(&topic).await[0]), numbers);
}

/// An append to a topic that was deleted meanwhile fails, by the call or by its outcome, and lands
/// nowhere else either.
pub async fn an_append_to_a_deleted_topic_fails(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (gone, kept) = (corner.topic("gone", 1).await, corner.topic("kept", 1).await);
    let mut writer = corner.writer("0").await;
    append_ok(&mut writer, of([output(&gone, 0, &["a"])])).await;
    corner.delete(&gone.name).await.unwrap();
    let outputs = [output(&kept, 0, &["b"]), output(&gone, 0, &["b"])];
    let outcome = append(&mut writer, of(outputs)).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(corner.describe(&gone.name).await, None);
    assert!(corner.content(&kept).await[0].is_empty());
}

/// An output for partition 0 of bytes that may be no batch.
fn raw(topic: &TopicInfo, batch: Bytes) -> Output {
    Output {
        topic: topic.name.clone(),
        partition: 0,
        batch,
    }
}

/// That the call itself refuses an append.
async fn refused(writer: &mut Box<dyn Writer>, what: Append) {
    let outcome = within("an append is refused", writer.append(what)).await;
    match outcome {
        Err(LogError::Rejected(_)) => {}
        other => panic!("an append must be rejected by its call: {other:?}"),
    }
}

/// That the writer appends, and that nothing else is in the topic.
async fn goes_on(corner: &Corner, topic: &TopicInfo, mut writer: Box<dyn Writer>) {
    append_ok(&mut writer, of([output(topic, 1, &["good"])])).await;
    let content = corner.content(topic).await;
    assert!(content[0].is_empty(), "{:?}", texts(&content[0]));
    assert_eq!(texts(&content[1]), ["good"]);
}
