//! A topic's Avro schema → how its records are read into a table that exists.

use iceberg::spec::{NestedField, PrimitiveType, Schema, StructType, Type};

use crate::avro::{AvroField, AvroType, Plan, Read, UUID_WIDTH};
use crate::evolve::{PastNames, matched};
use crate::schema::primitive_of;

/// A UUID's width, as Iceberg counts that of a column.
const UUID_BYTES: u64 = UUID_WIDTH as u64;

/// How records of an Avro schema are read into a table: by name, columns that they lack being
/// null, and by alias, or by a name that a column had, where there is no such name. The error lists
/// every difference, and both schemas beside each other.
pub(crate) fn plan(avro: &[AvroField], table: &Schema, past: &PastNames) -> Result<Plan, String> {
    let mut differences = Vec::new();
    let plan = record(avro, table.as_struct(), past, "", &mut differences);
    if differences.is_empty() {
        Ok(plan)
    } else {
        Err(format!(
            "{}\n{}",
            differences.join("; "),
            side_by_side(avro, table, past)
        ))
    }
}

/// Columns that are shown: a person looks for one of a few.
const SHOWN_MAX: usize = 200;

fn side_by_side(avro: &[AvroField], table: &Schema, past: &PastNames) -> String {
    let optional = |ty: String, optional: bool| match optional {
        true => format!("{ty}?"),
        false => ty,
    };
    let mut rows = vec![["field".to_owned(), "topic".to_owned(), "table".to_owned()]];
    let matched = matched(avro, table.as_struct(), past);
    for (field, at) in avro.iter().zip(&matched) {
        let column = at.map(|at| &table.as_struct().fields()[at]);
        let name = match column {
            Some(it) if it.name != field.name => format!("{} → {}", field.name, it.name),
            _ => field.name.clone(),
        };
        rows.push([
            name,
            optional(shown(&field.ty), field.null_branch.is_some()),
            column.map_or("-".to_owned(), |it| {
                optional(it.field_type.to_string(), !it.required)
            }),
        ]);
    }
    for (at, column) in table.as_struct().fields().iter().enumerate() {
        if !matched.contains(&Some(at)) {
            rows.push([
                column.name.clone(),
                "-".to_owned(),
                optional(column.field_type.to_string(), !column.required),
            ]);
        }
    }
    rows.truncate(SHOWN_MAX);
    let width = |at: usize| rows.iter().map(|it| it[at].chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    let lines = rows
        .iter()
        .map(|[name, topic, table]| format!("  {name:first$}  {topic:second$}  {table}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn record(
    avro: &[AvroField],
    table: &StructType,
    past: &PastNames,
    path: &str,
    differences: &mut Vec<String>,
) -> Plan {
    let matched = matched(avro, table, past);
    let mut fields = Vec::with_capacity(avro.len());
    for (field, at) in avro.iter().zip(&matched) {
        let path = format!("{path}{}", field.name);
        match at {
            None => differences.push(format!(
                "the topic's `{path}` ({}) has no column in the table",
                shown(&field.ty)
            )),
            Some(at) => {
                let read = nullable(field, &table.fields()[*at], past, &path, differences);
                fields.push((field.name.clone(), *at, read));
            }
        }
    }
    let missing: Vec<usize> = (0..table.fields().len())
        .filter(|at| !matched.contains(&Some(*at)))
        .collect();
    for at in &missing {
        let column = &table.fields()[*at];
        if column.required {
            differences.push(format!(
                "the table's column `{path}{}` ({}) is required, and the topic lacks it",
                column.name, column.field_type
            ));
        }
    }
    Plan { fields, missing }
}

fn nullable(
    field: &AvroField,
    column: &NestedField,
    past: &PastNames,
    path: &str,
    differences: &mut Vec<String>,
) -> Read {
    if field.null_branch.is_some() && column.required {
        differences.push(format!(
            "`{path}` can be null in the topic, and is required in the table"
        ));
    }
    let read = plain(&field.ty, &column.field_type, past, path, differences);
    match field.null_branch {
        None if field.sole_branch => Read::Sole(Box::new(read)),
        None => read,
        Some(branch) => Read::Nullable {
            null_branch: i64::from(branch),
            read: Box::new(read),
        },
    }
}

fn plain(
    avro: &AvroType,
    table: &Type,
    past: &PastNames,
    path: &str,
    differences: &mut Vec<String>,
) -> Read {
    use PrimitiveType as P;
    match (avro, table) {
        (AvroType::Record(fields), Type::Struct(columns)) => {
            let path = format!("{path}.");
            Read::Record(record(fields, columns, past, &path, differences))
        }
        (AvroType::Array(item), Type::List(list)) => {
            let path = format!("{path}[]");
            Read::Array(Box::new(nullable(
                item,
                &list.element_field,
                past,
                &path,
                differences,
            )))
        }
        (AvroType::Map(value), Type::Map(map))
            if map.key_field.field_type.as_primitive_type() == Some(&P::String) =>
        {
            let path = format!("{path}{{}}");
            Read::Map(Box::new(nullable(
                value,
                &map.value_field,
                past,
                &path,
                differences,
            )))
        }
        (avro, Type::Primitive(column)) => match (avro, column) {
            (AvroType::Boolean, P::Boolean) => Read::Boolean,
            (AvroType::Int, P::Int | P::Long) => Read::Int,
            (AvroType::Long, P::Long) => Read::Long,
            (AvroType::Date, P::Date) => Read::Date,
            (AvroType::TimestampMicros, P::Timestamptz)
            | (AvroType::LocalTimestampMicros, P::Timestamp) => Read::Micros,
            (AvroType::TimeMillis, P::Time) => Read::TimeMillis,
            (AvroType::TimeMicros, P::Time) => Read::TimeMicros,
            (AvroType::TimestampMillis, P::Timestamptz)
            | (AvroType::LocalTimestampMillis, P::Timestamp) => Read::Millis,
            (AvroType::TimestampNanos, P::Timestamptz)
            | (AvroType::LocalTimestampNanos, P::Timestamp) => Read::Nanos,
            (AvroType::Float, P::Float | P::Double) => Read::Float,
            (AvroType::Double, P::Double) => Read::Double,
            (AvroType::Bytes, P::Binary) => Read::Bytes,
            (AvroType::String, P::String) => Read::String,
            (AvroType::Enum(symbols), P::String) => Read::Enum(symbols.clone()),
            (AvroType::Fixed(width), P::Fixed(there)) if *width as u64 == *there => {
                Read::Fixed(*width)
            }
            (AvroType::UuidBytes | AvroType::Fixed(UUID_WIDTH), P::Uuid)
            | (AvroType::UuidBytes, P::Fixed(UUID_BYTES)) => Read::Fixed(UUID_WIDTH),
            (AvroType::Uuid, P::Uuid) => Read::Uuid,
            (
                AvroType::Decimal {
                    precision,
                    scale,
                    fixed,
                },
                P::Decimal {
                    precision: holds,
                    scale: there,
                },
            ) if scale == there && precision <= holds => Read::decimal(*precision, *scale, *fixed),
            (avro, column) => mismatch(avro, column, path, differences),
        },
        (avro, column) => mismatch(avro, column, path, differences),
    }
}

fn mismatch(
    avro: &AvroType,
    column: &impl std::fmt::Display,
    path: &str,
    differences: &mut Vec<String>,
) -> Read {
    differences.push(format!(
        "`{path}` is {} in the topic, and {column} in the table",
        shown(avro)
    ));
    Read::Boolean
}

fn shown(ty: &AvroType) -> String {
    match ty {
        AvroType::Record(_) => "a record".to_owned(),
        AvroType::Array(_) => "an array".to_owned(),
        AvroType::Map(_) => "a map".to_owned(),
        AvroType::Enum(_) => "an enum".to_owned(),
        primitive => primitive_of(primitive).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::parse;
    use crate::schema::for_new_table;

    fn avro(fields: &str) -> Vec<AvroField> {
        parse(&format!(
            r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_table_that_was_made_from_a_schema_lacks_nothing() {
        let fields = avro(
            r#"{"name":"a","type":"long"},{"name":"l","type":{"type":"array","items":"string"}},
               {"name":"s","type":{"type":"record","name":"S","fields":[
                   {"name":"x","type":["null","int"]}]}}"#,
        );
        let table = for_new_table(&fields).unwrap();
        let plan = plan(&fields, &table, &PastNames::default()).unwrap();
        assert_eq!(plan.missing, Vec::<usize>::new());
    }

    #[test]
    fn fields_are_matched_by_name_and_what_is_missing_is_null() {
        let table = for_new_table(&avro(
            r#"{"name":"a","type":["null","long"]},{"name":"b","type":"long"},
               {"name":"c","type":"double"}"#,
        ))
        .unwrap();
        let plan = plan(
            &avro(r#"{"name":"c","type":"float"},{"name":"b","type":"int"}"#),
            &table,
            &PastNames::default(),
        )
        .unwrap();
        assert_eq!(plan.missing, [0]);
        let columns: Vec<_> = plan
            .fields
            .iter()
            .map(|(name, at, _)| (name.as_str(), *at))
            .collect();
        assert_eq!(columns, [("c", 2), ("b", 1)]);
    }

    #[test]
    fn names_that_columns_had_lead_to_them_inside_of_records_too() {
        let nested = |outer: &str, inner: &str| {
            avro(&format!(
                r#"{{"name":"{outer}","type":{{"type":"record","name":"S","fields":[
                    {{"name":"{inner}","type":"int"}}]}}}}"#
            ))
        };
        let (before, now) = (nested("s", "x"), nested("t", "y"));
        let table = for_new_table(&now).unwrap();
        let past = PastNames::among([&for_new_table(&before).unwrap()], &table);
        let read = plan(&before, &table, &past).unwrap();
        assert_eq!(read.missing, Vec::<usize>::new());
        let why = plan(&before, &table, &PastNames::default()).unwrap_err();
        assert!(why.contains("`s` (a record) has no column"), "{why}");
        // What does not fit shows where it would have gone.
        let text = avro(r#"{"name":"s","type":"string"}"#);
        let why = plan(&text, &table, &past).unwrap_err();
        assert!(why.contains("s → t"), "{why}");
    }

    #[test]
    fn every_difference_is_told() {
        let table = for_new_table(&avro(
            r#"{"name":"a","type":"long"},{"name":"b","type":"long"},
               {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
               {"name":"e","type":"string"}"#,
        ))
        .unwrap();
        let why = plan(
            &avro(
                r#"{"name":"a","type":"string"},{"name":"new","type":"int"},
                   {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":3}},
                   {"name":"e","type":["null","string"]}"#,
            ),
            &table,
            &PastNames::default(),
        )
        .unwrap_err();
        for part in [
            "`a` is string in the topic, and long in the table",
            "`new` (int) has no column",
            "column `b` (long) is required",
            "`d` is decimal(10, 3) in the topic, and decimal(10, 2) in the table",
            "`e` can be null in the topic",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
}
