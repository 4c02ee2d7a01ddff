//! Why something was not done, in Kafka Connect's codes.

use crate::start_error::StartError;
use jackfield_admin::Objection;
use jackfield_connect::KeyErrors;
use jackfield_log::LogError;
use jackfield_pipeline::{Failed, Unchanged};

fn objection(status: u16, code: &'static str, message: impl Into<String>) -> Objection {
    Objection {
        status,
        code,
        message: message.into(),
    }
}

pub(super) fn unknown(connector: &str) -> Objection {
    objection(
        404,
        "unknown-connector",
        format!("Connector {connector} not found"),
    )
}

pub(super) fn unknown_plugin(plugin: &str) -> Objection {
    objection(404, "unknown-plugin", format!("Unknown plugin {plugin}."))
}

pub(super) fn exists(connector: &str) -> Objection {
    objection(
        409,
        "exists",
        format!("Connector {connector} already exists"),
    )
}

/// The file is where it is changed.
pub(super) fn declared(connector: &str, file: &str) -> Objection {
    let message = format!("{file} declares the connector {connector}: change it there");
    objection(409, "declared", message)
}

pub(super) fn invalid(errors: &KeyErrors) -> Objection {
    objection(400, "invalid", errors.to_string())
}

pub(super) fn bad(message: impl Into<String>) -> Objection {
    objection(400, "bad-request", message)
}

pub(super) fn stopping() -> Objection {
    objection(503, "stopping", "the process is stopping")
}

/// The log did not do it.
pub(super) fn log(what: &str, error: &LogError) -> Objection {
    let status = match error {
        LogError::Rejected(_) => 400,
        LogError::Retriable(_)
        | LogError::Fenced(_)
        | LogError::Unknown(_)
        | LogError::Fatal(_) => 500,
    };
    objection(status, "log", format!("{what}: {error}"))
}

/// The group's offsets are set, and targets would not go by them.
pub(super) fn not_forgotten(failed: &Failed) -> Objection {
    let message = format!(
        "the group's offsets are set, but what is kept of where targets begin did not all give way: {failed}. Once that is mended, ask for the same again"
    );
    objection(500, "log", message)
}

/// The connector could not be built.
pub(super) fn not_built(error: &StartError) -> Objection {
    objection(400, "not-built", error.to_string())
}

pub(super) fn unchanged(unchanged: &Unchanged) -> Objection {
    match unchanged {
        Unchanged::Exists(name) => exists(name),
        Unchanged::Unknown(name) => unknown(name),
        Unchanged::Stopping => stopping(),
    }
}

/// It went on without anybody who could say how it ended.
pub(super) fn broken(error: &tokio::task::JoinError) -> Objection {
    objection(500, "broken", format!("the request broke: {error}"))
}
