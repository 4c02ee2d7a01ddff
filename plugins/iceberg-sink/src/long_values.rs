//! The bounds of a file's columns whose values are longer than Parquet's statistics.
//!
//! Parquet cuts the bounds of a row group, and says that they are not exact. The library leaves
//! such a bound out and takes the file's from the other row groups: readers would pass over files
//! that have the rows they look for. Whole bounds would be in memory, and in the file, once for
//! each row group. So the beginnings of long values are looked at here, and bounds made wider.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, ArrayRef, GenericByteArray, RecordBatch};
use arrow_buffer::ArrowNativeType;
use iceberg::io::OutputFile;
use iceberg::spec::{
    DataFileBuilder, Datum, NestedFieldRef, PrimitiveType, Schema, SchemaRef, Type,
};
use iceberg::writer::CurrentFileStatus;
use iceberg::writer::file_writer::{
    FileWriter, FileWriterBuilder, ParquetWriter, ParquetWriterBuilder,
};
use iceberg::{Error, ErrorKind, Result};

use crate::metrics::{raised_bytes, raised_text};

/// Bytes of a bound in Parquet's own statistics, and of a long value that are looked at: more than
/// the 16 characters that a table keeps of a bound if it does not ask for more.
pub(crate) const STATISTICS_BYTES_MAX: usize = 64;

/// Makes Parquet files, with bounds of long values too.
#[derive(Debug, Clone)]
pub(crate) struct BoundingWriterBuilder {
    parquet: ParquetWriterBuilder,
    schema: SchemaRef,
}

impl BoundingWriterBuilder {
    /// `parquet` writes rows of that schema, and cuts statistics at [`STATISTICS_BYTES_MAX`].
    pub(crate) fn new(parquet: ParquetWriterBuilder, schema: SchemaRef) -> Self {
        Self { parquet, schema }
    }
}

impl FileWriterBuilder for BoundingWriterBuilder {
    type R = BoundingWriter;

    async fn build(&self, output_file: OutputFile) -> Result<Self::R> {
        Ok(BoundingWriter {
            parquet: self.parquet.build(output_file).await?,
            schema: self.schema.clone(),
            long: LongValues::default(),
        })
    }
}

/// One file.
pub(crate) struct BoundingWriter {
    parquet: ParquetWriter,
    schema: SchemaRef,
    long: LongValues,
}

impl FileWriter for BoundingWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = self.schema.as_struct().fields();
        self.long.fields(columns, batch.columns());
        self.parquet.write(batch).await
    }

    async fn close(self) -> Result<Vec<DataFileBuilder>> {
        let mut files = self.parquet.close().await?;
        for file in &mut files {
            self.long.widen(&self.schema, file)?;
        }
        Ok(files)
    }
}

impl CurrentFileStatus for BoundingWriter {
    fn current_file_path(&self) -> String {
        self.parquet.current_file_path()
    }

    fn current_row_num(&self) -> usize {
        self.parquet.current_row_num()
    }

    fn current_written_size(&self) -> usize {
        self.parquet.current_written_size()
    }
}

/// The least and the greatest beginning of the long values of each column, by field id. Each has
/// [`STATISTICS_BYTES_MAX`] bytes.
#[derive(Debug, Default)]
struct LongValues(HashMap<i32, (Vec<u8>, Vec<u8>)>);

impl LongValues {
    fn fields(&mut self, fields: &[NestedFieldRef], columns: &[ArrayRef]) {
        for (field, column) in fields.iter().zip(columns) {
            self.column(field, column);
        }
    }

    fn column(&mut self, field: &NestedFieldRef, column: &ArrayRef) {
        match field.field_type.as_ref() {
            Type::Primitive(PrimitiveType::String) => {
                if let Some(values) = column.as_string_opt::<i32>() {
                    self.note(field.id, beginnings(values));
                }
            }
            Type::Primitive(PrimitiveType::Binary) => {
                if let Some(values) = column.as_binary_opt::<i64>() {
                    self.note(field.id, beginnings(values));
                }
            }
            Type::Primitive(PrimitiveType::Fixed(width))
                if *width > STATISTICS_BYTES_MAX as u64 =>
            {
                if let Some(values) = column.as_fixed_size_binary_opt() {
                    let values = values.iter().flatten();
                    self.note(field.id, values.map(|it| &it[..STATISTICS_BYTES_MAX]));
                }
            }
            Type::Primitive(_) => {}
            Type::Struct(record) => {
                if let Some(values) = column.as_struct_opt() {
                    self.fields(record.fields(), values.columns());
                }
            }
            Type::List(list) => {
                if let Some(values) = column.as_list_opt::<i32>() {
                    let items = between(values.values(), values.value_offsets());
                    self.column(&list.element_field, &items);
                }
            }
            Type::Map(map) => {
                if let Some(values) = column.as_map_opt() {
                    let ends = values.value_offsets();
                    self.column(&map.key_field, &between(values.keys(), ends));
                    self.column(&map.value_field, &between(values.values(), ends));
                }
            }
        }
    }

