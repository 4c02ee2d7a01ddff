//! Compacted topics seen as maps.

use crate::LogError;
use async_trait::async_trait;

/// A keyed, compacted topic: the newest value of each key.
#[async_trait]
pub trait Keyed: Send + Sync {
    /// The value of a key. Sees every `put` that returned before, also by another process.
    async fn get(&self, key: &str) -> Result<Option<String>, LogError>;

    /// Sets a key, or with `None` removes it. Durable when it returns.
    async fn put(&self, key: &str, value: Option<&str>) -> Result<(), LogError>;

    /// All keys with their values, ordered by key.
    async fn entries(&self) -> Result<Vec<(String, String)>, LogError>;
}
