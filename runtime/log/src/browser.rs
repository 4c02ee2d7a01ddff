//! Looking at records without being a member of any group.

use crate::{Fetched, LogError};
use async_trait::async_trait;
use std::time::Duration;

/// Longest wait for a record in one [`Browser::next`]: a person sees no delay, and whoever asks
/// can look in between whether anyone wants more.
pub const BROWSE_WAIT: Duration = Duration::from_millis(200);

/// Gives the records of some partitions of one topic, for people and tools.
///
/// It is in no group: it is assigned nothing, commits nothing, and holds nothing back. What
/// retention deletes before it was looked at is passed over.
#[async_trait]
pub trait Browser: Send {
    /// The next records of one of its partitions, in order within each; `None` where there were
    /// none for [`BROWSE_WAIT`]. May be called again after either, and after
    /// [`LogError::Retriable`].
    async fn next(&mut self) -> Result<Option<Fetched>, LogError>;

    /// How far it has come in a partition, where all before it was given or is a mark that the log
    /// keeps between its records: whoever waits for an end learns from this that only marks were left.
    fn reached(&self, partition: i32) -> Option<i64> {
        let _not_told_by_every_log = partition;
        None
    }
}
