//! How data files are encoded: what the table's `write.parquet.*` say, within what this sink has.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{PrimitiveType, Schema, Type};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{
    DEFAULT_MAX_ROW_GROUP_ROW_COUNT, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use crate::long_values::STATISTICS_BYTES_MAX;
use crate::parquet_paths::parquet_path;
use crate::settings::{TARGET_FILE_BYTES_DEFAULT, TARGET_FILE_BYTES_MAX, TARGET_FILE_BYTES_MIN};

const CODEC: &str = "write.parquet.compression-codec";
const LEVEL: &str = "write.parquet.compression-level";
const ROW_GROUP_BYTES: &str = "write.parquet.row-group-size-bytes";
const PAGE_BYTES: &str = "write.parquet.page-size-bytes";
const DICTIONARY_BYTES: &str = "write.parquet.dict-size-bytes";
const PAGE_VERSION: &str = "write.parquet.page-version";
const PAGE_ROWS: &str = "write.parquet.page-row-limit";
pub(crate) const BLOOM: &str = "write.parquet.bloom-filter-enabled.column.";
pub(crate) const BLOOM_FPP: &str = "write.parquet.bloom-filter-fpp.column.";
const BLOOM_BYTES: &str = "write.parquet.bloom-filter-max-bytes";
const FORMAT: &str = "write.format.default";
const TARGET_FILE_BYTES: &str = "write.target-file-size-bytes";

/// A row group is in memory until it is whole, in every open file: this many bytes, times the
/// files that may be open, is what encoding takes.
pub(crate) const ROW_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// zstd's fastest: 3 costs 15 % more CPU time for a few per cent of size.
const LEVEL_DEFAULT: i32 = 1;
/// As Iceberg has it.
const BLOOM_FPP_DEFAULT: f64 = 0.01;
/// As Iceberg has it. A filter is in memory until its row group is whole.
const BLOOM_BYTES_DEFAULT: u64 = 1024 * 1024;
/// The smallest filter that there is.
const BLOOM_BYTES_MIN: u64 = 32;
/// The largest filter that Parquet's writer makes.
const BLOOM_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Up to here a column of whole numbers may have a dictionary: 8192 longs, less than a page of
/// them, so that a column of ids gives its own up early. Those of other types go by the writer's
/// default: their values are larger, or repeat more.
const NUMBER_DICTIONARY_BYTES: usize = 64 * 1024;
/// The largest number that a component can count to.
const COUNT_MAX: u64 = u32::MAX as u64;

/// From a table's properties; `level` is the settings', and goes first.
pub(crate) fn writer_properties(
    table: &HashMap<String, String>,
    schema: &Schema,
    level: Option<i32>,
) -> Result<WriterProperties, String> {
    if let Some(format) = table.get(FORMAT)
        && !format.eq_ignore_ascii_case("parquet")
    {
        return Err(format!(
            "the table asks for {FORMAT}={format}; this sink writes parquet"
        ));
    }
    let compression = match table.get(CODEC).map(String::as_str).unwrap_or("zstd") {
        "zstd" => {
            let level = match level {
                Some(level) => level,
                None => number(table, LEVEL)?.unwrap_or(LEVEL_DEFAULT),
            };
            Compression::ZSTD(ZstdLevel::try_new(level).map_err(|e| format!("{LEVEL}: {e}"))?)
        }
        "snappy" => Compression::SNAPPY,
        "gzip" => Compression::GZIP(match number(table, LEVEL)? {
            None => GzipLevel::default(),
            Some(level) => GzipLevel::try_new(level).map_err(|e| format!("{LEVEL}: {e}"))?,
        }),
        "uncompressed" | "none" => Compression::UNCOMPRESSED,
        other => {
            return Err(format!(
                "the table asks for {CODEC}={other}; this sink writes zstd, snappy, \
                 gzip and uncompressed"
            ));
        }
    };
    let row_group = count(table, ROW_GROUP_BYTES)?
        .unwrap_or(ROW_GROUP_BYTES_MAX)
        .min(ROW_GROUP_BYTES_MAX);
    let mut properties = WriterProperties::builder()
        .set_writer_version(page_version(table)?)
        .set_compression(compression)
        .set_max_row_group_bytes(Some(row_group.max(1)))
        // Longer values are bounded beside it: they would be in memory once for each row group.
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_created_by(format!(
            "jackfield iceberg-sink {}",
            env!("CARGO_PKG_VERSION")
        ));
    if let Some(bytes) = count(table, PAGE_BYTES)? {
        properties = properties.set_data_page_size_limit(bytes);
    }
    let dictionary = count(table, DICTIONARY_BYTES)?;
    if let Some(bytes) = dictionary {
        properties = properties.set_dictionary_page_size_limit(bytes);
    }
    if let Some(rows) = count(table, PAGE_ROWS)? {
        properties = properties.set_data_page_row_count_limit(rows);
    }
    let numbers = dictionary.unwrap_or(NUMBER_DICTIONARY_BYTES);
    let properties = dictionaries(properties, schema, numbers);
    Ok(bloom_filters(properties, table, schema)?.build())
}

