//! From the configuration to what the pipelines are made of.

use crate::check::Checked;
use crate::lakes;
use crate::plugins::{self, Loaded};
use crate::published::Published;
use crate::start_error::StartError;
use jackfield_config::{
    BadRecord, CommitConfig, Config, Delivery, EmbeddedLogConfig, FeedTopic, Grants, LogConfig,
    PipelineConfig, SinkConfig, SourceConfig, StartAt,
};
use jackfield_core::{CommitWhen, Patience};
use jackfield_log::{Log, Start};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use jackfield_pipeline::{OnBadRecord, Plugged, ReadTopic, SinkSpec, SourceSpec, Topic};
use jackfield_plugin::lake::Lake;
use jackfield_plugin::{HttpGrant, HttpGrants, Network, WebSocketGrants};
use jackfield_schema::{EmbeddedRegistry, Registry, SubjectNaming};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All connectors of a file, ready to start.
pub(crate) struct Wired {
    pub(crate) sources: Vec<SourceSpec>,
    pub(crate) sinks: Vec<SinkSpec>,
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
            let log: Arc<dyn Log> = EmbeddedLog::open(embedded)?;
            Ok(OpenLog {
                cluster: CLUSTER.to_owned(),
                registry: Arc::new(EmbeddedRegistry::open(Arc::clone(&log)).await?),
                log,
                subjects: SubjectNaming::Topic,
                assignments: None,
                published: None,
            })
        }
        LogConfig::Kafka(kafka) => crate::kafka::open(kafka, config).await,
    }
}

/// Builds the specs of all connectors.
pub(crate) async fn wire(
    config: &Config,
    plugins: &BTreeMap<String, Loaded>,
    settings: &Checked,
    network: &Network,
) -> Result<Wired, StartError> {
    let mut lakes = BTreeMap::new();
    for (name, lake) in &config.lakes {
        lakes.insert(name.clone(), open_lake(name, lake).await?);
    }
    let mut wired = Wired {
        sources: Vec::new(),
        sinks: Vec::new(),
    };
    for (name, pipeline) in &config.pipelines {
        if let Some(source) = &pipeline.source {
            let plugged = plugged(&source.connector, &source.plugin, plugins, settings);
            wired
                .sources
                .push(source_spec(name, pipeline, source, plugged, network)?);
        }
        for sink in pipeline.sinks.values() {
            let plugged = plugged(&sink.connector, &sink.plugin, plugins, settings);
            wired
                .sinks
                .push(sink_spec(name, pipeline, sink, plugged, network, &lakes)?);
        }
    }
    Ok(wired)
}

async fn open_lake(
    name: &str,
    config: &jackfield_config::LakeConfig,
) -> Result<Arc<Lake>, StartError> {
    let lake = lakes::lake_config(name, config);
    Lake::open(lake).await.map_err(|error| StartError::Lake {
        lake: name.to_owned(),
        reason: error.to_string(),
    })
}

fn source_spec(
    pipeline_name: &str,
    pipeline: &PipelineConfig,
    source: &SourceConfig,
    plugged: Plugged,
    network: &Network,
) -> Result<SourceSpec, StartError> {
    let (http, websocket) = grants(&source.connector, &source.allow, network)?;
    Ok(SourceSpec {
        pipeline: pipeline_name.to_owned(),
        connector: source.connector.clone(),
        delivery: delivery(pipeline.delivery),
        plugged,
        topics: pipeline
            .topics
            .iter()
            .map(|(feed, topic)| (feed.clone(), feed_topic(topic)))
            .collect(),
        slots_max: source.slots_max,
        websocket,
        http,
        on_bad_record: on_bad_record(&source.on_bad_record),
        patience: Patience {
            deadline: pipeline.retry.deadline,
        },
    })
}

fn sink_spec(
    pipeline_name: &str,
    pipeline: &PipelineConfig,
    sink: &SinkConfig,
    plugged: Plugged,
    network: &Network,
    lakes: &BTreeMap<String, Arc<Lake>>,
) -> Result<SinkSpec, StartError> {
    let (http, _) = grants(&sink.connector, &sink.allow, network)?;
    let CommitConfig {
        every,
        rows_max,
        bytes_max,
    } = sink.commit;
    Ok(SinkSpec {
        pipeline: pipeline_name.to_owned(),
        connector: sink.connector.clone(),
        delivery: delivery(pipeline.delivery),
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
        lake: sink
            .allow
            .lake
            .as_ref()
            .and_then(|name| lakes.get(name))
            .cloned(),
        http,
        on_bad_record: on_bad_record(&sink.on_bad_record),
        patience: Patience {
            deadline: pipeline.retry.deadline,
        },
    })
}

fn plugged(
    connector: &str,
    plugin: &str,
    plugins: &BTreeMap<String, Loaded>,
    settings: &Checked,
) -> Plugged {
    let loaded = plugins::used(plugins, plugin);
    let settings = settings
        .get(connector)
        .expect("settings without findings were kept for every connector");
    Plugged {
        plugin: loaded.plugin.clone(),
        limits: loaded.limits.clone(),
        settings: settings.to_string(),
    }
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
