//! What filters find: a wrong partition value, bound or bloom filter would hide rows from whoever
//! asks for some of them only.

mod edges;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jackfield_system_tests::{
    Reader, describe_pyiceberg, read_filtered, shared_cluster, trades_sink, write_topic,
};
use serde_json::{Value, json};

use self::edges::{Column, Edge, ROWS, Rank, columns, record, schema};
use crate::kafka_records::consumer;
use crate::run_until_idle;

/// Times that a row is sent, in the first two writes.
const OFTEN: usize = 200;
/// The same in the last write, after which no file is without any of the rows.
const AGAIN: usize = 20;

/// A filter, and which of the rows it is for.
struct Filter {
    column: &'static str,
    written: String,
    holds: Vec<bool>,
    /// Of one value, which most of the files lack.
    one: bool,
    /// Compared with a moment before 1970; of numbers, with one below 0.
    before_1970: bool,
}

/// Whether a value stands so to another one.
type Sign = (&'static str, fn(Ordering) -> bool);

const EQUAL: Sign = ("=", Ordering::is_eq);
/// In turn, from one edge to the next.
const RANGES: [Sign; 4] = [
    ("<", Ordering::is_lt),
    (">=", Ordering::is_ge),
    ("<=", Ordering::is_le),
    (">", Ordering::is_gt),
];
/// Shorter than what they are the beginning of, as long, and longer than any bound.
const BEGINNINGS: [&str; 5] = ["abc", "sixteen-letters-", "l", "é", "😀"];

impl Filter {
    fn of(column: &Column, rest: &str, holds: impl Fn(Option<&Edge>) -> bool) -> Self {
        let values = column.values.iter();
        Self {
            column: column.name,
            written: format!("{} {rest}", column.name),
            holds: values.map(|it| holds(it.as_ref())).collect(),
            one: false,
            before_1970: false,
        }
    }

    fn comparing(column: &Column, edge: &Edge, (sign, stands): Sign) -> Self {
        let rest = format!("{sign} {}", edge.written);
        let holds = |it: Option<&Edge>| it.is_some_and(|it| stands(it.rank.cmp(&edge.rank)));
        Self {
            one: sign == EQUAL.0,
            before_1970: edge.rank < Rank::Number(0),
            ..Self::of(column, &rest, holds)
        }
    }

    fn beginning(column: &Column, with: &str) -> Self {
        let holds = |it: Option<&Edge>| match it.map(|it| &it.rank) {
            Some(Rank::Text(text)) => text.starts_with(with),
            Some(Rank::Number(_)) | None => false,
        };
        Self::of(column, &format!("like '{with}%'"), holds)
    }
}

fn filters(columns: &[Column]) -> Vec<Filter> {
    let mut all = Vec::new();
    for column in columns {
        all.push(Filter::of(column, "is null", |it| it.is_none()));
        all.push(Filter::of(column, "is not null", |it| it.is_some()));
        for (at, edge) in column.values.iter().enumerate() {
            let Some(edge) = edge else { continue };
            all.push(Filter::comparing(column, edge, EQUAL));
            if column.name != "flag" {
                let range = RANGES[at % RANGES.len()];
                all.push(Filter::comparing(column, edge, range));
            }
        }
        if column.name == "text" {
            let long = ["l".repeat(66), "😀".repeat(17)];
            let all_of_them = BEGINNINGS
                .into_iter()
                .chain(long.iter().map(String::as_str));
            all.extend(all_of_them.map(|it| Filter::beginning(column, it)));
        }
    }
    // A flag has the same two values again and again.
    let mut known = BTreeSet::new();
    all.retain(|it| known.insert(it.written.clone()));
    all
}

/// A table, what its rows are parted by, and the columns whose filters leave files of it out.
struct Parted {
    name: &'static str,
    by: &'static [&'static str],
    pruned: &'static [&'static str],
    /// Columns by which DuckDB finds too little before 1970: it takes the day and the month of a
    /// moment for the one nearer to 1970 (duckdb-iceberg's pull request 1361).
    wrong_in_duckdb: &'static [&'static str],
}

/// The one whose files are left out by bounds, and row groups by bloom filters too; the others' by
/// partitions alone.
const BOUNDS: &str = "bounds";
const TABLES: [Parted; 6] = [
    Parted {
        name: "years",
        by: &[
            "year(moment)",
            "month(clock)",
            "day(day)",
            "truncate(4, text)",
            "bucket(4, whole)",
            "truncate(100, price)",
        ],
        pruned: &["moment", "clock", "day", "text", "whole", "price"],
        wrong_in_duckdb: &["clock"],
    },
    Parted {
        name: "months",
        by: &[
            "month(moment)",
            "day(clock)",
            "year(day)",
            "bucket(4, text)",
            "truncate(10, whole)",
            "bucket(4, price)",
        ],
        pruned: &["moment", "clock", "day", "text", "whole", "price"],
        wrong_in_duckdb: &["moment", "clock"],
    },
    Parted {
        name: "days",
        by: &[
            "day(moment)",
            "hour(clock)",
            "month(day)",
            "truncate(16, text)",
            "whole",
            "price",
            "flag",
        ],
        pruned: &["moment", "clock", "day", "text", "whole", "price", "flag"],
        wrong_in_duckdb: &["moment"],
    },
    Parted {
        name: "hours",
        by: &["hour(moment)", "year(clock)", "bucket(4, day)", "text"],
        pruned: &["moment", "clock", "day", "text"],
        wrong_in_duckdb: &[],
    },
    Parted {
        name: "buckets",
        by: &["bucket(4, moment)", "bucket(4, clock)", "day"],
        pruned: &["moment", "clock", "day"],
        wrong_in_duckdb: &[],
    },
    Parted {
        name: BOUNDS,
        by: &[],
        pruned: &["moment", "clock", "day", "whole", "text", "price", "wide"],
        wrong_in_duckdb: &[],
    },
];

