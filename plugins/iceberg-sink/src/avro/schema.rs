//! An Avro schema's text → the types this sink knows. What it does not know is refused by name.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, Name, RecordSchema, UnionSchema};
use serde_json::Value;

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AvroField {
    pub(crate) name: String,
    /// Names that it had before.
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) ty: AvroType,
    /// Where the null is in `[null, x]` or `[x, null]`; none: it can't be null.
    pub(crate) null_branch: Option<u8>,
    /// `[x]`: a datum says which branch it is, though there is only one.
    pub(crate) sole_branch: bool,
}

/// What this sink can store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AvroType {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    /// `fixed`: of that many bytes; none: of any.
    Decimal {
        precision: u32,
        scale: u32,
        fixed: Option<usize>,
    },
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    /// As text.
    Uuid,
    /// As its 16 bytes.
    UuidBytes,
    Record(Vec<AvroField>),
    Array(Box<AvroField>),
    Map(Box<AvroField>),
}

/// Digits that 128 bits hold, and Iceberg's limit.
const DECIMAL_PRECISION_MAX: usize = 38;
/// A schema that nests deeper is a mistake; decoding recurses as deep.
const DEPTH_MAX: usize = 16;

/// The record that a schema describes.
pub(crate) fn parse(text: &str) -> Result<Vec<AvroField>, String> {
    let unparsed = |e: &dyn std::fmt::Display| format!("the schema can't be parsed: {e}");
    let mut json: Value = serde_json::from_str(text).map_err(|e| unparsed(&e))?;
    mark_uuids(&mut json);
    let schema = Schema::parse(&json).map_err(|e| unparsed(&e))?;
    let Schema::Record(record) = &schema else {
        return Err("the schema is not a record".to_owned());
    };
    Reader {
        named: HashMap::new(),
        open: Vec::new(),
    }
    .record(record)
}

/// What stands for `logicalType: uuid` at 16 bytes: the parser knows UUIDs of text only, and keeps
/// what it does not know.
const UUID_BYTES: &str = "jackfield-uuid";
/// Bytes of a UUID.
pub(crate) const UUID_WIDTH: usize = 16;

/// The parser takes a UUID of bytes for one of text, so another mark takes the place of its own.
fn mark_uuids(json: &mut Value) {
    match json {
        Value::Object(object) => {
            if object.get("type").is_some_and(|it| it == "fixed")
                && object.get("logicalType").is_some_and(|it| it == "uuid")
            {
                object.remove("logicalType");
                object.insert(UUID_BYTES.to_owned(), Value::Bool(true));
            }
            object.values_mut().for_each(mark_uuids);
        }
        Value::Array(items) => items.iter_mut().for_each(mark_uuids),
        _ => {}
    }
}

struct Reader<'a> {
    named: HashMap<Name, &'a Schema>,
    open: Vec<Name>,
}

impl<'a> Reader<'a> {
    fn record(&mut self, record: &'a RecordSchema) -> Result<Vec<AvroField>, String> {
        if self.open.len() == DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} levels"));
        }
        self.open.push(record.name.clone());
        let fields = record
            .fields
            .iter()
            .map(|field| {
                let mut read = self
                    .nullable(&field.name, &field.schema)
                    .map_err(|why| format!("`{}`: {why}", field.name))?;
                read.doc.clone_from(&field.doc);
                read.aliases = field.aliases.clone().unwrap_or_default();
                Ok(read)
            })
            .collect();
        self.open.pop();
        fields
    }

    fn nullable(&mut self, name: &str, schema: &'a Schema) -> Result<AvroField, String> {
        let (ty, null_branch) = match schema {
            Schema::Union(union) => self.union(union)?,
            other => (self.plain(other)?, None),
        };
        Ok(AvroField {
            name: name.to_owned(),
            aliases: Vec::new(),
            doc: None,
            ty,
            null_branch,
            sole_branch: matches!(schema, Schema::Union(union) if union.variants().len() == 1),
        })
    }

    fn union(&mut self, union: &'a UnionSchema) -> Result<(AvroType, Option<u8>), String> {
        match union.variants() {
            [Schema::Null, other] => Ok((self.plain(other)?, Some(0))),
            [other, Schema::Null] => Ok((self.plain(other)?, Some(1))),
            [other] => Ok((self.plain(other)?, None)),
            _ => Err("a union other than of null and one type".to_owned()),
        }
    }

    fn plain(&mut self, schema: &'a Schema) -> Result<AvroType, String> {
        let ty = match schema {
            Schema::Boolean => AvroType::Boolean,
            Schema::Int => AvroType::Int,
            Schema::Long => AvroType::Long,
            Schema::Float => AvroType::Float,
            Schema::Double => AvroType::Double,
            Schema::Bytes => AvroType::Bytes,
            Schema::String => AvroType::String,
            Schema::Date => AvroType::Date,
            Schema::TimeMillis => AvroType::TimeMillis,
            Schema::TimeMicros => AvroType::TimeMicros,
            Schema::TimestampMillis => AvroType::TimestampMillis,
            Schema::TimestampMicros => AvroType::TimestampMicros,
            Schema::LocalTimestampMillis => AvroType::LocalTimestampMillis,
            Schema::LocalTimestampMicros => AvroType::LocalTimestampMicros,
            Schema::Uuid => AvroType::Uuid,
            Schema::Decimal(it) => {
                if let Schema::Fixed(fixed) = it.inner.as_ref() {
                    self.named.insert(fixed.name.clone(), schema);
                }
                decimal(it)?
            }
            Schema::Fixed(fixed) => {
                self.named.insert(fixed.name.clone(), schema);
                let uuid = fixed.attributes.contains_key(UUID_BYTES);
                if uuid && fixed.size == UUID_WIDTH {
                    AvroType::UuidBytes
                } else {
                    AvroType::Fixed(fixed.size)
                }
            }
            Schema::Enum(it) => {
                self.named.insert(it.name.clone(), schema);
                AvroType::Enum(it.symbols.clone())
            }
            Schema::Record(record) => {
                self.named.insert(record.name.clone(), schema);
                AvroType::Record(self.record(record)?)
            }
            Schema::Array(array) => {
                AvroType::Array(Box::new(self.nullable("element", &array.items)?))
            }
            Schema::Map(map) => AvroType::Map(Box::new(self.nullable("value", &map.types)?)),
            Schema::Ref { name } => {
                if self.open.contains(name) {
                    return Err(format!("the record {name} contains itself"));
                }
                let named = self.named.get(name).copied();
                self.plain(named.ok_or_else(|| format!("{name} is not defined before"))?)?
            }
            Schema::Union(_) => return Err("a union inside of a union".to_owned()),
            Schema::Null => return Err("the type null alone".to_owned()),
            Schema::Duration => return Err("the type duration".to_owned()),
            Schema::BigDecimal => return Err("the type big-decimal, which has no scale".to_owned()),
            Schema::TimestampNanos => AvroType::TimestampNanos,
            Schema::LocalTimestampNanos => AvroType::LocalTimestampNanos,
        };
        Ok(ty)
    }
}

