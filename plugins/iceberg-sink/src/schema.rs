//! A topic's Avro schema → the schema of a new table.

use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type,
};

use crate::avro::{AvroField, AvroType};

/// The schema of a new table: every field with its doc, nullable where its union has a null.
pub(crate) fn for_new_table(fields: &[AvroField]) -> Result<Schema, String> {
    let mut ids = Ids(0);
    let fields = ids.fields(fields);
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(|e| e.to_string())
}

/// Gives out field ids: those of one level before those inside of them, as Iceberg does.
pub(crate) struct Ids(i32);

impl Ids {
    pub(crate) fn after(last: i32) -> Self {
        Self(last)
    }

    pub(crate) fn next(&mut self) -> i32 {
        self.0 += 1;
        self.0
    }

    fn fields(&mut self, fields: &[AvroField]) -> Vec<NestedFieldRef> {
        let ids: Vec<_> = fields.iter().map(|_| self.next()).collect();
        fields
            .iter()
            .zip(ids)
            .map(|(field, id)| self.field(id, field).into())
            .collect()
    }

    pub(crate) fn field(&mut self, id: i32, field: &AvroField) -> NestedField {
        let mut made = NestedField::new(
            id,
            &field.name,
            self.ty(&field.ty),
            field.null_branch.is_none(),
        );
        made.doc.clone_from(&field.doc);
        made
    }

    fn ty(&mut self, ty: &AvroType) -> Type {
        match ty {
            AvroType::Record(fields) => Type::Struct(StructType::new(self.fields(fields))),
            AvroType::Array(item) => {
                let id = self.next();
                Type::List(ListType {
                    element_field: Arc::new(self.field(id, item)),
                })
            }
            AvroType::Map(value) => {
                let (key_id, value_id) = (self.next(), self.next());
                let key = Type::Primitive(PrimitiveType::String);
                Type::Map(MapType {
                    key_field: Arc::new(NestedField::map_key_element(key_id, key)),
                    value_field: Arc::new(self.field(value_id, value)),
                })
            }
            primitive => Type::Primitive(primitive_of(primitive)),
        }
    }
}

/// The plain type that a column of it has; none for nested ones.
pub(crate) fn type_of(ty: &AvroType) -> Option<PrimitiveType> {
    match ty {
        AvroType::Record(_) | AvroType::Array(_) | AvroType::Map(_) => None,
        plain => Some(primitive_of(plain)),
    }
}

/// The same, binary standing for nested ones.
pub(crate) fn primitive_of(ty: &AvroType) -> PrimitiveType {
    match ty {
        AvroType::Boolean => PrimitiveType::Boolean,
        AvroType::Int => PrimitiveType::Int,
        AvroType::Long => PrimitiveType::Long,
        AvroType::Float => PrimitiveType::Float,
        AvroType::Double => PrimitiveType::Double,
        AvroType::String | AvroType::Enum(_) => PrimitiveType::String,
        AvroType::Fixed(width) => PrimitiveType::Fixed(*width as u64),
        AvroType::Decimal {
            precision, scale, ..
        } => PrimitiveType::Decimal {
            precision: *precision,
            scale: *scale,
        },
        AvroType::Date => PrimitiveType::Date,
        AvroType::TimeMillis | AvroType::TimeMicros => PrimitiveType::Time,
        AvroType::TimestampMillis | AvroType::TimestampMicros | AvroType::TimestampNanos => {
            PrimitiveType::Timestamptz
        }
        AvroType::LocalTimestampMillis
        | AvroType::LocalTimestampMicros
        | AvroType::LocalTimestampNanos => PrimitiveType::Timestamp,
        AvroType::Uuid | AvroType::UuidBytes => PrimitiveType::Uuid,
        AvroType::Bytes | AvroType::Record(_) | AvroType::Array(_) | AvroType::Map(_) => {
            PrimitiveType::Binary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::parse;

    fn avro(fields: &str) -> Vec<AvroField> {
        parse(&format!(
            r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_new_table_has_docs_ids_and_nullability() {
        let fields = avro(
            r#"{"name":"a","type":"long","doc":"First."},
               {"name":"s","type":{"type":"record","name":"S","fields":[
                   {"name":"x","type":["null","int"]}]}},
               {"name":"l","type":{"type":"array","items":"string"}},
               {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}}"#,
        );
        let schema = for_new_table(&fields).unwrap();
        let a = schema.field_by_name("a").unwrap();
        assert_eq!(
            (a.id, a.required, a.doc.as_deref()),
            (1, true, Some("First."))
        );
        assert_eq!(schema.field_by_name("t").unwrap().id, 4);
        let x = schema.field_by_name("s.x").unwrap();
        assert_eq!((x.id, x.required), (5, false));
        assert_eq!(
            *schema.field_by_name("t").unwrap().field_type,
            Type::Primitive(PrimitiveType::Timestamptz)
        );
    }
}
