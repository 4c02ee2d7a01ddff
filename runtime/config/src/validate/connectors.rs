//! Sources and sinks.

use super::grants;
use super::pipelines::{Declared, Opened};
use crate::catalogue::DEAD_LETTER;
use crate::fields::{Fields, Named};
use crate::finding::{Findings, Kind};
use crate::leaf;
use crate::names::NameRule;
use crate::settings::Settings;
use crate::types::{BadRecord, CommitConfig, End, SinkConfig, SinkTopic, SourceConfig, StartAt};

pub(super) fn source(
    fields: &Fields<'_>,
    opened: &Opened<'_>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Option<SourceConfig> {
    let plugin = plugin(fields, declared, findings);
    let settings = Settings::read(fields, declared.file, findings);
    let allow = grants::read(fields, End::Source, declared, findings);
    let slots = fields.read("slots", findings, leaf::whole);
    let on_bad_record = on_bad_record(fields, &[], declared, findings);
    Some(SourceConfig {
        connector: format!("{}-source", opened.name),
        plugin: plugin?,
        settings: settings?,
        allow: allow?,
        slots_max: u32::try_from(slots?).ok()?,
        on_bad_record: on_bad_record?,
    })
}

pub(super) fn sink(
    named: &Named<'_>,
    fields: &Fields<'_>,
    opened: &Opened<'_>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Option<SinkConfig> {
    let plugin = plugin(fields, declared, findings);
    let topics = topics(fields, opened, declared, findings);
    let tasks = fields.read("tasks", findings, leaf::whole);
    let commit = commit(fields, findings);
    let on_bad_record = on_bad_record(fields, &topics, declared, findings);
    let settings = Settings::read(fields, declared.file, findings);
    let allow = grants::read(fields, End::Sink, declared, findings);
    let start = fields
        .read("start", findings, leaf::choice)
        .map(|word| match word {
            "latest" => StartAt::Latest,
            _ => StartAt::Earliest,
        });
    Some(SinkConfig {
        connector: format!("{}-{}", opened.name, named.name),
        plugin: plugin?,
        topics,
        tasks: u32::try_from(tasks?).ok()?,
        commit: commit?,
        on_bad_record: on_bad_record?,
        settings: settings?,
        allow: allow?,
        start: start?,
    })
}

fn plugin(
    fields: &Fields<'_>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Option<String> {
    fields.read("plugin", findings, |shape, place, findings| {
        let plugin = leaf::text(shape, place, findings)?;
        declared
            .plugins
            .refer("plugin", &plugin, place, findings)
            .then_some(plugin)
    })
}

fn topics(
    fields: &Fields<'_>,
    opened: &Opened<'_>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Vec<SinkTopic> {
    let mut topics: Vec<SinkTopic> = Vec::new();
    for place in fields.items("topics", findings) {
        let Some(name) = leaf::text(&FEED_OR_TOPIC, &place, findings) else {
            continue;
        };
        let Some(topic) = declared.topics.read(&name, &opened.feeds, &place, findings) else {
            continue;
        };
        if topics.iter().any(|known| known.name == topic.name) {
            findings.push(
                place
                    .error(Kind::TopicConflict, "this sink reads the topic twice")
                    .value(topic.name)
                    .mend("remove one"),
            );
        } else {
            topics.push(topic);
        }
    }
    topics
}

const FEED_OR_TOPIC: crate::catalogue::Shape =
    crate::catalogue::Shape::Text(crate::catalogue::Text::FeedOrTopic);

fn commit(fields: &Fields<'_>, findings: &mut Findings) -> Option<CommitConfig> {
    let commit = fields.section("commit", findings)?;
    let every = commit.read("every", findings, leaf::bounded_time);
    let rows = commit.read("rows", findings, leaf::whole);
    let bytes = commit.read("bytes", findings, leaf::size);
    Some(CommitConfig {
        every: every?,
        rows_max: rows?,
        bytes_max: bytes?,
    })
}

/// Remembers a connector's dead-letter topic, so that any sink may read it. What is wrong with it
/// is found when the connector is read.
pub(super) fn declare_dead_letters(fields: &Fields<'_>, declared: &mut Declared<'_>) {
    let Some(entry) = fields
        .given("on-bad-record")
        .and_then(|place| place.node.get("dead-letter"))
    else {
        return;
    };
    let Some(topic) = entry.node.get("topic") else {
        return;
    };
    if let crate::tree::Content::Scalar(scalar) = &topic.node.content {
        declared.topics.dead_letter(&scalar.text, topic.node.at);
    }
}

fn on_bad_record(
    fields: &Fields<'_>,
    topics: &[SinkTopic],
    declared: &Declared<'_>,
    findings: &mut Findings,
) -> Option<BadRecord> {
    fields.read("on-bad-record", findings, |shape, place, findings| {
        let crate::catalogue::Shape::Either { short, .. } = shape else { unreachable!("declared with a short form") };
        if place.is_short() {
            return leaf::choice(short, place, findings).map(|word| match word {
                "skip" => BadRecord::Skip,
                _ => BadRecord::Stop,
            });
        }
        let letters = Fields::open(place, &DEAD_LETTER, findings)?;
        letters.given("dead-letter")?;
        letters.section("dead-letter", findings)?.read("topic", findings, |shape, place, findings| {
            let topic = leaf::name(NameRule::Topic, shape, place, findings)?;
            declared.topics.check_dead_letter(&topic, place, findings);
            if topics.iter().any(|read| read.name == topic) {
                findings.push(
                    place
                        .error(Kind::TopicConflict, "this sink reads the topic, so its dead letters would come back to it")
                        .value(&topic)
                        .mend("give dead letters a topic of their own"),
                );
            }
            Some(BadRecord::DeadLetter { topic })
        })
    })
}
