//! Rows being gathered, a column at a time, in the table's own Arrow types.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeBinaryArray, ListArray, MapArray,
    RecordBatch, StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer,
    ScalarBuffer,
};
use arrow_schema::{ArrowError, DataType, Field, Fields, SchemaRef, TimeUnit};

/// The values of a column, by how Arrow keeps them.
#[derive(Debug)]
pub(super) enum Values {
    Bits(BooleanBufferBuilder),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Text {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
    Bytes {
        ends: Vec<i64>,
        bytes: Vec<u8>,
    },
    Fixed {
        width: usize,
        bytes: Vec<u8>,
    },
    Struct(Vec<Column>),
    List {
        ends: Vec<i32>,
        items: Box<Column>,
    },
    Map {
        ends: Vec<i32>,
        keys: Box<Column>,
        values: Box<Column>,
    },
}

/// One column, of a row or inside of another column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    nulls: NullBufferBuilder,
    len: usize,
}

fn children(fields: &Fields) -> Result<Vec<Column>, String> {
    fields.iter().map(|field| Column::new(field)).collect()
}

impl Column {
    fn new(field: &Field) -> Result<Self, String> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Bits(BooleanBufferBuilder::new(0)),
            DataType::Int32 | DataType::Date32 => Values::I32(Vec::new()),
            DataType::Int64
            | DataType::Time64(TimeUnit::Microsecond)
            | DataType::Timestamp(TimeUnit::Microsecond, _) => Values::I64(Vec::new()),
            DataType::Decimal128(..) => Values::I128(Vec::new()),
            DataType::Float32 => Values::F32(Vec::new()),
            DataType::Float64 => Values::F64(Vec::new()),
            DataType::Utf8 => Values::Text {
                ends: vec![0],
                bytes: Vec::new(),
            },
            DataType::LargeBinary => Values::Bytes {
                ends: vec![0],
                bytes: Vec::new(),
            },
            DataType::FixedSizeBinary(width) => {
                let width = usize::try_from(*width).map_err(|e| e.to_string())?;
                Values::Fixed {
                    width,
                    bytes: Vec::new(),
                }
            }
            DataType::Struct(fields) => Values::Struct(children(fields)?),
            DataType::List(item) => Values::List {
                ends: vec![0],
                items: Box::new(Self::new(item)?),
            },
            DataType::Map(entry, _) => match entry.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Values::Map {
                    ends: vec![0],
                    keys: Box::new(Self::new(&fields[0])?),
                    values: Box::new(Self::new(&fields[1])?),
                },
                other => return Err(format!("a map of {other}")),
            },
            other => return Err(format!("`{}` is of the type {other}", field.name())),
        };
        Ok(Self {
            values,
            nulls: NullBufferBuilder::new(0),
            len: 0,
        })
    }

    /// A value was pushed to `values`.
    #[inline]
    pub(super) fn pushed(&mut self) {
        self.nulls.append_non_null();
        self.len += 1;
    }

    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::Bits(it) => it.append(false),
            Values::I32(it) => it.push(0),
            Values::I64(it) => it.push(0),
            Values::I128(it) => it.push(0),
            Values::F32(it) => it.push(0.0),
            Values::F64(it) => it.push(0.0),
            Values::Text { ends, .. } | Values::List { ends, .. } | Values::Map { ends, .. } => {
                ends.push(ends.last().copied().unwrap_or(0));
            }
            Values::Bytes { ends, .. } => ends.push(ends.last().copied().unwrap_or(0)),
            Values::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
            Values::Struct(columns) => columns.iter_mut().for_each(Self::push_null),
        }
        self.nulls.append_null();
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets everything from row `len` on, half of a row too.
    fn truncate(&mut self, len: usize) {
        match &mut self.values {
            Values::Bits(it) => it.truncate(len),
            Values::I32(it) => it.truncate(len),
            Values::I64(it) => it.truncate(len),
            Values::I128(it) => it.truncate(len),
            Values::F32(it) => it.truncate(len),
            Values::F64(it) => it.truncate(len),
            Values::Text { ends, bytes } => {
                ends.truncate(len + 1);
                bytes.truncate(end(ends));
            }
            Values::Bytes { ends, bytes } => {
                ends.truncate(len + 1);
                let end = ends.last().copied().unwrap_or(0);
                bytes.truncate(usize::try_from(end).unwrap_or(0));
            }
            Values::Fixed { width, bytes } => bytes.truncate(len * *width),
            Values::Struct(columns) => columns.iter_mut().for_each(|it| it.truncate(len)),
            Values::List { ends, items } => {
                ends.truncate(len + 1);
                items.truncate(end(ends));
            }
            Values::Map { ends, keys, values } => {
                ends.truncate(len + 1);
                keys.truncate(end(ends));
                values.truncate(end(ends));
            }
        }
        self.nulls.truncate(len);
        self.len = len;
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Values::Bits(it) => it.len().div_ceil(8),
            Values::I32(it) => it.len() * 4,
            Values::I64(it) => it.len() * 8,
            Values::I128(it) => it.len() * 16,
            Values::F32(it) => it.len() * 4,
            Values::F64(it) => it.len() * 8,
            Values::Text { ends, bytes } => ends.len() * 4 + bytes.len(),
            Values::Bytes { ends, bytes } => ends.len() * 8 + bytes.len(),
            Values::Fixed { bytes, .. } => bytes.len(),
            Values::Struct(columns) => columns.iter().map(Self::bytes).sum(),
            Values::List { ends, items } => ends.len() * 4 + items.bytes(),
            Values::Map { ends, keys, values } => ends.len() * 4 + keys.bytes() + values.bytes(),
        }
    }

    fn finish(&mut self, ty: &DataType) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        let len = std::mem::take(&mut self.len);
        let array: ArrayRef = match (&mut self.values, ty) {
            (Values::Bits(it), _) => Arc::new(BooleanArray::new(it.finish(), nulls)),
            (Values::I32(it), DataType::Date32) => Arc::new(Date32Array::new(taken(it), nulls)),
            (Values::I32(it), _) => Arc::new(Int32Array::new(taken(it), nulls)),
            (Values::I64(it), DataType::Time64(_)) => {
                Arc::new(Time64MicrosecondArray::new(taken(it), nulls))
            }
            (Values::I64(it), DataType::Timestamp(_, zone)) => Arc::new(
                TimestampMicrosecondArray::new(taken(it), nulls).with_timezone_opt(zone.clone()),
            ),
            (Values::I64(it), _) => Arc::new(Int64Array::new(taken(it), nulls)),
            (Values::I128(it), _) => {
                Arc::new(Decimal128Array::new(taken(it), nulls).with_data_type(ty.clone()))
            }
            (Values::F32(it), _) => Arc::new(Float32Array::new(taken(it), nulls)),
            (Values::F64(it), _) => Arc::new(Float64Array::new(taken(it), nulls)),
            (Values::Text { ends, bytes }, _) => {
                let text = Buffer::from(renewed(bytes));
                Arc::new(StringArray::try_new(offsets(ends), text, nulls)?)
            }
            (Values::Bytes { ends, bytes }, _) => {
                let bytes = Buffer::from(renewed(bytes));
                Arc::new(LargeBinaryArray::try_new(offsets(ends), bytes, nulls)?)
            }
            (Values::Fixed { width, bytes }, _) => {
                let width = i32::try_from(*width).unwrap_or(i32::MAX);
                let bytes = Buffer::from(renewed(bytes));
                Arc::new(FixedSizeBinaryArray::try_new(width, bytes, nulls)?)
            }
            (Values::Struct(columns), DataType::Struct(fields)) => {
                Arc::new(structure(columns, fields, len, nulls)?)
            }
            (Values::List { ends, items }, DataType::List(item)) => {
                let items = items.finish(item.data_type())?;
                Arc::new(ListArray::try_new(
                    Arc::clone(item),
                    offsets(ends),
                    items,
                    nulls,
                )?)
            }
            (Values::Map { ends, keys, values }, DataType::Map(entry, sorted)) => {
                let DataType::Struct(fields) = entry.data_type() else {
                    return Err(ArrowError::SchemaError(format!("a map of {entry}")));
                };
                let pairs = vec![
                    keys.finish(fields[0].data_type())?,
                    values.finish(fields[1].data_type())?,
                ];
                let pairs = StructArray::try_new(fields.clone(), pairs, None)?;
                Arc::new(MapArray::try_new(
                    Arc::clone(entry),
                    offsets(ends),
                    pairs,
                    nulls,
                    *sorted,
                )?)
            }
            (_, ty) => return Err(ArrowError::SchemaError(format!("the column became {ty}"))),
        };
        debug_assert_eq!(array.len(), len);
        Ok(array)
    }
}

