//! A Kafka cluster as the log, from the configuration.

use crate::published::Published;
use crate::start_error::StartError;
use crate::wiring::OpenLog;
use crate::worker;
use jackfield_config::{
    Config, FeedTopic, Finding, GroupMembership, KafkaLogConfig, LogConfig, RecordFormat,
    RegistryConfig, Subjects,
};
use jackfield_log::Log;
use jackfield_log_json::{JsonLog, JsonTopics};
use jackfield_log_kafka::{Encoding, Format, KafkaConfig, KafkaLog, Membership};
use jackfield_schema::{
    Auth, ConfluentRegistry, ConfluentSettings, EmbeddedRegistry, Registry, SubjectNaming, Tls,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Opens the log. Nothing is asked of the brokers yet, unless schemas lie there too.
pub(crate) async fn open(kafka: &KafkaLogConfig, config: &Config) -> Result<OpenLog, StartError> {
    let mut settings = settings(kafka);
    let json = json_topics(kafka, config);
    settings.format = if json.others {
        PLAIN
    } else {
        Format::default()
    };
    let formats = json.by_name.iter().map(|(topic, json)| {
        let format = if *json { PLAIN } else { Format::default() };
        (topic.clone(), format)
    });
    settings.formats = formats.collect();
    let worker = match &kafka.worker {
        Some(name) => name.clone(),
        None => worker::name(&config.state_dir).map_err(StartError::Worker)?,
    };
    tracing::info!(%worker, cluster = %kafka.cluster, "a worker of a Kafka cluster");
    settings.membership = match kafka.membership {
        GroupMembership::Static => Membership::Static {
            worker: worker.clone(),
        },
        GroupMembership::Dynamic => Membership::Dynamic,
    };
    let log: Arc<dyn Log> = KafkaLog::open(settings)?;
    let registry: Arc<dyn Registry> = match &kafka.registry {
        Some(registry) => Arc::new(self::registry(registry).map_err(StartError::RegistrySettings)?),
        None => {
            let topic = format!("{}-schemas", kafka.cluster);
            Arc::new(EmbeddedRegistry::open_in(Arc::clone(&log), &topic).await?)
        }
    };
    let log = match json.any() {
        true => JsonLog::new(log, Arc::clone(&registry), json),
        false => log,
    };
    Ok(OpenLog {
        cluster: kafka.cluster.clone(),
        log,
        registry,
        subjects: match kafka.subjects {
            Subjects::Topic => SubjectNaming::Topic,
            Subjects::Record => SubjectNaming::Record,
            Subjects::TopicRecord => SubjectNaming::TopicRecord,
        },
        assignments: Some(format!("{}-assignments", kafka.cluster)),
        embedded: None,
        published: Some(Published {
            topic: format!("{}-status", kafka.cluster),
            worker,
        }),
    })
}

/// JSON text lies without the registry's bytes.
const PLAIN: Format = Format {
    value: Encoding::Plain,
    key: Encoding::Plain,
};

fn json_topics(kafka: &KafkaLogConfig, config: &Config) -> JsonTopics {
    let mut topics = JsonTopics {
        others: kafka.format == RecordFormat::Json,
        by_name: BTreeMap::new(),
    };
    for pipeline in config.pipelines.values() {
        let fed = pipeline.topics.values().filter_map(|feed| match feed {
            FeedTopic::Topic(topic) => Some((&topic.name, topic.format)),
            FeedTopic::Drop => None,
        });
        let sinks = pipeline.sinks.values().flat_map(|sink| &sink.topics);
        let read = sinks.map(|topic| (&topic.name, topic.format));
        for (name, format) in fed.chain(read) {
            if let Some(format) = format {
                let json = format == RecordFormat::Json;
                topics.by_name.insert(name.clone(), json);
            }
        }
    }
    topics
}

/// Whether each topic that both files name, or that is new, lies as the log was opened for it.
pub(crate) fn same_formats(opened: &Config, new: &Config) -> bool {
    match (&opened.log, &new.log) {
        (LogConfig::Kafka(before), LogConfig::Kafka(after)) => {
            let (before, after) = (json_topics(before, opened), json_topics(after, new));
            let mut topics = after.by_name.iter();
            topics.all(|(topic, json)| {
                *json == before.by_name.get(topic).copied().unwrap_or(before.others)
            })
        }
        (LogConfig::Kafka(_) | LogConfig::Embedded(_), _) => true,
    }
}

/// All that is wrong about the settings, without asking anyone.
pub(crate) fn mistakes(kafka: &KafkaLogConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mistake in settings(kafka).mistakes() {
        let way: Vec<&str> = match &mistake.property {
            Some(property) => vec!["properties", property],
            None => Vec::new(),
        };
        let mend = "docs/KAFKA.md says which properties can be set";
        findings.push(kafka.place.error(&way, &mistake.what, mend));
    }
    if let Some(Err(reason)) = kafka.registry.as_ref().map(registry) {
        let mend = "PEM files, and the credentials of `schema-registry` or of the URL";
        let way = ["schema.registry.url"];
        findings.push(kafka.place.error(&way, &reason, mend));
    }
    findings
}

pub(crate) fn settings(kafka: &KafkaLogConfig) -> KafkaConfig {
    let mut settings = KafkaConfig::new(&kafka.bootstrap_servers);
    for (name, value) in &kafka.properties {
        let value = value.expose().to_owned();
        settings.properties.insert(name.clone(), value);
    }
    settings.cluster.clone_from(&kafka.cluster);
    settings.replication = kafka.replication;
    settings.positions_topic.clone_from(&kafka.positions_topic);
    settings.delivery_timeout = kafka.delivery_timeout;
    settings.session_timeout = kafka.session_timeout;
    settings
        .oauth_token_file
        .clone_from(&kafka.oauth_token_file);
    settings
}

pub(crate) fn registry(registry: &RegistryConfig) -> Result<ConfluentRegistry, String> {
    let auth = match (&registry.user, &registry.token) {
        (Some((user, password)), _) => Auth::Basic {
            user: user.clone(),
            password: password.expose().into(),
        },
        (None, Some(token)) => Auth::Bearer(token.expose().into()),
        (None, None) => Auth::None,
    };
    let settings = ConfluentSettings {
        addresses: registry
            .urls
            .expose()
            .parse()
            .map_err(|e: jackfield_schema::SettingsError| e.to_string())?,
        auth,
        tls: Tls {
            authorities: registry.ca.as_deref().map(pem).transpose()?,
            identity: match &registry.identity {
                Some((certificate, key)) => Some((pem(certificate)?, pem(key)?.into())),
                None => None,
            },
        },
        auto_register: registry.auto_register,
    };
    ConfluentRegistry::new(&settings).map_err(|e| e.to_string())
}

fn pem(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|e| format!("the schema registry's {}: {e}", file.display()))
}
