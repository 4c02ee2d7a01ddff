//! The source of a partition gets another type.

use iceberg::spec::{Literal, PrimitiveLiteral};

use super::*;

fn number(file: &DataFile) -> i64 {
    match &file.partition()[0] {
        Some(Literal::Primitive(PrimitiveLiteral::Int(it))) => i64::from(*it),
        Some(Literal::Primitive(PrimitiveLiteral::Long(it))) => *it,
        other => panic!("{other:?}"),
    }
}

#[test]
fn full_widens_the_source_of_a_partition_for_files_of_before_and_after() {
    const LARGE: i64 = 1 << 40;
    for (by, expected) in [
        ("id", [1, 1, 2, LARGE]),
        ("truncate(10, id)", [0, 0, 0, LARGE - LARGE % 10]),
    ] {
        let json =
            format!(r#"{{"table":"market.trades","evolve":"full","partition-by":["{by}"]}}"#);
        let world = World::guarded_by(GUARD, settings(&json));
        let int = schema_text(r#"{"name":"id","type":"int"}"#);
        let long = schema_text(r#"{"name":"id","type":"long"}"#);
        let value = |it: i64| record([("id", Value::Long(it))]);
        land(&world, 0, &int, record([("id", Value::Int(1))])).unwrap();
        let (mut before, mut after) = (world.task(), world.task());
        let small = record([("id", Value::Int(2))]);
        put_one(&world, &mut before, 1, &int, small).unwrap();
        put_one(&world, &mut after, 2, &long, value(LARGE)).unwrap();
        put_one(&world, &mut after, 3, &long, value(1)).unwrap();
        let mut pieces = before.stage().unwrap();
        pieces.extend(after.stage().unwrap());
        commit(&world, &pieces, 1, 4).unwrap();
        let long = Type::Primitive(PrimitiveType::Long);
        assert_eq!(column(&world, "id").2, long, "{by}");
        let mut found: Vec<_> = world.files().iter().map(number).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{by}");
    }
}