fn end(ends: &[i32]) -> usize {
    usize::try_from(ends.last().copied().unwrap_or(0)).unwrap_or(0)
}

/// Hands out what was gathered. As much again is likely to come: growing to that would copy it.
fn renewed<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity))
}

fn taken<T: ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(renewed(values))
}

fn offsets<T: ArrowNativeType>(ends: &mut Vec<T>) -> OffsetBuffer<T> {
    let taken = taken(ends);
    ends.push(T::default());
    OffsetBuffer::new(taken)
}

fn structure(
    columns: &mut [Column],
    fields: &Fields,
    len: usize,
    nulls: Option<NullBuffer>,
) -> Result<StructArray, ArrowError> {
    let arrays = columns
        .iter_mut()
        .zip(fields)
        .map(|(column, field)| column.finish(field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new_with_length(fields.clone(), arrays, nulls, len)
}

/// Rows being gathered.
#[derive(Debug)]
pub(crate) struct Columns {
    schema: SchemaRef,
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
}

impl Columns {
    /// None gathered yet. The error names a type that this sink can't write.
    pub(crate) fn new(schema: SchemaRef) -> Result<Self, String> {
        Ok(Self {
            columns: children(schema.fields())?,
            schema,
            rows: 0,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// What they hold in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum()
    }

    /// Forgets everything from row `rows` on.
    pub(crate) fn roll_back(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|it| it.truncate(rows));
        self.rows = rows;
    }

    /// Hands out the rows; empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let arrays = self
            .columns
            .iter_mut()
            .zip(self.schema.fields())
            .map(|(column, field)| column.finish(field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }
}
