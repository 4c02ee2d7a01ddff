//! Answers of `describe` and `check`.

use crate::bindings::exports::jackfield::connector::sink::{Description, Finding};
use crate::bindings::jackfield::connector::types::{Delivery, Severity};
use hostile_deeds::forged;

/// The answer to `describe`.
pub(crate) fn description(deed: &str) -> Description {
    let mut description = Description {
        name: "hostile-sink".into(),
        version: "0.1.0".into(),
        summary: "Misbehaves on command.".into(),
        settings_schema: r#"{"type": "object"}"#.into(),
        delivery: Delivery::ExactlyOnce,
        saved_version: 1,
        saved_version_min: 1,
        staged_version: 1,
        staged_version_min: 1,
    };
    match deed {
        "nameless" => description.name.clear(),
        "two-lines" => description.version = "1\n2".into(),
        "schema-no-json" => description.settings_schema = "settings".into(),
        "schema-too-large" => {
            description.settings_schema = format!("{{\"x\": \"{}\"}}", "x".repeat(2 << 20));
        }
        "giant-text" => description.summary = "x".repeat(200 << 20),
        "reads-the-future" => description.saved_version_min = 2,
        "saves-anew" => (description.saved_version, description.saved_version_min) = (2, 2),
        "stages-anew" => (description.staged_version, description.staged_version_min) = (2, 2),
        _ => {}
    }
    description
}

/// The answer to `check`.
pub(crate) fn findings(deed: &str) -> Vec<Finding> {
    match deed {
        "too-many-findings" => (0..2000).map(|_| finding("x".into())).collect(),
        "giant-findings" => vec![finding("x".repeat(100_000))],
        "forged-list" => {
            let one = vec![finding("x".repeat(1 << 20))].leak();
            forged(one.as_ptr() as usize, 1 << 24)
        }
        _ => Vec::new(),
    }
}

fn finding(message: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        path: "x".into(),
        message,
        mend: String::new(),
    }
}
