//! Appends under one identity.

use crate::command::{AppendCommand, Command, Session};
use crate::log::Handle;
use crate::prepare::prepare;
use async_trait::async_trait;
use jackfield_log::{Append, LogError, Pending, Writer};
use std::sync::Arc;

/// Bytes of all appends on their way: what the committer can write while the next flush is made.
pub(crate) const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;

pub(crate) struct EmbeddedWriter {
    pub(crate) handle: Arc<Handle>,
    pub(crate) session: Session,
}

#[async_trait]
impl Writer for EmbeddedWriter {
    async fn append(&mut self, append: Append) -> Result<Pending, LogError> {
        let shared = &self.handle.shared;
        shared.check()?;
        let prepared = prepare(&shared.topics, &self.session.identity, append)?;
        let permit = shared.take_in_flight(prepared.bytes).await?;
        let (resolver, pending) = Pending::channel();
        let command = Command::Append(Box::new(AppendCommand {
            session: self.session.clone(),
            prepared,
            resolver,
            permit,
        }));
        self.handle.send(command).await?;
        Ok(pending)
    }

    async fn close(self: Box<Self>) -> Result<(), LogError> {
        self.handle.ask(|reply| Command::Flush { reply }).await
    }
}
