//! Which column of a table a name leads to: a field's own, an alias, or one that the column had.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{NestedFieldRef, Schema, StructType, TableMetadata};

use crate::avro::AvroField;

/// Names that a table's columns had before, as its older schemas tell. Records of the schema that
/// a column was renamed from still come: from another partition, a slow producer, a replay.
#[derive(Debug, Default)]
pub(crate) struct PastNames {
    /// Field id → name → the newest schema in which the field had it.
    names: HashMap<i32, HashMap<String, i32>>,
}

impl PastNames {
    pub(crate) fn of(metadata: &TableMetadata) -> Self {
        let schemas = metadata.schemas_iter().map(AsRef::as_ref);
        Self::among(schemas, metadata.current_schema())
    }

    pub(crate) fn among<'a>(
        schemas: impl IntoIterator<Item = &'a Schema>,
        current: &Schema,
    ) -> Self {
        let mut past = Self::default();
        for schema in schemas {
            for (id, field) in schema.field_id_to_fields() {
                let now = current.field_by_id(*id);
                if now.is_none_or(|it| it.name == field.name) {
                    continue;
                }
                let names = past.names.entry(*id).or_default();
                let newest = names.entry(field.name.clone()).or_insert(i32::MIN);
                *newest = schema.schema_id().max(*newest);
            }
        }
        past
    }

    /// The column that had the name, of those that are not taken; of several the one that had it
    /// last.
    fn column(&self, name: &str, table: &StructType, taken: &HashSet<usize>) -> Option<usize> {
        let columns = table.fields().iter().enumerate();
        columns
            .filter(|(at, _)| !taken.contains(at))
            .filter_map(|(at, column)| Some((*self.names.get(&column.id)?.get(name)?, at)))
            .max()
            .map(|(_, at)| at)
    }
}

/// For each field of a record the column that it goes to: that of its name, or else of an alias
/// that no field has for a name, or else one that had such a name and that no other field goes to.
pub(crate) fn matched(
    avro: &[AvroField],
    table: &StructType,
    past: &PastNames,
) -> Vec<Option<usize>> {
    let columns: HashMap<&str, usize> = table
        .fields()
        .iter()
        .enumerate()
        .map(|(at, it)| (it.name.as_str(), at))
        .collect();
    let names: HashSet<&str> = avro.iter().map(|it| it.name.as_str()).collect();
    let mut taken = HashSet::new();
    let mut matched: Vec<Option<usize>> = avro
        .iter()
        .map(|field| {
            let own = columns.get(field.name.as_str()).copied();
            let by_alias = || {
                let mut aliases = field.aliases.iter().map(String::as_str);
                aliases
                    .find(|it| columns.contains_key(it) && !names.contains(it))
                    .and_then(|it| columns.get(it).copied())
            };
            own.or_else(by_alias).filter(|at| taken.insert(*at))
        })
        .collect();
    for (field, at) in avro.iter().zip(&mut matched) {
        if at.is_some() {
            continue;
        }
        let aliases = field.aliases.iter().map(String::as_str);
        let aliases = aliases.filter(|it| !names.contains(it));
        let mut all = std::iter::once(field.name.as_str()).chain(aliases);
        *at = all.find_map(|name| past.column(name, table, &taken));
        taken.extend(*at);
    }
    matched
}

/// The field that a name of the settings means: the one of that name, or else of that alias.
pub(crate) fn field_named(name: &str, avro: &[AvroField]) -> Option<usize> {
    let own = avro.iter().position(|it| it.name == name);
    let by_alias = || {
        avro.iter()
            .position(|it| it.aliases.iter().any(|it| it == name))
    };
    own.or_else(by_alias)
}

