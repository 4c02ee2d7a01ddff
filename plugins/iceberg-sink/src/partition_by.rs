//! `partition-by`: text → transforms → the table's partition spec. What can't be done is an error,
//! never a table without partitions.

use iceberg::spec::{PartitionSpec, Schema, Transform, UnboundPartitionSpec};

use crate::avro::AvroField;
use crate::evolve::{PastNames, column_named};

/// One entry of `partition-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) column: String,
    pub(crate) transform: Transform,
}

impl Part {
    /// The partition field's name, as Iceberg's own builders choose it.
    pub(crate) fn name(&self) -> String {
        self.name_for(&self.column)
    }

    fn name_for(&self, column: &str) -> String {
        let suffix = match self.transform {
            Transform::Year => "_year",
            Transform::Month => "_month",
            Transform::Day => "_day",
            Transform::Hour => "_hour",
            Transform::Bucket(_) => "_bucket",
            Transform::Truncate(_) => "_trunc",
            _ => "",
        };
        format!("{column}{suffix}")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((function, rest)) = text.split_once('(') else {
            return Ok(Self {
                column: column(text)?,
                transform: Transform::Identity,
            });
        };
        let arguments = rest
            .strip_suffix(')')
            .ok_or_else(|| format!("`{text}` lacks its closing bracket"))?;
        let (number, name) = match arguments.split_once(',') {
            Some((number, name)) => (Some(number.trim()), name),
            None => (None, arguments),
        };
        let width = || -> Result<u32, String> {
            number
                .and_then(|it| it.parse().ok())
                .filter(|width| (1..=i32::MAX.cast_unsigned()).contains(width))
                .ok_or_else(|| format!("`{text}` needs a number above 0, then a column"))
        };
        let transform = match function.trim() {
            "bucket" => Transform::Bucket(width()?),
            "truncate" => Transform::Truncate(width()?),
            _ if number.is_some() => {
                return Err(format!("`{text}`: only bucket and truncate take a number"));
            }
            "identity" => Transform::Identity,
            "year" => Transform::Year,
            "month" => Transform::Month,
            "day" => Transform::Day,
            "hour" => Transform::Hour,
            other => return Err(format!("there is no transform `{other}`")),
        };
        Ok(Self {
            column: column(name)?,
            transform,
        })
    }
}

fn column(text: &str) -> Result<String, String> {
    let name = text.trim();
    let good = |c: char| c.is_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(good) {
        return Err(format!("`{name}` is not the name of a top-level column"));
    }
    Ok(name.to_owned())
}

/// All of `partition-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionBy(pub(crate) Vec<Part>);

impl PartitionBy {
    /// The error names the entry's index.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, (usize, String)> {
        let mut parts: Vec<Part> = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let part = Part::parse(entry).map_err(|why| (at, why))?;
            if parts.iter().any(|it| it.name() == part.name()) {
                return Err((
                    at,
                    format!("there is a partition field `{}` already", part.name()),
                ));
            }
            parts.push(part);
        }
        Ok(Self(parts))
    }

    /// The spec for a new table of that schema, which was made from these fields. A column may be
    /// named by a field's alias: the tables that were there before have it by that name.
    pub(crate) fn bind(
        &self,
        schema: &Schema,
        avro: &[AvroField],
    ) -> Result<UnboundPartitionSpec, String> {
        let past = PastNames::default();
        let mut spec = UnboundPartitionSpec::builder().with_spec_id(0);
        for part in &self.0 {
            let field = column_named(&part.column, avro, schema.as_struct(), &past);
            let field = field.ok_or_else(|| {
                let columns: Vec<_> = schema
                    .as_struct()
                    .fields()
                    .iter()
                    .map(|it| it.name.as_str())
                    .collect();
                format!(
                    "partition-by names the column `{}`; there are {}",
                    part.column,
                    columns.join(", ")
                )
            })?;
            part.transform.result_type(&field.field_type).map_err(|_| {
                format!(
                    "partition-by: {} can't be applied to `{}`, which is {}",
                    part.transform, part.column, field.field_type
                )
            })?;
            spec = spec
                .add_partition_field(field.id, part.name_for(&field.name), part.transform)
                .map_err(|e| format!("partition-by: {e}"))?;
        }
        Ok(spec.build())
    }

    /// Whether a table is partitioned like this; the error shows both. A column goes by its name,
    /// by those that it had, and by those of the topic's field that goes to it: the settings need
    /// not change in the moment in which the table does.
    pub(crate) fn check(
        &self,
        spec: &PartitionSpec,
        schema: &Schema,
        avro: &[AvroField],
        past: &PastNames,
    ) -> Result<(), String> {
        let fields = spec.fields().iter();
        let kept: Vec<_> = fields
            .filter(|it| it.transform != Transform::Void)
            .collect();
        let same = self.0.iter().zip(&kept).all(|(part, field)| {
            let column = column_named(&part.column, avro, schema.as_struct(), past);
            part.transform == field.transform && column.is_some_and(|it| it.id == field.source_id)
        });
        if same && self.0.len() == kept.len() {
            return Ok(());
        }
        let wanted: Vec<_> = self
            .0
            .iter()
            .map(|it| (it.column.clone(), it.transform))
            .collect();
        let there: Vec<_> = kept
            .iter()
            .map(|it| {
                let column = schema
                    .name_by_field_id(it.source_id)
                    .unwrap_or("a dropped column");
                (column.to_owned(), it.transform)
            })
            .collect();
        Err(format!(
            "partition-by says {}, but the table is partitioned by {}",
            shown(&wanted),
            shown(&there)
        ))
    }
}

