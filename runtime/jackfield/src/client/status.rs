//! `jackfield status`.

use super::admin::{Admin, AskError};
use super::args::StatusArgs;
use super::say;
use super::table::{Column, table};
use crate::exit::Exit;
use crate::show::thousands;
use crate::start_error::StartError;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

/// A connector as the two answers tell it: Kafka Connect's, and this server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    pipeline: Option<String>,
    state: String,
    /// Each task's state, by number.
    tasks: Vec<String>,
    worker: Option<String>,
    plugin: Option<String>,
    version: Option<String>,
    records: Option<u64>,
    lag: Option<i64>,
    /// What went wrong, if anything did.
    trace: Option<String>,
}

pub(crate) async fn status(args: StatusArgs) -> Result<Exit, StartError> {
    let admin = Admin::at(&args.at)?;
    let mut url = admin.path(&["connectors"]);
    url.query_pairs_mut().append_pair("expand", "status");
    let connect = admin.call(Method::GET, url, None).await?;
    let own = admin.get(&["status"]).await?;
    let mut rows = rows(&connect, &own);
    if let Some(name) = &args.connector {
        rows.retain(|row| row.name == *name);
        if rows.is_empty() {
            return Err(StartError::Ask(AskError::Refused {
                status: 404,
                message: format!("no connector has the name `{name}`"),
            }));
        }
    }
    if args.at.json {
        say(&serde_json::json!(rows).to_string());
    } else {
        say(&text(&rows));
    }
    Ok(verdict(&rows))
}

/// What runs and what was stopped by someone is as it should be.
fn verdict(rows: &[Row]) -> Exit {
    let failed = |row: &Row| row.state == "FAILED" || row.tasks.iter().any(|it| it == "FAILED");
    match rows.iter().any(failed) {
        true => Exit::Failed,
        false => Exit::Clean,
    }
}

fn rows(connect: &Value, own: &Value) -> Vec<Row> {
    let own: Vec<&Value> = own.as_array().into_iter().flatten().collect();
    let connectors = connect.as_object().into_iter().flatten();
    let mut rows: Vec<(usize, Row)> = connectors
        .map(|(name, told)| {
            let place = own.iter().position(|it| it["name"] == name.as_str());
            let more = place.and_then(|at| own.get(at)).copied();
            (
                place.unwrap_or(usize::MAX),
                row(name, &told["status"], more.unwrap_or(&Value::Null)),
            )
        })
        .collect();
    // As records go, which is how the server orders its own.
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(name: &str, status: &Value, own: &Value) -> Row {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let tasks: Vec<&Value> = status["tasks"].as_array().into_iter().flatten().collect();
    let connector = &status["connector"];
    let traced = std::iter::once(connector).chain(tasks.iter().copied());
    Row {
        name: name.to_owned(),
        kind: text(&status["type"]).unwrap_or_default(),
        pipeline: text(&own["pipeline"]),
        state: text(&connector["state"]).unwrap_or_else(|| "?".to_owned()),
        tasks: tasks
            .iter()
            .map(|task| text(&task["state"]).unwrap_or_else(|| "?".to_owned()))
            .collect(),
        worker: text(&connector["worker_id"]),
        plugin: text(&own["plugin"]["plugin"]),
        version: text(&own["plugin"]["version"]),
        records: own["records"].as_u64(),
        lag: own["lag"].as_i64(),
        trace: traced.into_iter().find_map(|it| text(&it["trace"])),
    }
}

fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there are no connectors".to_owned();
    }
    let columns = [
        Column::Text("connector"),
        Column::Text("type"),
        Column::Text("state"),
        Column::Text("tasks"),
        Column::Text("plugin"),
        Column::Number("records"),
        Column::Number("lag"),
    ];
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut text = table(&columns, &cells);
    for row in rows {
        if let Some(trace) = &row.trace {
            let first = trace.lines().next().unwrap_or_default();
            text += &format!("\n{}: {first}", row.name);
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let running = row.tasks.iter().filter(|it| *it == "RUNNING").count();
    let plugin = match (&row.plugin, &row.version) {
        (Some(plugin), Some(version)) => format!("{plugin} {version}"),
        (Some(plugin), None) => plugin.clone(),
        (None, _) => String::new(),
    };
    let lag = match row.kind.as_str() {
        // What a source has not read yet only its origin knows.
        "source" => String::new(),
        _ => number(row.lag.map(i64::unsigned_abs)),
    };
    vec![
        row.name.clone(),
        row.kind.clone(),
        row.state.clone(),
        format!("{running}/{}", row.tasks.len()),
        plugin,
        number(row.records),
        lag,
    ]
}

fn number(number: Option<u64>) -> String {
    number.map(thousands).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told() -> Vec<Row> {
        let connect = json!({
            "trades-lake": { "status": { "name": "trades-lake", "type": "sink",
                "connector": { "state": "RUNNING", "worker_id": "w" },
                "tasks": [{ "id": 0, "state": "RUNNING" },
                          { "id": 1, "state": "FAILED", "trace": "no such table\nat x" }] } },
            "trades-source": { "status": { "name": "trades-source", "type": "source",
                "connector": { "state": "PAUSED", "worker_id": "w" },
                "tasks": [{ "id": 0, "state": "PAUSED" }] } }
        });
        let own = json!([
            { "name": "trades-source", "pipeline": "trades", "records": 15_863, "lag": 0,
              "plugin": { "plugin": "binance", "version": "0.1.0" } },
            { "name": "trades-lake", "pipeline": "trades", "records": 1200, "lag": 14_663 }
        ]);
        rows(&connect, &own)
    }

    #[test]
    fn a_source_stands_before_its_sinks_and_failures_are_told_below() {
        assert_eq!(
            text(&told()),
            " CONNECTOR      TYPE    STATE    TASKS  PLUGIN         RECORDS     LAG\n \
             trades-source  source  PAUSED   0/1    binance 0.1.0   15,863\n \
             trades-lake    sink    RUNNING  1/2                     1,200  14,663\n\
             trades-lake: no such table"
        );
        assert_eq!(text(&[]), "there are no connectors");
    }

    #[test]
    fn only_what_failed_is_a_failure() {
        assert_eq!(verdict(&told()), Exit::Failed);
        assert_eq!(verdict(&told()[..1]), Exit::Clean);
    }

    #[test]
    fn programs_get_every_field() {
        let row = serde_json::json!(told()[1]);
        assert_eq!(row["tasks"], json!(["RUNNING", "FAILED"]));
        assert_eq!(row["lag"], 14_663);
        assert_eq!(row["trace"], "no such table\nat x");
    }
}
