//! What a person writes under the sink's `settings:`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jackfield_sdk::Finding;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::evolve::Evolve;
use crate::partition_by::PartitionBy;
use crate::routing::Route;
use crate::sorting::SortBy;

/// zstd's own range; beyond 3 the CPU time spent buys next to nothing on market data.
pub(crate) const COMPRESSION_LEVEL_MIN: i32 = 1;
pub(crate) const COMPRESSION_LEVEL_MAX: i32 = 22;
/// A smaller target would make more metadata than data.
pub(crate) const TARGET_FILE_BYTES_MIN: u64 = 1024 * 1024;
/// Readers plan by whole files; beyond this they wait for one file.
pub(crate) const TARGET_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// What most engines read best.
const TARGET_FILE_BYTES_DEFAULT: u64 = 128 * 1024 * 1024;

/// Settings of the Iceberg sink.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The table, with its namespace: `market.trades`. `{topic}` stands for the topic's name, whose
    /// dots part namespaces, and `{field}` for the value of a top-level field, which must be plain
    /// (letters, digits, `_`, `-`): `market.{symbol}` makes a table of each symbol.
    pub table: String,
    /// Most tables that one task writes to, where `table` names more than one. Each holds files
    /// open and rows in memory.
    #[serde(default = "tables_max")]
    #[schemars(range(min = 1, max = 1000))]
    pub tables_max: u32,
    /// What may become of a table's schema when the topic's has changed: `off`, `add` (new fields
    /// become optional columns) or `full` (also wider types, columns that can be null from now on,
    /// and new names by alias).
    #[serde(default)]
    pub evolve: Evolve,
    /// How records get into the table. `upsert` is not possible yet: see docs.
    #[serde(default)]
    pub mode: Mode,
    /// How the table is partitioned: columns, or `year(column)`, `month(column)`, `day(column)`,
    /// `hour(column)`, `bucket(16, column)`, `truncate(4, column)`. A table that exists has to be
    /// partitioned like this. Left out: as the table is, and a new one is not partitioned.
    pub partition_by: Option<Vec<String>>,
    /// Whether to create the table when it is missing, from the schema of the topic.
    #[serde(default = "yes")]
    pub create: bool,
    /// The order of rows within the files of a table that is created: columns, each with `desc`
    /// behind it or not. A table that exists has its own.
    pub sort_by: Option<Vec<String>>,
    /// Properties of a table that is created, such as `write.parquet.compression-codec`. A table
    /// that exists has its own.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// What is done for the table now and then, after a commit: nothing, if left out.
    #[serde(default)]
    pub maintain: Maintain,
    /// zstd's level for data files, 1 to 22. Left out: what the table says, or else 1.
    #[schemars(range(min = 1, max = 22))]
    pub compression_level: Option<i32>,
    /// Data files are closed at about this size.
    #[serde(default)]
    pub target_file_size: ByteSize,
}

/// Upkeep of a table. It changes no row, and positions are kept whatever it removes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Maintain {
    /// Snapshots older than this are forgotten, each 50th commit: `7d`, `12h`. Their files go
    /// with `orphans`.
    pub expire: Option<Age>,
    /// Whether 100 small manifests are made one, each 50th commit.
    #[serde(default)]
    pub merge_manifests: bool,
    /// Files in the table's folders that nothing refers to, and that are older than this, are
    /// deleted, each 500th commit: at least `1d`, since any writer's files are unreferenced until
    /// it commits.
    pub orphans: Option<Age>,
}

/// A time: a whole number and `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Age(pub Duration);

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match text.get(digits.len()..).unwrap_or_default() {
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            other => return Err(format!("`{other}` is not a unit: m, h or d")),
        };
        digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(unit))
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| format!("`{text}` is not a time such as 7d"))
    }
}

/// A reader that began with a snapshot has at least so long to end.
const EXPIRE_MIN: Duration = Duration::from_secs(3600);
/// What is staged is committed, or given up, long before.
const ORPHANS_MIN: Duration = Duration::from_secs(24 * 3600);

/// How records get into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each is a row.
    #[default]
    Append,
    /// Each replaces the row of its key: refused.
    Upsert,
}

/// Tables of one task, unless it is said: each costs a few megabytes while rows gather.
const TABLES_DEFAULT: u32 = 64;
/// More than that many tables in one commit interval take more commits than it has time for.
const TABLES_LIMIT: u32 = 1000;

fn tables_max() -> u32 {
    TABLES_DEFAULT
}

fn yes() -> bool {
    true
}

/// A size: bytes as a number, or text such as `128MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "SizeText")]
#[schemars(with = "SizeText")]
pub struct ByteSize(pub u64);

impl Default for ByteSize {
    fn default() -> Self {
        Self(TARGET_FILE_BYTES_DEFAULT)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 30) == 0 => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum SizeText {
    Bytes(u64),
    Text(String),
}

impl TryFrom<SizeText> for ByteSize {
    type Error = String;

