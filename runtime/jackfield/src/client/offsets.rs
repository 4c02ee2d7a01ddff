//! `jackfield offsets get`, `set` and `reset`.

use super::admin::{Admin, AskError};
use super::args::OffsetsCommand;
use super::say;
use super::table::{Column, table};
use crate::exit::Exit;
use crate::start_error::StartError;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

pub(crate) async fn offsets(command: OffsetsCommand) -> Result<Exit, StartError> {
    match command {
        OffsetsCommand::Get { connector, at } => {
            let admin = Admin::at(&at)?;
            let offsets = admin.get(&["connectors", &connector, "offsets"]).await?;
            say(&match at.json {
                true => offsets.to_string(),
                false => text(&connector, &offsets),
            });
        }
        OffsetsCommand::Set {
            connector,
            file,
            to,
            at,
        } => {
            let wanted = match &file {
                Some(file) => from_file(file)?,
                None => places(&to)?,
            };
            let admin = Admin::at(&at)?;
            let url = admin.path(&["connectors", &connector, "offsets"]);
            let answer = admin.call(Method::PATCH, url, Some(&wanted)).await?;
            done(&answer, at.json);
        }
        OffsetsCommand::Reset { connector, at } => {
            let admin = Admin::at(&at)?;
            let url = admin.path(&["connectors", &connector, "offsets"]);
            let answer = admin.call(Method::DELETE, url, None).await?;
            done(&answer, at.json);
        }
    }
    Ok(Exit::Clean)
}

fn done(answer: &Value, json: bool) {
    let message = answer["message"].as_str();
    say(&match (json, message) {
        (false, Some(message)) => message.to_owned(),
        (true, _) | (false, None) => answer.to_string(),
    });
}

fn from_file(file: &Path) -> Result<Value, AskError> {
    let unreadable = |reason: String| AskError::Unreadable {
        path: file.display().to_string(),
        reason,
    };
    let text = if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|e| unreadable(e.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
    match value["offsets"].is_array() {
        true => Ok(value),
        false => Err(unreadable(
            "it is not {\"offsets\": [{\"partition\": …, \"offset\": …}]}".to_owned(),
        )),
    }
}

/// `TOPIC:PARTITION=OFFSET` as Kafka Connect writes a sink's offsets.
fn places(to: &[String]) -> Result<Value, AskError> {
    let each = to.iter().map(|text| {
        place(text).ok_or_else(|| AskError::Unreadable {
            path: text.clone(),
            reason: "write it as TOPIC:PARTITION=OFFSET, such as trades:0=1200".to_owned(),
        })
    });
    Ok(json!({ "offsets": each.collect::<Result<Vec<_>, _>>()? }))
}

fn place(text: &str) -> Option<Value> {
    let (place, offset) = text.split_once('=')?;
    let (topic, partition) = place.rsplit_once(':')?;
    let partition: u32 = partition.parse().ok()?;
    let offset: u64 = offset.parse().ok()?;
    (!topic.is_empty()).then(|| {
        json!({
            "partition": { "kafka_topic": topic, "kafka_partition": partition },
            "offset": { "kafka_offset": offset }
        })
    })
}

fn text(connector: &str, offsets: &Value) -> String {
    let all: Vec<&Value> = offsets["offsets"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    if all.is_empty() {
        return format!("{connector} has no offsets yet");
    }
    let sink = all
        .iter()
        .all(|it| it["partition"]["kafka_topic"].is_string());
    if !sink {
        let columns = [Column::Text("partition"), Column::Text("offset")];
        let rows = all.iter();
        let rows: Vec<_> = rows
            .map(|it| vec![it["partition"].to_string(), it["offset"].to_string()])
            .collect();
        return table(&columns, &rows);
    }
    let columns = [
        Column::Text("topic"),
        Column::Number("partition"),
        Column::Number("offset"),
    ];
    let rows = all.iter().map(|it| {
        let partition = &it["partition"];
        vec![
            partition["kafka_topic"].as_str().unwrap_or("?").to_owned(),
            partition["kafka_partition"].to_string(),
            it["offset"]["kafka_offset"].to_string(),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sinks_place_is_written_as_kafka_connect_does() {
        let wanted = places(&["a:b:0=1200".to_owned()]).unwrap();
        assert_eq!(
            wanted,
            json!({ "offsets": [{
                "partition": { "kafka_topic": "a:b", "kafka_partition": 0 },
                "offset": { "kafka_offset": 1200 }
            }]})
        );
        for bad in ["", "a", "a:0", "a=7", ":0=7", "a:x=7", "a:0=-1"] {
            assert!(places(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sinks_offsets_have_columns_and_a_sources_are_json() {
        let sink = places(&["trades:0=1200".to_owned()]).unwrap();
        assert_eq!(
            text("c", &sink),
            " TOPIC   PARTITION  OFFSET\n trades          0    1200"
        );
        let source =
            json!({ "offsets": [{ "partition": { "symbol": "A" }, "offset": { "id": 7 } }] });
        assert_eq!(
            text("c", &source),
            " PARTITION       OFFSET\n {\"symbol\":\"A\"}  {\"id\":7}"
        );
        assert_eq!(text("c", &json!({ "offsets": [] })), "c has no offsets yet");
    }
}