/// The size of data files that a table asks for, within what this sink makes.
pub(crate) fn target_file_bytes(table: &HashMap<String, String>) -> Result<u64, String> {
    let bytes = number(table, TARGET_FILE_BYTES)?.unwrap_or(TARGET_FILE_BYTES_DEFAULT);
    Ok(bytes.clamp(TARGET_FILE_BYTES_MIN, TARGET_FILE_BYTES_MAX))
}

/// The distinct values for which a filter takes no more than so many bytes: the writer sizes it by
/// `-8 * values / ln(1 - fpp^(1/8))` bits, and takes the next power of two.
fn bloom_values(bytes_max: u64, fpp: f64) -> u64 {
    let bytes = bytes_max.clamp(BLOOM_BYTES_MIN, BLOOM_BYTES_MAX);
    let bytes = 1_u64 << bytes.ilog2();
    let values = bytes as f64 * -(1.0 - fpp.powf(1.0 / 8.0)).ln();
    (values as u64).max(1)
}

fn bloom_filters(
    mut properties: WriterPropertiesBuilder,
    table: &HashMap<String, String>,
    schema: &Schema,
) -> Result<WriterPropertiesBuilder, String> {
    let bytes_max = number(table, BLOOM_BYTES)?.unwrap_or(BLOOM_BYTES_DEFAULT);
    for (key, value) in table {
        let Some(name) = key.strip_prefix(BLOOM) else {
            continue;
        };
        if !value.eq_ignore_ascii_case("true") {
            continue;
        }
        let field = schema
            .field_by_name(name)
            .filter(|it| it.field_type.is_primitive())
            .ok_or_else(|| format!("the table says {key}=true, and has no such plain column"))?;
        if *field.field_type == Type::Primitive(PrimitiveType::Boolean) {
            continue;
        }
        let path = parquet_path(schema, field.id);
        let path = path.ok_or_else(|| format!("the table says {key}=true of no column"))?;
        let fpp_key = format!("{BLOOM_FPP}{name}");
        let fpp = number(table, &fpp_key)?.unwrap_or(BLOOM_FPP_DEFAULT);
        if !(fpp > 0.0 && fpp < 1.0) {
            return Err(format!(
                "the table says {fpp_key}={fpp}: not between 0 and 1"
            ));
        }
        // No more values than a row group has rows.
        let values = bloom_values(bytes_max, fpp).min(DEFAULT_MAX_ROW_GROUP_ROW_COUNT as u64);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), fpp)
            .set_column_bloom_filter_ndv(path, values);
    }
    Ok(properties)
}

