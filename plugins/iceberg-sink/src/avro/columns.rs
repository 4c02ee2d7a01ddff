//! Rows being gathered, a column at a time, in the table's own Arrow types.

use std::ops::{Range, Sub};
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

    /// Copies of some rows' values; what is gathered stays.
    fn part(&self, rows: &Range<usize>) -> Self {
        let values = match &self.values {
            Values::Bits(it) => {
                let mut bits = BooleanBufferBuilder::new(rows.len());
                rows.clone().for_each(|at| bits.append(it.get_bit(at)));
                Values::Bits(bits)
            }
            Values::I32(it) => Values::I32(it[rows.clone()].to_vec()),
            Values::I64(it) => Values::I64(it[rows.clone()].to_vec()),
            Values::I128(it) => Values::I128(it[rows.clone()].to_vec()),
            Values::F32(it) => Values::F32(it[rows.clone()].to_vec()),
            Values::F64(it) => Values::F64(it[rows.clone()].to_vec()),
            Values::Text { ends, bytes } => {
                let (ends, within) = part_of_ends(ends, rows);
                let bytes = bytes[within].to_vec();
                Values::Text { ends, bytes }
            }
            Values::Bytes { ends, bytes } => {
                let (ends, within) = part_of_ends(ends, rows);
                let bytes = bytes[within].to_vec();
                Values::Bytes { ends, bytes }
            }
            Values::Fixed { width, bytes } => Values::Fixed {
                width: *width,
                bytes: bytes[rows.start * width..rows.end * width].to_vec(),
            },
            Values::Struct(columns) => {
                Values::Struct(columns.iter().map(|it| it.part(rows)).collect())
            }
            Values::List { ends, items } => {
                let (ends, within) = part_of_ends(ends, rows);
                let items = Box::new(items.part(&within));
                Values::List { ends, items }
            }
            Values::Map { ends, keys, values } => {
                let (ends, within) = part_of_ends(ends, rows);
                Values::Map {
                    ends,
                    keys: Box::new(keys.part(&within)),
                    values: Box::new(values.part(&within)),
                }
            }
        };
        let mut nulls = NullBufferBuilder::new(rows.len());
        let valid = rows.clone().map(|at| self.nulls.is_valid(at));
        valid.for_each(|it| nulls.append(it));
        Self {
            values,
            nulls,
            len: rows.len(),
        }
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

/// Where some rows' values end, and which values these are.
fn part_of_ends<T>(ends: &[T], rows: &Range<usize>) -> (Vec<T>, Range<usize>)
where
    T: ArrowNativeType + Sub<Output = T>,
{
    let (first, last) = (ends[rows.start], ends[rows.end]);
    let own = ends[rows.start..=rows.end].iter();
    let own = own.map(|it| *it - first).collect();
    (own, first.as_usize()..last.as_usize())
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

    /// Copies of some rows' values in the columns that are wanted; the other columns are empty.
    pub(crate) fn part(
        &self,
        rows: &Range<usize>,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let none = 0..0;
        let columns = self.columns.iter().zip(self.schema.fields());
        let parts = columns.enumerate().map(|(at, (column, field))| {
            let rows = if is_wanted(at) { rows } else { &none };
            column.part(rows).finish(field.data_type())
        });
        parts.collect()
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

#[cfg(test)]
mod tests {
    use arrow_schema::Schema;

    use super::*;

    #[test]
    fn a_part_is_what_a_slice_of_all_rows_is() {
        const ROWS: usize = 9;
        let item = Arc::new(Field::new("element", DataType::Int32, true));
        let inside = Fields::from(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("list", DataType::List(item), true),
        ]);
        let schema = Schema::new(vec![
            Field::new("bit", DataType::Boolean, true),
            Field::new("bytes", DataType::LargeBinary, true),
            Field::new("fixed", DataType::FixedSizeBinary(2), true),
            Field::new("record", DataType::Struct(inside), true),
        ]);
        let mut rows = Columns::new(Arc::new(schema)).unwrap();
        for row in 0..ROWS {
            for column in &mut rows.columns {
                if row % 4 == 1 {
                    column.push_null();
                } else {
                    push(column, row);
                }
            }
            rows.rows += 1;
        }
        let (begin, end) = (2, 7);
        let part = rows.part(&(begin..end), |column| column != 1).unwrap();
        let all = rows.finish().unwrap().slice(begin, end - begin);
        assert_eq!(all.num_rows(), end - begin, "the rows are all there still");
        assert!(part[1].is_empty(), "it was not wanted");
        for column in [0, 2, 3] {
            assert_eq!(&part[column], all.column(column), "{column}");
        }
    }

    fn push(column: &mut Column, row: usize) {
        let number = i32::try_from(row).unwrap();
        let byte = u8::try_from(row).unwrap();
        match &mut column.values {
            Values::Bits(it) => it.append(row.is_multiple_of(3)),
            Values::I32(it) => it.push(number),
            Values::Text { ends, bytes } => {
                bytes.extend(std::iter::repeat_n(b'a' + byte, row));
                ends.push(i32::try_from(bytes.len()).unwrap());
            }
            Values::Bytes { ends, bytes } => {
                bytes.extend(std::iter::repeat_n(byte, row));
                ends.push(i64::try_from(bytes.len()).unwrap());
            }
            Values::Fixed { bytes, .. } => bytes.extend([byte, 0]),
            Values::Struct(columns) => columns.iter_mut().for_each(|it| push(it, row)),
            Values::List { ends, items } => {
                (0..row).for_each(|at| push(items, at));
                ends.push(i32::try_from(items.len()).unwrap());
            }
            other => panic!("{other:?}"),
        }
        column.pushed();
    }
}
