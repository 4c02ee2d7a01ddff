//! What a table's properties say of a column goes with it when it is renamed, as Iceberg's own
//! library has it: else a filter is asked for on a column that is no more.

use std::collections::HashMap;

use iceberg::spec::Schema;

use crate::metrics;
use crate::parquet_properties::{BLOOM, BLOOM_FPP};

/// This sink does not write by it; others do.
const STATISTICS: &str = "write.parquet.stats-enabled.column.";
/// Behind each of these stands the path of a column.
const OF_COLUMNS: [&str; 4] = [BLOOM, BLOOM_FPP, metrics::COLUMN, STATISTICS];

/// What becomes of a table's properties.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) set: HashMap<String, String>,
    pub(super) removed: Vec<String>,
}

/// The properties of columns whose path is another in the next schema.
pub(super) fn moved(
    properties: &HashMap<String, String>,
    current: &Schema,
    next: &Schema,
) -> Moved {
    let mut set = HashMap::new();
    let mut removed = Vec::new();
    for (key, value) in properties {
        let said = OF_COLUMNS
            .iter()
            .find_map(|it| Some((*it, key.strip_prefix(*it)?)));
        let Some((prefix, path)) = said else {
            continue;
        };
        let Some(id) = current.field_id_by_name(path) else {
            continue;
        };
        if let Some(now) = next.name_by_field_id(id)
            && current.name_by_field_id(id) != Some(now)
        {
            removed.push(key.clone());
            set.insert(format!("{prefix}{now}"), value.clone());
        }
    }
    // What someone has said of the new name already stays, unless that was another column's.
    set.retain(|key, _| !properties.contains_key(key) || removed.contains(key));
    removed.retain(|key| !set.contains_key(key));
    Moved { set, removed }
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{NestedField, PrimitiveType, StructType, Type};

    use super::*;

    fn field(id: i32, name: &str, ty: Type) -> NestedField {
        NestedField::required(id, name, ty)
    }

    /// Two columns, and one inside of a record.
    fn schema(first: &str, second: &str, record: &str) -> Schema {
        let long = || Type::Primitive(PrimitiveType::Long);
        let inner = StructType::new(vec![field(4, "x", long()).into()]);
        Schema::builder()
            .with_fields([
                field(1, first, long()).into(),
                field(2, second, long()).into(),
                field(3, record, Type::Struct(inner)).into(),
            ])
            .build()
            .unwrap()
    }

    fn check(next: &Schema, before: &[(&str, &str)], set: &[(&str, &str)], removed: &[&str]) {
        let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| (format!("write.{key}"), (*value).to_owned()))
                .collect()
        };
        let mut moved = moved(&map(before), &schema("a", "b", "s"), next);
        moved.removed.sort();
        let removed = removed.iter().map(|it| format!("write.{it}")).collect();
        let set = map(set);
        assert_eq!(moved, Moved { set, removed });
    }

    const BLOOM_A: &str = "parquet.bloom-filter-enabled.column.a";
    const BLOOM_B: &str = "parquet.bloom-filter-enabled.column.b";
    const BLOOM_C: &str = "parquet.bloom-filter-enabled.column.c";

    #[test]
    fn each_property_of_a_column_follows_its_name() {
        let before = [
            (BLOOM_A, "true"),
            ("parquet.bloom-filter-fpp.column.a", "0.1"),
            ("metadata.metrics.column.a", "none"),
            ("metadata.metrics.column.b", "full"),
            ("metadata.metrics.column.s.x", "counts"),
            ("metadata.metrics.default", "none"),
            ("parquet.compression-codec", "zstd"),
            ("parquet.stats-enabled.column.a", "false"),
        ];
        check(
            &schema("c", "b", "t"),
            &before,
            &[
                (BLOOM_C, "true"),
                ("parquet.bloom-filter-fpp.column.c", "0.1"),
                ("metadata.metrics.column.c", "none"),
                ("metadata.metrics.column.t.x", "counts"),
                ("parquet.stats-enabled.column.c", "false"),
            ],
            &[
                "metadata.metrics.column.a",
                "metadata.metrics.column.s.x",
                BLOOM_A,
                "parquet.bloom-filter-fpp.column.a",
                "parquet.stats-enabled.column.a",
            ],
        );
        check(&schema("a", "b", "s"), &before, &[], &[]);
    }

    #[test]
    fn names_that_move_up_take_their_own_properties_and_overwrite_nothing_else() {
        let before = [(BLOOM_A, "true"), (BLOOM_B, "false")];
        let up = schema("b", "c", "s");
        let set = [(BLOOM_B, "true"), (BLOOM_C, "false")];
        check(&up, &before, &set, &[BLOOM_A]);
        let said = [(BLOOM_A, "true"), (BLOOM_C, "false")];
        check(&schema("c", "b", "s"), &said, &[], &[BLOOM_A]);
    }
}
