//! Whether rows can be put into the partitions that a table has, asked before any is taken.

use std::sync::Arc;

use arrow_array::RecordBatch;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    PartitionSpec, PartitionSpecRef, PrimitiveType, Schema, SchemaRef, StructType, Transform, Type,
};

use crate::grouping::Grouping;

/// The error says why they can't.
pub(crate) fn check(spec: &PartitionSpecRef, schema: &SchemaRef) -> Result<(), String> {
    use PrimitiveType::{Double, Float};
    for field in spec.fields() {
        let source = schema.field_by_id(field.source_id);
        if let Some(source) = source
            && let Type::Primitive(ty @ (Float | Double)) = source.field_type.as_ref()
            && field.transform == Transform::Identity
        {
            return Err(format!(
                "the table would be partitioned by `{}`, which is {ty}: such values do not all \
                 survive the way to a commit",
                source.name
            ));
        }
    }
    // A transform that the library lacks for a column's type shows only when it is applied.
    let grouped = grouped_none(spec, schema);
    grouped.map_err(|e| format!("how the table is partitioned can't be kept: {e}"))
}

fn grouped_none(spec: &PartitionSpecRef, schema: &SchemaRef) -> iceberg::Result<()> {
    let columns = schema_to_arrow_schema(schema)?;
    let grouping = Grouping::new(Arc::clone(spec), Arc::clone(schema))?;
    let rows = RecordBatch::new_empty(Arc::new(columns));
    grouping.group(rows).map(drop)
}

/// From column to column, the paths to points in time that are partitions by themselves.
pub(crate) fn named_times(spec: &PartitionSpec, schema: &Schema) -> Vec<Vec<usize>> {
    let identities = spec.fields().iter();
    let identities = identities.filter(|it| it.transform == Transform::Identity);
    let time = Type::Primitive(PrimitiveType::Timestamptz);
    let times = identities.filter(|it| {
        let source = schema.field_by_id(it.source_id);
        source.is_some_and(|it| *it.field_type == time)
    });
    times
        .filter_map(|it| path_to(it.source_id, schema.as_struct()))
        .collect()
}

/// From column to column, the path to a field.
pub(crate) fn path_to(id: i32, columns: &StructType) -> Option<Vec<usize>> {
    columns.fields().iter().enumerate().find_map(|(at, field)| {
        let inside = match field.field_type.as_ref() {
            _ if field.id == id => Vec::new(),
            Type::Struct(columns) => path_to(id, columns)?,
            _ => return None,
        };
        Some([vec![at], inside].concat())
    })
}
