//! A Kafka cluster as the log: its servers, whether they let us in, and the topics.

use super::reach::{self, Service};
use super::verdict::{Area, Line};
use crate::kafka;
use jackfield_config::{BadRecord, Config, FeedTopic, KafkaLogConfig};
use jackfield_log::LogError;
use jackfield_log_kafka::{KafkaLog, Survey, SurveyedTopic};
use std::collections::BTreeMap;
use std::time::Duration;

const AREA: Area = Area::Log;
const SERVERS_KEY: &str = "log.kafka.bootstrap.servers";
/// Kafka's own.
const PORT: u16 = 9092;

/// A topic as the file declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Declared {
    /// Not said for topics of dead letters.
    partitions: Option<i32>,
}

/// The servers one by one, then what the cluster says, within `patience` altogether.
pub(super) async fn look(config: Config, kafka: KafkaLogConfig, patience: Duration) -> Vec<Line> {
    let mistakes = kafka::mistakes(&kafka);
    if !mistakes.is_empty() {
        let lines = mistakes.into_iter().map(|it| {
            let mend = it.mend.unwrap_or_default();
            Line::fail(AREA, it.path, it.message, mend)
        });
        return lines.collect();
    }
    let servers: Vec<String> = servers(&kafka.bootstrap_servers);
    let reached = futures::future::join_all(servers.iter().map(|server| one(server))).await;
    let nobody = reached.iter().all(Result::is_err);
    let mut lines: Vec<Line> = reached
        .into_iter()
        .map(|it| it.unwrap_or_else(|down| down))
        .collect();
    // Of a cluster whose servers are all down there is no more to say.
    if !nobody {
        lines.extend(cluster(&config, &kafka, patience).await);
    }
    lines
}

