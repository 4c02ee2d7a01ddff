//! Topics that are not as they should be: what is refused, and what is only told.

use super::{another, config};
use crate::common::{identity, unique};
use jackfield_log::{Log, LogError, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The text of each warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Warnings {
    /// The one that is about this topic.
    fn of(&self, topic: &str) -> String {
        let told = self.0.lock().unwrap();
        let mut own = told.iter().filter(|text| text.contains(topic));
        let one = own.next().unwrap_or_else(|| panic!("{topic}: {told:?}"));
        assert_eq!(own.next(), None);
        one.clone()
    }
}

/// A topic's setting, as the brokers have it.
async fn setting(topic: &str, name: &str) -> String {
    let servers = config().await.properties["bootstrap.servers"].clone();
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .unwrap();
    let of = ResourceSpecifier::Topic(topic);
    let described = admin.describe_configs([&of], &AdminOptions::new()).await;
    let described = described.unwrap().pop().unwrap().unwrap();
    described.get(name).unwrap().value.clone().unwrap()
}

/// Positions and maps in a topic that deletes old records would be lost one day, so it is refused
/// with the mend.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_ours_that_forgets_is_refused() {
    let log = another().await;
    for policy in ["delete", "compact,delete"] {
        let name = unique("forgetful");
        let mut spec = TopicSpec::new(&name, 1);
        spec.configs.insert("cleanup.policy".into(), policy.into());
        log.create_topic(&spec).await.unwrap();
        let refused = |error: LogError| match error {
            LogError::Rejected(text) => {
                assert!(text.contains(&name) && text.contains(policy), "{text}");
                assert!(text.contains("must be compact"), "{text}");
            }
            other => panic!("{policy}: {other:?}"),
        };
        match log.keyed(&name).await {
            Ok(_) => panic!("{policy}: a map in it"),
            Err(error) => refused(error),
        }
        let positions = KafkaLog::open(KafkaConfig {
            positions_topic: Some(name.clone()),
            ..config().await
        })
        .unwrap();
        refused(positions.stored(&identity("connector")).await.unwrap_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_ours_are_made_compacted() {
    let cluster = unique("cluster");
    let log = KafkaLog::open(KafkaConfig {
        cluster: cluster.clone(),
        ..config().await
    })
    .unwrap();
    let map = unique("map");
    drop(log.keyed(&map).await.unwrap());
    log.stored(&identity("connector")).await.unwrap();
    for topic in [map, format!("{cluster}-offsets")] {
        assert_eq!(
            setting(&topic, "cleanup.policy").await,
            "compact",
            "{topic}"
        );
        // And one of them that is there already is taken.
        drop(another().await.keyed(&topic).await.unwrap());
    }
}

/// What somebody set otherwise stays as it is, and is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_other_settings_is_left_as_it_is_and_told() {
    const RETENTION: &str = "retention.ms";
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    let log = another().await;
    let mut spec = TopicSpec::new(unique("topic"), 1);
    spec.configs.insert(RETENTION.into(), "3600000".into());
    let made = log.create_topic(&spec).await.unwrap();
    spec.configs.insert(RETENTION.into(), "7200000".into());
    assert_eq!(log.create_topic(&spec).await.unwrap(), made);
    assert_eq!(setting(&spec.name, RETENTION).await, "3600000");
    let told = warnings.of(&spec.name);
    for part in ["another setting", RETENTION, "7200000", "3600000"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_another_replication_is_left_as_it_is_and_told() {
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    let log = another().await;
    let mut spec = TopicSpec::new(unique("topic"), 2);
    let made = log.create_topic(&spec).await.unwrap();
    spec.replication = Some(3);
    assert_eq!(log.create_topic(&spec).await.unwrap(), made);
    let told = warnings.of(&spec.name);
    for part in ["another replication", "declared=3", "found=1"] {
        assert!(told.contains(part), "{told}");
    }
}

/// There is one broker.
#[tokio::test(flavor = "multi_thread")]
async fn more_copies_than_brokers_are_refused() {
    let log = another().await;
    let mut spec = TopicSpec::new(unique("topic"), 1);
    spec.replication = Some(2);
    match log.create_topic(&spec).await {
        Err(LogError::Rejected(text)) => assert!(text.contains(&spec.name), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(log.describe_topic(&spec.name).await, Ok(None));
}
