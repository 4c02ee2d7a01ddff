//! `jackfield swap --shadow`: waits for the shadow's end and shows what it found.

use crate::cli::SwapArgs;
use crate::client::{Admin, AskError, read};
use crate::exit::Exit;
use crate::start_error::StartError;
use crate::swap::{at, name};
use serde_json::Value;
use std::time::Duration;

/// Between two looks at a shadow.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Shows the shadow that has begun, and, unless nobody wants to wait, its end.
pub(crate) async fn wait(
    admin: &Admin,
    args: &SwapArgs,
    begun: &Value,
) -> Result<Exit, StartError> {
    if args.no_wait {
        show(begun, args.at.json);
        return Ok(Exit::Clean);
    }
    if !args.at.json {
        eprintln!(
            "{}: {} runs beside {} for {} s",
            args.connector,
            name(&begun["to"]),
            name(&begun["from"]),
            begun["asked-ms"].as_u64().unwrap_or_default() / 1000
        );
    }
    let report = ended(admin, &args.connector, &begun["number"]).await?;
    show(&report, args.at.json);
    Ok(exit(&report))
}

/// What became of a shadow, for whoever decides by it: only one that saw its whole time without a
/// difference speaks for the new version.
fn exit(report: &Value) -> Exit {
    match (report["end"].as_str(), report["differs"].as_bool()) {
        (Some("over"), Some(false)) => Exit::Clean,
        (Some("over" | "running-ended"), Some(true)) => Exit::Differs,
        (Some("running-ended"), _) => Exit::ShadowCut,
        // `failed`, `too-slow`, and what a later process may come to say.
        _ => Exit::ShadowFailed,
    }
}

async fn ended(admin: &Admin, connector: &str, number: &Value) -> Result<Value, AskError> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let url = at(admin, connector, "shadows");
        let (status, body) = read(admin.ask(admin.http.get(url)).await?).await?;
        let reports = body.as_array().map(Vec::as_slice).unwrap_or_default();
        match reports.iter().find(|it| it["number"] == *number) {
            Some(report) if report["state"] == "ended" => return Ok(report.clone()),
            Some(_) => {}
            None => {
                return Err(AskError::Answer {
                    status,
                    body: format!("shadow {number} is not known there any more: {body}"),
                });
            }
        }
    }
}

fn show(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    let connector = report["connector"].as_str().unwrap_or("?");
    let end = report["end"].as_str().unwrap_or("still runs");
    let reason = report["reason"].as_str();
    println!(
        "{connector}: the shadow of {} {}: {}{} after {:.1} s, {} given, {} ms of CPU",
        name(&report["to"]),
        if report["differs"] == true {
            "differs"
        } else {
            "shows no difference"
        },
        end,
        reason.map(|it| format!(" ({it})")).unwrap_or_default(),
        report["lasted-ms"].as_f64().unwrap_or_default() / 1000.0,
        report["given"],
        report["cpu-ms"],
    );
    for (feed, it) in report["records"]["feeds"].as_object().into_iter().flatten() {
        println!(
            "  {feed}: {} same, {} missing, {} extra, {} changed, {} not compared{}",
            it["same"],
            it["missing"],
            it["extra"],
            it["changed"],
            it["not-compared"],
            if it["schema-changed"] == true {
                ", another schema"
            } else {
                ""
            }
        );
    }
    for it in list(&report["records"]["examples"]) {
        println!(
            "  {} in {}: key {}, running {}, new {}",
            it["difference"].as_str().unwrap_or("?"),
            it["feed"],
            it["key"],
            it["running"],
            it["new"]
        );
    }
    for (target, it) in report["sink"]["running"].as_object().into_iter().flatten() {
        let new = &report["sink"]["new"][target];
        println!(
            "  {target}: {} rows in {} files of {} bytes, the running version {} in {} of {}",
            new["rows"], new["files"], new["bytes"], it["rows"], it["files"], it["bytes"]
        );
    }
    for it in list(&report["sink"]["differences"]) {
        println!("  {}", it.as_str().unwrap_or("?"));
    }
    for it in list(&report["calls"]["different"]) {
        println!(
            "  only the {} version {}",
            it["by"].as_str().unwrap_or("?"),
            it["call"].as_str().unwrap_or("?")
        );
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_whole_shadow_without_a_difference_ends_well() {
        for (end, differs, code) in [
            ("over", false, 0),
            ("over", true, 7),
            ("running-ended", true, 7),
            ("failed", false, 8),
            ("failed", true, 8),
            ("too-slow", false, 8),
            ("unheard-of", false, 8),
            ("running-ended", false, 9),
        ] {
            let report = json!({ "end": end, "differs": differs });
            assert_eq!(exit(&report).code(), code, "{report}");
        }
    }
}
