//! The registry embedded in a log: a keyed topic of subjects' versions.

use crate::compatibility;
use crate::registry::{Registry, SchemaError};
use crate::schema::Schema;
use async_trait::async_trait;
use jackfield_log::{Keyed, Log};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::RwLock;

/// The keyed topic, named as the Confluent registry's.
const TOPIC: &str = "_schemas";
/// Ten digits hold any u32, so that keys order as ids do.
const ID_DIGITS: usize = 10;

/// One entry of the topic.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    subject: String,
    id: u32,
    version: u32,
    schema: Schema,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<u32, Schema>,
    /// Versions of each subject, in order.
    by_subject: HashMap<String, Vec<(u32, Schema)>>,
    last_id: u32,
}

impl Known {
    fn add(&mut self, entry: Entry) {
        self.last_id = self.last_id.max(entry.id);
        self.by_id.insert(entry.id, entry.schema.clone());
        self.by_subject
            .entry(entry.subject)
            .or_default()
            .push((entry.id, entry.schema));
    }
}

/// A registry in the log itself. All schemas are held in memory: there are as many as topics.
pub struct EmbeddedRegistry {
    keyed: Arc<dyn Keyed>,
    known: RwLock<Known>,
}

impl EmbeddedRegistry {
    /// Reads what is registered.
    ///
    /// # Errors
    /// The log can't be read, or holds entries that are none.
    pub async fn open(log: Arc<dyn Log>) -> Result<Self, SchemaError> {
        let unavailable = |e: jackfield_log::LogError| SchemaError::Transient(e.to_string());
        let keyed = log.keyed(TOPIC).await.map_err(unavailable)?;
        let mut entries = Vec::new();
        for (key, json) in keyed.entries().await.map_err(unavailable)? {
            let entry: Entry = serde_json::from_str(&json)
                .map_err(|e| SchemaError::Invalid(format!("the entry {key} of {TOPIC}: {e}")))?;
            entries.push(entry);
        }
        entries.sort_by_key(|entry| (entry.subject.clone(), entry.version));
        let mut known = Known::default();
        entries.into_iter().for_each(|entry| known.add(entry));
        Ok(Self {
            keyed,
            known: RwLock::new(known),
        })
    }
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn register(&self, subject: &str, schema: &Schema) -> Result<u32, SchemaError> {
        let schema = schema.canonical()?;
        // Held over the write, so that two registrations can't take one id.
        let mut known = self.known.write().await;
        let versions = known
            .by_subject
            .get(subject)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if let Some((id, _)) = versions.iter().find(|(_, have)| *have == schema) {
            return Ok(*id);
        }
        if let Some((_, newest)) = versions.last() {
            compatibility::backward(subject, newest, &schema)?;
        }
        let version = u32::try_from(versions.len() + 1).unwrap_or(u32::MAX);
        // One schema has one id, whichever subjects use it.
        let same = known
            .by_id
            .iter()
            .find(|(_, have)| **have == schema)
            .map(|(id, _)| *id);
        let id = same.unwrap_or(known.last_id + 1);
        let entry = Entry {
            subject: subject.to_owned(),
            id,
            version,
            schema,
        };
        let json =
            serde_json::to_string(&entry).map_err(|e| SchemaError::Invalid(e.to_string()))?;
        let key = format!("{id:0ID_DIGITS$}/{subject}");
        self.keyed
            .put(&key, Some(&json))
            .await
            .map_err(|e| SchemaError::Transient(e.to_string()))?;
        known.add(entry);
        Ok(id)
    }

    async fn get(&self, id: u32) -> Result<Schema, SchemaError> {
        self.known
            .read()
            .await
            .by_id
            .get(&id)
            .cloned()
            .ok_or(SchemaError::Missing(id))
    }
}
