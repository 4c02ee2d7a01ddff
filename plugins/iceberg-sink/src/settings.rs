//! What a person writes under the sink's `settings:`.

use std::collections::BTreeMap;
use std::time::Duration;

use jackfield_sdk::Finding;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::evolve::Evolve;
use crate::partition_by::PartitionBy;
use crate::routing::Route;
use crate::sorting::SortBy;
use crate::units::{Age, ByteSize};

/// zstd's own range; beyond 3 the CPU time spent buys next to nothing on market data.
pub(crate) const COMPRESSION_LEVEL_MIN: i32 = 1;
pub(crate) const COMPRESSION_LEVEL_MAX: i32 = 22;
/// A smaller target would make more metadata than data.
pub(crate) const TARGET_FILE_BYTES_MIN: u64 = 1024 * 1024;
/// Readers plan by whole files; beyond this they wait for one file.
pub(crate) const TARGET_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// What most engines read best.
pub(crate) const TARGET_FILE_BYTES_DEFAULT: u64 = 128 * 1024 * 1024;
/// Each open file holds up to a row group and its dictionaries in memory, about 9 MiB.
pub(crate) const OPEN_FILES_DEFAULT: u32 = 16;
/// As many take most of what a component is given anywhere.
const OPEN_FILES_LIMIT: u32 = 64;
/// Rows of a few partitions until they are worth a file.
const BUFFER_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// With less each put would end in files.
const BUFFER_BYTES_MIN: u64 = 1024 * 1024;
/// A component has 4 GiB at most, and its files and what it has gathered beside this.
const BUFFER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Settings of the Iceberg sink.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The table, with its namespace: `market.trades`. `{topic}` stands for the topic's name, whose
    /// dots part namespaces, and `{field}` for the value of a top-level field, which must be plain
    /// (letters, digits, `_`, `-`): `market.{symbol}` makes a table of each symbol.
    pub table: String,
    /// Most tables that one task has rows for, where `table` names more than one: before it takes
    /// those of one more, it asks for a commit. Each holds files open and rows in memory.
    #[serde(default = "tables_max")]
    #[schemars(range(min = 1, max = 1000))]
    pub tables_max: u32,
    /// What may become of a table's schema when the topic's has changed: `off`, `add` (new fields
    /// become optional columns) or `full` (also wider types, columns that can be null from now on,
    /// and new names by alias).
    #[serde(default)]
    pub evolve: Evolve,
    /// How records get into the table: `append`. `upsert` is refused: docs/ICEBERG.md says why.
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
    /// Data files are closed at about this size, 1MiB to 8GiB. Left out: what the table says in
    /// `write.target-file-size-bytes`, or else 128MiB.
    pub target_file_size: Option<ByteSize>,
    /// Most files that one task has open at once, over all tables. Each takes about 9 MiB.
    #[serde(default = "open_files")]
    #[schemars(range(min = 1, max = 64))]
    pub open_files: u32,
    /// Most bytes of rows that wait in one task, over all tables, until their partition has enough
    /// of them for a file: 1MiB to 1GiB.
    #[serde(default = "buffer")]
    pub buffer: ByteSize,
}

/// Upkeep of a table. It changes no row, and positions are kept whatever it removes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Maintain {
    /// Snapshots older than this are forgotten, before the first commit and with each 50th: `7d`,
    /// `12h`. Whatever their age, they go where there are more than 10,000, or where the table's
    /// metadata gets too large. Their files go with `orphans`.
    pub expire: Option<Age>,
    /// Whether 100 small manifests are made one, with the first commit and each 50th.
    #[serde(default)]
    pub merge_manifests: bool,
    /// Files in the table's folders that nothing refers to, and that are older than this, are
    /// deleted, with the 10th commit and each 500th after it: at least `1d`, since any writer's
    /// files are unreferenced until it commits.
    pub orphans: Option<Age>,
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

fn open_files() -> u32 {
    OPEN_FILES_DEFAULT
}

fn buffer() -> ByteSize {
    ByteSize(BUFFER_BYTES_DEFAULT)
}

fn yes() -> bool {
    true
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
        for (key, size, least, most) in [
            (
                "target-file-size",
                self.target_file_size,
                TARGET_FILE_BYTES_MIN,
                TARGET_FILE_BYTES_MAX,
            ),
            (
                "buffer",
                Some(self.buffer),
                BUFFER_BYTES_MIN,
                BUFFER_BYTES_MAX,
            ),
        ] {
            if let Some(size) = size.filter(|it| !(least..=most).contains(&it.0)) {
                found.push(Finding::error(
                    key,
                    format!("{size} is out of range"),
                    format!("write {} to {}", ByteSize(least), ByteSize(most)),
                ));
            }
        }
        if !(1..=OPEN_FILES_LIMIT).contains(&self.open_files) {
            found.push(Finding::error(
                "open-files",
                format!("{} is out of range", self.open_files),
                format!("write 1 to {OPEN_FILES_LIMIT}"),
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
        assert_eq!(settings.target_file_size, None);
        assert_eq!(settings.open_files, 16);
        assert_eq!(settings.buffer, ByteSize(64 << 20));
        assert_eq!(settings.findings(), vec![]);
    }

    #[test]
    fn every_wrong_setting_is_found_at_once() {
        let settings = settings(
            r#"{"table":"trades","partition-by":["symbol","week(trade_time)"],
                "compression-level":99,"target-file-size":"1KiB","buffer":"2GiB","open-files":0}"#,
        )
        .unwrap();
        let paths: Vec<_> = settings.findings().into_iter().map(|it| it.path).collect();
        assert_eq!(
            paths,
            [
                "table",
                "partition-by[1]",
                "compression-level",
                "target-file-size",
                "buffer",
                "open-files"
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
                .map(|it| it.target_file_size.unwrap().0)
        };
        assert_eq!(size("1048576").unwrap(), 1 << 20);
        assert_eq!(size(r#""64MiB""#).unwrap(), 64 << 20);
        assert_eq!(size(r#""2GiB""#).unwrap(), 2 << 30);
        for wrong in [r#""64MB""#, r#""MiB""#, r#""-1""#, r#""99999999999GiB""#] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