/// Version 1 has plain values and dictionaries, which every reader takes. Version 2 has differences
/// and common beginnings too: smaller, and refused by Iceberg's vectorized readers until lately.
fn page_version(table: &HashMap<String, String>) -> Result<WriterVersion, String> {
    match table.get(PAGE_VERSION).map(String::as_str) {
        None => Ok(WriterVersion::PARQUET_1_0),
        Some(said) if said.eq_ignore_ascii_case("v1") => Ok(WriterVersion::PARQUET_1_0),
        Some(said) if said.eq_ignore_ascii_case("v2") => Ok(WriterVersion::PARQUET_2_0),
        Some(said) => Err(format!(
            "the table says {PAGE_VERSION}={said}: this sink writes v1 and v2"
        )),
    }
}

/// Times rise from row to row, so that a dictionary of them is built in vain. Other whole numbers
/// get none that would take more than so many bytes.
fn dictionaries(
    mut properties: WriterPropertiesBuilder,
    schema: &Schema,
    bytes_max: usize,
) -> WriterPropertiesBuilder {
    for field in schema.as_struct().fields() {
        let Type::Primitive(primitive) = field.field_type.as_ref() else {
            continue;
        };
        let column = || ColumnPath::from(field.name.as_str());
        properties = match primitive {
            PrimitiveType::Timestamp | PrimitiveType::Timestamptz | PrimitiveType::Time => {
                properties.set_column_dictionary_enabled(column(), false)
            }
            PrimitiveType::Long | PrimitiveType::Int | PrimitiveType::Date => {
                properties.set_column_dictionary_page_size_limit(column(), bytes_max)
            }
            _ => properties,
        };
    }
    properties
}

fn number<T: std::str::FromStr>(
    table: &HashMap<String, String>,
    key: &str,
) -> Result<Option<T>, String> {
    table
        .get(key)
        .map(|text| {
            text.parse()
                .map_err(|_| format!("the table says {key}={text}: not a number"))
        })
        .transpose()
}

/// A number that may be larger than a component's memory, whose `usize` has 32 bits: no file is
/// another for being bounded by the largest that it can hold.
fn count(table: &HashMap<String, String>, key: &str) -> Result<Option<usize>, String> {
    let said: Option<u64> = number(table, key)?;
    Ok(said.map(|it| usize::try_from(it.min(COUNT_MAX)).expect("32 bits fit everywhere")))
}

