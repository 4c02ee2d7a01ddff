//! A broker and a registry, and pipelines on them.

use std::sync::OnceLock;

use jackfield_test_kafka::Broker;
use jackfield_test_registry::ApicurioRegistry;
use serde_json::{Value, json};

use crate::Site;

/// Where a broker and a registry are.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `host:port`.
    pub servers: String,
    /// The registry's URL.
    pub registry: String,
}

/// The ones that tests share which harm neither. They end with the process.
pub async fn shared_cluster() -> Cluster {
    static SHARED: OnceLock<(Broker, ApicurioRegistry)> = OnceLock::new();
    let start = || (Broker::start(), ApicurioRegistry::start());
    tokio::task::spawn_blocking(move || {
        let (broker, registry) = SHARED.get_or_init(start);
        Cluster {
            servers: broker.address(),
            registry: registry.url(),
        }
    })
    .await
    .unwrap()
}

impl Site {
    /// Moves the site's log to Kafka, under names of its own: several can share a cluster.
    pub fn on_kafka(&mut self, cluster: &Cluster) -> &mut Site {
        let name = self.cluster();
        let log = json!({ "kafka": {
            "bootstrap.servers": cluster.servers,
            "schema.registry.url": cluster.registry,
            "cluster": name,
            "worker": "one",
            "session-timeout": "6s"
        } });
        self.set("/log", log);
        for feed in ["trade", "gap"] {
            let topic = Value::String(self.topic(feed));
            self.set(&format!("/pipelines/trades/topics/{feed}/name"), topic);
        }
        self
    }

    /// The installation's name in the cluster.
    pub fn cluster(&self) -> String {
        let folder = self.path().file_name().and_then(|name| name.to_str());
        folder.expect("a temporary folder has a name").to_owned()
    }

    /// The topic of a feed.
    pub fn topic(&self, feed: &str) -> String {
        format!("{}.{feed}", self.cluster())
    }
}
