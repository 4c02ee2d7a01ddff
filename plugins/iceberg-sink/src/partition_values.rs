//! The partition values of rows, by a table's partition spec.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Date32Array, StructArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Fields};
use iceberg::arrow::record_batch_projector::RecordBatchProjector;
use iceberg::arrow::type_to_arrow_type;
use iceberg::spec::{PartitionSpec, SchemaRef, StructType, Transform, Type};
use iceberg::transform::{BoxedTransformFunction, create_transform_function};
use iceberg::{Error, ErrorKind, Result};

use crate::avro::DAY_MICROS;
use crate::partitioning::path_to;

/// As the library's own calculator, whose days are one too late in the last second of each day
/// before 1970.
pub(crate) struct PartitionValues {
    sources: RecordBatchProjector,
    /// The columns that these are in.
    columns: Vec<usize>,
    transforms: Vec<(Transform, BoxedTransformFunction)>,
    ty: StructType,
    fields: Fields,
}

impl PartitionValues {
    pub(crate) fn new(spec: &PartitionSpec, schema: &SchemaRef) -> Result<Self> {
        let sources: Vec<i32> = spec.fields().iter().map(|it| it.source_id).collect();
        let transforms = spec.fields().iter().map(|it| it.transform);
        let transforms = transforms
            .map(|it| Ok((it, create_transform_function(&it)?)))
            .collect::<Result<_>>()?;
        let ty = spec.partition_type(schema)?;
        let DataType::Struct(fields) = type_to_arrow_type(&Type::Struct(ty.clone()))? else {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "the partition values are not a struct",
            ));
        };
        let paths = sources.iter();
        let paths = paths.filter_map(|id| path_to(*id, schema.as_struct()));
        let columns = paths.filter_map(|it| it.first().copied()).collect();
        Ok(Self {
            columns,
            sources: RecordBatchProjector::from_iceberg_schema(Arc::clone(schema), &sources)?,
            transforms,
            ty,
            fields,
        })
    }

    pub(crate) fn ty(&self) -> &StructType {
        &self.ty
    }

    /// Whether a column of the table has a part in them.
    pub(crate) fn are_by(&self, column: usize) -> bool {
        self.columns.contains(&column)
    }

    /// A column for each field of the spec. Of the table's columns those that have no part in it are
    /// not looked at.
    pub(crate) fn of(&self, columns: &[ArrayRef]) -> Result<StructArray> {
        let sources = self.sources.project_column(columns)?;
        let values = sources.into_iter().zip(&self.transforms);
        let values = values
            .map(|(source, (transform, library))| match transform {
                Transform::Day => days(source, library),
                _ => library.transform(source),
            })
            .collect::<Result<_>>()?;
        Ok(StructArray::try_new(self.fields.clone(), values, None)?)
    }
}

fn days(source: ArrayRef, library: &BoxedTransformFunction) -> Result<ArrayRef> {
    match source.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Ok(Arc::new(days_of_micros(times))),
        None => library.transform(source),
    }
}

/// Times are decoded within a range of which days have 32 bits.
fn days_of_micros(times: &TimestampMicrosecondArray) -> Date32Array {
    times.unary::<_, Date32Type>(|it| it.div_euclid(DAY_MICROS) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_also_before_1970() {
        let midnights = (-3..=3).map(|it| it * DAY_MICROS);
        let times: Vec<i64> = midnights
            .flat_map(|it| [-1_000_001, -999_999, -1, 0, 1, 999_999].map(|near| it + near))
            .collect();
        let expected: Vec<i32> = times
            .iter()
            .map(|it| it.div_euclid(DAY_MICROS) as i32)
            .collect();
        let source: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
        let library = create_transform_function(&Transform::Day).unwrap();
        let found = days(source, &library).unwrap();
        assert_eq!(found.as_primitive::<Date32Type>().values(), &expected);
        assert_eq!(expected[1..4], [-4, -4, -3]);
    }

    #[test]
    fn what_is_null_has_no_day() {
        let source: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![None, Some(-1)]));
        let library = create_transform_function(&Transform::Day).unwrap();
        let found = days(source, &library).unwrap();
        let found: Vec<_> = found.as_primitive::<Date32Type>().iter().collect();
        assert_eq!(found, [None, Some(-1)]);
    }
}
