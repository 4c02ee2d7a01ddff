//! Whether a topic of ours keeps what is written to it.

use crate::consequence;
use crate::shared::Shared;
use crate::topics::{self, SPREAD_MAX, SPREAD_POLL};
use jackfield_log::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::BTreeMap;
use std::time::Instant;

/// What is known of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compaction {
    /// It keeps the newest value of each key.
    Kept,
    /// Nobody says so.
    Untold,
}

/// Answers of a cluster that tells no settings, or not to us. Any other error says nothing of that.
const UNTOLD: &[Code] = &[
    Code::TopicAuthorizationFailed,
    Code::ClusterAuthorizationFailed,
    Code::UnsupportedFeature,
    Code::UnsupportedVersion,
    Code::NotImplemented,
];

/// Refuses a topic of ours that forgets the newest value of a key: positions would be lost with it,
/// and only a person may alter it.
pub(crate) async fn check(shared: &Shared, name: &str) -> Result<Compaction, LogError> {
    if !shared.config.compaction_checked {
        return Ok(Compaction::Untold);
    }
    let deadline = Instant::now() + SPREAD_MAX;
    loop {
        let settings = topics::settings(shared.admin()?, name).await;
        if let Some(known) = judge(name, settings)? {
            return Ok(known);
        }
        if Instant::now() >= deadline {
            return Err(LogError::Retriable(format!(
                "the brokers don't know the topic {name} yet"
            )));
        }
        tokio::time::sleep(SPREAD_POLL).await;
    }
}

/// What an answer says of the topic. `None`: whoever was asked does not know it yet, since brokers
/// tell each other of a new topic one by one.
fn judge(
    name: &str,
    settings: Result<BTreeMap<String, String>, KafkaError>,
) -> Result<Option<Compaction>, LogError> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            return match consequence::code(&error) {
                Some(Code::UnknownTopicOrPartition) => Ok(None),
                Some(code) if UNTOLD.contains(&code) => {
                    tracing::warn!(
                        topic = name, %error, "it is not known whether a topic is compacted"
                    );
                    Ok(Some(Compaction::Untold))
                }
                Some(_) | None => Err(consequence::kafka(&topics::unread(name), &error)),
            };
        }
    };
    let policy = settings.get("cleanup.policy").map_or("", String::as_str);
    let has = |wanted: &str| policy.split(',').any(|it| it.trim() == wanted);
    if has("compact") && !has("delete") {
        return Ok(Some(Compaction::Kept));
    }
    Err(LogError::Rejected(format!(
        "the topic {name} would forget what it holds: its cleanup.policy is {policy:?}, and must be \
         compact; alter it, or name another topic"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(policy: &str) -> Result<Option<Compaction>, LogError> {
        let policy = ("cleanup.policy".to_owned(), policy.to_owned());
        judge("ours", Ok(BTreeMap::from([policy])))
    }

    fn refused_with(code: Code) -> Result<Option<Compaction>, LogError> {
        judge("ours", Err(KafkaError::AdminOp(code)))
    }

    #[test]
    fn a_topic_that_is_compacted_alone_keeps_what_it_holds() {
        assert_eq!(answered("compact"), Ok(Some(Compaction::Kept)));
        for policy in ["delete", "compact,delete", "compact, delete", ""] {
            let answered = answered(policy);
            assert!(matches!(answered, Err(LogError::Rejected(_))), "{policy}");
        }
    }

    /// A broker that has not heard of a topic that was just made says nothing of its policy.
    #[test]
    fn a_broker_that_does_not_know_the_topic_yet_is_asked_again() {
        assert_eq!(refused_with(Code::UnknownTopicOrPartition), Ok(None));
    }

    #[test]
    fn a_cluster_that_does_not_tell_settings_is_believed() {
        for code in UNTOLD {
            assert_eq!(refused_with(*code), Ok(Some(Compaction::Untold)), "{code}");
        }
    }

    #[test]
    fn any_other_error_is_one() {
        for code in [Code::RequestTimedOut, Code::NotController] {
            let refused = refused_with(code);
            assert!(matches!(refused, Err(LogError::Retriable(_))), "{code}");
        }
        let refused = refused_with(Code::InvalidRequest);
        assert!(matches!(refused, Err(LogError::Rejected(_))));
        let refused = refused_with(Code::SaslAuthenticationFailed);
        assert!(matches!(refused, Err(LogError::Fatal(_))));
    }
}
