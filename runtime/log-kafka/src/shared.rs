//! What all handles of one log share: its configuration, the client for questions, what is known of
//! topics.

use crate::config::KafkaConfig;
use crate::consequence::{self, Consequence};
use crate::context::Context;
use crate::native::{self, Described, Raw};
use crate::oauth::Given;
use jackfield_log::{Ends, LogError};
use rdkafka::admin::AdminClient;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long one question to the cluster may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Before a question is asked again whose answer was that the cluster is changing.
const ASK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Shared {
    pub(crate) config: KafkaConfig,
    admin: AdminClient<Context>,
    token: Given,
    /// Why a connection failed last, as the client for questions logged it.
    trouble: Mutex<Option<String>>,
    known: Mutex<Known>,
    /// Counts topics that were deleted through this log, so that its readers look at once.
    deleted: AtomicU64,
}

/// What was learned, by topic. Topics may change behind it: partition counts are asked for again
/// before anything is refused, and a write to a topic that is gone fails.
#[derive(Default)]
struct Known {
    /// Which broker answers.
    broker: Option<i32>,
    topics: HashMap<String, Described>,
    /// The largest end of a partition that anyone was told, by topic id.
    ends: HashMap<(Uuid, i32), i64>,
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
        let native = KafkaConfig::terse(native);
        let admin = AdminClient::from_config_and_context(&native, context)
            .map_err(|e| consequence::kafka("the Kafka client can't be made", &e))?;
        Ok(Arc::new(Self {
            config,
            admin,
            token: Given::default(),
            trouble: Mutex::default(),
            known: Mutex::default(),
            deleted: AtomicU64::new(0),
        }))
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            token_file: self.config.oauth_token_file.clone(),
        }
    }

    /// The client for questions, which may be asked now.
    pub(crate) fn admin(&self) -> Result<&AdminClient<Context>, LogError> {
        let client = Raw::of(self.admin.inner());
        self.token
            .refresh(client, self.config.oauth_token_file.as_ref())?;
        // What it logged about earlier questions does not explain the next one.
        self.listen();
        *self.trouble() = None;
        Ok(&self.admin)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the client for questions has logged.
    fn listen(&self) {
        let client = Raw::of(self.admin.inner());
        while let Some((level, fac, text)) = native::log_line(client) {
            let level = match level {
                ..=2 => RDKafkaLogLevel::Critical,
                3 => RDKafkaLogLevel::Error,
                4 => RDKafkaLogLevel::Warning,
                5 | 6 => RDKafkaLogLevel::Info,
                7.. => RDKafkaLogLevel::Debug,
            };
            Context::told(level, &fac, &text);
            if fac == "FAIL" {
                *self.trouble() = Some(text);
            }
        }
    }

    /// A question that was not answered in time, with the reason that librdkafka only logs: a wrong
    /// password, a certificate that is not trusted, nobody who listens.
    pub(crate) fn explained(&self, error: LogError) -> LogError {
        self.listen();
        match (error, self.trouble().take()) {
            (LogError::Retriable(text), Some(why)) => LogError::Retriable(format!("{text}: {why}")),
            (error, _) => error,
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

    /// Asks the broker that answered last, or another one when it does not.
    fn ask_any_broker<T>(
        &self,
        ask: impl Fn(Raw<'_>, i32) -> Result<T, native::Failure>,
    ) -> Result<T, native::Failure> {
        let client = Raw::of(self.admin.inner());
        let asked = self.known().broker;
        if let Some(broker) = asked {
            match ask(client, broker) {
                Err(failure) if consequence::of(failure.code) == Consequence::Retriable => {}
                answer => return answer,
            }
        }
        let brokers = native::brokers(client, REQUEST_TIMEOUT)?;
        // Not the same for every process, and another one than before.
        let others: Vec<i32> = brokers
            .iter()
            .copied()
            .filter(|broker| brokers.len() == 1 || Some(*broker) != asked)
            .collect();
        let turn = usize::try_from(std::process::id()).unwrap_or(0);
        let broker = others.get(turn % others.len().max(1)).copied();
        let broker = broker.unwrap_or_default();
        let answer = ask(client, broker)?;
        self.known().broker = Some(broker);
        Ok(answer)
    }

    /// Describes topics, blocking. `None`: there is none of that name.
    pub(crate) fn describe_now(
        &self,
        names: &[String],
    ) -> Result<Vec<Option<Described>>, LogError> {
        let texts: Result<Vec<CString>, _> = names.iter().map(|n| CString::new(&**n)).collect();
        let texts =
            texts.map_err(|_| LogError::Rejected("a topic's name holds a zero".to_owned()))?;
        self.admin()?;
        let all = self
            .ask_any_broker(|client, broker| {
                native::describe_topics(client, broker, &texts, REQUEST_TIMEOUT)
            })
            .map_err(|failure| consequence::failed("topics can't be described", &failure))
            .map_err(|error| self.explained(error))?;
        let mut known = self.known();
        for (name, described) in names.iter().zip(&all) {
            match described {
                Some(described) => known.learn(name, described),
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
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let (start, end) = loop {
            let client = self.admin()?.inner();
            let error = match client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
                Ok(ends) => break ends,
                Err(error) => error,
            };
            let what = format!("the ends of {topic}-{partition} are not known");
            let error = consequence::kafka(&what, &error);
            // A partition that is new, or whose leader has just changed.
            if !matches!(error, LogError::Retriable(_)) || Instant::now() >= deadline {
                return Err(self.explained(error));
            }
            std::thread::park_timeout(ASK_AGAIN);
        };
        self.learn_end(topic, partition, end);
        Ok(Ends { start, end })
    }

    /// Keeps the largest end that anyone was told of, so that a reader takes a seek to it.
    pub(crate) fn learn_end(&self, topic: &str, partition: i32, end: i64) {
        let mut known = self.known();
        let Some(id) = known.topics.get(topic).map(|topic| topic.id) else {
            return;
        };
        let largest = known.ends.entry((id, partition)).or_default();
        *largest = end.max(*largest);
    }

    /// The largest end that anyone was told.
    pub(crate) fn learned_end(&self, topic: Uuid, partition: i32) -> i64 {
        let key = (topic, partition);
        self.known().ends.get(&key).copied().unwrap_or(0)
    }
}

impl Known {
    fn forget(&mut self, name: &str) {
        if let Some(topic) = self.topics.remove(name) {
            self.ends.retain(|(id, _), _| *id != topic.id);
        }
    }

    fn learn(&mut self, name: &str, topic: &Described) {
        let before = self.topics.get(name);
        if before == Some(topic) {
            return;
        }
        // Copies come and go while brokers are changed, and its ends stay.
        if before.is_none_or(|it| (it.id, it.partitions) != (topic.id, topic.partitions)) {
            self.forget(name);
        }
        self.topics.insert(name.to_owned(), topic.clone());
    }
}
