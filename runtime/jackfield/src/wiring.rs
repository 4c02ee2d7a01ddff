//! From the configuration to what the pipelines are made of.

use crate::declared::{Declared, End};
use crate::published::Published;
use crate::start_error::StartError;
use jackfield_config::{
    BadRecord, CommitConfig, Config, Delivery, EmbeddedLogConfig, FeedTopic, Grants, LogConfig,
    SinkConfig, SourceConfig, StartAt, TransactionConfig,
};
use jackfield_core::{CommitWhen, Patience};
use jackfield_log::{Log, LogError, Start};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use jackfield_pipeline::{Gathering, OnBadRecord, Plugged, ReadTopic, SinkSpec, SourceSpec, Topic};
use jackfield_plugin::lake::Lake;
use jackfield_plugin::{HttpGrant, HttpGrants, Network, WebSocketGrants};
use jackfield_schema::{EmbeddedRegistry, Registry, SubjectNaming};
use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use tokio::task::JoinError;

/// A connector, ready to start.
pub(crate) enum Spec {
    Source(SourceSpec),
    Sink(SinkSpec),
}

impl Spec {
    /// Its connector's name.
    pub(crate) fn connector(&self) -> &str {
        match self {
            Self::Source(spec) => &spec.connector,
            Self::Sink(spec) => &spec.connector,
        }
    }
}

/// Names this installation in writers' identities, where the log is this process's own.
const CLUSTER: &str = "jackfield";

/// The log, and what goes with it.
pub(crate) struct OpenLog {
    pub(crate) cluster: String,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) subjects: SubjectNaming,
    /// Where workers agree who runs a connector, if several can have the log open.
    pub(crate) assignments: Option<String>,
    /// Where connectors' states are published, if others can read them there.
    pub(crate) published: Option<Published>,
    /// The log whose disk is watched, if it is on one of this machine's.
    pub(crate) embedded: Option<Arc<EmbeddedLog>>,
}

/// Opens the log and its schema registry.
pub(crate) async fn open_log(config: &Config) -> Result<OpenLog, StartError> {
    match &config.log {
        LogConfig::Embedded(EmbeddedLogConfig {
            dir,
            retention,
            retention_bytes,
        }) => {
            let mut embedded = EmbeddedConfig::new(dir.clone());
            embedded.retention = *retention;
            embedded.retention_bytes = *retention_bytes;
            let embedded = open_embedded(embedded).await?;
            let log: Arc<dyn Log> = Arc::clone(&embedded) as Arc<dyn Log>;
            Ok(OpenLog {
                cluster: CLUSTER.to_owned(),
                registry: Arc::new(EmbeddedRegistry::open(Arc::clone(&log)).await?),
                log,
                subjects: SubjectNaming::Topic,
                assignments: None,
                published: None,
                embedded: Some(embedded),
            })
        }
        LogConfig::Kafka(kafka) => crate::kafka::open(kafka, config).await,
    }
}

/// Where it may block: a process of one worker thread hears signals all the same.
async fn open_embedded(config: EmbeddedConfig) -> Result<Arc<EmbeddedLog>, LogError> {
    let opening = tokio::task::spawn_blocking(move || EmbeddedLog::open(config));
    match opening.await.map_err(JoinError::try_into_panic) {
        Ok(opened) => opened,
        Err(Ok(broken)) => panic::resume_unwind(broken),
        Err(Err(cancelled)) => Err(LogError::Retriable(format!(
            "opening it was cut off: {cancelled}"
        ))),
    }
}

/// Builds a connector's spec.
pub(crate) fn spec(
    declared: &Declared,
    plugged: Plugged,
    network: &Network,
    lake: Option<Arc<Lake>>,
) -> Result<Spec, StartError> {
    match &declared.end {
        End::Source {
            config,
            topics,
            transaction,
        } => {
            let spec = source_spec(declared, config, topics, *transaction, plugged, network)?;
            Ok(Spec::Source(spec))
        }
        End::Sink { config, .. } => {
            let spec = sink_spec(declared, config, plugged, network, lake)?;
            Ok(Spec::Sink(spec))
        }
    }
}

