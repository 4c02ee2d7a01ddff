//! What each error of librdkafka means for a caller: the one table, which docs/KAFKA.md shows.

use crate::native::{Failure, Message};
use jackfield_log::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::fmt::Display;

/// What the caller must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// The same may succeed later.
    Retriable,
    /// Another has taken this one's place.
    Fenced,
    /// The request is wrong.
    Rejected,
    /// A person must act.
    Fatal,
}

/// Codes that mean something else than "the same may succeed later", which is what all others mean.
/// (A commit whose answer is missing is *unknown* whatever the code: see `transactions`.)
pub(crate) const TABLE: &[(Consequence, &[Code])] = &[
    (
        Consequence::Fenced,
        &[
            Code::Fenced,
            Code::ProducerFenced,
            Code::InvalidProducerEpoch,
            Code::FencedInstanceId,
            Code::IllegalGeneration,
            Code::UnknownMemberId,
            Code::AssignmentLost,
        ],
    ),
    (
        Consequence::Rejected,
        &[
            Code::InvalidArgument,
            Code::UnknownTopic,
            Code::UnknownPartition,
            Code::UnknownTopicOrPartition,
            Code::InvalidTopic,
            Code::TopicAlreadyExists,
            Code::InvalidPartitions,
            Code::InvalidReplicationFactor,
            Code::InvalidReplicaAssignment,
            Code::InvalidConfig,
            Code::PolicyViolation,
            Code::InvalidRequest,
            Code::MessageSizeTooLarge,
            Code::MessageBatchTooLarge,
            Code::InvalidMessageSize,
            Code::InvalidTimestamp,
            Code::InvalidRecord,
            Code::UnsupportedForMessageFormat,
            Code::InvalidTransactionTimeout,
            Code::InvalidGroupId,
            Code::InvalidSessionTimeout,
            Code::InconsistentGroupProtocol,
            Code::OffsetMetadataTooLarge,
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
        ],
    ),
    (
        Consequence::Fatal,
        &[
            Code::Authentication,
            Code::SaslAuthenticationFailed,
            Code::UnsupportedSASLMechanism,
            Code::IllegalSASLState,
            Code::ClusterAuthorizationFailed,
            Code::TransactionalIdAuthorizationFailed,
            Code::UnsupportedFeature,
            Code::UnsupportedVersion,
            Code::UnknownProtocol,
            Code::NotImplemented,
            Code::CriticalSystemResource,
            Code::SecurityDisabled,
        ],
    ),
];

/// Codes that come in place of records, again with every fetch: what lies there is damaged, packed
/// in a way that is not known here, or larger than an answer may be. Records that lie unpacked and
/// can't be parsed are not among it: librdkafka tells nothing of them, and fetches them for ever.
const UNREADABLE: &[Code] = &[
    Code::BadCompression,
    Code::BadMessage,
    Code::InvalidMessage,
    Code::MessageSizeTooLarge,
    Code::NotImplemented,
];

/// The port's error for what came in place of the records of a partition; `None`: it does not say
/// that they can't be read.
pub(crate) fn unreadable(code: Code, message: &Message, at: impl Display) -> Option<LogError> {
    UNREADABLE.contains(&code).then(|| {
        let offset = message.offset();
        let why = String::from_utf8_lossy(message.value().unwrap_or_default());
        LogError::Rejected(format!(
            "what lies at offset {offset} of {at} can't be read: {why}"
        ))
    })
}

/// What a code means.
pub(crate) fn of(code: Code) -> Consequence {
    let found = TABLE.iter().find(|(_, codes)| codes.contains(&code));
    found.map_or(Consequence::Retriable, |(consequence, _)| *consequence)
}

/// The port's error for a request that failed with this code and changed nothing.
pub(crate) fn error(code: Code, text: String) -> LogError {
    match of(code) {
        Consequence::Retriable => LogError::Retriable(text),
        Consequence::Fenced => LogError::Fenced(text),
        Consequence::Rejected => LogError::Rejected(text),
        Consequence::Fatal => LogError::Fatal(text),
    }
}

/// The same of a failure, saying what was tried.
pub(crate) fn failed(what: &str, failure: &Failure) -> LogError {
    error(failure.code, format!("{what}: {}", failure.text))
}

/// The same of the crate's error.
pub(crate) fn kafka(what: &str, e: &KafkaError) -> LogError {
    let text = format!("{what}: {e}");
    match e {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => {
            LogError::Rejected(text)
        }
        other => match code(other) {
            Some(code) => error(code, text),
            None => LogError::Retriable(text),
        },
    }
}

/// The code of the crate's error, if it has one.
pub(crate) fn code(e: &KafkaError) -> Option<Code> {
    match e {
        // rdkafka gives the code of an admin request that failed as a whole only in this field.
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_this_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/KAFKA.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (consequence, codes) in TABLE {
            let codes: Vec<String> = codes.iter().map(|code| format!("`{code:?}`")).collect();
            let row = format!("| {consequence:?} | {} |", codes.join(", "));
            assert!(page.contains(&row), "docs/KAFKA.md lacks: {row}");
        }
    }

    #[test]
    fn a_code_has_one_consequence() {
        let all: Vec<Code> = TABLE
            .iter()
            .flat_map(|(_, codes)| *codes)
            .copied()
            .collect();
        for (i, code) in all.iter().enumerate() {
            assert!(!all[..i].contains(code), "{code:?} twice");
        }
    }
}
