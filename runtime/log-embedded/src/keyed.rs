//! Keyed topics: maps in the engine, compacted at once.

use crate::command::Command;
use crate::keys;
use crate::log::{Handle, blocking};
use async_trait::async_trait;
use bytes::Bytes;
use jackfield_log::{Keyed, LogError};
use std::sync::Arc;

pub(crate) struct EmbeddedKeyed {
    pub(crate) handle: Arc<Handle>,
    pub(crate) topic: String,
}

impl EmbeddedKeyed {
    fn text(&self, bytes: &[u8]) -> Result<String, LogError> {
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            LogError::Fatal(format!(
                "the keyed topic {} holds bytes that are no text",
                self.topic
            ))
        })
    }
}

#[async_trait]
impl Keyed for EmbeddedKeyed {
    async fn get(&self, key: &str) -> Result<Option<String>, LogError> {
        let key = keys::keyed(&self.topic, key)?;
        let found = blocking(&self.handle, move |shared| shared.engine.get(&key)).await?;
        found.map(|bytes| self.text(&bytes)).transpose()
    }

    async fn put(&self, key: &str, value: Option<&str>) -> Result<(), LogError> {
        let key = keys::keyed(&self.topic, key)?;
        let value = value.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        self.handle
            .ask(|reply| Command::PutKeyed { key, value, reply })
            .await
    }

    async fn entries(&self) -> Result<Vec<(String, String)>, LogError> {
        let prefix = keys::all_keyed(&self.topic)?;
        let cut = prefix.len();
        let found = blocking(&self.handle, move |shared| shared.engine.all(&prefix)).await?;
        found
            .iter()
            .map(|(key, value)| Ok((self.text(&key[cut..])?, self.text(value)?)))
            .collect()
    }
}