fn source_spec(
    declared: &Declared,
    source: &SourceConfig,
    topics: &BTreeMap<String, FeedTopic>,
    transaction: TransactionConfig,
    plugged: Plugged,
    network: &Network,
) -> Result<SourceSpec, StartError> {
    let (http, websocket) = grants(&source.connector, &source.allow, network)?;
    Ok(SourceSpec {
        pipeline: declared.pipeline.clone(),
        connector: source.connector.clone(),
        delivery: delivery(declared.delivery),
        plugged,
        topics: topics
            .iter()
            .map(|(feed, topic)| (feed.clone(), feed_topic(topic)))
            .collect(),
        slots_max: source.slots_max,
        websocket,
        http,
        on_bad_record: on_bad_record(&source.on_bad_record),
        gathering: Gathering {
            linger: transaction.linger,
            records_max: transaction.records_max,
        },
        patience: Patience {
            deadline: declared.retry.deadline,
        },
    })
}

fn sink_spec(
    declared: &Declared,
    sink: &SinkConfig,
    plugged: Plugged,
    network: &Network,
    lake: Option<Arc<Lake>>,
) -> Result<SinkSpec, StartError> {
    let (http, _) = grants(&sink.connector, &sink.allow, network)?;
    let CommitConfig {
        every,
        rows_max,
        bytes_max,
    } = sink.commit;
    Ok(SinkSpec {
        pipeline: declared.pipeline.clone(),
        connector: sink.connector.clone(),
        delivery: delivery(declared.delivery),
        plugged,
        topics: sink
            .topics
            .iter()
            .map(|topic| ReadTopic {
                name: topic.name.clone(),
                partitions: topic.partitions,
                configs: topic.configs.clone(),
            })
            .collect(),
        start: match sink.start {
            StartAt::Earliest => Start::Earliest,
            StartAt::Latest => Start::Latest,
        },
        tasks: sink.tasks,
        commit: CommitWhen {
            every,
            rows: rows_max,
            bytes: bytes_max,
        },
        lake,
        http,
        on_bad_record: on_bad_record(&sink.on_bad_record),
        patience: Patience {
            deadline: declared.retry.deadline,
        },
    })
}

pub(crate) fn grants(
    connector: &str,
    allow: &Grants,
    network: &Network,
) -> Result<(HttpGrants, WebSocketGrants), StartError> {
    let bad = |error| StartError::Grant {
        connector: connector.to_owned(),
        error,
    };
    let mut http = Vec::with_capacity(allow.http.len());
    for grant in &allow.http {
        let headers = grant
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().into()))
            .collect();
        http.push(HttpGrant::new(grant.url.as_str(), headers).map_err(bad)?);
    }
    let websocket: Vec<&str> = allow
        .websocket
        .iter()
        .map(|grant| grant.url.as_str())
        .collect();
    let websocket = WebSocketGrants::new(&websocket, network).map_err(bad)?;
    Ok((HttpGrants::new(http, network), websocket))
}

fn feed_topic(topic: &FeedTopic) -> Topic {
    match topic {
        FeedTopic::Topic(topic) => Topic::Named {
            name: topic.name.clone(),
            partitions: topic.partitions,
            configs: topic.configs.clone(),
        },
        FeedTopic::Drop => Topic::Dropped,
    }
}

fn delivery(delivery: Delivery) -> jackfield_plugin::Delivery {
    match delivery {
        Delivery::AtLeastOnce => jackfield_plugin::Delivery::AtLeastOnce,
        Delivery::ExactlyOnce => jackfield_plugin::Delivery::ExactlyOnce,
    }
}

fn on_bad_record(bad: &BadRecord) -> OnBadRecord {
    match bad {
        BadRecord::Stop => OnBadRecord::Stop,
        BadRecord::Skip => OnBadRecord::Skip,
        BadRecord::DeadLetter { topic } => OnBadRecord::DeadLetter {
            topic: topic.clone(),
        },
    }
}
