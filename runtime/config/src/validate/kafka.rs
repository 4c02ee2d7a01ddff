//! A Kafka cluster and its schema registry.

use crate::catalogue::{Shape, Text};
use crate::fields::{Fields, Place};
use crate::finding::{Finding, Findings, Kind};
use crate::names::NameRule;
use crate::placed::Placed;
use crate::secret::Secret;
use crate::types::{GroupMembership, KafkaLogConfig, RecordFormat, RegistryConfig, Subjects};
use crate::{leaf, places};
use std::collections::BTreeMap;
use std::path::Path;

/// What stands below `log.kafka`.
pub(super) fn read(
    log: &Fields<'_>,
    base: &Path,
    findings: &mut Findings,
) -> Option<KafkaLogConfig> {
    let place = Placed::new(&log.given("kafka")?);
    let kafka = log.section("kafka", findings)?;
    let servers = kafka.read("bootstrap.servers", findings, places::servers);
    let urls = kafka.read("schema.registry.url", findings, places::registry_urls);
    let registry = registry(&kafka, urls, base, findings);
    let format = kafka
        .read("format", findings, leaf::choice)
        .map(self::format);
    let subjects = kafka
        .read("subjects", findings, leaf::choice)
        .map(|word| match word {
            "record" => Subjects::Record,
            "topic-record" => Subjects::TopicRecord,
            _ => Subjects::Topic,
        });
    check_format(&kafka, format, subjects, findings);
    let cluster = kafka.read("cluster", findings, name);
    let worker = kafka.read("worker", findings, name);
    let membership = kafka
        .read("membership", findings, leaf::choice)
        .map(|word| match word {
            "dynamic" => GroupMembership::Dynamic,
            _ => GroupMembership::Static,
        });
    let replication = kafka.read("replication", findings, leaf::whole);
    let positions_topic = kafka.read("positions-topic", findings, |shape, place, findings| {
        leaf::name(NameRule::Topic, shape, place, findings)
    });
    let delivery_timeout = kafka.read("delivery-timeout", findings, leaf::bounded_time);
    let session_timeout = kafka.read("session-timeout", findings, leaf::bounded_time);
    let oauth_token_file = kafka.read("oauth-token-file", findings, |shape, place, findings| {
        places::path(base, shape, place, findings)
    });
    let properties = properties(&kafka, base, findings);
    Some(KafkaLogConfig {
        bootstrap_servers: servers?,
        registry,
        format: format?,
        subjects: subjects?,
        cluster: cluster?,
        worker,
        membership: membership?,
        replication: replication.and_then(|copies| i16::try_from(copies).ok()),
        positions_topic,
        delivery_timeout: delivery_timeout?,
        session_timeout: session_timeout?,
        oauth_token_file,
        properties,
        place,
    })
}

fn name(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    leaf::name(NameRule::Worker, shape, place, findings)
}

pub(super) fn format(word: &str) -> RecordFormat {
    match word {
        "json" => RecordFormat::Json,
        _ => RecordFormat::Avro,
    }
}

fn check_format(
    kafka: &Fields<'_>,
    format: Option<RecordFormat>,
    subjects: Option<Subjects>,
    findings: &mut Findings,
) {
    match (format, subjects) {
        (Some(RecordFormat::Avro), _) if kafka.given("schema.registry.url").is_none() => {
            let path = kafka.path.key("schema.registry.url");
            let message = "Avro needs a schema registry";
            let mend = "add `schema.registry.url: http://…`, or `format: json`";
            findings.push(Finding::error(Kind::MissingKey, path, kafka.at, message).mend(mend));
        }
        (Some(RecordFormat::Json), Some(Subjects::Record | Subjects::TopicRecord)) => {
            let path = kafka.path.key("subjects");
            let message = "JSON text does not say of which record it is";
            let mend = "remove `subjects`: JSON topics go by their names";
            findings.push(Finding::error(Kind::Conflict, path, kafka.at, message).mend(mend));
        }
        (Some(_) | None, _) => {}
    }
}

fn registry(
    kafka: &Fields<'_>,
    urls: Option<Secret>,
    base: &Path,
    findings: &mut Findings,
) -> Option<RegistryConfig> {
    let fields = kafka.section("schema-registry", findings)?;
    let path = |key, findings: &mut Findings| {
        fields.read(key, findings, |shape, place, findings| {
            places::path(base, shape, place, findings)
        })
    };
    let (ca, certificate, key) = (
        path("ca", findings),
        path("certificate", findings),
        path("key", findings),
    );
    let user = fields.read("user", findings, leaf::text);
    let password = fields.read("password", findings, leaf::secret);
    let token = fields.read("token", findings, leaf::secret);
    let auto_register = fields.read("auto-register", findings, leaf::choice);
    let given = |key| fields.given(key).is_some();
    let mut wrong = |key: &str, message: &str, mend: &str| {
        let path = fields.path.key(key);
        findings.push(Finding::error(Kind::Conflict, path, fields.at, message).mend(mend));
    };
    if given("token") && given("user") {
        wrong("token", "both a user and a token are given", "keep one");
    }
    for (one, other) in [
        ("user", "password"),
        ("password", "user"),
        ("certificate", "key"),
        ("key", "certificate"),
    ] {
        if given(one) && !given(other) {
            let message = format!("`{one}` needs `{other}`");
            wrong(one, &message, &format!("add `{other}`, or remove `{one}`"));
        }
    }
    if kafka.given("schema-registry").is_some() && kafka.given("schema.registry.url").is_none() {
        wrong(
            "user",
            "there is no registry to be known to",
            "add `schema.registry.url`, or remove `schema-registry`",
        );
    }
    Some(RegistryConfig {
        urls: urls?,
        user: user.zip(password),
        token,
        ca,
        identity: certificate.zip(key),
        auto_register: auto_register? == "true",
    })
}

/// Properties of librdkafka; its own paths are made absolute as all paths of the file are.
fn properties(
    kafka: &Fields<'_>,
    base: &Path,
    findings: &mut Findings,
) -> BTreeMap<String, Secret> {
    let mut properties = BTreeMap::new();
    for named in kafka.named("properties", findings) {
        if matches!(named.name, "bootstrap.servers" | "metadata.broker.list") {
            findings.push(
                named
                    .place
                    .error(Kind::Conflict, "the brokers have a key of their own")
                    .mend("write `bootstrap.servers` beside `properties`"),
            );
            continue;
        }
        let Some(value) = leaf::secret(&PROPERTY, &named.place, findings) else {
            continue;
        };
        let is_path = named.name.starts_with("ssl.") && named.name.ends_with(".location");
        let value = match is_path && value.expose() != "probe" {
            true => Secret::new(base.join(value.expose()).display().to_string()),
            false => value,
        };
        properties.insert(named.name.to_owned(), value);
    }
    properties
}

const PROPERTY: Shape = Shape::Secret(Text::Property);
