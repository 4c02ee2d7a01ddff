//! Columns that are renamed, while records of the schema before still come.

use super::*;

const OLD: &str = r#"{"name":"id","type":"long"}"#;
const NEW: &str = r#"{"name":"key","aliases":["id"],"type":"long"}"#;

fn old(id: i64) -> Value {
    record([("id", Value::Long(id))])
}

fn new(key: i64) -> Value {
    record([("key", Value::Long(key))])
}

fn columns(world: &World) -> Vec<String> {
    let metadata = world.metadata();
    let fields = metadata.current_schema().as_struct().fields();
    fields.iter().map(|it| it.name.clone()).collect()
}

fn keys(world: &World) -> Vec<i64> {
    let mut keys = world.longs("key");
    keys.sort_unstable();
    keys
}

/// The same lake and table, with other settings.
fn other(world: &World, connector: &str, json: &str) -> World {
    World {
        settings: settings(json),
        ..world.sibling(connector)
    }
}

#[test]
fn records_of_an_older_schema_go_to_the_column_that_was_renamed() {
    let world = world("full");
    land(&world, 0, &schema_text(OLD), old(0)).unwrap();
    let id = column(&world, "id").0;
    land(&world, 1, &schema_text(NEW), new(1)).unwrap();
    land(&world, 2, &schema_text(OLD), old(2)).unwrap();
    assert_eq!(columns(&world), ["key"]);
    let (now, required, _) = column(&world, "key");
    assert_eq!((now, required), (id, true));
    // A task that has both at once, the older one last.
    let mut task = world.task();
    put_one(&world, &mut task, 3, &schema_text(NEW), new(3)).unwrap();
    put_one(&world, &mut task, 4, &schema_text(OLD), old(4)).unwrap();
    let pieces = task.stage().unwrap();
    commit(&world, &pieces, 3, 5).unwrap();
    assert_eq!(world.metadata().schemas_iter().count(), 2);
    assert_eq!(keys(&world), [0, 1, 2, 3, 4]);
    // Whatever may become of the table.
    for (evolve, at) in [("off", 5), ("add", 6)] {
        let json = format!(r#"{{"table":"market.trades","evolve":"{evolve}"}}"#);
        let other = other(&world, evolve, &json);
        land(&other, at, &schema_text(OLD), old(at)).unwrap();
    }
    assert_eq!(columns(&world), ["key"]);
    assert_eq!(keys(&world), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn both_schemas_in_one_task_before_the_table_knows_either_make_one_column() {
    let world = world("full");
    land(&world, 0, &schema_text(OLD), old(0)).unwrap();
    let mut task = world.task();
    put_one(&world, &mut task, 1, &schema_text(OLD), old(1)).unwrap();
    put_one(&world, &mut task, 2, &schema_text(NEW), new(2)).unwrap();
    put_one(&world, &mut task, 3, &schema_text(OLD), old(3)).unwrap();
    let pieces = task.stage().unwrap();
    commit(&world, &pieces, 1, 4).unwrap();
    assert_eq!(columns(&world), ["key"]);
    assert_eq!(keys(&world), [0, 1, 2, 3]);
}

#[test]
fn fields_of_records_that_were_renamed_are_found_too() {
    let world = world("full");
    land(&world, 0, &schema_text(FIRST), first(0)).unwrap();
    let next = FIRST
        .replace(r#"{"name":"s""#, r#"{"name":"t","aliases":["s"]"#)
        .replace(r#"{"name":"x""#, r#"{"name":"z","aliases":["x"]"#)
        .replace(r#"{"name":"y""#, r#"{"name":"w","aliases":["y"]"#);
    let Value::Record(mut fields) = first(1) else {
        panic!("a record")
    };
    fields[3] = ("t".to_owned(), record([("z", Value::Int(7))]));
    fields[4].1 = Value::Array(vec![record([("w", Value::Int(8))])]);
    land(&world, 1, &schema_text(&next), Value::Record(fields)).unwrap();
    let renamed = world.metadata();
    land(&world, 2, &schema_text(FIRST), first(2)).unwrap();
    let now = world.metadata();
    assert_eq!(now.current_schema(), renamed.current_schema());
    assert_eq!(now.last_column_id(), renamed.last_column_id());
    assert_eq!(rows(&world), 3);
}

#[test]
fn a_field_beside_the_one_that_took_its_name_over_gets_a_column() {
    let world = world("full");
    land(&world, 0, &schema_text(OLD), old(0)).unwrap();
    let id = column(&world, "id").0;
    land(&world, 1, &schema_text(NEW), new(1)).unwrap();
    let both = schema_text(&format!(r#"{OLD},{{"name":"key","type":"long"}}"#));
    let value = record([("id", Value::Long(7)), ("key", Value::Long(2))]);
    land(&world, 2, &both, value).unwrap();
    assert_eq!(columns(&world), ["key", "id"]);
    assert_eq!(column(&world, "key").0, id);
    assert_eq!(keys(&world), [0, 1, 2]);
}

#[test]
fn what_properties_say_of_a_column_goes_with_it() {
    let property = |kind: &str, column: &str| format!("write.{kind}.column.{column}");
    let bloom = |column: &str| property("parquet.bloom-filter-enabled", column);
    let metrics = |column: &str| property("metadata.metrics", column);
    let json = format!(
        r#"{{"table":"market.trades","evolve":"full","properties":{{
            "{}":"true","{}":"none"}}}}"#,
        bloom("id"),
        metrics("id"),
    );
    let world = World::guarded_by(GUARD, settings(&json));
    land(&world, 0, &schema_text(OLD), old(0)).unwrap();
    let id = column(&world, "id").0;
    land(&world, 1, &schema_text(NEW), new(1)).unwrap();
    let metadata = world.metadata();
    assert_eq!(
        metadata.snapshots().len(),
        2,
        "in the commit of the first rows"
    );
    let properties = metadata.properties();
    assert_eq!(
        properties.get(&bloom("key")).map(String::as_str),
        Some("true")
    );
    assert_eq!(
        properties.get(&metrics("key")).map(String::as_str),
        Some("none")
    );
    for gone in [bloom("id"), metrics("id")] {
        assert!(!properties.contains_key(&gone), "{gone}");
    }
    land(&world, 2, &schema_text(OLD), old(2)).unwrap();
    let files = world.files();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|it| !it.lower_bounds().contains_key(&id)));
    assert_eq!(keys(&world), [0, 1, 2]);
}

#[test]
fn partition_by_may_name_a_column_as_it_was_or_as_it_is_going_to_be() {
    let by = |column: &str| {
        format!(
            r#"{{"table":"market.trades","evolve":"full","partition-by":["bucket(4, {column})"]}}"#
        )
    };
    let world = World::guarded_by(GUARD, settings(&by("id")));
    land(&world, 0, &schema_text(OLD), old(0)).unwrap();
    // With the settings of the next release, before the table has its schema.
    let next = other(&world, "next", &by("key"));
    land(&next, 10, &schema_text(NEW), new(10)).unwrap();
    assert_eq!(columns(&world), ["key"]);
    for (world, offset) in [(&world, 1), (&next, 11)] {
        land(world, offset, &schema_text(OLD), old(offset)).unwrap();
        land(world, offset + 1, &schema_text(NEW), new(offset + 1)).unwrap();
    }
    assert_eq!(keys(&world), [0, 1, 2, 10, 11, 12]);
    // A table that is made by the newer schema only.
    let made = World::guarded_by(GUARD, settings(&by("id")));
    land(&made, 0, &schema_text(NEW), new(0)).unwrap();
    land(&made, 1, &schema_text(NEW), new(1)).unwrap();
    let metadata = made.metadata();
    let spec = metadata.default_partition_spec().fields();
    assert_eq!(spec[0].name, "key_bucket");
    assert_eq!(keys(&made), [0, 1]);
}
