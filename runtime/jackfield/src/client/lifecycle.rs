//! `jackfield pause`, `resume`, `stop` and `restart`: asked for, and waited for.

use super::admin::{Admin, AskError};
use super::args::{NamesArgs, RestartArgs};
use super::say;
use crate::exit::Exit;
use crate::start_error::StartError;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at a state that is to come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a connector is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Pause,
    Resume,
    Stop,
    Restart,
}

/// Where a connector is on its way.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Going,
    Arrived,
    /// It gave up: waiting longer brings nothing.
    Failed(String),
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    fn state(self) -> &'static str {
        match self {
            Self::Pause => "PAUSED",
            Self::Stop => "STOPPED",
            Self::Resume | Self::Restart => "RUNNING",
        }
    }

    /// What Kafka Connect's status of a connector means for it.
    fn way(self, status: &Value) -> Way {
        let tasks: Vec<&Value> = status["tasks"].as_array().into_iter().flatten().collect();
        let all = || std::iter::once(&status["connector"]).chain(tasks.iter().copied());
        let failed = all().find(|it| it["state"] == "FAILED");
        if let (Some(failed), Self::Resume | Self::Restart) = (failed, self) {
            let trace = failed["trace"].as_str().unwrap_or_default();
            let first = trace.lines().next().unwrap_or_default();
            return Way::Failed(first.to_owned());
        }
        let there = |it: &Value| it["state"] == self.state();
        let state = status["connector"]["state"].as_str();
        let arrived = match self {
            // A stopped connector has no tasks.
            Self::Stop => there(&status["connector"]),
            // One that rests goes on resting.
            Self::Restart if matches!(state, Some("PAUSED" | "STOPPED")) => true,
            Self::Pause | Self::Resume | Self::Restart => all().all(there),
        };
        match arrived {
            true => Way::Arrived,
            false => Way::Going,
        }
    }
}

/// Pauses, resumes or stops connectors.
pub(crate) async fn change(change: Change, args: NamesArgs) -> Result<Exit, StartError> {
    let admin = Admin::at(&args.at)?;
    for name in names(&admin, &args).await? {
        let url = admin.path(&["connectors", &name, change.word()]);
        admin.call(Method::PUT, url, None).await?;
        if settle(&admin, change, &name, &args).await? == Exit::Failed {
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Clean)
}

/// Restarts connectors, with their tasks, or one task.
pub(crate) async fn restart(args: RestartArgs) -> Result<Exit, StartError> {
    let admin = Admin::at(&args.names.at)?;
    for name in names(&admin, &args.names).await? {
        let url = match args.task {
            Some(task) => {
                let task = task.to_string();
                admin.path(&["connectors", &name, "tasks", &task, "restart"])
            }
            None => {
                let mut url = admin.path(&["connectors", &name, "restart"]);
                let only_failed = if args.only_failed { "true" } else { "false" };
                url.query_pairs_mut()
                    .append_pair("includeTasks", "true")
                    .append_pair("onlyFailed", only_failed);
                url
            }
        };
        admin.call(Method::POST, url, None).await?;
        if settle(&admin, Change::Restart, &name, &args.names).await? == Exit::Failed {
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Clean)
}

async fn names(admin: &Admin, args: &NamesArgs) -> Result<Vec<String>, AskError> {
    if !args.all {
        return Ok(args.connectors.clone());
    }
    let all = admin.get(&["connectors"]).await?;
    let names = all.as_array().into_iter().flatten();
    Ok(names
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}

/// Waits until it is so, and tells.
async fn settle(
    admin: &Admin,
    change: Change,
    name: &str,
    args: &NamesArgs,
) -> Result<Exit, AskError> {
    let told = |state: &str, trace: Option<&str>| match args.at.json {
        true => json!({ "connector": name, "state": state, "trace": trace }).to_string(),
        false => match trace {
            Some(trace) => format!("{name}: {state}: {trace}"),
            None => format!("{name}: {state}"),
        },
    };
    if args.no_wait {
        say(&told(&format!("{} asked for", change.word()), None));
        return Ok(Exit::Clean);
    }
    let deadline = Instant::now() + args.timeout;
    loop {
        let status = admin.get(&["connectors", name, "status"]).await?;
        match change.way(&status) {
            Way::Arrived => {
                let state = status["connector"]["state"].as_str();
                say(&told(state.unwrap_or(change.state()), None));
                return Ok(Exit::Clean);
            }
            Way::Failed(trace) => {
                say(&told("FAILED", Some(&trace)));
                return Ok(Exit::Failed);
            }
            Way::Going if Instant::now() >= deadline => {
                let state = status["connector"]["state"].as_str().unwrap_or("?");
                return Err(AskError::Late(format!(
                    "{name} is {state}, not yet {} after {} s: `jackfield status {name}` tells",
                    change.state(),
                    args.timeout.as_secs_f64()
                )));
            }
            Way::Going => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(connector: &str, tasks: &[&str]) -> Value {
        let tasks: Vec<Value> = tasks
            .iter()
            .map(|it| json!({ "state": it, "trace": "why\nx" }))
            .collect();
        json!({ "connector": { "state": connector }, "tasks": tasks })
    }

    #[test]
    fn a_change_has_come_about_when_all_tasks_are_there() {
        let going = status("PAUSED", &["PAUSED", "RUNNING"]);
        assert_eq!(Change::Pause.way(&going), Way::Going);
        let paused = status("PAUSED", &["PAUSED", "PAUSED"]);
        assert_eq!(Change::Pause.way(&paused), Way::Arrived);
        assert_eq!(Change::Resume.way(&paused), Way::Going);
        assert_eq!(Change::Stop.way(&status("STOPPED", &[])), Way::Arrived);
        let running = status("RUNNING", &["RUNNING"]);
        assert_eq!(Change::Restart.way(&running), Way::Arrived);
    }

    #[test]
    fn a_restart_is_waited_for_unless_it_rests() {
        let again = status("RESTARTING", &["RESTARTING"]);
        assert_eq!(Change::Restart.way(&again), Way::Going);
        let paused = status("PAUSED", &["PAUSED"]);
        assert_eq!(Change::Restart.way(&paused), Way::Arrived);
        let stopped = status("STOPPED", &[]);
        assert_eq!(Change::Restart.way(&stopped), Way::Arrived);
        assert_eq!(Change::Resume.way(&stopped), Way::Going);
    }

    #[test]
    fn what_has_failed_is_not_waited_for() {
        let failed = status("RUNNING", &["RUNNING", "FAILED"]);
        assert_eq!(Change::Resume.way(&failed), Way::Failed("why".to_owned()));
        assert_eq!(Change::Pause.way(&failed), Way::Going);
    }
}
