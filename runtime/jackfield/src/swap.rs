//! `jackfield swap`: asks a running process to change a connector, and waits for what becomes of it.

use crate::cli::SwapArgs;
use crate::client::{self, Admin, AskError, read};
use crate::exit::Exit;
use crate::shadow;
use crate::start_error::StartError;
use reqwest::Response;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// Between two looks at a new version on probation.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn swap(args: SwapArgs) -> Result<Exit, StartError> {
    let admin = Admin::near(&args.at, args.address)?;
    if args.history {
        return client::history(&admin, &args.connector, args.at.json).await;
    }
    let answer = order(&admin, &args).await?;
    let (status, body) = read(answer).await?;
    if !(200..300).contains(&status) {
        return refused(status, &body, args.at.json);
    }
    if args.shadow.is_some() {
        return shadow::wait(&admin, &args, &body).await;
    }
    let report = if args.dry_run || args.no_wait {
        body
    } else {
        show(&body, args.at.json);
        outcome(&admin, &args.connector, &body["number"]).await?
    };
    show(&report, args.at.json);
    Ok(match report["outcome"].as_str() {
        Some("rolled-back") => Exit::RolledBack,
        _ => Exit::Clean,
    })
}

pub(crate) fn at(admin: &Admin, connector: &str, what: &str) -> Url {
    admin.path(&["connectors", connector, what])
}

async fn order(admin: &Admin, args: &SwapArgs) -> Result<Response, AskError> {
    let unreadable =
        |path: &std::path::Path, reason: &dyn std::fmt::Display| AskError::Unreadable {
            path: path.display().to_string(),
            reason: reason.to_string(),
        };
    let mut url = at(admin, &args.connector, "swap");
    let mut query = url.query_pairs_mut();
    if let Some(file) = &args.settings {
        let text = std::fs::read_to_string(file).map_err(|e| unreadable(file, &e))?;
        query.append_pair("settings", &text);
    }
    if let Some(named) = &args.named {
        query.append_pair("file", named);
    }
    if let Some(sha256) = &args.sha256 {
        query.append_pair("sha256", sha256);
    }
    if let Some(probation) = args.probation {
        query.append_pair("probation-ms", &probation.as_millis().to_string());
    }
    if let Some(shadow) = args.shadow {
        query.append_pair("shadow-ms", &shadow.as_millis().to_string());
    }
    query.append_pair("dry-run", if args.dry_run { "true" } else { "false" });
    drop(query);
    let body = match &args.file {
        Some(file) => std::fs::read(file).map_err(|e| unreadable(file, &e))?,
        None => Vec::new(),
    };
    let request = admin.http.post(url).body(body);
    admin.ask(request).await
}

/// Waits until the new version stays or is taken back.
async fn outcome(admin: &Admin, connector: &str, number: &Value) -> Result<Value, AskError> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let url = at(admin, connector, "swaps");
        let (status, body) = read(admin.ask(admin.http.get(url)).await?).await?;
        let reports = body.as_array().map(Vec::as_slice).unwrap_or_default();
        let report = reports.iter().find(|it| it["number"] == *number);
        match report {
            Some(report) if report["outcome"] != "on-probation" => return Ok(report.clone()),
            Some(_) => {}
            None => {
                return Err(AskError::Answer {
                    status,
                    body: format!("swap {number} is not known there any more: {body}"),
                });
            }
        }
    }
}

pub(crate) fn refused(status: u16, body: &Value, json: bool) -> Result<Exit, StartError> {
    let (Some(code), Some(message)) = (body["code"].as_str(), body["message"].as_str()) else {
        return Err(StartError::Ask(AskError::Answer {
            status,
            body: body.to_string(),
        }));
    };
    let Some(exit) = exit_code(code) else {
        return Err(StartError::Ask(AskError::Refused {
            status,
            message: message.to_owned(),
        }));
    };
    if json {
        println!("{body}");
    } else {
        eprintln!("refused: {message}");
    }
    Ok(Exit::Refused(exit))
}

/// The documented exit code of each refusal of a connector. What the server refuses to anyone, such
/// as one without its token, has none of its own.
fn exit_code(code: &str) -> Option<u8> {
    Some(match code {
        "same" => 10,
        "busy" => 11,
        "not-running" => 12,
        "unknown-connector" => 13,
        "known-bad" => 14,
        "not-at-rest" => 15,
        "not-loadable" => 20,
        "wrong-digest" => 21,
        "wrong-world" => 22,
        "weaker-delivery" => 23,
        "state-version" => 24,
        "grant" => 25,
        "settings" => 26,
        "fails" => 27,
        _ => return None,
    })
}

