//! Partitions that rows can't be put into are refused before a row is taken.

use super::*;

/// Why a field of that type is refused as the source of a transform, in a table that is to be made
/// and in one that is there.
fn refused(ty: &str, by: &str, transform: &str) -> [String; 2] {
    let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"{ty}"}}]}}"#);
    let put_to = |world: &World| {
        let schema = world.lake.schemas.avro(&text);
        let batch = batch_of(schema, &[(0, Some(Vec::new()))]);
        put(&mut world.task(), &span(0, 0, 1), &batch)
    };
    let why = |world: &World| match put_to(world) {
        Err(Failure::Misconfigured(why)) => why,
        other => panic!("{ty}: {other:?}"),
    };
    let made = World::new(settings(&format!(
        r#"{{"table":"market.trades","partition-by":["{by}"]}}"#
    )));
    let of_made = why(&made);
    assert!(made.lake.catalog.table(TABLE).is_none(), "{ty}");

    let there = World::new(settings(r#"{"table":"market.trades"}"#));
    // The record is bad, and the table is made.
    let told = put_to(&there);
    assert!(matches!(told, Err(Failure::Rejected(_))), "{told:?}");
    there.foreign(&format!(
        r#"[{{"action":"add-spec","spec":{{"spec-id":1,"fields":[
             {{"source-id":1,"field-id":1000,"name":"part","transform":"{transform}"}}]}}}},
            {{"action":"set-default-spec","spec-id":-1}}]"#
    ));
    [of_made, why(&there)]
}

#[test]
fn a_number_with_a_fraction_is_no_partition() {
    for ty in ["float", "double"] {
        for why in refused(ty, "f", "identity") {
            assert!(why.contains(&format!("by `f`, which is {ty}")), "{why}");
        }
    }
}

#[test]
fn a_transform_that_the_library_lacks_for_a_type_is_refused() {
    for why in refused("bytes", "truncate(4, f)", "truncate[4]") {
        assert!(why.contains("is partitioned can't be kept"), "{why}");
    }
}
