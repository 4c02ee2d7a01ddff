//! The client of registries with Confluent's REST API: Confluent's own, Apicurio, Karapace,
//! Redpanda.
//!
//! What was read or registered once is kept, and works while the registry is down. What is not
//! kept is asked for again and again, from each URL in turn, after growing waits; when that takes
//! too long the error is [`SchemaError::Transient`], so that the connector's own retries follow.

mod addresses;
mod ask;
mod credentials;
mod exchange;
mod inline;
mod kept;
mod references;
mod settings;
#[cfg(test)]
mod tests;
mod tls;

pub use addresses::Addresses;
pub use settings::{Auth, ConfluentSettings, SettingsError, Tls};

use crate::registry::{Registry, SchemaError};
use crate::schema::{Schema, SchemaKind};
use ask::{Asker, Pace, Unanswered};
use async_trait::async_trait;
use exchange::{Refusal, Request};
use futures::FutureExt;
use kept::{Bounds, Kept};
use references::{Lacking, Told, follow};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Schemas that are kept: a thousand topics with a few versions each, of some KiB; large ones
/// count for more.
const KEPT: Bounds = Bounds {
    entries_max: 4096,
    bytes_max: 64 * 1024 * 1024,
};
/// "Schema not found": the one error code that says that an id has no schema.
const SCHEMA_NOT_FOUND: u32 = 40403;
/// The schema is incompatible with those before.
const INCOMPATIBLE: u32 = 409;
/// How often an unknown id is asked for before it is believed to have no schema...
const UNKNOWN_TRIES: usize = 3;
/// ... and how long is waited between: a registry's follower learns of a new id a little later.
const UNKNOWN_WAIT: Duration = Duration::from_millis(200);

/// A registry that is asked over the network.
pub struct ConfluentRegistry {
    asker: Arc<Asker>,
    auto_register: bool,
    by_id: Kept<u32, Schema>,
    registered: Kept<(String, Schema), u32>,
}

impl std::fmt::Debug for ConfluentRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfluentRegistry").finish_non_exhaustive()
    }
}

impl ConfluentRegistry {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// The credentials or certificates can't be used.
    pub fn new(settings: &ConfluentSettings) -> Result<Self, SettingsError> {
        Self::with(settings, Pace::default())
    }

    fn with(settings: &ConfluentSettings, pace: Pace) -> Result<Self, SettingsError> {
        Ok(Self {
            asker: Arc::new(Asker::new(settings, pace)?),
            auto_register: settings.auto_register,
            by_id: Kept::new(KEPT, |_, schema| schema.text.len()),
            registered: Kept::new(KEPT, |(subject, schema), _| {
                subject.len() + schema.text.len()
            }),
        })
    }
}

#[async_trait]
impl Registry for ConfluentRegistry {
    async fn register(&self, subject: &str, schema: &Schema) -> Result<u32, SchemaError> {
        let schema = registrable(schema)?;
        let key = (subject.to_owned(), schema.clone());
        let id = self
            .registered
            .get_or(key.clone(), || {
                let (asker, auto_register) = (Arc::clone(&self.asker), self.auto_register);
                async move { register(&asker, auto_register, &key.0, &key.1).await }.boxed()
            })
            .await?;
        self.by_id.put(id, schema);
        Ok(id)
    }

    async fn get(&self, id: u32) -> Result<Schema, SchemaError> {
        self.by_id
            .get_or(id, || {
                let asker = Arc::clone(&self.asker);
                async move { get(&asker, id).await }.boxed()
            })
            .await
    }

