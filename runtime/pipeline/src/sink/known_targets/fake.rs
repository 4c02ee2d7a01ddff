//! A keyed topic in memory that takes no larger record than a broker does.

use async_trait::async_trait;
use jackfield_log::{Keyed, LogError};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Bytes of a key with its value: less than what brokers take as they are set up.
pub(crate) const RECORD_BYTES_MAX: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct FakeKeyed(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Keyed for FakeKeyed {
    async fn get(&self, key: &str) -> Result<Option<String>, LogError> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.get(key).cloned())
    }

    async fn put(&self, key: &str, value: Option<&str>) -> Result<(), LogError> {
        let bytes = key.len() + value.map_or(0, str::len);
        if bytes > RECORD_BYTES_MAX {
            return Err(LogError::Rejected(format!("{bytes} bytes in one record")));
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => entries.insert(key.to_owned(), value.to_owned()),
            None => entries.remove(key),
        };
        Ok(())
    }

    async fn entries(&self) -> Result<Vec<(String, String)>, LogError> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }
}
