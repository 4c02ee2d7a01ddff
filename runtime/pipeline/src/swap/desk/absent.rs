//! What is asked of a connector while it does not run here.

use super::{Desk, Order};
use crate::swap::{Refused, Version};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Says for as long as it lives that another worker has the connector.
struct Waits<'a>(&'a Desk);

impl<'a> Waits<'a> {
    fn at(desk: &'a Desk) -> Self {
        desk.kept().waits = true;
        Self(desk)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.kept().waits = false;
    }
}

impl Desk {
    /// Turns away all orders, also those that were given before, for as long as this is awaited:
    /// another worker runs the connector, and whoever asks here is told at once.
    pub(crate) async fn turn_away(&self) -> Infallible {
        let mut orders = self.orders.lock().await;
        let _waits = Waits::at(self);
        // The desk keeps a sender, so there is always a next one.
        while let Some(order) = orders.recv().await {
            let refused = Refused::NotRunning(self.connector.clone());
            // Whoever gave it may have given up.
            let _gone = match order {
                Order::Swap(swap) => swap.reply.send(Err(refused)).is_err(),
                Order::Watch(watch) => watch.reply.send(Err(refused)).is_err(),
            };
        }
        std::future::pending().await
    }

    /// What the connector begins with when it is to run here.
    pub(super) fn begins_with(&self, version: Version) -> Result<(), Refused> {
        if let Some(why) = self.known_bad(&version) {
            return Err(Refused::KnownBad(why));
        }
        // Whoever runs the connector takes the orders first, and looks then what it begins with.
        let nobody = self.orders.try_lock();
        let mut kept = self.kept();
        if nobody.is_err() && !kept.waits {
            return Err(Refused::NotAtRest {
                within: Duration::ZERO,
                reason: "it is about to run here".to_owned(),
            });
        }
        if kept.current.as_ref().is_some_and(|it| it.is(&version)) {
            return Err(Refused::Same);
        }
        kept.current = Some(Arc::new(version));
        Ok(())
    }
}
