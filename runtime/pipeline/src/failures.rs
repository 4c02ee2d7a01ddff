//! Every failure of a plugin, of the log or of the registry, by what it leads to.

use jackfield_core::{BrokenPromise, Consequence, NotContiguous};
use jackfield_log::LogError;
use jackfield_plugin::{CallError, Death, Failure};
use jackfield_schema::SchemaError;
use std::time::Duration;

/// Why a connector could not go on, for people and for the decision what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct Failed {
    /// What was being done, such as `poll` or `append`.
    pub what: &'static str,
    /// The reason, with the plugin's trace where there is one.
    pub reason: String,
    /// What it leads to.
    pub consequence: Consequence,
    /// The component asked not to be called again sooner.
    pub not_before: Duration,
    /// Whether the component is to blame: another version of it may do better.
    pub component: bool,
}

impl Failed {
    /// A failure of `what`.
    pub fn new(what: &'static str, consequence: Consequence, reason: impl Into<String>) -> Self {
        Self {
            what,
            reason: reason.into(),
            consequence,
            not_before: Duration::ZERO,
            component: match consequence {
                Consequence::Replace | Consequence::Fail => true,
                Consequence::Retry
                | Consequence::Rewind
                | Consequence::Fenced
                | Consequence::Unknown => false,
            },
        }
    }

    /// A failure that only a person can mend, of the component's making.
    pub fn for_good(what: &'static str, reason: impl Into<String>) -> Self {
        Self::new(what, Consequence::Fail, reason)
    }

    /// A failure that only a person can mend, and that any version of the component meets: the host,
    /// the log or the registry is to blame.
    pub fn for_good_by_host(what: &'static str, reason: impl Into<String>) -> Self {
        Self {
            component: false,
            ..Self::for_good(what, reason)
        }
    }

    /// A call into a plugin failed.
    pub fn call(what: &'static str, error: CallError) -> Self {
        match error {
            CallError::Failure(failure) => Self::failure(what, failure),
            CallError::Dead(death) => Self::death(what, &death),
        }
    }

    fn failure(what: &'static str, failure: Failure) -> Self {
        match failure {
            Failure::Retry { after_ms, reason } => Self {
                not_before: Duration::from_millis(u64::from(after_ms)),
                ..Self::new(what, Consequence::Retry, reason)
            },
            Failure::Rewind(reason) => Self::new(what, Consequence::Rewind, reason),
            // Only `put` and `apply` may reject, and their callers take it before it comes here.
            Failure::Rejected(rejections) => Self::new(
                what,
                Consequence::Replace,
                format!(
                    "the component rejected {} records where none can be rejected",
                    rejections.len()
                ),
            ),
            Failure::Misconfigured(reason) => Self::for_good(what, reason),
            Failure::Fenced(reason) => Self::new(what, Consequence::Fenced, reason),
            Failure::Broken(reason) => Self::new(what, Consequence::Replace, reason),
        }
    }

    fn death(what: &'static str, death: &Death) -> Self {
        Self::new(what, Consequence::Replace, death.to_string())
    }

    /// The log refused.
    pub fn log(what: &'static str, error: LogError) -> Self {
        match error {
            LogError::Retriable(reason) => Self::new(what, Consequence::Rewind, reason),
            LogError::Fenced(reason) => Self::new(what, Consequence::Fenced, reason),
            LogError::Unknown(reason) => Self::new(what, Consequence::Unknown, reason),
            LogError::Rejected(reason) | LogError::Fatal(reason) => {
                Self::for_good_by_host(what, reason)
            }
        }
    }

    /// The schema registry refused.
    pub fn schema(what: &'static str, error: SchemaError) -> Self {
        match error {
            SchemaError::Transient(_) => Self::new(what, Consequence::Rewind, error.to_string()),
            // The schema is the component's.
            SchemaError::Missing(_)
            | SchemaError::Incompatible { .. }
            | SchemaError::Invalid(_) => Self::for_good(what, error.to_string()),
            SchemaError::Denied(_) => Self::for_good_by_host(what, error.to_string()),
        }
    }
}

impl From<BrokenPromise> for Failed {
    fn from(promise: BrokenPromise) -> Self {
        Self::new("poll", Consequence::Replace, promise.to_string())
    }
}

impl From<NotContiguous> for Failed {
    fn from(hole: NotContiguous) -> Self {
        Self::new("fetch", Consequence::Rewind, hole.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_not_blamed_for_what_the_log_does() {
        for error in [
            LogError::Retriable("r".into()),
            LogError::Fenced("f".into()),
            LogError::Unknown("u".into()),
            LogError::Rejected("j".into()),
            LogError::Fatal("x".into()),
        ] {
            let failed = Failed::log("append", error);
            assert!(!failed.component, "{failed}: {:?}", failed.consequence);
        }
    }

    #[test]
    fn a_component_is_blamed_for_its_schema_and_not_for_the_registry() {
        let incompatible = SchemaError::Incompatible {
            subject: "s".into(),
            reason: "r".into(),
        };
        for (error, blamed) in [
            (incompatible, true),
            (SchemaError::Invalid("i".into()), true),
            (SchemaError::Missing(7), true),
            (SchemaError::Denied("401".into()), false),
            (SchemaError::Transient("503".into()), false),
        ] {
            let failed = Failed::schema("register schema", error);
            assert_eq!(failed.component, blamed, "{failed}");
        }
    }

    #[test]
    fn what_a_person_must_mend_says_whose_it_is() {
        let own = Failed::for_good("plan", "no slot");
        let hosts = Failed::for_good_by_host("assign", "the topic was created anew");
        assert_eq!(own.consequence, Consequence::Fail);
        assert_eq!(hosts.consequence, Consequence::Fail);
        assert!(own.component && !hosts.component);
    }
}