    fn try_from(size: SizeText) -> Result<Self, String> {
        let text = match size {
            SizeText::Bytes(bytes) => return Ok(Self(bytes)),
            SizeText::Text(text) => text,
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match text.get(digits.len()..).unwrap_or_default() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            other => return Err(format!("`{other}` is not a unit: B, KiB, MiB or GiB")),
        };
        digits
            .trim()
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size such as 128MiB"))
    }
}

impl Settings {
    /// What is wrong with them, as far as that can be told without the table.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Err(why) = Route::parse(&self.table) {
            found.push(Finding::error(
                "table",
                why,
                "write namespace and table: `market.trades`, or `market.{symbol}`",
            ));
        }
        if !(1..=TABLES_LIMIT).contains(&self.tables_max) {
            found.push(Finding::error(
                "tables-max",
                format!("{} is out of range", self.tables_max),
                format!("write 1 to {TABLES_LIMIT}"),
            ));
        }
        for (key, age, least) in [
            ("expire", self.maintain.expire, EXPIRE_MIN),
            ("orphans", self.maintain.orphans, ORPHANS_MIN),
        ] {
            if age.is_some_and(|it| it.0 < least) {
                let hours = least.as_secs() / 3600;
                found.push(Finding::error(
                    format!("maintain.{key}"),
                    "too short: what somebody needs could be gone",
                    format!("write at least `{hours}h`"),
                ));
            }
        }
        if self.mode == Mode::Upsert {
            found.push(Finding::error(
                "mode",
                "upserts need delete files in the same commit as the rows, and the Iceberg library \
                 has no such commit yet: without it readers would see both rows of a key",
                "write `append`, and keep the newest row of each key when reading",
            ));
        }
        if let Err((at, why)) = self.partitioning() {
            found.push(Finding::error(
                format!("partition-by[{at}]"),
                why,
                "write a column, or one of year(c), month(c), day(c), hour(c), bucket(16, c), \
                 truncate(4, c)",
            ));
        }
        if let Err((at, why)) = self.sorting() {
            found.push(Finding::error(
                format!("sort-by[{at}]"),
                why,
                "write a column, or `column desc`",
            ));
        }
        for key in self.properties.keys() {
            if key.starts_with("jackfield.") || key == "format-version" {
                found.push(Finding::error(
                    format!("properties.{key}"),
                    "this property is the sink's own",
                    "remove it",
                ));
            }
        }
        if let Some(level) = self.compression_level
            && !(COMPRESSION_LEVEL_MIN..=COMPRESSION_LEVEL_MAX).contains(&level)
        {
            found.push(Finding::error(
                "compression-level",
                format!("zstd has no level {level}"),
                format!("write {COMPRESSION_LEVEL_MIN} to {COMPRESSION_LEVEL_MAX}; 1 is fastest"),
            ));
        }
        let size = self.target_file_size;
        if !(TARGET_FILE_BYTES_MIN..=TARGET_FILE_BYTES_MAX).contains(&size.0) {
            found.push(Finding::error(
                "target-file-size",
                format!("{size} is out of range"),
                format!(
                    "write {} to {}",
                    ByteSize(TARGET_FILE_BYTES_MIN),
                    ByteSize(TARGET_FILE_BYTES_MAX)
                ),
            ));
        }
        found
    }

    /// `sort-by`, parsed; none where it is left out. The error names its index.
    pub(crate) fn sorting(&self) -> Result<Option<SortBy>, (usize, String)> {
        self.sort_by.as_deref().map(SortBy::parse).transpose()
    }

    /// `partition-by`, parsed; none where it is left out. The error names its index.
    pub(crate) fn partitioning(&self) -> Result<Option<PartitionBy>, (usize, String)> {
        self.partition_by
            .as_deref()
            .map(PartitionBy::parse)
            .transpose()
    }
}

/// Namespace levels and the table's own name.
pub(crate) fn table_parts(table: &str) -> Result<Vec<String>, String> {
    let parts: Vec<String> = table.split('.').map(str::to_owned).collect();
    if parts.len() < 2 {
        return Err(format!("`{table}` has no namespace"));
    }
    if parts
        .iter()
        .any(|part| part.is_empty() || part.trim() != part)
    {
        return Err(format!("`{table}` has an empty or padded name in it"));
    }
    // A name becomes a folder.
    if table.contains(|c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | '?' | '#')) {
        return Err(format!(
            "`{table}` has a character in it that no folder should have"
        ));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<Settings, Finding> {
        jackfield_sdk::parse_settings(json)
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let settings = settings(r#"{"table":"market.trades"}"#).unwrap();
        assert!(settings.create);
        assert_eq!(settings.partition_by, None);
        assert_eq!(settings.target_file_size, ByteSize(128 << 20));
        assert_eq!(settings.findings(), vec![]);
    }

    #[test]
    fn every_wrong_setting_is_found_at_once() {
        let settings = settings(
            r#"{"table":"trades","partition-by":["symbol","week(trade_time)"],
                "compression-level":99,"target-file-size":"1KiB"}"#,
        )
        .unwrap();
        let paths: Vec<_> = settings.findings().into_iter().map(|it| it.path).collect();
        assert_eq!(
            paths,
            [
                "table",
                "partition-by[1]",
                "compression-level",
                "target-file-size"
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(settings(r#"{"table":"a.b","partitionby":[]}"#).is_err());
    }

    #[test]
    fn sizes_have_units() {
        let size = |json: &str| {
            settings(&format!(r#"{{"table":"a.b","target-file-size":{json}}}"#))
                .map(|it| it.target_file_size.0)
        };
        assert_eq!(size("1048576").unwrap(), 1 << 20);
        assert_eq!(size(r#""64MiB""#).unwrap(), 64 << 20);
        assert_eq!(size(r#""2GiB""#).unwrap(), 2 << 30);
        for wrong in [r#""64MB""#, r#""MiB""#, r#""-1""#, r#""99999999999GiB""#] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
