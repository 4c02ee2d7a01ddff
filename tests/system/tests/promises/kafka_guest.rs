//! Another member of a sink's group on Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jackfield_system_tests::Cluster;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// How soon a guest notices that it is to leave.
const POLL: Duration = Duration::from_millis(50);

/// A member that takes its share of the partitions until it is dropped.
pub(crate) struct Guest {
    leaves: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guest {
    pub(crate) fn joins(cluster: &Cluster, group: &str, topic: &str) -> Guest {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &cluster.servers)
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            // What it reads is not to be taken for the group's position.
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let leaves = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&leaves);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                drop(consumer.poll(POLL));
            }
        });
        Guest {
            leaves,
            thread: Some(thread),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