fn sink(table: &Parted, columns: &[Column]) -> Value {
    // Fewer rows than are sent of one kind: a file has many row groups, and each few kinds.
    let mut properties = json!({ "write.parquet.row-group-size-bytes": "4096" });
    if table.name == BOUNDS {
        for column in columns.iter().filter(|it| it.name != "flag") {
            let bloom = "write.parquet.bloom-filter-enabled.column";
            properties[format!("{bloom}.{}", column.name)] = json!("true");
        }
    } else {
        properties["write.metadata.metrics.default"] = json!("none");
    }
    let mut sink = trades_sink();
    sink["topics"] = json!(["readings"]);
    sink["settings"] = json!({
        "table": format!("edges.{}", table.name),
        "partition-by": table.by,
        "properties": properties
    });
    sink
}

/// The ids that a filter is to find.
fn expected(filter: &Filter, sent: &BTreeMap<usize, usize>) -> Vec<i64> {
    let found = sent.iter().filter(|(_, row)| filter.holds[**row]);
    found.map(|(id, _)| i64::try_from(*id).unwrap()).collect()
}

/// What a reader is asked of a table.
fn asked<'a>(reader: Reader, table: &Parted, filters: &'a [Filter]) -> Vec<&'a Filter> {
    let duckdb = reader == Reader::DuckDb;
    let wrong = |it: &Filter| it.before_1970 && table.wrong_in_duckdb.contains(&it.column);
    let asked = filters.iter().filter(|it| !(duckdb && wrong(it)));
    asked.collect()
}

/// A reader finds by each filter what was sent, and leaves files out where it tells.
async fn assert_found(
    reader: Reader,
    data: &Path,
    table: &Parted,
    filters: &[Filter],
    sent: &BTreeMap<usize, usize>,
) {
    let asked = asked(reader, table, filters);
    let written: Vec<String> = asked.iter().map(|it| it.written.clone()).collect();
    let name = format!("edges.{}", table.name);
    let answers = read_filtered(reader, data, &name, "id", &written).await;
    assert_eq!(answers.len(), asked.len(), "{reader:?} {name}");
    let mut wrong = Vec::new();
    for (filter, answer) in asked.iter().zip(&answers) {
        assert_eq!(answer.filter, filter.written);
        let rows = answer.rows.iter();
        let mut ids: Vec<i64> = rows.map(|row| row["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        let expected = expected(filter, sent);
        if ids != expected {
            let (found, there) = (ids.len(), expected.len());
            wrong.push(format!("{}: {found} of {there}", filter.written));
        }
    }
    assert!(wrong.is_empty(), "{reader:?} {name}: {wrong:#?}");
    if reader == Reader::DuckDb {
        return;
    }
    let all = answers.iter().filter_map(|it| it.files).max();
    for column in table.pruned {
        let answered = asked.iter().zip(&answers);
        let least = answered.filter(|(filter, _)| filter.one && filter.column == *column);
        let least = least.filter_map(|(_, answer)| answer.files).min();
        assert!(
            least.is_some() && least < all,
            "{reader:?} {name} {column}: {least:?} of {all:?} files"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_was_sent_whatever_a_table_is_parted_by() {
    let columns = columns();
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let sinks = TABLES.iter();
    let sinks: serde_json::Map<String, Value> = sinks
        .map(|it| (it.name.to_owned(), sink(it, &columns)))
        .collect();
    site.set("/pipelines/trades/sinks", Value::Object(sinks));
    let (topic, schema) = (site.topic("readings"), schema(&columns));
    let mut sent = BTreeMap::new();
    for (rows, often) in [
        (0..ROWS / 2, OFTEN),
        (ROWS / 2..ROWS, OFTEN),
        (0..ROWS, AGAIN),
    ] {
        let mut records = Vec::new();
        for row in rows {
            for _ in 0..often {
                let id = sent.len();
                records.push(record(&columns, id, row));
                sent.insert(id, row);
            }
        }
        write_topic(&cluster, &topic, Some(&schema), &records).await;
        run_until_idle(&site, "1s").await;
    }

    let data = site.path().join("data");
    let bounds = describe_pyiceberg(&data, "edges.bounds").await;
    let groups: Vec<u64> = bounds.files.iter().map(|it| it.row_groups).collect();
    assert!(groups.iter().any(|it| *it > 1), "{groups:?}");
    let filters = filters(&columns);
    for table in &TABLES {
        let parted = describe_pyiceberg(&data, &format!("edges.{}", table.name)).await;
        assert_eq!(parted.partition.len(), table.by.len(), "{}", table.name);
        let found = |reader| assert_found(reader, &data, table, &filters, &sent);
        tokio::join!(
            found(Reader::PyIceberg),
            found(Reader::DuckDb),
            found(Reader::Java)
        );
    }
}
