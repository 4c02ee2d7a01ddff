//! librdkafka's mock cluster, which can't leave its thread.

use jackfield_log_kafka::KafkaConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use std::sync::mpsc;

type Ask = Box<dyn FnOnce(&MockCluster<'static, DefaultProducerContext>) + Send>;

/// The thread that a cluster lives on. It ends with the last of these.
#[derive(Clone)]
pub(crate) struct Cluster(mpsc::Sender<Ask>);

impl Cluster {
    /// A new cluster of three brokers with a topic of positions, and how to reach it.
    pub(crate) fn start() -> (Self, KafkaConfig) {
        let (asks, asked) = mpsc::channel::<Ask>();
        let (servers, told) = mpsc::channel();
        std::thread::spawn(move || {
            let cluster = MockCluster::new(3).unwrap();
            servers.send(cluster.bootstrap_servers()).unwrap();
            for ask in asked {
                ask(&cluster);
            }
        });
        let config = KafkaConfig {
            compaction_checked: false,
            ..KafkaConfig::new(&told.recv().unwrap())
        };
        let cluster = Self(asks);
        cluster.make(&config.positions_topic(), config.positions_partitions);
        (cluster, config)
    }

    /// Does something with the cluster, and returns when it is done.
    pub(crate) fn with(
        &self,
        what: impl FnOnce(&MockCluster<'static, DefaultProducerContext>) + Send + 'static,
    ) {
        let (done, told) = mpsc::channel();
        let ask: Ask = Box::new(move |cluster| {
            what(cluster);
            done.send(()).unwrap();
        });
        self.0.send(ask).unwrap();
        told.recv().unwrap();
    }

    pub(crate) fn make(&self, topic: &str, partitions: i32) {
        let topic = topic.to_owned();
        self.with(move |cluster| cluster.create_topic(&topic, partitions, 3).unwrap());
    }
}
