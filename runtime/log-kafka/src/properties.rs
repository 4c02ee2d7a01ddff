//! Properties of librdkafka that a user may not set, and why.

use rdkafka::ClientConfig;
use std::collections::BTreeMap;

/// Each with the promise that it would break, or the setting that has its place.
const REFUSED: &[(&str, &str)] = &[
    ("acks", ALL_COPIES),
    ("request.required.acks", ALL_COPIES),
    ("enable.idempotence", NO_DOUBLES),
    ("max.in.flight", NO_DOUBLES),
    ("max.in.flight.requests.per.connection", NO_DOUBLES),
    ("retries", NO_DOUBLES),
    ("message.send.max.retries", NO_DOUBLES),
    ("enable.gapless.guarantee", NO_DOUBLES),
    ("queuing.strategy", "records must keep their order"),
    ("transactional.id", "each slot's own id fences its zombies"),
    ("transaction.timeout.ms", DELIVERY),
    ("message.timeout.ms", DELIVERY),
    ("delivery.timeout.ms", DELIVERY),
    (
        "partitioner",
        "records of one key must stay in one partition, and Connect's tools look for positions where its own partitioner puts them",
    ),
    (
        "sticky.partitioning.linger.ms",
        "records are placed before they reach librdkafka",
    ),
    (
        "delivery.report.only.error",
        "every append's outcome is told",
    ),
    (
        "isolation.level",
        "records of transactions that were aborted must not be read",
    ),
    ("group.id", "each sink has a group of its own"),
    ("group.instance.id", "members are named by the log"),
    ("group.protocol", COOPERATIVE),
    ("partition.assignment.strategy", COOPERATIVE),
    ("session.timeout.ms", "it is a setting of the log"),
    (
        "max.poll.interval.ms",
        "the log polls by itself, and bounds how long a revocation takes",
    ),
    ("enable.auto.commit", COMMITS),
    ("auto.commit.enable", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    (
        "auto.offset.reset",
        "a position that the log no longer holds stops the sink, and is never moved silently",
    ),
    (
        "topic.auto.offset.reset",
        "a position that the log no longer holds stops the sink, and is never moved silently",
    ),
    ("enable.partition.eof", "the log does not need it"),
    (
        "check.crcs",
        "librdkafka loses its place behind a batch whose checksum is wrong",
    ),
    (
        "allow.auto.create.topics",
        "a topic that nobody declared is a mistake",
    ),
    (
        "plugin.library.paths",
        "it loads native code into the process",
    ),
    ("test.mock.num.brokers", "a mock cluster keeps nothing"),
    ("test.mock.broker.rtt", "a mock cluster keeps nothing"),
];

const ALL_COPIES: &str = "what is acknowledged must be on all replicas in sync";
const NO_DOUBLES: &str =
    "records must neither double nor lose their order when they are sent again";
const DELIVERY: &str = "the log's delivery timeout sets it, together with what must agree with it";
const COOPERATIVE: &str = "partitions are handed over one by one, the others go on";
const COMMITS: &str = "offsets are committed only for what a sink has settled";

/// Something that is wrong about a configuration. Values are not in it, since some are secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Mistake {
    /// The property, if it is one's.
    pub property: Option<String>,
    /// What is wrong, and why that matters.
    pub what: String,
}

impl Mistake {
    pub(crate) fn of_all(what: &str) -> Self {
        Self {
            property: None,
            what: what.to_owned(),
        }
    }

    fn of(property: &str, what: String) -> Self {
        Self {
            property: Some(property.to_owned()),
            what,
        }
    }
}

/// What is wrong, each mistake by itself.
pub(crate) fn mistakes(properties: &BTreeMap<String, String>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for name in properties.keys() {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            mistakes.push(Mistake::of(name, format!("{name} can't be set: {why}")));
        }
    }
    if properties
        .get("bootstrap.servers")
        .or_else(|| properties.get("metadata.broker.list"))
        .is_none_or(String::is_empty)
    {
        mistakes.push(Mistake::of_all("bootstrap.servers is missing"));
    }
    // Names and values that librdkafka does not know. Its text names the property; a value may be
    // a secret, so it is left out.
    for (name, value) in properties {
        let mut config = ClientConfig::new();
        config.set(name, value);
        if config.create_native_config().is_err() {
            let what = format!("librdkafka does not know {name}, or can't read its value");
            mistakes.push(Mistake::of(name, what));
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(more: &[(&str, &str)]) -> Vec<String> {
        let all = [("bootstrap.servers", "localhost:1")];
        let all = all.iter().chain(more);
        let all = all.map(|(name, value)| ((*name).into(), (*value).into()));
        let found = mistakes(&all.collect());
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_would_break_a_promise_is_refused_with_the_reason() {
        for (name, why) in REFUSED {
            let told = of(&[(name, "1")]);
            assert!(
                told[0].contains(name) && told[0].contains(why),
                "{name}: {told:?}"
            );
        }
    }

    #[test]
    fn security_and_everything_else_may_be_set() {
        let told = of(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "user"),
            ("sasl.password", "secret"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.certificate.location", "/client.pem"),
            ("ssl.key.location", "/client.key"),
            ("compression.codec", "lz4"),
            ("socket.keepalive.enable", "true"),
        ]);
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn a_property_that_librdkafka_does_not_know_is_named_without_its_value() {
        let told = of(&[("sasl.pasword", "secret")]);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("sasl.pasword") && !told[0].contains("secret"));
    }

    #[test]
    fn servers_are_needed() {
        let told = mistakes(&BTreeMap::new())[0].to_string();
        assert!(told.contains("bootstrap.servers"), "{told}");
    }
}
