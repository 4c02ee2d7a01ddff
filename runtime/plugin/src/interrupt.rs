//! How the host asks for a call back.

use std::sync::Arc;
use tokio::sync::watch;

/// Ends waits inside a call early. Clones raise and clear the same flag.
#[derive(Debug, Clone)]
pub struct Interrupt {
    raised: Arc<watch::Sender<bool>>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self {
            raised: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Interrupt {
    /// Ends the waits under way, and those to come until it is cleared.
    pub fn raise(&self) {
        self.raised.send_replace(true);
    }

    /// Waits last as long as they are asked to again.
    pub fn clear(&self) {
        self.raised.send_replace(false);
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *self.raised.borrow()
    }

    /// Returns as soon as it is raised.
    pub async fn raised(&self) {
        let mut receiver = self.raised.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        if receiver.wait_for(|raised| *raised).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