fn decimal(decimal: &DecimalSchema) -> Result<AvroType, String> {
    let fixed = match decimal.inner.as_ref() {
        Schema::Fixed(fixed) => Some(fixed.size),
        _ => None,
    };
    let (precision, scale) = (decimal.precision, decimal.scale);
    if precision == 0 || precision > DECIMAL_PRECISION_MAX || scale > precision {
        return Err(format!(
            "decimal({precision}, {scale}), and at most {DECIMAL_PRECISION_MAX} digits fit"
        ));
    }
    Ok(AvroType::Decimal {
        precision: u32::try_from(precision).unwrap_or(u32::MAX),
        scale: u32::try_from(scale).unwrap_or(u32::MAX),
        fixed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(ty: &str) -> Result<AvroField, String> {
        let text =
            format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#);
        parse(&text).map(|mut fields| fields.remove(0))
    }

    #[test]
    fn null_may_stand_on_either_side() {
        assert_eq!(field(r#""long""#).unwrap().null_branch, None);
        assert_eq!(field(r#"["null","long"]"#).unwrap().null_branch, Some(0));
        assert_eq!(field(r#"["long","null"]"#).unwrap().null_branch, Some(1));
    }

    #[test]
    fn a_union_of_one_type_is_that_type() {
        let sole = field(r#"["long"]"#).unwrap();
        assert_eq!((&sole.ty, sole.null_branch), (&AvroType::Long, None));
        assert!(sole.sole_branch);
        assert!(!field(r#""long""#).unwrap().sole_branch);
        assert!(!field(r#"["null","long"]"#).unwrap().sole_branch);
    }

    #[test]
    fn named_types_are_found_again() {
        let text = r#"{"type":"record","name":"R","namespace":"n","fields":[
            {"name":"a","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
            {"name":"b","type":"E"},
            {"name":"c","type":{"type":"record","name":"S","fields":[{"name":"d","type":"n.E"}]}},
            {"name":"e","type":["null","S"]}]}"#;
        let fields = parse(text).unwrap();
        assert_eq!(fields[0].ty, fields[1].ty);
        assert_eq!(fields[2].ty, fields[3].ty);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (ty, why) in [
            (r#"["null","long","string"]"#, "union"),
            (r#""null""#, "null alone"),
            (r#"["null"]"#, "null alone"),
            ("[]", "union"),
            (
                r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#,
                "duration",
            ),
            (
                r#"{"type":"bytes","logicalType":"decimal","precision":50,"scale":8}"#,
                "decimal(50, 8)",
            ),
            (
                r#"["null",{"type":"array","items":"R"}]"#,
                "contains itself",
            ),
        ] {
            let error = field(ty).unwrap_err();
            assert!(
                error.contains("`f`") && error.contains(why),
                "{ty}: {error}"
            );
        }
        assert!(parse(r#""long""#).unwrap_err().contains("not a record"));
        assert!(parse("{").is_err());
    }
}
