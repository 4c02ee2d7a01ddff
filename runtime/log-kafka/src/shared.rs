//! What all handles of one log share: its configuration, the client for questions, what is known of
//! topics.

use crate::config::KafkaConfig;
use crate::consequence;
use crate::context::Context;
use crate::native::{self, Described, Raw};
use jackfield_log::{Ends, LogError};
use rdkafka::admin::AdminClient;
use rdkafka::config::FromClientConfigAndContext;
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one question to the cluster may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) struct Shared {
    pub(crate) config: KafkaConfig,
    pub(crate) admin: AdminClient<Context>,
    known: Mutex<Known>,
    /// Counts topics that were deleted through this log, so that its readers look at once.
    deleted: AtomicU64,
}

/// What was learned, by topic. Topics may change behind it: partition counts are asked for again
/// before anything is refused, and a write to a topic that is gone fails.
#[derive(Default)]
struct Known {
    topics: HashMap<String, Described>,
    /// The largest end of a partition that anyone was told.
    ends: HashMap<(String, i32), i64>,
}

impl Shared {
    pub(crate) fn new(config: KafkaConfig) -> Result<Arc<Self>, LogError> {
        config.check()?;
        let context = Context {
            token_file: config.oauth_token_file.clone(),
        };
        // It also asks where partitions end: there the end is that of all records, committed or
        // not, since an offset in between is one of the partition's.
        let native = config.client(&[("isolation.level", "read_uncommitted")]);
        let admin = AdminClient::from_config_and_context(&native, context)
            .map_err(|e| consequence::kafka("the Kafka client can't be made", &e))?;
        Ok(Arc::new(Self {
            config,
            admin,
            known: Mutex::default(),
            deleted: AtomicU64::new(0),
        }))
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            token_file: self.config.oauth_token_file.clone(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what blocks where it may.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Shared) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || ask(&shared))
            .await
            .map_err(|e| LogError::Retriable(format!("a question to Kafka was cut off: {e}")))?
    }

    /// Describes topics, blocking. `None`: there is none of that name.
    pub(crate) fn describe_now(
        &self,
        names: &[String],
    ) -> Result<Vec<Option<Described>>, LogError> {
        let texts: Result<Vec<CString>, _> = names.iter().map(|n| CString::new(&**n)).collect();
        let texts =
            texts.map_err(|_| LogError::Rejected("a topic's name holds a zero".to_owned()))?;
        let client = Raw::of(self.admin.inner());
        let all = native::describe_topics(client, &texts, REQUEST_TIMEOUT)
            .map_err(|failure| consequence::failed("topics can't be described", &failure))?;
        let mut known = self.known();
        for (name, described) in names.iter().zip(&all) {
            match described {
                Some(described) => drop(known.topics.insert(name.clone(), described.clone())),
                None => known.forget(name),
            }
        }
        Ok(all)
    }

    pub(crate) async fn describe(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Option<Described>, LogError> {
        let names = [name.to_owned()];
        let described = self.blocking(move |it| it.describe_now(&names)).await?;
        Ok(described.into_iter().next().flatten())
    }

    /// What was learned of a topic last.
    pub(crate) fn topic(&self, name: &str) -> Option<Described> {
        self.known().topics.get(name).cloned()
    }

    /// A topic that was deleted through this log.
    pub(crate) fn deleted(&self, name: &str) {
        self.known().forget(name);
        self.deleted.fetch_add(1, Ordering::Release);
    }

    /// How many topics were deleted through this log.
    pub(crate) fn deletions(&self) -> u64 {
        self.deleted.load(Ordering::Acquire)
    }

    /// Where a partition that exists begins and ends, blocking.
    pub(crate) fn ends_now(&self, topic: &str, partition: i32) -> Result<Ends, LogError> {
        let client = self.admin.inner();
        let (start, end) = client
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            .map_err(|e| {
                consequence::kafka(
                    &format!("the ends of {topic}-{partition} are not known"),
                    &e,
                )
            })?;
        self.learn_end(topic, partition, end);
        Ok(Ends { start, end })
    }

    /// Keeps the largest end that anyone was told of, so that a reader takes a seek to it.
    pub(crate) fn learn_end(&self, topic: &str, partition: i32, end: i64) {
        let mut known = self.known();
        let largest = known.ends.entry((topic.to_owned(), partition)).or_default();
        *largest = end.max(*largest);
    }

    /// The largest end that anyone was told.
    pub(crate) fn learned_end(&self, topic: &str, partition: i32) -> i64 {
        let key = (topic.to_owned(), partition);
        self.known().ends.get(&key).copied().unwrap_or(0)
    }
}

impl Known {
    fn forget(&mut self, name: &str) {
        self.topics.remove(name);
        self.ends.retain(|(topic, _), _| topic != name);
    }
}
