//! Where a column is in a Parquet file: lists and maps have levels there that Iceberg's names lack.

use iceberg::arrow::DEFAULT_MAP_FIELD_NAME;
use iceberg::spec::{NestedFieldRef, Schema, Type};
use parquet::schema::types::ColumnPath;

/// Parquet's own name for the items of a list.
const LIST: &str = "list";

/// The path of a plain column in the files of a table of that schema.
pub(crate) fn parquet_path(schema: &Schema, id: i32) -> Option<ColumnPath> {
    let mut path = Vec::new();
    among(schema.as_struct().fields(), id, &mut path).then(|| ColumnPath::from(path))
}

fn among(fields: &[NestedFieldRef], id: i32, path: &mut Vec<String>) -> bool {
    fields.iter().any(|it| at(it, &[&it.name], id, path))
}

/// Whether the field is `id`, or has it inside: then `path` leads to it.
fn at(field: &NestedFieldRef, names: &[&str], id: i32, path: &mut Vec<String>) -> bool {
    let before = path.len();
    path.extend(names.iter().map(|it| (*it).to_owned()));
    let found = field.id == id
        || match field.field_type.as_ref() {
            Type::Primitive(_) => false,
            Type::Struct(record) => among(record.fields(), id, path),
            Type::List(list) => {
                let item = &list.element_field;
                at(item, &[LIST, &item.name], id, path)
            }
            Type::Map(map) => [&map.key_field, &map.value_field]
                .into_iter()
                .any(|it| at(it, &[DEFAULT_MAP_FIELD_NAME, &it.name], id, path)),
        };
    if !found {
        path.truncate(before);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::parse;
    use crate::schema::for_new_table;

    #[test]
    fn lists_and_maps_have_levels_of_their_own() {
        const TEXT: &str = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"long"},
            {"name":"s","type":{"type":"record","name":"S","fields":[
                {"name":"x","type":"int"},
                {"name":"l","type":{"type":"array","items":{"type":"map","values":"int"}}}]}},
            {"name":"m","type":{"type":"map","values":{"type":"record","name":"V","fields":[
                {"name":"y","type":"string"}]}}}]}"#;
        let schema = for_new_table(&parse(TEXT).unwrap()).unwrap();
        for (name, path) in [
            ("a", "a"),
            ("s.x", "s.x"),
            ("s.l.element.key", "s.l.list.element.key_value.key"),
            ("s.l.element.value", "s.l.list.element.key_value.value"),
            ("m.key", "m.key_value.key"),
            ("m.value.y", "m.key_value.value.y"),
        ] {
            let id = schema.field_by_name(name).unwrap().id;
            let found = parquet_path(&schema, id).map(|it| it.string());
            assert_eq!(found.as_deref(), Some(path), "{name}");
        }
        assert!(parquet_path(&schema, 99).is_none());
    }
}