fn shown(parts: &[(String, Transform)]) -> String {
    let shown: Vec<_> = parts
        .iter()
        .map(|(column, transform)| match transform {
            Transform::Identity => column.clone(),
            Transform::Bucket(width) => format!("bucket({width}, {column})"),
            Transform::Truncate(width) => format!("truncate({width}, {column})"),
            other => format!("{other}({column})"),
        })
        .collect();
    format!("[{}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{NestedField, PrimitiveType, Type};

    use super::*;

    fn parse(entries: &[&str]) -> Result<PartitionBy, (usize, String)> {
        PartitionBy::parse(
            &entries
                .iter()
                .map(|it| (*it).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    fn schema() -> Schema {
        Schema::builder()
            .with_fields([
                NestedField::required(1, "symbol", Type::Primitive(PrimitiveType::String)).into(),
                NestedField::required(2, "at", Type::Primitive(PrimitiveType::Timestamptz)).into(),
                NestedField::required(3, "flag", Type::Primitive(PrimitiveType::Boolean)).into(),
            ])
            .build()
            .unwrap()
    }

    #[test]
    fn fields_are_named_as_iceberg_names_them() {
        for (part, name, transform) in [
            ("symbol", "symbol", Transform::Identity),
            ("identity(symbol)", "symbol", Transform::Identity),
            ("year(at)", "at_year", Transform::Year),
            ("month( at )", "at_month", Transform::Month),
            (" day(at)", "at_day", Transform::Day),
            ("hour(at)", "at_hour", Transform::Hour),
            ("bucket(16, symbol)", "symbol_bucket", Transform::Bucket(16)),
            ("truncate(4,symbol)", "symbol_trunc", Transform::Truncate(4)),
        ] {
            let spec = parse(&["flag", part]).unwrap();
            let spec = spec.bind(&schema(), &[]).unwrap();
            assert_eq!(spec.fields()[1].name, name);
            assert_eq!(spec.fields()[1].transform, transform);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_where_it_stands() {
        for wrong in [
            "",
            "day(",
            "day()",
            "week(at)",
            "bucket(symbol)",
            "bucket(0, symbol)",
            "bucket(-1, symbol)",
            "truncate(x, symbol)",
            "day(3, at)",
            "a.b",
            "symbol)",
        ] {
            let (at, _) = parse(&["symbol", wrong]).unwrap_err();
            assert_eq!(at, 1, "{wrong}");
        }
        assert!(parse(&["symbol", "symbol"]).is_err());
    }

    #[test]
    fn an_unknown_column_or_unsuitable_transform_is_refused() {
        let unknown = parse(&["price"]).unwrap().bind(&schema(), &[]).unwrap_err();
        assert!(
            unknown.contains("`price`") && unknown.contains("symbol, at, flag"),
            "{unknown}"
        );
        let unsuitable = parse(&["day(symbol)"])
            .unwrap()
            .bind(&schema(), &[])
            .unwrap_err();
        assert!(
            unsuitable.contains("day can't be applied to `symbol`"),
            "{unsuitable}"
        );
        assert!(
            parse(&["truncate(4, flag)"])
                .unwrap()
                .bind(&schema(), &[])
                .is_err()
        );
    }

    #[test]
    fn a_column_that_was_renamed_is_the_same_by_either_name() {
        const RENAMED: &str = r#"{"type":"record","name":"R","fields":[
            {"name":"pair","aliases":["symbol"],"type":"string"}]}"#;
        let field = NestedField::required(1, "pair", Type::Primitive(PrimitiveType::String));
        let table = Schema::builder().with_fields([field.into()]).build();
        let table = table.unwrap();
        let (avro, none) = (crate::avro::parse(RENAMED).unwrap(), PastNames::default());
        let by_symbol = parse(&["bucket(8, symbol)"]).unwrap();
        // A new table has the name that its column has.
        let spec = by_symbol.bind(&table, &avro).unwrap();
        assert_eq!(spec.fields()[0].name, "pair_bucket");
        let spec = spec.bind(table.clone()).unwrap();
        by_symbol.check(&spec, &table, &avro, &none).unwrap();
        let by_pair = parse(&["bucket(8, pair)"]).unwrap();
        by_pair.check(&spec, &table, &avro, &none).unwrap();
        // Records of the older schema name it so too, if the table has had it.
        let older = schema();
        let past = PastNames::among([&older], &table);
        by_symbol.check(&spec, &table, &[], &past).unwrap();
        assert!(by_symbol.check(&spec, &table, &[], &none).is_err());
        // Before the table's own column is renamed.
        let spec = by_symbol.bind(&older, &[]).unwrap();
        let spec = spec.bind(older.clone()).unwrap();
        by_pair.check(&spec, &older, &avro, &none).unwrap();
    }

    #[test]
    fn a_table_partitioned_otherwise_is_refused() {
        let schema = schema();
        let spec = |entries: &[&str]| {
            parse(entries)
                .unwrap()
                .bind(&schema, &[])
                .unwrap()
                .bind(schema.clone())
                .unwrap()
        };
        let check = |wanted: &[&str], there: &[&str]| {
            let wanted = parse(wanted).unwrap();
            wanted.check(&spec(there), &schema, &[], &PastNames::default())
        };
        let wanted = ["day(at)", "bucket(8, symbol)"];
        check(&wanted, &wanted).unwrap();
        let why = check(&wanted, &["day(at)", "symbol"]).unwrap_err();
        assert!(why.contains("[day(at), bucket(8, symbol)]"), "{why}");
        assert!(why.contains("[day(at), symbol]"), "{why}");
        assert!(check(&[], &["symbol"]).is_err());
        assert!(check(&wanted, &wanted[..1]).is_err());
    }
}
