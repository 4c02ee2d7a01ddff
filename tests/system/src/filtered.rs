//! A table as its readers find rows in it: by filters, which leave files and row groups out.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::java::iceberg_java;
use crate::readers::{Place, Table, run, script};

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// By tests/python.
    PyIceberg,
    /// By tests/python.
    DuckDb,
    /// Iceberg's own library, by tests/java.
    Java,
}

/// What a filter finds.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// The filter.
    pub filter: String,
    /// The data files that were planned for it; none of DuckDB, which does not tell.
    pub files: Option<u64>,
    /// The rows, of the columns that were asked for.
    pub rows: Vec<Map<String, Value>>,
}

/// Asks for a column of a table of the lake `local` under `data`, by each filter: `column op value`
/// or `column is [not] null`, as `lake.py` has them.
pub async fn read_filtered(
    reader: Reader,
    data: &Path,
    table: &str,
    column: &str,
    filters: &[String],
) -> Vec<Answer> {
    let place = Place::below(data);
    let mut arguments = vec![format!("--select={column}")];
    arguments.extend(filters.iter().map(|it| format!("--filter={it}")));
    let answers: Table<Value> = match reader {
        Reader::PyIceberg => python("read_table.py", &place, table, &arguments).await,
        Reader::DuckDb => python("read_duckdb.py", &place, table, &arguments).await,
        Reader::Java => {
            let mut all = vec![table];
            all.extend(arguments.iter().map(String::as_str));
            let command = iceberg_java("ReadTable", &all, &place);
            run("iceberg-java", command, table).await
        }
    };
    let answers = answers.rows.into_iter().map(Value::Object);
    answers
        .map(|it| serde_json::from_value(it).expect("a line a filter"))
        .collect()
}

async fn python(name: &str, place: &Place, table: &str, arguments: &[String]) -> Table<Value> {
    let mut command = script(name, place, table);
    command.args(arguments);
    run(name, command, table).await
}
