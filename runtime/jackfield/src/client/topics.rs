//! `jackfield topics`: a list of them, and one with its partitions.

use super::admin::Admin;
use super::args::{TopicsArgs, TopicsCommand};
use super::say;
use super::table::{Column, table};
use crate::exit::Exit;
use crate::show;
use crate::start_error::StartError;
use serde_json::Value;

pub(crate) async fn topics(args: TopicsArgs) -> Result<Exit, StartError> {
    match args.command {
        None => list(&args.at).await,
        Some(TopicsCommand::List { at }) => list(&at).await,
        Some(TopicsCommand::Describe { topic, at }) => {
            let told = Admin::at(&at)?.get(&["topics", &topic]).await?;
            say(&match at.json {
                true => told.to_string(),
                false => described(&told),
            });
            Ok(Exit::Clean)
        }
    }
}

async fn list(at: &super::args::At) -> Result<Exit, StartError> {
    let told = Admin::at(at)?.get(&["topics"]).await?;
    say(&match at.json {
        true => told.to_string(),
        false => listed(&told),
    });
    Ok(Exit::Clean)
}

fn listed(told: &Value) -> String {
    let all: Vec<&Value> = told.as_array().into_iter().flatten().collect();
    if all.is_empty() {
        return "there are no topics".to_owned();
    }
    let columns = [
        Column::Text("topic"),
        Column::Number("partitions"),
        Column::Number("records"),
        Column::Number("bytes"),
    ];
    let rows = all.iter().map(|it| {
        vec![
            it["name"].as_str().unwrap_or("?").to_owned(),
            number(&it["partitions"]),
            number(&it["records"]),
            bytes(&it["bytes"]),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

fn described(told: &Value) -> String {
    let partitions = told["partitions"].as_array().into_iter().flatten();
    let columns = [
        Column::Number("partition"),
        Column::Number("begin"),
        Column::Number("end"),
        Column::Number("records"),
        Column::Number("bytes"),
    ];
    let rows = partitions.map(|it| {
        vec![
            number(&it["partition"]),
            it["begin"].to_string(),
            it["end"].to_string(),
            number(&it["records"]),
            bytes(&it["bytes"]),
        ]
    });
    let name = told["name"].as_str().unwrap_or("?");
    let rows = table(&columns, &rows.collect::<Vec<_>>());
    format!("{name}\n{rows}")
}

fn number(value: &Value) -> String {
    value.as_u64().map(show::thousands).unwrap_or_default()
}

/// Not every log can tell.
fn bytes(value: &Value) -> String {
    value.as_u64().map_or_else(|| "?".to_owned(), show::bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn topics_are_listed_and_described() {
        let told = json!([{ "name": "trades", "partitions": 4, "records": 15_863, "bytes": 3_145_728 },
                          { "name": "k", "partitions": 1, "records": 0, "bytes": null }]);
        assert_eq!(
            listed(&told),
            " TOPIC   PARTITIONS  RECORDS    BYTES\n \
             trades           4   15,863  3.0 MiB\n k                1        0        ?"
        );
        let told = json!({ "name": "trades", "partitions": [
            { "partition": 0, "begin": 100, "end": 1100, "records": 1000, "bytes": 2048 }] });
        assert_eq!(
            described(&told),
            "trades\n PARTITION  BEGIN   END  RECORDS    BYTES\n \
             \x20       0    100  1100    1,000  2.0 KiB"
        );
        assert_eq!(listed(&json!([])), "there are no topics");
    }
}