    fn note<'a>(&mut self, id: i32, mut beginnings: impl Iterator<Item = &'a [u8]>) {
        let Some(first) = beginnings.next() else {
            return;
        };
        let noted = self.0.entry(id);
        let (least, greatest) = noted.or_insert_with(|| (first.to_vec(), first.to_vec()));
        for beginning in std::iter::once(first).chain(beginnings) {
            if beginning < least.as_slice() {
                least.copy_from_slice(beginning);
            } else if beginning > greatest.as_slice() {
                greatest.copy_from_slice(beginning);
            }
        }
    }

    /// Makes a file's bounds hold for the long values too. What is left out of a row group's bounds
    /// is one of these, so that these and the other bounds hold for all values.
    fn widen(&self, schema: &Schema, file: &mut DataFileBuilder) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let said = file
            .build()
            .map_err(|e| Error::new(ErrorKind::Unexpected, e.to_string()))?;
        let (mut lower, mut upper) = (said.lower_bounds().clone(), said.upper_bounds().clone());
        for (id, (least, greatest)) in &self.0 {
            let ty = schema.field_by_id(*id).map(|it| it.field_type.as_ref());
            let (least, greatest) = match ty {
                Some(Type::Primitive(PrimitiveType::String)) => (
                    Some(Datum::string(text(least))),
                    raised_text(text(greatest)).map(Datum::string),
                ),
                Some(Type::Primitive(PrimitiveType::Fixed(_))) => (
                    Some(Datum::fixed(least.clone())),
                    raised_bytes(greatest.clone()).map(Datum::fixed),
                ),
                _ => (
                    Some(Datum::binary(least.clone())),
                    raised_bytes(greatest.clone()).map(Datum::binary),
                ),
            };
            widen(&mut lower, *id, least, |ours, said| ours < said);
            widen(&mut upper, *id, greatest, |ours, said| ours > said);
        }
        file.lower_bounds(lower).upper_bounds(upper);
        Ok(())
    }
}

/// `bound`: none: nothing of that length bounds the values.
fn widen(
    bounds: &mut HashMap<i32, Datum>,
    id: i32,
    bound: Option<Datum>,
    is_wider: impl Fn(&Datum, &Datum) -> bool,
) {
    let Some(bound) = bound else {
        bounds.remove(&id);
        return;
    };
    if bounds.get(&id).is_none_or(|said| is_wider(&bound, said)) {
        bounds.insert(id, bound);
    }
}

/// Of each value that is longer than Parquet's statistics.
fn beginnings<T: ByteArrayType>(values: &GenericByteArray<T>) -> impl Iterator<Item = &[u8]> {
    let data = values.value_data();
    values.value_offsets().windows(2).filter_map(move |ends| {
        let (start, end) = (ends[0].as_usize(), ends[1].as_usize());
        (end - start > STATISTICS_BYTES_MAX).then(|| &data[start..start + STATISTICS_BYTES_MAX])
    })
}

/// The items of lists or maps that may be a part of longer ones.
fn between(items: &ArrayRef, ends: &[i32]) -> ArrayRef {
    let first = ends.first().map_or(0, |it| it.as_usize());
    let last = ends.last().map_or(0, |it| it.as_usize());
    items.slice(first, last - first)
}

/// The whole characters at the beginning.
fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |it| it.valid())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::StringArray;
    use iceberg::spec::{DataContentType, DataFileFormat, NestedField};

    use super::*;

    /// The bounds of a column of texts, of which the row groups have said `said`.
    fn bounds(said: &str, texts: &[&str]) -> (Option<Datum>, Option<Datum>) {
        let field = NestedField::required(1, "t", Type::Primitive(PrimitiveType::String));
        let schema = Schema::builder().with_fields([field.into()]).build();
        let schema = schema.unwrap();
        let mut long = LongValues::default();
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        long.fields(schema.as_struct().fields(), &[column]);
        let mut file = DataFileBuilder::default();
        file.content(DataContentType::Data)
            .file_path("f".to_owned())
            .file_format(DataFileFormat::Parquet)
            .record_count(1)
            .file_size_in_bytes(1)
            .lower_bounds(HashMap::from([(1, Datum::string(said))]))
            .upper_bounds(HashMap::from([(1, Datum::string(said))]));
        long.widen(&schema, &mut file).unwrap();
        let file = file.build().unwrap();
        let of = |bounds: &HashMap<i32, Datum>| bounds.get(&1).cloned();
        (of(file.lower_bounds()), of(file.upper_bounds()))
    }

    #[test]
    fn long_values_make_bounds_wider_and_never_narrower() {
        let text = |text: String| Some(Datum::string(text));
        let same = (text("m".to_owned()), text("m".to_owned()));
        assert_eq!(bounds("m", &["a", "z", &"z".repeat(64)]), same);
        let (a, z) = ("a".repeat(65), "z".repeat(65));
        let lower = text("a".repeat(64));
        let upper = text(format!("{}{{", "z".repeat(63)));
        assert_eq!(bounds("m", &[&z, &a]), (lower.clone(), upper.clone()));
        assert_eq!(bounds("~", &[&z, &a]), (lower, text("~".to_owned())));
        // The 64th byte is in the middle of a character.
        let umlauts = format!("a{}", "ä".repeat(40));
        let (lower, upper) = bounds("b", &[&umlauts]);
        assert_eq!(lower, text(format!("a{}", "ä".repeat(31))));
        assert_eq!(upper, text("b".to_owned()));
        // Nothing of 64 bytes is above it.
        let (_, upper) = bounds("m", &[&"\u{10ffff}".repeat(17)]);
        assert_eq!(upper, None);
    }
}
