//! Another member of a sink's group on Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jackfield_system_tests::{Cluster, PATIENCE};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::time::{Instant, sleep};

/// How soon a guest notices that it is to leave.
const POLL: Duration = Duration::from_millis(50);

/// A member that takes its share of the partitions until it is dropped.
pub(crate) struct Guest {
    leaves: Arc<AtomicBool>,
    /// Partitions that are its own.
    holds: Arc<AtomicUsize>,
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
        let holds = Arc::new(AtomicUsize::new(0));
        let held = Arc::clone(&holds);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                drop(consumer.poll(POLL));
                let own = consumer.assignment().map_or(0, |it| it.count());
                held.store(own, Ordering::Release);
            }
        });
        Guest {
            leaves,
            holds,
            thread: Some(thread),
        }
    }

    /// Waits until others have given up partitions for it.
    pub(crate) async fn has_some(&self) {
        let begin = Instant::now();
        while self.holds.load(Ordering::Acquire) == 0 {
            assert!(begin.elapsed() < PATIENCE, "nothing was given to it");
            sleep(POLL).await;
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