/// Properties of a table that this sink creates.
pub(crate) fn of_new_table(
    level: Option<i32>,
    given: &BTreeMap<String, String>,
) -> HashMap<String, String> {
    let mut properties = HashMap::from([
        (FORMAT.to_owned(), "parquet".to_owned()),
        (CODEC.to_owned(), "zstd".to_owned()),
    ]);
    if let Some(level) = level {
        properties.insert(LEVEL.to_owned(), level.to_string());
    }
    properties.extend(given.clone());
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compression(table: &[(&str, &str)], level: Option<i32>) -> Result<Compression, String> {
        let table = table
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let schema = Schema::builder().build().unwrap();
        writer_properties(&table, &schema, level).map(|it| it.compression(&ColumnPath::from("x")))
    }

    #[test]
    fn settings_go_before_the_table_and_the_table_before_the_default() {
        let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).unwrap());
        assert_eq!(compression(&[], None), Ok(zstd(1)));
        assert_eq!(compression(&[(LEVEL, "7")], None), Ok(zstd(7)));
        assert_eq!(compression(&[(LEVEL, "7")], Some(3)), Ok(zstd(3)));
        assert_eq!(
            compression(&[(CODEC, "snappy")], None),
            Ok(Compression::SNAPPY)
        );
        assert!(
            compression(&[(CODEC, "brotli")], None)
                .unwrap_err()
                .contains("brotli")
        );
        let gzip = compression(&[(CODEC, "gzip"), (LEVEL, "3")], Some(9));
        assert_eq!(gzip, Ok(Compression::GZIP(GzipLevel::try_new(3).unwrap())));
        assert!(compression(&[(LEVEL, "x")], None).is_err());
        assert!(compression(&[(LEVEL, "99")], None).is_err());
    }

    #[test]
    fn numbers_beyond_32_bits_are_as_many_as_there_can_be() {
        let said = |text: &str| {
            let table = HashMap::from([(PAGE_ROWS.to_owned(), text.to_owned())]);
            let schema = Schema::builder().build().unwrap();
            writer_properties(&table, &schema, None).map(|it| it.data_page_row_count_limit())
        };
        assert_eq!(said("7"), Ok(7));
        assert_eq!(said("9223372036854775807"), Ok(u32::MAX as usize));
        assert!(said("-1").is_err());
    }

    #[test]
    fn dictionaries_of_whole_numbers_are_small_unless_the_table_sizes_them() {
        let field = |id, name: &str, ty| {
            iceberg::spec::NestedField::required(id, name, Type::Primitive(ty)).into()
        };
        let schema = Schema::builder()
            .with_fields([
                field(1, "id", PrimitiveType::Long),
                field(2, "day", PrimitiveType::Date),
                field(3, "text", PrimitiveType::String),
            ])
            .build()
            .unwrap();
        let limits = |table: &[(&str, &str)]| {
            let table = table
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let properties = writer_properties(&table, &schema, None).unwrap();
            ["id", "day", "text"]
                .map(|it| properties.column_dictionary_page_size_limit(&ColumnPath::from(it)))
        };
        assert_eq!(limits(&[]), [64 << 10, 64 << 10, 1 << 20]);
        assert_eq!(limits(&[(DICTIONARY_BYTES, "2097152")]), [2 << 20; 3]);
    }

    #[test]
    fn a_table_of_another_format_is_refused() {
        assert!(compression(&[(FORMAT, "Parquet")], None).is_ok());
        let why = compression(&[(FORMAT, "orc")], None).unwrap_err();
        assert!(
            why.contains("orc") && why.contains("writes parquet"),
            "{why}"
        );
    }

    #[test]
    fn the_size_of_files_is_the_tables_within_bounds() {
        let bytes = |text: Option<&str>| {
            let table = text.map(|it| (TARGET_FILE_BYTES.to_owned(), it.to_owned()));
            target_file_bytes(&table.into_iter().collect())
        };
        assert_eq!(bytes(None), Ok(128 << 20));
        assert_eq!(bytes(Some("33554432")), Ok(32 << 20));
        assert_eq!(bytes(Some("1")), Ok(1 << 20));
        assert!(bytes(Some("32MiB")).is_err());
    }

    #[test]
    fn a_bloom_filter_takes_no_more_than_the_table_lets_it() {
        let schema = Schema::builder()
            .with_fields([iceberg::spec::NestedField::required(
                1,
                "s",
                Type::Primitive(PrimitiveType::String),
            )
            .into()])
            .build()
            .unwrap();
        let values = |bytes: &str| {
            let table = HashMap::from([
                (format!("{BLOOM}s"), "true".to_owned()),
                (BLOOM_BYTES.to_owned(), bytes.to_owned()),
            ]);
            let properties = writer_properties(&table, &schema, None)?;
            let filter = properties.bloom_filter_properties(&ColumnPath::from("s"));
            Ok::<_, String>(filter.map(|it| (it.ndv, it.fpp)))
        };
        for (bytes, most) in [("32", 32), ("65536", 65536), ("100000", 65536)] {
            let (ndv, fpp) = values(bytes).unwrap().unwrap();
            let filter = parquet::bloom_filter::Sbbf::new_with_ndv_fpp(ndv, fpp).unwrap();
            let mut written = Vec::new();
            filter.write_bitset(&mut written).unwrap();
            assert_eq!(written.len(), most, "{bytes}");
        }
        assert!(values("64KiB").is_err());
    }
}
