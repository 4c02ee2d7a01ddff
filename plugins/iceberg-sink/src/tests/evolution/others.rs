//! Others change the table's schema while a task has files of the one before.

use arrow_array::cast::AsArray;
use iceberg::spec::{NestedField, NestedFieldRef, Schema};

use super::*;

fn text() -> String {
    schema_text(r#"{"name":"id","type":"int"},{"name":"note","type":["null","string"]}"#)
}

fn value(id: i32) -> Value {
    let note = Value::String(format!("note {id}"));
    record([("id", Value::Int(id)), ("note", null_or(note))])
}

/// Another writer's change of the columns.
fn changed(world: &World, change: impl FnOnce(&mut Vec<NestedFieldRef>)) {
    let metadata = world.metadata();
    let mut columns = metadata.current_schema().as_struct().fields().to_vec();
    change(&mut columns);
    let schema = Schema::builder().with_fields(columns).build().unwrap();
    let schema = serde_json::to_string(&schema).unwrap();
    world.foreign(&format!(
        r#"[{{"action":"add-schema","schema":{schema}}},
            {{"action":"set-current-schema","schema-id":-1}}]"#
    ));
}

fn dropped(world: &World) {
    changed(world, |columns| columns.retain(|it| it.name != "note"));
}

fn added(world: &World, name: &str) {
    let id = world.metadata().last_column_id() + 1;
    let ty = Type::Primitive(PrimitiveType::String);
    changed(world, |columns| {
        columns.push(NestedField::optional(id, name, ty).into())
    });
}

/// A table with one row, a task that has staged another, and what it has staged.
fn staged(world: &World) -> (IcebergSink, Vec<Piece>) {
    land(world, 0, &text(), value(0)).unwrap();
    let mut task = world.task();
    put_one(world, &mut task, 1, &text(), value(1)).unwrap();
    let pieces = task.stage().unwrap();
    (task, pieces)
}

fn rewound(outcome: Result<Committed, Failure>) {
    match outcome {
        Err(Failure::Rewind(why)) => assert!(why.contains("has lost columns"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_column_that_others_dropped_and_made_again_rewinds_and_then_goes_on() {
    let world = world("off");
    let (mut task, pieces) = staged(&world);
    dropped(&world);
    rewound(commit(&world, &pieces, 1, 2));
    added(&world, "note");
    rewound(commit(&world, &pieces, 1, 2));
    assert_eq!(rows(&world), 1);
    task.discard();
    put_one(&world, &mut task, 1, &text(), value(1)).unwrap();
    let pieces = task.stage().unwrap();
    commit(&world, &pieces, 1, 2).unwrap();
    assert_eq!(rows(&world), 2);
    let all = world.rows();
    let notes = all
        .iter()
        .flat_map(|it| it["note"].as_string::<i32>().iter());
    let notes: Vec<_> = notes.flatten().collect();
    assert_eq!(notes, ["note 1"], "of the column that is there now");
}

#[test]
fn a_column_that_others_dropped_stops_with_both_schemas_or_is_made_again() {
    for evolve in ["off", "add"] {
        let world = world(evolve);
        let (mut task, pieces) = staged(&world);
        let before = column(&world, "note").0;
        dropped(&world);
        rewound(commit(&world, &pieces, 1, 2));
        task.discard();
        let told = put_one(&world, &mut task, 1, &text(), value(1));
        if evolve == "off" {
            match told {
                Err(Failure::Misconfigured(why)) => {
                    assert!(why.contains("`note` (string) has no column"), "{why}");
                    assert!(why.contains("topic") && why.contains("table"), "{why}");
                }
                other => panic!("{other:?}"),
            }
            continue;
        }
        told.unwrap();
        let pieces = task.stage().unwrap();
        commit(&world, &pieces, 1, 2).unwrap();
        assert_ne!(column(&world, "note").0, before);
        assert_eq!(rows(&world), 2);
    }
}

#[test]
fn a_column_that_others_add_or_rename_holds_up_nothing() {
    let world = world("off");
    let (mut task, pieces) = staged(&world);
    added(&world, "theirs");
    commit(&world, &pieces, 1, 2).unwrap();
    put_one(&world, &mut task, 2, &text(), value(2)).unwrap();
    let pieces = task.stage().unwrap();
    changed(&world, |columns| {
        let note = columns.iter_mut().find(|it| it.name == "note").unwrap();
        let mut renamed = note.as_ref().clone();
        renamed.name = "remark".to_owned();
        *note = renamed.into();
    });
    commit(&world, &pieces, 2, 3).unwrap();
    assert_eq!(rows(&world), 3);
}
