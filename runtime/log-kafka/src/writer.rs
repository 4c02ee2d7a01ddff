//! Appends under one identity.

use crate::prepare::prepare;
use crate::shared::Shared;
use crate::transactions::{Command, Queued};
use async_trait::async_trait;
use jackfield_log::{Append, Identity, LogError, Pending, Writer};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, oneshot};

/// What all appends on their way may count for: as much as a few transactions hold.
pub(crate) const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;

/// Whether a writer is handed its records in one transaction with its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// An append is one transaction.
    ExactlyOnce,
    /// Positions and mark follow, in a transaction of their own, when the records are acknowledged.
    /// So a writer that was replaced can't move them, but what it wrote of an append that failed
    /// stays, and is written again.
    AtLeastOnce,
}

pub(crate) struct KafkaWriter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: Identity,
    pub(crate) commands: SyncSender<Command>,
    pub(crate) in_flight: Arc<Semaphore>,
    /// Why nothing more can be appended.
    pub(crate) ended: Arc<OnceLock<String>>,
}

impl KafkaWriter {
    fn check(&self) -> Result<(), LogError> {
        match self.ended.get() {
            Some(why) => Err(LogError::Fenced(format!(
                "an earlier append of this writer failed: {why}"
            ))),
            None => Ok(()),
        }
    }

    fn gone(&self) -> LogError {
        LogError::Unknown(format!(
            "the writer of {} {} has stopped",
            self.identity.connector, self.identity.slot
        ))
    }
}

#[async_trait]
impl Writer for KafkaWriter {
    async fn append(&mut self, append: Append) -> Result<Pending, LogError> {
        self.check()?;
        let prepared = prepare(&self.shared, &self.identity, append).await?;
        let cost = u32::try_from(prepared.cost.min(IN_FLIGHT_BYTES_MAX))
            .expect("the bound of bytes in flight fits into 32 bits");
        let permit = Arc::clone(&self.in_flight).acquire_many_owned(cost).await;
        let permit = permit.expect("the semaphore is never closed");
        self.check()?;
        let (resolver, pending) = Pending::channel();
        let queued = Queued {
            prepared,
            resolver,
            permit,
        };
        match self.commands.try_send(Command::Append(queued)) {
            Ok(()) => Ok(pending),
            // The queue has room for as many appends as the semaphore lets through.
            Err(TrySendError::Full(_)) => Err(LogError::Retriable(
                "too many appends are on their way".into(),
            )),
            Err(TrySendError::Disconnected(_)) => Err(self.gone()),
        }
    }

    async fn close(self: Box<Self>) -> Result<(), LogError> {
        let (reply, closed) = oneshot::channel();
        // The last room of the queue is kept for this.
        if self.commands.try_send(Command::Close(reply)).is_err() {
            return Err(self.gone());
        }
        closed.await.map_err(|_| self.gone())
    }
}