/// What people call a version.
pub(crate) fn name(it: &Value) -> String {
    let digest = it["sha256"].as_str().and_then(|it| it.get(..12));
    let text = |key: &str| it[key].as_str().unwrap_or("?").to_owned();
    format!(
        "{} {} ({})",
        text("plugin"),
        text("version"),
        digest.unwrap_or("?")
    )
}

fn show(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    let connector = report["connector"].as_str().unwrap_or("?");
    let (from, to) = (name(&report["from"]), name(&report["to"]));
    match report["outcome"].as_str() {
        Some("prepared") => println!("{connector}: {to} can take over from {from}"),
        Some("on-probation") => println!(
            "{connector}: {to} took over from {from}, {}, {} in flight: on probation",
            paused(report),
            report["in_flight"]
        ),
        Some("kept") => println!("{connector}: {to} stays"),
        Some("rolled-back") => println!(
            "{connector}: back to {from}: {}",
            report["reason"].as_str().unwrap_or("?")
        ),
        _ => println!("{report}"),
    }
}

fn paused(report: &Value) -> String {
    match report["pause_us"].as_u64() {
        Some(us) => format!("paused {us} µs"),
        None => "in other slots".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_pipeline::Refused;
    use serde_json::json;

    #[test]
    fn a_pause_is_only_told_where_it_is_known() {
        assert_eq!(paused(&json!({ "pause_us": 412 })), "paused 412 µs");
        assert_eq!(paused(&json!({ "pause_us": null })), "in other slots");
    }

    /// One of each, as docs/HOT-SWAP.md has them.
    fn each_refusal() -> Vec<Refused> {
        let word = String::new;
        vec![
            Refused::Same,
            Refused::Busy("being made"),
            Refused::NotRunning(word()),
            Refused::Unknown(word()),
            Refused::KnownBad(word()),
            Refused::NotAtRest {
                within: Duration::ZERO,
                reason: word(),
            },
            Refused::NotLoadable(word()),
            Refused::WrongDigest(word()),
            Refused::WrongWorld {
                wanted: "source",
                found: "sink",
            },
            Refused::WeakerDelivery,
            Refused::StateVersion {
                what: "saved state",
                reads_from: 2,
                reads_to: 2,
                written: 1,
            },
            Refused::Grant("lake"),
            Refused::Settings(word()),
            Refused::Fails(word()),
        ]
    }

    /// What scripts rely on. A new refusal is also to be added above.
    fn promised(refused: &Refused) -> u8 {
        match refused {
            Refused::Same => 10,
            Refused::Busy(_) => 11,
            Refused::NotRunning(_) => 12,
            Refused::Unknown(_) => 13,
            Refused::KnownBad(_) => 14,
            Refused::NotAtRest { .. } => 15,
            Refused::NotLoadable(_) => 20,
            Refused::WrongDigest(_) => 21,
            Refused::WrongWorld { .. } => 22,
            Refused::WeakerDelivery => 23,
            Refused::StateVersion { .. } => 24,
            Refused::Grant(_) => 25,
            Refused::Settings(_) => 26,
            Refused::Fails(_) => 27,
        }
    }

    /// The exit code and the `code` of a row of the page's table.
    fn row(line: &str) -> Option<(u8, &str)> {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let exit = cells.next()?.parse().ok()?;
        Some((exit, cells.next()?.trim_matches('`')))
    }

    #[test]
    fn every_refusal_has_the_exit_code_that_the_page_says() {
        let each = each_refusal();
        for refused in &each {
            let code = refused.code();
            assert_eq!(exit_code(code), Some(promised(refused)), "{code}");
        }
        let page = include_str!("../../../docs/HOT-SWAP.md");
        let page: Vec<_> = page.lines().filter_map(row).collect();
        let each: Vec<_> = each.iter().map(|it| (promised(it), it.code())).collect();
        assert_eq!(page, each);
    }

    #[test]
    fn what_is_no_refusal_of_a_connector_has_no_code_of_its_own() {
        assert_eq!(exit_code("same"), Some(10));
        assert_eq!(exit_code("fails"), Some(27));
        for code in ["unauthorized", "wrong-host", "other-site", "too-many"] {
            assert_eq!(exit_code(code), None, "{code}");
        }
    }
}
