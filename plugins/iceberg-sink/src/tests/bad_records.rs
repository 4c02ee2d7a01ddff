//! A bad record is named, and takes nothing with it.

use jackfield_sdk::sink::SchemasError;
use jackfield_sdk::{Rejection, Schema, SchemaKind};

use super::*;

fn rejected(outcome: Result<Taken, Failure>) -> Vec<Rejection> {
    match outcome {
        Err(Failure::Rejected(bad)) => bad,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_bad_record_of_a_batch_is_named_and_nothing_is_taken() {
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    let good = |id| Some(Trade::new("BTCUSDT", id).datum());
    put(
        &mut task,
        &span(0, 0, 2),
        &batch_of(world.schema, &[(0, good(0)), (1, good(1))]),
    )
    .unwrap();

    let cut = good(3).map(|mut it| {
        it.truncate(12);
        it
    });
    let longer = good(5).map(|mut it| {
        it.push(0);
        it
    });
    let mut not_text = good(7).unwrap();
    not_text[1] = 0xff;
    let records = [
        (2, good(2)),
        (3, cut),
        (4, good(4)),
        (5, longer),
        (6, None),
        (7, Some(not_text)),
        (8, Some(Vec::new())),
        (9, good(9)),
    ];
    let bad = rejected(put(
        &mut task,
        &span(0, 2, 10),
        &batch_of(world.schema, &records),
    ));
    let indexes: Vec<_> = bad.iter().map(|it| it.index).collect();
    assert_eq!(indexes, [1, 3, 4, 5, 6]);
    assert!(
        bad[1].reason.contains("1 bytes are left over"),
        "{}",
        bad[1].reason
    );
    assert!(bad[2].reason.contains("tombstone"), "{}", bad[2].reason);
    assert!(bad[3].reason.contains("`symbol`"), "{}", bad[3].reason);

    // The host puts the rest under the same span.
    let rest = [(2, good(2)), (4, good(4)), (9, good(9))];
    let taken = put(&mut task, &span(0, 2, 10), &batch_of(world.schema, &rest)).unwrap();
    assert_eq!(taken.counts.records, 3);
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 10)], "c1")
        .unwrap();
    assert_eq!(world.trade_ids(), [0, 1, 2, 4, 9]);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
}

#[test]
fn decimals_are_not_rounded_and_unions_are_strict() {
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    let schema = world.lake.schemas.avro(
        r#"{"type":"record","name":"R","fields":[
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
            {"name":"u","type":["null","boolean"]}]}"#,
    );
    let mut task = world.task();
    let record = |number: i128, rest: &[u8]| {
        let mut datum = Vec::new();
        decimal(number, &mut datum);
        datum.extend_from_slice(rest);
        Some(datum)
    };
    let records = [
        (0, record(9999, &[0])),
        (1, record(10_000, &[0])),
        (2, record(-10_000, &[0])),
        (3, record(1, &[2, 1])),
        (4, record(1, &[2, 2])),
        (5, record(1, &[4])),
        (6, record(1, &[1])),
    ];
    let bad = rejected(put(&mut task, &span(0, 0, 7), &batch_of(schema, &records)));
    let reasons: Vec<_> = bad
        .iter()
        .map(|it| (it.index, it.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (1, "`d`: more digits than decimal(4, 2) holds"),
            (2, "`d`: more digits than decimal(4, 2) holds"),
            (4, "`u`: 2 is not a boolean"),
            (5, "`u`: 2 is not a branch of the union"),
            (6, "`u`: -1 is not a branch of the union"),
        ]
    );
}

#[test]
fn a_registry_that_is_away_costs_nothing() {
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    world
        .lake
        .schemas
        .fail(SchemasError::Transient("away".to_owned()));
    let batch = trades(world.schema, &[Trade::new("BTCUSDT", 0)]);
    let failure = put(&mut task, &span(0, 0, 1), &batch).unwrap_err();
    assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
    put(&mut task, &span(0, 0, 1), &batch).unwrap();
}

#[test]
fn a_registry_that_refuses_is_for_a_person_to_mend() {
    let world = World::new(by_day_and_symbol());
    let refused = SchemasError::Refused("it refuses our credentials".to_owned());
    world.lake.schemas.fail(refused);
    let batch = trades(world.schema, &[Trade::new("BTCUSDT", 0)]);
    match put(&mut world.task(), &span(0, 0, 1), &batch) {
        Err(Failure::Misconfigured(why)) => assert!(why.contains("credentials"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_without_avro_is_for_a_person_to_mend() {
    let world = World::new(by_day_and_symbol());
    let json = world.lake.schemas.add(Schema {
        kind: SchemaKind::Json,
        text: "{}".to_owned(),
    });
    let union = world.lake.schemas.avro(
        r#"{"type":"record","name":"R","fields":[{"name":"u","type":["null","int","string"]}]}"#,
    );
    for (schema, part) in [(json, "not Avro"), (union, "union")] {
        let batch = batch_of(schema, &[(0, Some(vec![0]))]);
        match put(&mut world.task(), &span(0, 0, 1), &batch) {
            Err(Failure::Misconfigured(why)) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_record_of_no_schema_or_an_unknown_one_is_bad() {
    let world = World::new(by_day_and_symbol());
    for (schema, part) in [(0, "no schema"), (99, "no schema 99")] {
        let batch = batch_of(schema, &[(0, Some(vec![0])), (1, None)]);
        let bad = rejected(put(&mut world.task(), &span(0, 0, 2), &batch));
        assert_eq!(bad.len(), 2);
        assert!(bad[0].reason.contains(part), "{}", bad[0].reason);
    }
    // Unless the table has been past it.
    world.land(0, 0, 5, "c1").unwrap();
    let mut task = world.task();
    task.assigned(world.held()).unwrap();
    let taken = put(
        &mut task,
        &span(0, 3, 4),
        &batch_of(0, &[(3, Some(vec![0]))]),
    )
    .unwrap();
    assert_eq!(taken.counts.duplicates, 1);
}

#[test]
fn two_schemas_in_one_batch_are_taken_or_rejected_together() {
    let world = World::new(by_day_and_symbol());
    let same = world.lake.schemas.avro(TRADE);
    let mut writer = BatchWriter::new();
    let mut push = |offset: i64, schema: u32, value: &[u8]| {
        writer
            .push_at(
                offset,
                &Record {
                    timestamp_ms: 0,
                    key: None,
                    value: Some(value),
                    schemas: SchemaIds {
                        value: schema,
                        key: 0,
                    },
                    headers: Headers::default(),
                },
            )
            .unwrap();
    };
    push(0, world.schema, &Trade::new("A", 0).datum());
    push(1, same, &Trade::new("A", 1).datum());
    push(2, world.schema, b"bad");
    let batch = writer.finish();
    let mut task = world.task();
    assert_eq!(rejected(put(&mut task, &span(0, 0, 3), &batch))[0].index, 2);
    assert_eq!(task.stage().unwrap(), vec![]);
}
