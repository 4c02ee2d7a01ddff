//! Compacted topics seen as maps.

use crate::puts::Puts;
use crate::shared::Shared;
use crate::table::{Rows, Table};
use async_trait::async_trait;
use jackfield_log::{Keyed, LogError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest value of each key.
#[derive(Debug, Default)]
pub(crate) struct Entries(BTreeMap<String, String>);

impl Rows for Entries {
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        // Keys and values of such a topic are texts; what is not was put there by someone else.
        let Ok(key) = str::from_utf8(key) else {
            tracing::warn!("a key of a keyed topic is not UTF-8");
            return;
        };
        match value.map(str::from_utf8) {
            Some(Ok(value)) => drop(self.0.insert(key.to_owned(), value.to_owned())),
            Some(Err(_)) => tracing::warn!(key, "a value of a keyed topic is not UTF-8"),
            None => drop(self.0.remove(key)),
        }
    }
}

pub(crate) struct KafkaKeyed {
    pub(crate) shared: Arc<Shared>,
    pub(crate) puts: Arc<Puts>,
    pub(crate) topic: String,
    pub(crate) table: Arc<Table<Entries>>,
}

#[async_trait]
impl Keyed for KafkaKeyed {
    async fn get(&self, key: &str) -> Result<Option<String>, LogError> {
        let key = key.to_owned();
        self.table.read(move |it| it.0.get(&key).cloned()).await
    }

    async fn put(&self, key: &str, value: Option<&str>) -> Result<(), LogError> {
        let put = (key.to_owned(), value.map(ToOwned::to_owned));
        self.puts.put(&self.shared, &self.topic, &[put]).await
    }

    async fn entries(&self) -> Result<Vec<(String, String)>, LogError> {
        self.table
            .read(|it| it.0.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            .await
    }
}
