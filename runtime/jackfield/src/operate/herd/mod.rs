//! Connectors over Kafka Connect's REST API: made, kept in the log, and run beside those of the
//! file.
//!
//! The topic of configs is the truth: a request is kept there first and then made so; every worker
//! looks there for what others were asked (`reconcile`).

mod catalogue;
mod changing;
mod ending;
mod herder;
mod looks;
mod making;
mod objections;
mod offsets;
mod others;
mod reconcile;
mod states;
mod store;

pub(crate) use herder::Shepherd;

use super::Loader;
use crate::published::Published;
use catalogue::Catalogue;
use ending::Endings;
use jackfield_config::{Config, PipelineConfig};
use jackfield_connect::{FlatConfig, TargetState};
use jackfield_log::Log;
use jackfield_pipeline::Target;
use jackfield_telemetry::logging::Levels;
use looks::Looks;
use others::Others;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Kept, Store};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// A connector that was made over REST.
#[derive(Debug, Clone)]
struct Made {
    config: FlatConfig,
    /// The file that it was checked with.
    file: Arc<Config>,
    /// What runs by it, for others to be checked against.
    pipeline: Option<PipelineConfig>,
    /// Why it can't run as it is kept, and when that was found last.
    refused: Option<(String, Instant)>,
}

/// Connectors made over REST, and those of the file as REST shows them.
pub(crate) struct Herd {
    loader: Arc<Loader>,
    log: Arc<dyn Log>,
    store: Store,
    catalogue: Catalogue,
    /// The installation, in identities of writers.
    cluster: String,
    /// This process among the workers, and where states of all are published.
    worker: String,
    statuses: Option<String>,
    others: Others,
    /// Where connectors run: the admin server's own thread is not for that.
    runtime: Handle,
    levels: Levels,
    made: Mutex<BTreeMap<String, Made>>,
    /// What was seen in the topic last.
    seen: Mutex<Kept>,
    /// Whether it could be seen.
    looks: Mutex<Looks>,
    /// Records that a connector had taken when it was asked to forget its topics.
    forgotten: Mutex<BTreeMap<String, u64>>,
    /// One change at a time, but for what is being ended: that may take long.
    changing: tokio::sync::Mutex<()>,
    endings: Endings,
}

/// What a herd is made of.
pub(crate) struct Pens<'a> {
    pub(crate) loader: Arc<Loader>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) cluster: &'a str,
    pub(crate) published: Option<&'a Published>,
    pub(crate) levels: Levels,
}

/// Where there are no workers' names: one process owns the log.
const ONLY_WORKER: &str = "jackfield";

impl Herd {
    /// Without any of the connectors that are kept: [`begin`](Self::begin) finds them.
    pub(crate) fn new(pens: Pens<'_>) -> Arc<Self> {
        let worker = pens.published.map_or(ONLY_WORKER, |it| it.worker.as_str());
        Arc::new(Self {
            store: Store::new(Arc::clone(&pens.log), pens.cluster),
            loader: pens.loader,
            log: pens.log,
            catalogue: Catalogue::default(),
            cluster: pens.cluster.to_owned(),
            worker: worker.to_owned(),
            statuses: pens.published.map(|it| it.topic.clone()),
            others: Others::default(),
            runtime: Handle::current(),
            levels: pens.levels,
            made: Mutex::default(),
            seen: Mutex::default(),
            looks: Mutex::default(),
            forgotten: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            endings: Endings::default(),
        })
    }

    fn made(&self) -> MutexGuard<'_, BTreeMap<String, Made>> {
        lock(&self.made)
    }

    fn seen(&self) -> MutexGuard<'_, Kept> {
        lock(&self.seen)
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        lock(&self.looks)
    }
}

/// Every change leaves what is behind these locks consistent, also in a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn target(state: TargetState) -> Target {
    match state {
        TargetState::Started => Target::Running,
        TargetState::Paused => Target::Paused,
        TargetState::Stopped => Target::Stopped,
    }
}
