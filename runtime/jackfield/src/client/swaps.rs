//! `jackfield swap --history`: the swaps of a connector since its process started.

use super::admin::{Admin, read};
use super::say;
use super::table::{Column, table};
use crate::exit::Exit;
use crate::show::thousands;
use crate::start_error::StartError;
use crate::swap::{at, name, refused};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) async fn history(
    admin: &Admin,
    connector: &str,
    json: bool,
) -> Result<Exit, StartError> {
    let request = admin.http.get(at(admin, connector, "swaps"));
    let (status, told) = read(admin.ask(request).await?).await?;
    if !(200..300).contains(&status) {
        return refused(status, &told, json);
    }
    say(&match json {
        true => told.to_string(),
        false => text(&told, now_ms()),
    });
    Ok(Exit::Clean)
}

/// The oldest first; why one was taken back stands below.
fn text(told: &Value, now_ms: u64) -> String {
    let swaps: Vec<&Value> = told.as_array().into_iter().flatten().collect();
    if swaps.is_empty() {
        return "it has not been swapped since the process started".to_owned();
    }
    let columns = [
        Column::Number("swap"),
        Column::Text("ago"),
        Column::Text("from"),
        Column::Text("to"),
        Column::Text("by"),
        Column::Number("pause"),
        Column::Text("outcome"),
    ];
    let rows = swaps.iter().map(|it| {
        let at_ms = it["at_ms"].as_u64().unwrap_or(now_ms);
        let pause = it["pause_us"].as_u64();
        let word = |key: &str| it[key].as_str().unwrap_or("?").to_owned();
        vec![
            it["number"].to_string(),
            ago(now_ms.saturating_sub(at_ms) / 1000),
            name(&it["from"]),
            name(&it["to"]),
            word("by"),
            pause.map_or_else(String::new, |us| format!("{} µs", thousands(us))),
            word("outcome"),
        ]
    });
    let mut text = table(&columns, &rows.collect::<Vec<_>>());
    for swap in swaps {
        if let Some(reason) = swap["reason"].as_str() {
            let first = reason.lines().next().unwrap_or_default();
            text += &format!("\n{}: {first}", swap["number"]);
        }
    }
    text
}

/// In the largest unit of which it is at least two.
fn ago(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3600, "h"), (60, "min")];
    let unit = UNITS.into_iter().find(|(long, _)| seconds >= 2 * long);
    let (long, unit) = unit.unwrap_or((1, "s"));
    format!("{} {unit}", seconds / long)
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_swap_is_a_row_and_why_one_was_taken_back_stands_below() {
        let version = |digest: &str| {
            let sha256 = digest.repeat(64);
            json!({ "plugin": "iceberg-sink", "version": "0.1.0", "sha256": sha256 })
        };
        let told = json!([
            { "number": 1, "from": version("a"), "to": version("b"), "by": "request",
              "at_ms": 0, "pause_us": 1412, "in_flight": 3, "outcome": "kept" },
            { "number": 2, "from": version("b"), "to": version("c"), "by": "request",
              "at_ms": 170_000, "pause_us": null, "in_flight": 0,
              "outcome": "rolled-back", "reason": "put: as told\nat x" },
        ]);
        let text = text(&told, 180_000);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = text.lines().map(words).collect();
        let old = "iceberg-sink 0.1.0 (aaaaaaaaaaaa)";
        let new = "iceberg-sink 0.1.0 (bbbbbbbbbbbb)";
        let last = "iceberg-sink 0.1.0 (cccccccccccc)";
        assert_eq!(
            lines,
            [
                "SWAP AGO FROM TO BY PAUSE OUTCOME".to_owned(),
                format!("1 3 min {old} {new} request 1,412 µs kept"),
                format!("2 10 s {new} {last} request rolled-back"),
                "2: put: as told".to_owned(),
            ]
        );
    }

    #[test]
    fn one_that_was_never_swapped_says_so() {
        let text = text(&json!([]), 0);
        assert_eq!(text, "it has not been swapped since the process started");
    }

    #[test]
    fn ages_are_short() {
        let said = [0, 119, 120, 7199, 7200, 172_800].map(ago);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