fn servers(listed: &str) -> Vec<String> {
    let each = listed.split(',').map(str::trim);
    each.filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

fn host_and_port(server: &str) -> (&str, u16) {
    let split = server.rsplit_once(':');
    let parsed = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parsed.unwrap_or((server, PORT))
}

async fn one(server: &str) -> Result<Line, Line> {
    let (host, port) = host_and_port(server);
    match reach::tcp(host, port).await {
        Ok(address) => Ok(Line::ok(AREA, server, format!("listens at {address}"))),
        Err(why) => Err(Service {
            area: AREA,
            what: "the Kafka broker",
            name: server,
            key: SERVERS_KEY,
        }
        .unreached(&why)),
    }
}

async fn cluster(config: &Config, kafka: &KafkaLogConfig, patience: Duration) -> Vec<Line> {
    let name = &kafka.bootstrap_servers;
    let settings = kafka::settings(kafka);
    let opened = match tokio::task::spawn_blocking(move || KafkaLog::open(settings)).await {
        Ok(opened) => opened,
        Err(error) => Err(LogError::Fatal(error.to_string())),
    };
    // A part is kept for what comes after, so that the reason is told and not only that it is late.
    let patience = patience * 3 / 4;
    let surveyed = match &opened {
        Ok(log) => log.survey(patience).await,
        Err(error) => Err(error.clone()),
    };
    // Closing a client waits for its threads.
    drop(tokio::task::spawn_blocking(move || drop(opened)));
    match surveyed {
        Ok(survey) => {
            let mut lines = vec![brokers(name, kafka, &survey)];
            lines.extend(topics(config, kafka, &survey));
            lines
        }
        Err(error) => vec![refused(name, &error.to_string())],
    }
}

/// A cluster whose servers take connections and then no more: librdkafka only has words for why.
fn refused(name: &str, why: &str) -> Line {
    let lower = why.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // Its hints for TLS and for a wrong protocol speak of authentication too.
    let (what, remedy) = if says(&["ssl handshake", "ssl routines", "ssl authentication"]) {
        (
            "the brokers and we don't agree on TLS",
            "check `security.protocol` and `ssl.*` in `log.kafka.properties`, and the brokers' certificate",
        )
    } else if says(&["security.protocol"]) {
        (
            "the cluster does not let us in",
            "check `security.protocol` in `log.kafka.properties`: this listener wants another one",
        )
    } else if says(&["authentication", "sasl mechanism", "mechanism handshake"]) {
        (
            "the cluster refuses our credentials",
            "check `sasl.mechanism`, `sasl.username` and `sasl.password` in `log.kafka.properties`, or the token's file",
        )
    } else {
        (
            "the cluster does not let us in",
            "check `log.kafka.properties`: security.protocol, sasl.*, ssl.*; and what the brokers advertise (docs/KAFKA.md)",
        )
    };
    Line::fail(AREA, name, format!("{what}: {why}"), remedy)
}

fn brokers(name: &str, kafka: &KafkaLogConfig, survey: &Survey) -> Line {
    let count = survey.brokers.len();
    let wanted = usize::try_from(kafka.replication.unwrap_or(1)).unwrap_or(0);
    let listed = survey.brokers.join(", ");
    if count < wanted {
        let why =
            format!("{wanted} copies of each topic are declared, {count} brokers are up: {listed}");
        let remedy = "start the other brokers, or lower `log.kafka.replication`";
        return Line::fail(AREA, name, why, remedy);
    }
    Line::ok(AREA, name, format!("lets us in; brokers: {listed}"))
}

fn declared(config: &Config) -> BTreeMap<String, Declared> {
    let mut all = BTreeMap::new();
    for pipeline in config.pipelines.values() {
        let mut add = |name: &str, partitions| {
            let known = all.entry(name.to_owned());
            known.or_insert(Declared { partitions });
        };
        for feed in pipeline.topics.values() {
            if let FeedTopic::Topic(topic) = feed {
                add(&topic.name, Some(topic.partitions));
            }
        }
        for sink in pipeline.sinks.values() {
            for topic in &sink.topics {
                add(&topic.name, Some(topic.partitions));
            }
        }
        let bad = pipeline.sinks.values().map(|it| &it.on_bad_record);
        let source = pipeline.source.iter().map(|it| &it.on_bad_record);
        for on_bad_record in bad.chain(source) {
            if let BadRecord::DeadLetter { topic } = on_bad_record {
                add(topic, None);
            }
        }
    }
    all
}

fn topics(config: &Config, kafka: &KafkaLogConfig, survey: &Survey) -> Vec<Line> {
    let declared = declared(config).into_iter();
    declared
        .map(|(name, declared)| {
            let found = survey.topics.get(&name);
            topic(&name, declared, kafka.replication, found)
        })
        .collect()
}

fn topic(
    name: &str,
    declared: Declared,
    replication: Option<i16>,
    found: Option<&SurveyedTopic>,
) -> Line {
    let shown = format!("topic {name}");
    let Some(found) = found else {
        let message = "is not there yet: it is created when a pipeline starts";
        return Line::ok(AREA, shown, message);
    };
    let SurveyedTopic {
        partitions,
        replicas,
        in_sync,
        leaderless,
    } = *found;
    if leaderless > 0 {
        let why = format!("nobody leads {leaderless} of its {partitions} partitions");
        let remedy = "start the brokers that keep it: kafka-topics --describe names them";
        return Line::fail(AREA, shown, why, remedy);
    }
    if let Some(wanted) = declared.partitions
        && wanted != partitions
    {
        let why = format!("has {partitions} partitions, and {wanted} are declared");
        let remedy = format!("declare `partitions: {partitions}`, or take another topic");
        return Line::fail(AREA, shown, why, remedy);
    }
    let has = format!("{partitions} partitions, {replicas} copies");
    let wanted = replication.and_then(|it| usize::try_from(it).ok());
    if let Some(wanted) = wanted
        && replicas < wanted
    {
        let why = format!("{has}, and {wanted} are declared");
        let remedy =
            "reassign its partitions (kafka-reassign-partitions), or lower `log.kafka.replication`";
        return Line::warn(AREA, shown, why, remedy);
    }
    if in_sync < replicas {
        let why = format!("{has}, of which {in_sync} are up to date");
        return Line::warn(AREA, shown, why, "start the brokers that are down");
    }
    Line::ok(AREA, shown, has)
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;

    #[test]
    fn servers_are_listed_as_kafka_lists_them() {
        assert_eq!(servers("a:1, [::1]:2,"), ["a:1", "[::1]:2"]);
        assert_eq!(host_and_port("a:1"), ("a", 1));
        assert_eq!(host_and_port("[::1]:2"), ("[::1]", 2));
        assert_eq!(host_and_port("a"), ("a", 9092));
    }

    #[test]
    fn a_topic_is_held_against_its_declaration() {
        let found = SurveyedTopic {
            partitions: 4,
            replicas: 2,
            in_sync: 2,
            leaderless: 0,
        };
        let judged = |partitions, replication, found: Option<SurveyedTopic>| {
            let declared = Declared { partitions };
            topic("t", declared, replication, found.as_ref()).level
        };
        assert_eq!(judged(Some(4), None, None), Level::Ok);
        assert_eq!(judged(Some(4), Some(2), Some(found)), Level::Ok);
        assert_eq!(judged(None, None, Some(found)), Level::Ok);
        assert_eq!(judged(Some(3), None, Some(found)), Level::Fail);
        assert_eq!(judged(Some(4), Some(3), Some(found)), Level::Warn);
        let lagging = SurveyedTopic {
            in_sync: 1,
            ..found
        };
        assert_eq!(judged(Some(4), None, Some(lagging)), Level::Warn);
        let headless = SurveyedTopic {
            leaderless: 1,
            ..found
        };
        assert_eq!(judged(Some(4), None, Some(headless)), Level::Fail);
    }

    /// The words are librdkafka's.
    #[test]
    fn credentials_tls_and_protocol_are_told_apart() {
        for (why, remedy) in [
            (
                "sasl_plaintext://h:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password",
                "`sasl.password`",
            ),
            (
                "sasl_ssl://h:1/bootstrap: SSL handshake failed: certificate verify failed",
                "`ssl.*`",
            ),
            (
                "ssl://h:1/1: Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: client SSL authentication might be required",
                "`ssl.*`",
            ),
            (
                "h:1/bootstrap: Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication",
                "this listener wants another one",
            ),
            (
                "h:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed",
                "advertise",
            ),
        ] {
            let line = refused("h:1", why);
            assert!(line.remedy.unwrap().contains(remedy), "{why}");
            assert_eq!(line.not_running, None);
        }
    }
}
