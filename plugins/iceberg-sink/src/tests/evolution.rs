//! A topic's schema changes, and the table's with it.

// By their paths, since `by_requirements.rs` has this file as a module too.
#[path = "evolution/clashes.rs"]
mod clashes;
#[path = "evolution/others.rs"]
mod others;
#[path = "evolution/partitions.rs"]
mod partitions;
#[path = "evolution/renames.rs"]
mod renames;

use iceberg::spec::{PrimitiveType, Type};
use jackfield_sdk::sink::testing::CommitFate;

use super::*;

fn schema_text(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

const FIRST: &str = r#"{"name":"id","type":"int"},{"name":"n","type":"float"},
    {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"s","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}},
    {"name":"l","type":{"type":"array","items":{"type":"record","name":"I","fields":[
        {"name":"y","type":"int"}]}}}"#;

fn first(id: i32) -> Value {
    record([
        ("id", Value::Int(id)),
        ("n", Value::Float(0.5)),
        ("d", Value::Decimal(vec![1].into())),
        ("s", record([("x", Value::Int(1))])),
        ("l", Value::Array(vec![record([("y", Value::Int(2))])])),
    ])
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter();
    Value::Record(fields.map(|(name, it)| (name.to_owned(), it)).collect())
}

fn null_or(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

fn world(evolve: &str) -> World {
    let json = format!(r#"{{"table":"market.trades","evolve":"{evolve}"}}"#);
    World::guarded_by(GUARD, settings(&json))
}

fn put_one(
    world: &World,
    task: &mut IcebergSink,
    offset: i64,
    text: &str,
    value: Value,
) -> Result<Taken, Failure> {
    let schema = world.lake.schemas.avro(text);
    let batch = batch_of(schema, &[(offset, Some(datum(text, value)))]);
    put(task, &span(0, offset, offset + 1), &batch)
}

fn commit(world: &World, pieces: &[Piece], from: i64, to: i64) -> Result<Committed, Failure> {
    world
        .committer()
        .commit(TABLE, pieces, &[span(0, from, to)], &format!("c{from}"))
}

/// One record of a schema, all the way.
fn land(world: &World, offset: i64, text: &str, value: Value) -> Result<(), Failure> {
    let mut task = world.task();
    put_one(world, &mut task, offset, text, value)?;
    let pieces = task.stage()?;
    commit(world, &pieces, offset, offset + 1).map(drop)
}

fn column(world: &World, name: &str) -> (i32, bool, Type) {
    let metadata = world.metadata();
    let field = metadata.current_schema().field_by_name(name).unwrap();
    (field.id, field.required, field.field_type.as_ref().clone())
}

/// As the manifests say: the library's reader can't fill in nested columns that a file lacks.
fn rows(world: &World) -> u64 {
    world.files().iter().map(DataFile::record_count).sum()
}

#[test]
fn new_fields_become_optional_columns_in_the_commit_of_their_first_rows() {
    let world = world("add");
    land(&world, 0, &schema_text(FIRST), first(0)).unwrap();
    let before = world.metadata();
    let more = schema_text(
        &FIRST
            .replace(
                r#"{"name":"x","type":"int"}"#,
                r#"{"name":"x","type":"int"},{"name":"z","type":"string","doc":"New."}"#,
            )
            .replace(
                r#"{"name":"y","type":"int"}"#,
                r#"{"name":"w","type":["null","long"]},{"name":"y","type":"int"}"#,
            )
            .replace(
                r#"{"name":"id","type":"int"}"#,
                r#"{"name":"venue","type":"string"},{"name":"id","type":"int"}"#,
            ),
    );
    let value = record([
        ("venue", Value::String("A".to_owned())),
        ("id", Value::Int(1)),
        ("n", Value::Float(0.5)),
        ("d", Value::Decimal(vec![1].into())),
        (
            "s",
            record([("x", Value::Int(1)), ("z", Value::String("zz".to_owned()))]),
        ),
        (
            "l",
            Value::Array(vec![record([
                ("w", null_or(Value::Long(7))),
                ("y", Value::Int(2)),
            ])]),
        ),
    ]);
    let mut task = world.task();
    put_one(&world, &mut task, 1, &schema_text(FIRST), first(1)).unwrap();
    let taken = put_one(&world, &mut task, 2, &more, value.clone()).unwrap();
    assert!(taken.stage_now, "files of two schemas wait for nothing");
    let pieces = task.stage().unwrap();
    assert_eq!(world.metadata(), before, "nothing before the commit");
    commit(&world, &pieces, 1, 3).unwrap();
    // The task goes on without looking at the table again.
    put_one(&world, &mut task, 3, &more, value).unwrap();
    put_one(&world, &mut task, 4, &schema_text(FIRST), first(4)).unwrap();
    let pieces = task.stage().unwrap();
    commit(&world, &pieces, 3, 5).unwrap();

    let metadata = world.metadata();
    assert_eq!(metadata.schemas_iter().count(), 2);
    let snapshots: Vec<_> = metadata.snapshots().collect();
    assert_eq!(snapshots.len(), 3, "the schema took no commit of its own");
    let newest = metadata.current_snapshot().unwrap();
    assert_eq!(newest.schema_id(), Some(metadata.current_schema_id()));
    let last = before.last_column_id();
    for (name, ty) in [
        ("venue", PrimitiveType::String),
        ("s.z", PrimitiveType::String),
        ("l.element.w", PrimitiveType::Long),
    ] {
        let (id, required, there) = column(&world, name);
        assert!(id > last && !required, "{name}");
        assert_eq!(there, Type::Primitive(ty), "{name}");
    }
    assert!(column(&world, "id").1, "what was there stays as it was");
    assert_eq!(rows(&world), 5);
}

#[test]
fn full_widens_and_loosens_and_renames() {
    let world = world("full");
    land(&world, 0, &schema_text(FIRST), first(0)).unwrap();
    let id = column(&world, "id").0;
    let next = schema_text(
        r#"{"name":"key","aliases":["id"],"type":"long"},{"name":"n","type":["null","double"]},
           {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},
           {"name":"s","type":{"type":"record","name":"S","fields":[{"name":"x","type":"long"}]}}"#,
    );
    let value = record([
        ("key", Value::Long(1 << 40)),
        ("n", null_or(Value::Double(0.1))),
        ("d", Value::Decimal(vec![1].into())),
        ("s", record([("x", Value::Long(1 << 40))])),
    ]);
    land(&world, 1, &next, value).unwrap();
    assert_eq!(
        column(&world, "key"),
        (id, true, Type::Primitive(PrimitiveType::Long))
    );
    let (_, required, ty) = column(&world, "n");
    assert_eq!(
        (required, ty),
        (false, Type::Primitive(PrimitiveType::Double))
    );
    assert_eq!(
        column(&world, "s.x").2,
        Type::Primitive(PrimitiveType::Long)
    );
    let decimal = PrimitiveType::Decimal {
        precision: 20,
        scale: 2,
    };
    assert_eq!(column(&world, "d").2, Type::Primitive(decimal));
    assert!(!column(&world, "l").1, "a field that is gone is null");
    // Records of the old schema fit what the table has become.
    let old = FIRST.replace(r#"{"name":"id""#, r#"{"name":"key""#);
    let Value::Record(mut fields) = first(2) else {
        panic!("a record")
    };
    fields[0].0 = "key".to_owned();
    land(&world, 2, &schema_text(&old), Value::Record(fields)).unwrap();
    assert_eq!(rows(&world), 3);
}

#[test]
fn a_field_inside_of_a_record_or_a_list_is_renamed_by_alias() {
    let world = world("full");
    land(&world, 0, &schema_text(FIRST), first(0)).unwrap();
    let before = [column(&world, "s.x").0, column(&world, "l.element.y").0];
    let next = FIRST
        .replace(r#"{"name":"x""#, r#"{"name":"z","aliases":["x"]"#)
        .replace(r#"{"name":"y""#, r#"{"name":"w","aliases":["y"]"#);
    let Value::Record(mut fields) = first(1) else {
        panic!("a record")
    };
    fields[3].1 = record([("z", Value::Int(7))]);
    fields[4].1 = Value::Array(vec![record([("w", Value::Int(8))])]);
    let renamed = Value::Record(fields);
    land(&world, 1, &schema_text(&next), renamed.clone()).unwrap();
    let after = [column(&world, "s.z").0, column(&world, "l.element.w").0];
    assert_eq!(before, after);
    let metadata = world.metadata();
    let schema = metadata.current_schema();
    assert!(schema.field_by_name("s.x").is_none());
    assert!(schema.field_by_name("l.element.y").is_none());
    assert_eq!(rows(&world), 2);
    // Without `full` such records are read all the same, and the columns keep their names.
    let kept = self::world("add");
    land(&kept, 0, &schema_text(FIRST), first(0)).unwrap();
    land(&kept, 1, &schema_text(&next), renamed).unwrap();
    assert_eq!(column(&kept, "s.x").0, before[0]);
    assert_eq!(rows(&kept), 2);
}

#[test]
fn what_can_not_be_done_stops_with_both_schemas_beside_each_other() {
    for (evolve, fields, said) in [
        (
            "off",
            r#"{"name":"id","type":"int"},{"name":"v","type":"int"}"#,
            "`v` (int) has no column",
        ),
        (
            "add",
            r#"{"name":"id","type":"long"}"#,
            "`id` is long in the topic, and int",
        ),
        (
            "add",
            r#"{"name":"id","type":["null","int"]}"#,
            "`id` can be null",
        ),
        (
            "full",
            r#"{"name":"id","type":"string"}"#,
            "`id` is string in the topic, and int",
        ),
        (
            "full",
            r#"{"name":"id","type":{"type":"array","items":"int"}}"#,
            "`id`",
        ),
    ] {
        let world = world(evolve);
        land(
            &world,
            0,
            &schema_text(r#"{"name":"id","type":"int"}"#),
            record([("id", Value::Int(0))]),
        )
        .unwrap();
        let before = world.metadata();
        let schema = world.lake.schemas.avro(&schema_text(fields));
        let batch = batch_of(schema, &[(1, Some(Vec::new()))]);
        let mut task = world.task();
        match put(&mut task, &span(0, 1, 2), &batch) {
            Err(Failure::Misconfigured(why)) => {
                assert!(why.contains(said), "{evolve}: {why}");
                assert!(why.contains("field") && why.contains("topic") && why.contains("table"));
            }
            other => panic!("{evolve}: {other:?}"),
        }
        assert_eq!(world.metadata(), before);
    }
}

#[test]
fn two_tasks_that_see_the_same_change_make_one_of_it() {
    let world = world("add");
    let one = schema_text(r#"{"name":"id","type":"int"}"#);
    land(&world, 0, &one, record([("id", Value::Int(0))])).unwrap();
    let two = schema_text(r#"{"name":"id","type":"int"},{"name":"v","type":"int"}"#);
    let value = |id| record([("id", Value::Int(id)), ("v", Value::Int(id))]);
    let (mut a, mut b) = (world.task(), world.task());
    put_one(&world, &mut a, 1, &two, value(1)).unwrap();
    put_one(&world, &mut b, 2, &two, value(2)).unwrap();
    let mut pieces = a.stage().unwrap();
    pieces.extend(b.stage().unwrap());
    commit(&world, &pieces, 1, 3).unwrap();
    assert_eq!(world.metadata().schemas_iter().count(), 2);
    assert_eq!(rows(&world), 3);
}

#[test]
fn two_tasks_that_gave_one_id_to_different_columns_write_again() {
    let world = world("add");
    let one = schema_text(r#"{"name":"id","type":"int"}"#);
    land(&world, 0, &one, record([("id", Value::Int(0))])).unwrap();
    let with = |name: &str| {
        schema_text(&format!(
            r#"{{"name":"id","type":"int"}},{{"name":"{name}","type":"int"}}"#
        ))
    };
    let value = |id: i32, name: &str| record([("id", Value::Int(id)), (name, Value::Int(id))]);
    let mut rewinds = 0;
    let (mut a, mut b) = (world.task(), world.task());
    loop {
        put_one(&world, &mut a, 1, &with("u"), value(1, "u")).unwrap();
        put_one(&world, &mut b, 2, &with("v"), value(2, "v")).unwrap();
        let mut pieces = a.stage().unwrap();
        pieces.extend(b.stage().unwrap());
        match commit(&world, &pieces, 1, 3) {
            Ok(_) => break,
            Err(Failure::Rewind(why)) => assert!(why.contains("written again"), "{why}"),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(rows(&world), 1, "no row before all fit");
        a.discard();
        b.discard();
        rewinds += 1;
        assert!(rewinds < 3, "each time round one more fits");
    }
    assert_eq!(rewinds, 1);
    assert_ne!(column(&world, "u").0, column(&world, "v").0);
    assert_eq!(rows(&world), 3);
}

#[test]
fn a_change_whose_commit_is_not_heard_is_made_once() {
    for fate in [CommitFate::UnknownDone, CommitFate::UnknownLost] {
        let world = world("add");
        let one = schema_text(r#"{"name":"id","type":"int"}"#);
        land(&world, 0, &one, record([("id", Value::Int(0))])).unwrap();
        let two = schema_text(r#"{"name":"id","type":"int"},{"name":"v","type":"int"}"#);
        world.lake.faults.commits([fate]);
        let value = record([("id", Value::Int(1)), ("v", Value::Int(1))]);
        land(&world, 1, &two, value).unwrap();
        assert_eq!(world.metadata().schemas_iter().count(), 2);
        assert_eq!(rows(&world), 2);
    }
}

#[test]
fn a_rejected_record_changes_nothing() {
    let world = world("add");
    let one = schema_text(r#"{"name":"id","type":"int"}"#);
    land(&world, 0, &one, record([("id", Value::Int(0))])).unwrap();
    let before = world.metadata();
    let two = world.lake.schemas.avro(&schema_text(
        r#"{"name":"id","type":"int"},{"name":"v","type":"int"}"#,
    ));
    let mut task = world.task();
    put_one(&world, &mut task, 1, &one, record([("id", Value::Int(1))])).unwrap();
    let batch = batch_of(two, &[(2, Some(vec![1]))]);
    let told = put(&mut task, &span(0, 2, 3), &batch);
    assert!(matches!(told, Err(Failure::Rejected(_))), "{told:?}");
    let pieces = task.stage().unwrap();
    commit(&world, &pieces, 1, 3).unwrap();
    assert_eq!(
        world.metadata().current_schema_id(),
        before.current_schema_id()
    );
    assert_eq!(rows(&world), 2);
}

#[test]
fn nanoseconds_land_whole_or_not_at_all() {
    let world = world("off");
    let text = schema_text(
        r#"{"name":"id","type":"int"},{"name":"at","type":{"type":"long","logicalType":"timestamp-nanos"}}"#,
    );
    let value = |id, ns| record([("id", Value::Int(id)), ("at", Value::TimestampNanos(ns))]);
    land(&world, 0, &text, value(0, -1_000)).unwrap();
    assert_eq!(
        column(&world, "at").2,
        Type::Primitive(PrimitiveType::Timestamptz)
    );
    let told = land(&world, 1, &text, value(1, 1_001));
    let Err(Failure::Rejected(those)) = told else {
        panic!("{told:?}")
    };
    assert!(
        those[0].reason.contains("whole number of microseconds"),
        "{those:?}"
    );
}
