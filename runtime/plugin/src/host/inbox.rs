//! The import `inbox`.

use crate::bindings::source::jackfield::connector::inbox;
use crate::state::{Given, State};
use jackfield_batch::event::EventWriter;
use std::sync::Arc;
use std::time::Duration;

impl inbox::Host for State {
    async fn receive(&mut self, bytes_max: u32, wait_ms: u32) -> Vec<u8> {
        self.called(1);
        let Given::Source(source) = &self.given else {
            self.usage.denied();
            return EventWriter::new().finish();
        };
        let inbox = Arc::clone(&source.inbox);
        let interrupt = source.interrupt.clone();
        inbox
            .receive(
                bytes_max as usize,
                Duration::from_millis(u64::from(wait_ms)),
                &interrupt,
            )
            .await
    }
}
