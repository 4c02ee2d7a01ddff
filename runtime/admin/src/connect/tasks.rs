//! `/connectors/{c}/tasks`.

use super::Asked;
use super::answer::{Outcome, empty, ok, within};
use crate::operator::Objection;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

pub(super) fn routes() -> Router<Asked> {
    Router::new()
        .route("/connectors/{connector}/tasks", get(tasks))
        .route("/connectors/{connector}/tasks/{task}/status", get(state))
        .route(
            "/connectors/{connector}/tasks/{task}/restart",
            post(restart),
        )
}

async fn tasks(State(asked): State<Asked>, Path(connector): Path<String>) -> Outcome {
    ok(&within(asked.herder.tasks(&connector)).await?)
}

async fn state(
    State(asked): State<Asked>,
    Path((connector, task)): Path<(String, String)>,
) -> Outcome {
    let number = number(&connector, &task)?;
    let state = within(asked.herder.state(&connector)).await?;
    let found = state.tasks.iter().find(|it| it.id == number);
    ok(found.ok_or_else(|| unknown(&connector, &task))?)
}

async fn restart(
    State(asked): State<Asked>,
    Path((connector, task)): Path<(String, String)>,
) -> Outcome {
    let number = number(&connector, &task)?;
    within(asked.herder.restart_task(&connector, number)).await?;
    empty(StatusCode::NO_CONTENT)
}

fn number(connector: &str, task: &str) -> Result<u32, Objection> {
    task.parse().map_err(|_| unknown(connector, task))
}

fn unknown(connector: &str, task: &str) -> Objection {
    Objection {
        status: 404,
        code: "unknown-task",
        message: format!("Unknown task: {connector}-{task}"),
    }
}
