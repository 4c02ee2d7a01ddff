//! The import `inbox`.

use crate::bindings::source::jackfield::connector::inbox;
use crate::state::{Given, State};
use jackfield_batch::event::EventWriter;
use std::sync::Arc;
use std::time::Duration;

impl inbox::Host for State {
    async fn receive(&mut self, bytes_max: u32, wait_ms: u32) -> Vec<u8> {
        self.called(1);
        let (bytes_max, wait) = (
            bytes_max as usize,
            Duration::from_millis(u64::from(wait_ms)),
        );
        match &self.given {
            Given::Source(source) => {
                let (inbox, interrupt) = (Arc::clone(&source.inbox), source.interrupt.clone());
                inbox.receive(bytes_max, wait, &interrupt).await
            }
            Given::Staged(staged) => {
                let (stage, interrupt) = (Arc::clone(&staged.stage), staged.interrupt.clone());
                stage.receive(bytes_max, wait, &interrupt).await
            }
            Given::Nothing | Given::Sink(_) => {
                self.usage.denied();
                EventWriter::new().finish()
            }
        }
    }
}
