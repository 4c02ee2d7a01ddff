//! Schemas that a schema refers to.

use super::ask::{Asker, Unanswered};
use super::exchange::Request;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;

/// Most schemas that one may refer to, those that they refer to included: hand-written ones refer
/// to a few, generated ones to some dozens.
const REFERENCES_MAX: usize = 256;
/// Also those that were taken out of their subject since: what was written with them is still there.
const DELETED_TOO: &str = "deleted=true";

/// A schema as registries tell it.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) schema: String,
    /// Avro when it is left out.
    #[serde(default, rename = "schemaType")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) references: Option<Vec<Reference>>,
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Reference {
    pub(super) subject: String,
    pub(super) version: i64,
}

/// Why the schemas could not be had.
#[derive(Debug)]
pub(super) enum Lacking {
    /// The registry does not answer.
    Unavailable(String),
    /// It does not know us, or does not let us.
    Denied(String),
    /// What it answers can't be put together.
    Broken(String),
}

/// All schemas that `references` lead to, each once.
pub(super) async fn follow(
    asker: &Asker,
    references: Vec<Reference>,
) -> Result<Vec<Value>, Lacking> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut ahead = references;
    while let Some(reference) = ahead.pop() {
        if !seen.insert(reference.clone()) {
            continue;
        }
        if seen.len() > REFERENCES_MAX {
            return Err(Lacking::Broken(format!(
                "it refers to more than {REFERENCES_MAX} others"
            )));
        }
        let told = version(asker, &reference).await?;
        let Reference { subject, version } = &reference;
        let json = serde_json::from_str(&told.schema)
            .map_err(|e| Lacking::Broken(format!("version {version} of {subject}: {e}")))?;
        found.push(json);
        ahead.extend(told.references.unwrap_or_default());
    }
    Ok(found)
}

async fn version(asker: &Asker, reference: &Reference) -> Result<Told, Lacking> {
    let Reference { subject, version } = reference;
    // Registries take -1 for the newest, but not in a path.
    let number = match version {
        -1 => "latest".to_owned(),
        version => version.to_string(),
    };
    let request = Request {
        path: vec!["subjects", subject, "versions", &number],
        query: Some(DELETED_TOO),
        body: None,
    };
    asker
        .ask(&request)
        .await
        .map_err(|unanswered| match unanswered {
            Unanswered::Unavailable(reason) => Lacking::Unavailable(reason),
            Unanswered::Denied(reason) => Lacking::Denied(reason),
            Unanswered::Refused(refusal) => Lacking::Broken(format!(
                "it refers to version {version} of {subject}: {}",
                refusal.message
            )),
        })
}
