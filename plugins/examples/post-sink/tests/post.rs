//! The sink on the SDK's fakes, without wasm.

#![allow(clippy::unwrap_used)]

use jackfield_sdk::batch::{Batch, BatchWriter, Headers, Limits, Record, SchemaIds};
use jackfield_sdk::sink::testing::FakeLake;
use jackfield_sdk::sink::{HttpError, Sink, Span, Taken};
use jackfield_sdk::{Context, Delivery, Failure, Role, parse_settings};
use post_sink::Post;

const SCHEMA: &str =
    r#"{"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]}"#;

fn open(lake: &FakeLake, role: Role) -> Result<Post, Failure> {
    let settings = parse_settings(r#"{"url": "https://a.example/lines"}"#).unwrap();
    let (connector, delivery, tasks) = ("test".to_owned(), Delivery::AtLeastOnce, 1);
    let context = Context {
        connector,
        delivery,
        role,
        tasks,
    };
    Post::open(lake.ports(), context, settings, None)
}

fn span(first_offset: i64, next_offset: i64) -> Span {
    let (topic, topic_id) = ("t".to_owned(), "id".to_owned());
    Span {
        topic,
        topic_id,
        partition: 3,
        first_offset,
        next_offset,
    }
}

/// Puts values as the records of one partition, from `first` on.
fn put(sink: &mut Post, schema: u32, first: i64, values: &[&[u8]]) -> Result<Taken, Failure> {
    let mut batch = BatchWriter::new();
    for (offset, value) in (first..).zip(values) {
        let record = Record {
            timestamp_ms: 0,
            key: None,
            value: Some(value),
            schemas: SchemaIds {
                value: schema,
                key: 0,
            },
            headers: Headers::default(),
        };
        batch.push_at(offset, &record).unwrap();
    }
    let next = first + i64::try_from(values.len()).unwrap();
    let bytes = batch.finish();
    sink.put(
        &span(first, next),
        &Batch::parse(&bytes, &Limits::default()).unwrap(),
    )
}

fn bodies(lake: &FakeLake) -> Vec<String> {
    let requests = lake.http.requests().into_iter();
    requests
        .map(|it| String::from_utf8(it.body).unwrap())
        .collect()
}

#[test]
fn what_was_put_is_posted_by_stage_and_counted_by_commit() -> Result<(), Failure> {
    let lake = FakeLake::without_tables();
    let schema = lake.schemas.avro(SCHEMA);
    let mut task = open(&lake, Role::Task(0))?;
    // A long is zig-zag: 14 is 7.
    put(&mut task, schema, 5, &[&[14], &[16]])?;
    assert_eq!(bodies(&lake).len(), 0, "a put only gathers");
    lake.http.answer(204);
    let pieces = task.stage()?;
    assert_eq!(
        bodies(&lake),
        [
            "{\"offset\":5,\"partition\":3,\"topic\":\"t\",\"value\":{\"n\":7}}\n\
          {\"offset\":6,\"partition\":3,\"topic\":\"t\",\"value\":{\"n\":8}}\n"
        ]
    );
    let mut committer = open(&lake, Role::Committer)?;
    let committed = committer.commit(&pieces[0].target, &pieces, &[span(5, 7)], "id")?;
    assert_eq!(committed.rows, 2);
    assert_eq!(task.stage()?, [], "nothing new, nothing to commit");
    Ok(())
}

#[test]
fn a_stage_that_has_to_be_repeated_goes_on_with_what_was_not_taken() -> Result<(), Failure> {
    let lake = FakeLake::without_tables();
    let mut task = open(&lake, Role::Task(0))?;
    put(&mut task, 0, 0, &[b"one"])?;
    lake.http.answer(503);
    assert!(matches!(task.stage(), Err(Failure::Retry { .. })));
    lake.http.prepare(Err(HttpError::Timeout));
    assert!(matches!(task.stage(), Err(Failure::Retry { .. })));
    lake.http.answer(200);
    assert_eq!(task.stage()?.len(), 1);
    assert_eq!(bodies(&lake).len(), 3);
    Ok(())
}

#[test]
fn every_bad_record_is_named_and_nothing_of_the_batch_is_taken() -> Result<(), Failure> {
    let lake = FakeLake::without_tables();
    let schema = lake.schemas.avro(SCHEMA);
    let mut task = open(&lake, Role::Task(0))?;
    let Err(Failure::Rejected(bad)) = put(&mut task, schema, 0, &[&[], &[14], &[0x80]]) else {
        panic!("two of three are no long");
    };
    assert_eq!(bad.iter().map(|it| it.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(task.stage()?, []);
    Ok(())
}

#[test]
fn a_full_buffer_is_posted_by_put_and_what_is_discarded_never() -> Result<(), Failure> {
    let lake = FakeLake::without_tables();
    let mut task = open(&lake, Role::Task(0))?;
    let large = vec![b'x'; 200 * 1024];
    let mut next = 0;
    while !put(&mut task, 0, next, &[&large])?.stage_now {
        next += 1;
    }
    assert_eq!(bodies(&lake).len(), 0);
    let refused = (0..100).find_map(|it| put(&mut task, 0, next + it, &[&large]).err());
    assert!(
        matches!(refused, Some(Failure::Misconfigured(_))),
        "no answer is prepared: denied"
    );
    assert_eq!(bodies(&lake).len(), 1);
    task.discard();
    assert_eq!(task.stage()?, []);
    assert_eq!(bodies(&lake).len(), 1);
    Ok(())
}

#[test]
fn a_status_that_waiting_does_not_mend_is_for_a_person() -> Result<(), Failure> {
    let lake = FakeLake::without_tables();
    let mut task = open(&lake, Role::Task(0))?;
    put(&mut task, 0, 0, &[b"one"])?;
    lake.http.answer(401);
    assert!(matches!(task.stage(), Err(Failure::Misconfigured(_))));
    Ok(())
}
