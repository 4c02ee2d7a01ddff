//! The registry port.

use crate::schema::Schema;
use async_trait::async_trait;

/// Why a schema could not be registered or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// No schema has this id.
    #[error("no schema has the id {0}")]
    Missing(u32),
    /// The subject's compatibility forbids it: a person must decide.
    #[error("the new schema of {subject} can't read what was written before: {reason}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// The registry's own message.
        reason: String,
    },
    /// The text is no schema of its kind, or the registry takes it under no circumstances that
    /// repeating brings about: a person must act.
    #[error("the schema is refused: {0}")]
    Invalid(String),
    /// The registry does not let us: wrong credentials, or a right that we lack. A person must act.
    #[error("the schema registry does not let us: {0}")]
    Denied(String),
    /// The registry can't be reached, or does not serve us now; cached schemas keep working.
    #[error("the schema registry is not available: {0}")]
    Transient(String),
}

/// Gives schemas ids, and ids schemas.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The id of `schema` under `subject`: the same one for the same schema, else a new one if
    /// the subject's compatibility allows it. Ids begin at 1; 0 stands for no schema.
    async fn register(&self, subject: &str, schema: &Schema) -> Result<u32, SchemaError>;

    /// The schema of an id. It never changes.
    async fn get(&self, id: u32) -> Result<Schema, SchemaError>;

    /// The newest schema of a subject and its id, asked for anew each time; `None` where nothing
    /// is registered.
    async fn latest(&self, subject: &str) -> Result<Option<(u32, Schema)>, SchemaError>;
}
