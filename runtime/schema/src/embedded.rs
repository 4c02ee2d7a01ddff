//! The registry embedded in a log: a keyed topic of subjects' versions.

use crate::compatibility;
use crate::registry::{Registry, SchemaError};
use crate::schema::Schema;
use async_trait::async_trait;
use jackfield_log::{Keyed, Log, LogError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::RwLock;

/// The keyed topic in a log of this process's own, named as the Confluent registry's.
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
    fn versions(&self, subject: &str) -> &[(u32, Schema)] {
        self.by_subject
            .get(subject)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn id_of(&self, subject: &str, schema: &Schema) -> Option<u32> {
        let mut versions = self.versions(subject).iter();
        versions.find(|(_, have)| have == schema).map(|(id, _)| *id)
    }

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
    topic: String,
    known: RwLock<Known>,
}

impl EmbeddedRegistry {
    /// Reads what is registered in a log of this process's own.
    ///
    /// # Errors
    /// The log can't be read, or holds entries that are none.
    pub async fn open(log: Arc<dyn Log>) -> Result<Self, SchemaError> {
        Self::open_in(log, TOPIC).await
    }

    /// The same in this keyed topic.
    ///
    /// # Errors
    /// The log can't be read, or the topic holds entries that are none.
    pub async fn open_in(log: Arc<dyn Log>, topic: &str) -> Result<Self, SchemaError> {
        let keyed = log.keyed(topic).await.map_err(unavailable)?;
        let known = read(&*keyed, topic).await?;
        Ok(Self {
            keyed,
            topic: topic.to_owned(),
            known: RwLock::new(known),
        })
    }

    /// Looks again at what is registered: in a log that processes share another one may have.
    async fn refresh(&self, known: &mut Known) -> Result<(), SchemaError> {
        *known = read(&*self.keyed, &self.topic).await?;
        Ok(())
    }
}

fn unavailable(error: LogError) -> SchemaError {
    SchemaError::Transient(error.to_string())
}

async fn read(keyed: &dyn Keyed, topic: &str) -> Result<Known, SchemaError> {
    let mut entries = Vec::new();
    for (key, json) in keyed.entries().await.map_err(unavailable)? {
        let entry: Entry = serde_json::from_str(&json)
            .map_err(|e| SchemaError::Invalid(format!("the entry {key} of {topic}: {e}")))?;
        entries.push(entry);
    }
    entries.sort_by_key(|entry| (entry.subject.clone(), entry.version));
    let mut known = Known::default();
    entries.into_iter().for_each(|entry| known.add(entry));
    Ok(known)
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn register(&self, subject: &str, schema: &Schema) -> Result<u32, SchemaError> {
        let schema = schema.canonical()?;
        if let Some(id) = self.known.read().await.id_of(subject, &schema) {
            return Ok(id);
        }
        // Held over the write, so that two registrations can't take one id.
        let mut known = self.known.write().await;
        self.refresh(&mut known).await?;
        if let Some(id) = known.id_of(subject, &schema) {
            return Ok(id);
        }
        let versions = known.versions(subject);
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
            .map_err(unavailable)?;
        known.add(entry);
        Ok(id)
    }

    async fn get(&self, id: u32) -> Result<Schema, SchemaError> {
        if let Some(schema) = self.known.read().await.by_id.get(&id) {
            return Ok(schema.clone());
        }
        let mut known = self.known.write().await;
        self.refresh(&mut known).await?;
        known
            .by_id
            .get(&id)
            .cloned()
            .ok_or(SchemaError::Missing(id))
    }

    async fn latest(&self, subject: &str) -> Result<Option<(u32, Schema)>, SchemaError> {
        let mut known = self.known.write().await;
        self.refresh(&mut known).await?;
        Ok(known.versions(subject).last().cloned())
    }
}
