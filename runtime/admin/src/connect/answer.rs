//! Answers in Kafka Connect's shapes.

use crate::operator::Objection;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use std::future::Future;
use std::time::Duration;

/// Longest that an answer may take: what Kafka Connect gives itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// What is answered where all went well.
pub(super) type Outcome = Result<Response, Objection>;

/// Waits for an answer, but not for ever.
pub(super) async fn within<T>(
    answer: impl Future<Output = Result<T, Objection>>,
) -> Result<T, Objection> {
    let answered = tokio::time::timeout(ANSWER_WITHIN, answer).await;
    answered.unwrap_or_else(|_| {
        Err(Objection {
            status: 500,
            code: "late",
            message: "Request timed out. It may still be carried out".to_owned(),
        })
    })
}

pub(super) fn ok(body: &impl Serialize) -> Outcome {
    with(StatusCode::OK, body)
}

pub(super) fn with(status: StatusCode, body: &impl Serialize) -> Outcome {
    let body = serde_json::to_value(body).map_err(|error| Objection {
        status: 500,
        code: "unsayable",
        message: error.to_string(),
    })?;
    Ok((status, Json(body)).into_response())
}

pub(super) fn empty(status: StatusCode) -> Outcome {
    Ok(status.into_response())
}

impl IntoResponse for Objection {
    /// As Kafka Connect words its errors, with a word for programs beside.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "error_code": status.as_u16(),
            "code": self.code,
            "message": self.message,
        });
        (status, Json(body)).into_response()
    }
}

/// Something makes no sense.
pub(super) fn bad(message: impl Into<String>) -> Objection {
    Objection {
        status: 400,
        code: "bad-request",
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_answered_with_500() {
        let second = Duration::from_secs(1);
        let in_time = within(async {
            sleep(ANSWER_WITHIN - second).await;
            Ok(7)
        });
        assert_eq!(in_time.await, Ok(7));

        let started = Instant::now();
        let never = std::future::pending::<Result<(), Objection>>();
        let late = within(never).await.unwrap_err();
        assert_eq!((late.status, late.code), (500, "late"));
        let waited = started.elapsed();
        assert!(waited >= ANSWER_WITHIN && waited < ANSWER_WITHIN + second);
        assert_eq!(
            late.into_response().status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
