//! The suite that every log passes, on a real broker that all promises share.
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use jackfield_log::Log;
use jackfield_log::suite::Fixture;
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use std::sync::{Arc, LazyLock, Mutex, Weak};

/// Ends with this process.
static BROKER: LazyLock<Broker> = LazyLock::new(Broker::start);

#[derive(Default)]
struct Cluster {
    open: Mutex<Weak<KafkaLog>>,
}

#[async_trait]
impl Fixture for Cluster {
    async fn log(&self) -> Arc<dyn Log> {
        let servers = tokio::task::spawn_blocking(|| BROKER.address()).await;
        let mut open = self.open.lock().unwrap();
        if let Some(log) = open.upgrade() {
            return log;
        }
        let log = KafkaLog::open(KafkaConfig::new(&servers.unwrap())).unwrap();
        *open = Arc::downgrade(&log);
        log
    }

    async fn reopen(&self, log: Arc<dyn Log>) -> Option<Arc<dyn Log>> {
        drop(log);
        Some(self.log().await)
    }
}

jackfield_log::conformance!(Cluster::default());