/// The column that a name of the settings means: the one of that name, or else the one that the
/// field of that name or alias goes to, or else the one that had the name.
pub(crate) fn column_named<'a>(
    name: &str,
    avro: &[AvroField],
    table: &'a StructType,
    past: &PastNames,
) -> Option<&'a NestedFieldRef> {
    let columns = table.fields();
    let own = columns.iter().position(|it| it.name == name);
    let by_field = || field_named(name, avro).and_then(|at| matched(avro, table, past)[at]);
    own.or_else(by_field)
        .or_else(|| past.column(name, table, &HashSet::new()))
        .map(|at| &columns[at])
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{NestedField, PrimitiveType, Type};

    use super::*;
    use crate::avro::parse;

    fn avro(fields: &str) -> Vec<AvroField> {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
        parse(&text).unwrap()
    }

    fn schema(id: i32, columns: &[(i32, &str)]) -> Schema {
        let long = || Type::Primitive(PrimitiveType::Long);
        let columns = columns.iter();
        Schema::builder()
            .with_schema_id(id)
            .with_fields(columns.map(|(id, name)| NestedField::required(*id, *name, long()).into()))
            .build()
            .unwrap()
    }

    const ID: &str = r#"{"name":"id","type":"long"}"#;

    #[test]
    fn a_name_that_a_column_had_leads_to_it_until_another_has_it() {
        let renamed = schema(1, &[(1, "key"), (2, "v")]);
        let past = PastNames::among([&schema(0, &[(1, "id"), (2, "v")]), &renamed], &renamed);
        let to = |fields: &str| matched(&avro(fields), renamed.as_struct(), &past);
        assert_eq!(to(ID), [Some(0)]);
        let alias = r#"{"name":"number","aliases":["id"],"type":"long"}"#;
        assert_eq!(to(alias), [Some(0)], "an alias may be as old");
        // The column is its own name's first, wherever that stands.
        let key = r#"{"name":"key","type":"long"}"#;
        assert_eq!(to(&format!("{ID},{key}")), [None, Some(0)]);
        assert_eq!(to(r#"{"name":"w","type":"long"}"#), [None]);
        let again = schema(2, &[(1, "key"), (2, "v"), (3, "id")]);
        let all = [&schema(0, &[(1, "id"), (2, "v")]), &renamed, &again];
        let past = PastNames::among(all, &again);
        assert_eq!(matched(&avro(ID), again.as_struct(), &past), [Some(2)]);
    }

    #[test]
    fn of_two_columns_that_had_a_name_the_later_one_counts_and_a_dropped_one_never() {
        let schemas = [
            schema(0, &[(1, "id")]),
            schema(1, &[(1, "a"), (2, "id")]),
            schema(2, &[(1, "a"), (2, "b")]),
            schema(3, &[(1, "a")]),
        ];
        let to = |current: &Schema| {
            let past = PastNames::among(&schemas, current);
            matched(&avro(ID), current.as_struct(), &past)
        };
        assert_eq!(to(&schemas[2]), [Some(1)]);
        assert_eq!(to(&schemas[3]), [Some(0)]);
        let other = schema(4, &[(7, "a")]);
        assert_eq!(to(&other), [None]);
    }

    #[test]
    fn a_name_of_the_settings_is_found_by_alias_and_by_what_it_was() {
        let table = schema(1, &[(1, "key"), (2, "v")]);
        let past = PastNames::among([&schema(0, &[(1, "id"), (2, "v")]), &table], &table);
        let id = |name: &str, fields: &str, past: &PastNames| {
            column_named(name, &avro(fields), table.as_struct(), past).map(|it| it.id)
        };
        let none = PastNames::default();
        let renamed = r#"{"name":"key","aliases":["id"],"type":"long"}"#;
        assert_eq!(id("key", ID, &none), Some(1));
        assert_eq!(id("id", renamed, &none), Some(1));
        assert_eq!(id("id", ID, &past), Some(1));
        assert_eq!(id("id", ID, &none), None);
        // Not renamed yet: the field's own name goes where its alias does.
        let next = r#"{"name":"value","aliases":["v"],"type":"long"}"#;
        assert_eq!(id("value", next, &none), Some(2));
    }
}
