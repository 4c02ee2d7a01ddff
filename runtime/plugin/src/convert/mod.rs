//! From answers as they were generated to plain types, checked against the contract.
//!
//! Whatever breaks it is a death: a component that breaks one promise is not asked to keep the
//! next one.

mod json;
mod sink;
mod source;

pub(crate) use sink::{
    committed, holdings, into_holdings, into_pieces, into_spans, nothing as sink_nothing, pieces,
    span, taken,
};
pub(crate) use source::{
    PollContext, feeds, into_limits, into_positions, into_slot, nothing as source_nothing, polled,
    slots,
};

use crate::bindings::source::jackfield::connector::types as wit;
use crate::error::{CallError, Death, Failure};
use crate::limits::{
    COUNT_MAX, FINDINGS_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX, RETRY_AFTER_MAX, SAVED_BYTES_MAX,
    SCHEMA_BYTES_MAX, SETTINGS_SCHEMA_BYTES_MAX,
};
use crate::types::{
    Context, Counts, Delivery, Description, Finding, Rejection, Role, Saved, Schema, SchemaKind,
    Severity,
};

pub(crate) fn malformed(reason: impl Into<String>) -> CallError {
    CallError::Dead(Death::Malformed(reason.into()))
}

pub(crate) fn too_large(what: &'static str, max: usize) -> CallError {
    CallError::Dead(Death::TooLarge {
        what,
        max: max as u64,
    })
}

/// Refuses more than `max` of what.
pub(crate) fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), CallError> {
    if count > max {
        Err(too_large(what, max))
    } else {
        Ok(())
    }
}

/// A name that is not empty, not too long, and on one line.
pub(crate) fn name(what: &'static str, name: &str) -> Result<(), CallError> {
    at_most(what, name.len(), NAME_BYTES_MAX)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(malformed(format!(
            "{what} {name:?} is empty or holds control characters"
        )));
    }
    Ok(())
}

/// Text for people, cut where it goes on too long.
pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}

pub(crate) fn description(d: wit::Description) -> Result<Description, CallError> {
    name("the connector's name", &d.name)?;
    name("the connector's version", &d.version)?;
    at_most(
        "the settings' schema",
        d.settings_schema.len(),
        SETTINGS_SCHEMA_BYTES_MAX,
    )?;
    json::object("the settings' schema", &d.settings_schema)?;
    for (what, min, now) in [
        ("saved", d.saved_version_min, d.saved_version),
        ("staged", d.staged_version_min, d.staged_version),
    ] {
        if min > now {
            return Err(malformed(format!(
                "reads {what} bytes from version {min}, but writes version {now}"
            )));
        }
    }
    Ok(Description {
        name: d.name,
        version: d.version,
        summary: cut(d.summary),
        settings_schema: d.settings_schema,
        delivery: match d.delivery {
            wit::Delivery::AtLeastOnce => Delivery::AtLeastOnce,
            wit::Delivery::ExactlyOnce => Delivery::ExactlyOnce,
        },
        saved_version: d.saved_version,
        saved_version_min: d.saved_version_min,
        staged_version: d.staged_version,
        staged_version_min: d.staged_version_min,
    })
}

pub(crate) fn findings(found: Vec<wit::Finding>) -> Result<Vec<Finding>, CallError> {
    at_most("the list of findings", found.len(), FINDINGS_MAX)?;
    Ok(found
        .into_iter()
        .map(|f| Finding {
            severity: match f.severity {
                wit::Severity::Error => Severity::Error,
                wit::Severity::Warning => Severity::Warning,
            },
            path: cut(f.path),
            message: cut(f.message),
            mend: cut(f.mend),
        })
        .collect())
}

/// Whether a call may reject records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejects {
    Never,
    /// It was given so many records.
    Of(u32),
}

pub(crate) fn failure(failure: wit::Failure, rejects: Rejects) -> CallError {
    CallError::Failure(match failure {
        wit::Failure::Retry(retry) => Failure::Retry {
            after_ms: retry
                .after_ms
                .min(u32::try_from(RETRY_AFTER_MAX.as_millis()).unwrap_or(u32::MAX)),
            reason: cut(retry.reason),
        },
        wit::Failure::Rewind(reason) => Failure::Rewind(cut(reason)),
        wit::Failure::Rejected(rejections) => match rejected(rejections, rejects) {
            Ok(rejections) => Failure::Rejected(rejections),
            Err(broken) => return broken,
        },
        wit::Failure::Misconfigured(reason) => Failure::Misconfigured(cut(reason)),
        wit::Failure::Fenced(reason) => Failure::Fenced(cut(reason)),
        wit::Failure::Broken(reason) => Failure::Broken(cut(reason)),
    })
}

fn rejected(
    rejections: Vec<wit::Rejection>,
    rejects: Rejects,
) -> Result<Vec<Rejection>, CallError> {
    let Rejects::Of(records) = rejects else {
        return Err(malformed("rejected records where none were put"));
    };
    at_most("the list of rejections", rejections.len(), records as usize)?;
    if rejections.is_empty() {
        return Err(malformed("rejected a batch without naming a record"));
    }
    if let Some(bad) = rejections.iter().find(|r| r.index >= records) {
        return Err(malformed(format!(
            "rejected record {} of a batch of {records}",
            bad.index
        )));
    }
    Ok(rejections
        .into_iter()
        .map(|r| Rejection {
            index: r.index,
            reason: cut(r.reason),
        })
        .collect())
}

pub(crate) fn counts(c: &wit::Counts) -> Result<Counts, CallError> {
    for (what, count) in [
        ("records", c.records),
        ("duplicates", c.duplicates),
        ("missing", c.missing),
        ("recovered", c.recovered),
    ] {
        if count > COUNT_MAX {
            return Err(malformed(format!("counts {count} {what} in one call")));
        }
    }
    Ok(Counts {
        records: c.records,
        duplicates: c.duplicates,
        missing: c.missing,
        recovered: c.recovered,
        event_time_max_ms: c.event_time_max_ms,
    })
}

pub(crate) fn schema(schema: wit::Schema) -> Result<Schema, CallError> {
    at_most("a schema", schema.text.len(), SCHEMA_BYTES_MAX)?;
    Ok(Schema {
        kind: match schema.kind {
            wit::SchemaKind::Avro => SchemaKind::Avro,
            wit::SchemaKind::Json => SchemaKind::Json,
            wit::SchemaKind::None => SchemaKind::None,
        },
        text: schema.text,
    })
}

pub(crate) fn saved(answer: Result<wit::Saved, wit::Failure>) -> Result<Saved, CallError> {
    let saved = answer.map_err(|f| failure(f, Rejects::Never))?;
    at_most("saved state", saved.bytes.len(), SAVED_BYTES_MAX)?;
    Ok(from_saved(saved))
}

pub(crate) fn from_saved(saved: wit::Saved) -> Saved {
    Saved {
        version: saved.version,
        bytes: saved.bytes,
    }
}

pub(crate) fn into_saved(saved: Saved) -> wit::Saved {
    wit::Saved {
        version: saved.version,
        bytes: saved.bytes,
    }
}

pub(crate) fn into_context(context: Context) -> wit::Context {
    wit::Context {
        connector: context.connector,
        delivery: match context.delivery {
            Delivery::AtLeastOnce => wit::Delivery::AtLeastOnce,
            Delivery::ExactlyOnce => wit::Delivery::ExactlyOnce,
        },
        role: match context.role {
            Role::Task(number) => wit::Role::Task(number),
            Role::Committer => wit::Role::Committer,
        },
        tasks: context.tasks,
    }
}