    async fn latest(&self, subject: &str) -> Result<Option<(u32, Schema)>, SchemaError> {
        let request = Request {
            path: vec!["subjects", subject, "versions", "latest"],
            query: None,
            body: None,
        };
        match self.asker.ask::<Registered>(&request).await {
            // What the id stands for is kept, and has what it refers to in it.
            Ok(registered) => {
                let id = registered.id.get();
                Ok(Some((id, self.get(id).await?)))
            }
            Err(Unanswered::Refused(refusal)) if is_not_found(&refusal) => Ok(None),
            Err(unanswered) => Err(unanswered.or_refused(|it| refused(subject, it))),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    schema: &'a str,
    #[serde(rename = "schemaType", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

#[derive(Deserialize)]
struct Registered {
    /// Never 0, which stands for no schema.
    id: NonZeroU32,
}

/// The schema as it is registered, the same however it was laid out.
fn registrable(schema: &Schema) -> Result<Schema, SchemaError> {
    match schema.kind {
        SchemaKind::Avro | SchemaKind::Json => schema.canonical(),
        SchemaKind::None => Err(SchemaError::Invalid(
            "bytes of no declared form have no schema to register".to_owned(),
        )),
    }
}

fn body(schema: &Schema) -> String {
    let body = Body {
        schema: &schema.text,
        // Old registries know Avro only, and no such field.
        kind: (schema.kind == SchemaKind::Json).then_some("JSON"),
    };
    serde_json::to_string(&body).expect("strings are JSON")
}

async fn register(
    asker: &Asker,
    auto_register: bool,
    subject: &str,
    schema: &Schema,
) -> Result<u32, SchemaError> {
    let body = body(schema);
    // Looked up first: that needs no right to write.
    let lookup = Request {
        path: vec!["subjects", subject],
        query: None,
        body: Some(body.clone()),
    };
    match asker.ask::<Registered>(&lookup).await {
        Ok(registered) => return Ok(registered.id.get()),
        Err(Unanswered::Unavailable(reason)) => return Err(SchemaError::Transient(reason)),
        Err(Unanswered::Denied(reason)) => return Err(SchemaError::Denied(reason)),
        Err(Unanswered::Refused(refusal)) if !auto_register => {
            return Err(SchemaError::Invalid(format!(
                "{subject} does not have it, and schemas are not registered automatically: {}",
                refusal.message
            )));
        }
        // Whatever is wrong, registering says it better.
        Err(Unanswered::Refused(_)) => {}
    }
    let registration = Request {
        path: vec!["subjects", subject, "versions"],
        query: None,
        body: Some(body),
    };
    match asker.ask::<Registered>(&registration).await {
        Ok(registered) => Ok(registered.id.get()),
        Err(unanswered) => Err(unanswered.or_refused(|it| refused(subject, it))),
    }
}

fn refused(subject: &str, refusal: Refusal) -> SchemaError {
    if refusal.error_code == INCOMPATIBLE {
        return SchemaError::Incompatible {
            subject: subject.to_owned(),
            reason: refusal.message,
        };
    }
    let Refusal {
        error_code,
        message,
    } = refusal;
    SchemaError::Invalid(format!("{subject}: {message} ({error_code})"))
}

fn is_not_found(refusal: &Refusal) -> bool {
    refusal.error_code / 100 == 404
}

async fn get(asker: &Asker, id: u32) -> Result<Schema, SchemaError> {
    if id == 0 {
        return Err(SchemaError::Missing(id));
    }
    let number = id.to_string();
    let request = Request {
        path: vec!["schemas", "ids", &number],
        query: None,
        body: None,
    };
    let mut tries = 1;
    let told: Told = loop {
        match asker.ask(&request).await {
            Ok(told) => break told,
            Err(Unanswered::Unavailable(reason)) => return Err(SchemaError::Transient(reason)),
            Err(Unanswered::Denied(reason)) => return Err(SchemaError::Denied(reason)),
            Err(Unanswered::Refused(refusal)) if refusal.error_code != SCHEMA_NOT_FOUND => {
                let Refusal {
                    error_code,
                    message,
                } = refusal;
                return Err(SchemaError::Transient(format!(
                    "the id {id}: {message} ({error_code})"
                )));
            }
            Err(Unanswered::Refused(_)) if tries == UNKNOWN_TRIES => {
                return Err(SchemaError::Missing(id));
            }
            Err(Unanswered::Refused(_)) => {
                tries += 1;
                tokio::time::sleep(UNKNOWN_WAIT).await;
            }
        }
    };
    whole(asker, id, told).await
}

/// The schema with what it refers to.
async fn whole(asker: &Asker, id: u32, told: Told) -> Result<Schema, SchemaError> {
    let broken = |reason: String| SchemaError::Invalid(format!("the schema {id}: {reason}"));
    let kind = match told.kind.as_deref() {
        None | Some("AVRO") => SchemaKind::Avro,
        // Records are read without what theirs refer to.
        Some("JSON") => SchemaKind::Json,
        Some(other) => return Err(broken(format!("{other} is not supported"))),
    };
    let references = told.references.unwrap_or_default();
    if references.is_empty() || kind != SchemaKind::Avro {
        return Ok(Schema {
            kind,
            text: told.schema,
        });
    }
    let referenced = follow(asker, references).await.map_err(|e| match e {
        Lacking::Unavailable(reason) => SchemaError::Transient(reason),
        Lacking::Denied(reason) => SchemaError::Denied(reason),
        Lacking::Broken(reason) => broken(reason),
    })?;
    let root = serde_json::from_str(&told.schema).map_err(|e| broken(e.to_string()))?;
    let text = inline::inline(&root, &referenced).map_err(broken)?;
    Ok(Schema { kind, text })
}
