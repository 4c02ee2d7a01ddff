//! Topics: declared once, written by one pipeline, read by name or by feed.

use crate::catalogue::TOPIC;
use crate::fields::{Fields, Place};
use crate::finding::{Finding, Findings, Kind, Pos};
use crate::leaf;
use crate::names::{NameRule, suggest};
use crate::types::{LogConfig, RecordFormat, SinkTopic, Subjects, TopicConfig};
use std::collections::BTreeMap;

/// What a pipeline says of one feed.
pub(super) enum Feed {
    Topic(TopicConfig),
    Drop,
    /// That has been reported.
    Broken,
}

/// All topics of the file, by name.
#[derive(Default)]
pub(super) struct Topics {
    declared: BTreeMap<String, Declaration>,
    /// Where each dead-letter topic was first named.
    dead_letters: BTreeMap<String, Pos>,
}

struct Declaration {
    config: TopicConfig,
    /// More than the name was given.
    explicit: bool,
    at: Pos,
    /// The pipeline whose source writes it.
    writer: Option<String>,
    read: bool,
    path: String,
}

/// A topic as one pipeline declares it.
pub(super) struct Declared<'a> {
    pub(super) pipeline: &'a str,
    pub(super) has_source: bool,
    pub(super) place: Place<'a>,
}

impl Topics {
    /// Reads what stands below one feed.
    pub(super) fn declare(&mut self, declared: &Declared<'_>, findings: &mut Findings) -> Feed {
        let place = &declared.place;
        if place.is_short() {
            return short(place, findings);
        }
        let Some(fields) = Fields::open(place, &TOPIC, findings) else {
            return Feed::Broken;
        };
        let Some(config) = topic(&fields, findings) else {
            return Feed::Broken;
        };
        let explicit = [
            "partitions",
            "retention",
            "retention-bytes",
            "configs",
            "format",
        ]
        .iter()
        .any(|key| fields.given(key).is_some());
        let writer = declared.has_source.then(|| declared.pipeline.to_owned());
        let Some(known) = self.declared.get_mut(&config.name) else {
            let new = Declaration {
                config: config.clone(),
                explicit,
                at: place.node.at,
                writer,
                read: false,
                path: place.path.to_string(),
            };
            self.declared.insert(config.name.clone(), new);
            return Feed::Topic(config);
        };
        if let (Some(one), Some(other)) = (&known.writer, &writer)
            && one != other
        {
            findings.push(
                place
                    .error(Kind::TopicConflict, format!("pipeline `{one}` writes this topic already, on line {}", known.at.line))
                    .value(&config.name)
                    .mend("a topic has one writing pipeline: give each its own, a sink can read several"),
            );
            return Feed::Topic(config);
        }
        if known.explicit && explicit && known.config != config {
            findings.push(
                place
                    .error(
                        Kind::TopicConflict,
                        format!("line {} declares this topic otherwise", known.at.line),
                    )
                    .value(&config.name)
                    .mend("say the same at both places, or only the name at one"),
            );
            return Feed::Topic(config);
        }
        known.writer = known.writer.take().or(writer);
        if explicit && !known.explicit {
            (known.config, known.explicit) = (config.clone(), true);
        }
        Feed::Topic(config)
    }

    /// The topic as it is created, whichever place said more of it.
    pub(super) fn settled(&self, config: TopicConfig) -> TopicConfig {
        self.declared
            .get(&config.name)
            .map_or(config, |declaration| declaration.config.clone())
    }

    /// A topic for dead letters.
    pub(super) fn dead_letter(&mut self, topic: &str, at: Pos) {
        self.dead_letters.entry(topic.to_owned()).or_insert(at);
    }

    /// Dead letters must not come between a source's records.
    pub(super) fn check_dead_letter(
        &self,
        topic: &str,
        place: &Place<'_>,
        findings: &mut Findings,
    ) {
        if let Some(Declaration {
            writer: Some(writer),
            ..
        }) = self.declared.get(topic)
        {
            findings.push(
                place
                    .error(
                        Kind::TopicConflict,
                        format!("the source of pipeline `{writer}` writes this topic"),
                    )
                    .value(topic)
                    .mend("give dead letters a topic of their own"),
            );
        }
    }

    /// What a sink reads, by a feed of its pipeline or by a topic's name.
    pub(super) fn read(
        &mut self,
        name: &str,
        feeds: &BTreeMap<&str, Feed>,
        place: &Place<'_>,
        findings: &mut Findings,
    ) -> Option<SinkTopic> {
        let topic = match feeds.get(name) {
            Some(Feed::Topic(config)) => config.name.as_str(),
            Some(Feed::Broken) => return None,
            Some(Feed::Drop) => {
                findings.push(
                    place
                        .error(Kind::UnknownReference, "this feed is dropped")
                        .value(name)
                        .mend("give it a topic instead of `drop`"),
                );
                return None;
            }
            None => name,
        };
        if let Some(declaration) = self.declared.get_mut(topic) {
            declaration.read = true;
            let config = declaration.config.clone();
            return Some(SinkTopic {
                name: config.name,
                partitions: config.partitions,
                configs: config.configs,
                format: config.format,
            });
        }
        if self.dead_letters.contains_key(topic) {
            return Some(SinkTopic {
                name: topic.to_owned(),
                partitions: 1,
                configs: BTreeMap::new(),
                format: None,
            });
        }
        let known: Vec<&str> = feeds
            .keys()
            .copied()
            .chain(self.declared.keys().map(String::as_str))
            .chain(self.dead_letters.keys().map(String::as_str))
            .collect();
        let mend = suggest("feeds and topics", name, known.iter().copied());
        findings.push(
            place
                .error(Kind::UnknownReference, "neither a feed of this pipeline nor a topic of this file")
                .value(name)
                .mend(format!("{mend}; a topic from elsewhere is declared by `topics: {{ name: {{ name: … }} }}` in a pipeline without a source")),
        );
        None
    }

    /// Formats that the log does not have, or can't have as it is set up.
    pub(super) fn check_formats(&self, log: &LogConfig, findings: &mut Findings) {
        for topic in self.declared.values() {
            let Some(format) = topic.config.format else {
                continue;
            };
            let (message, mend) = match log {
                LogConfig::Embedded(_) => (
                    "the embedded log has one form of records only",
                    "remove `format`",
                ),
                LogConfig::Kafka(kafka) => match (format, &kafka.registry, kafka.subjects) {
                    (RecordFormat::Avro, None, _) => (
                        "Avro needs a schema registry",
                        "add `schema.registry.url` to `log.kafka`",
                    ),
                    (RecordFormat::Json, _, Subjects::Record | Subjects::TopicRecord) => (
                        "JSON text does not say of which record it is",
                        "set `subjects: topic` in `log.kafka`",
                    ),
                    (RecordFormat::Avro, Some(_), _) | (RecordFormat::Json, _, Subjects::Topic) => {
                        continue;
                    }
                },
            };
            let path = format!("{}.format", topic.path);
            findings.push(Finding::error(Kind::Conflict, path, topic.at, message).mend(mend));
        }
    }

    /// Topics that nothing in the file writes or reads.
    pub(super) fn warn_unused(&self, findings: &mut Findings) {
        for (name, topic) in &self.declared {
            if topic.writer.is_none() && !topic.read {
                findings.push(
                    Finding::warning(
                        Kind::Unused,
                        &topic.path,
                        topic.at,
                        "no source writes this topic and no sink reads it",
                    )
                    .value(name)
                    .mend("remove it, or name it in a sink's `topics`"),
                );
            }
        }
    }
}

fn short(place: &Place<'_>, findings: &mut Findings) -> Feed {
    use crate::tree::{Content, Origin};
    let Content::Scalar(scalar) = &place.node.content else {
        return Feed::Broken;
    };
    match (scalar.origin, scalar.text.as_str()) {
        (Origin::Broken, _) => Feed::Broken,
        (_, "drop") => Feed::Drop,
        (_, text) => {
            let mend = match NameRule::Topic.admits(text) {
                true if scalar.origin != Origin::Secret => {
                    format!("write `{{ name: {text} }}`, or `drop`")
                }
                true | false => "write `{ name: <topic> }`, or `drop`".to_owned(),
            };
            findings.push(leaf::wrong_type(place, "a topic's mapping or `drop`").mend(mend));
            Feed::Broken
        }
    }
}

fn topic(fields: &Fields<'_>, findings: &mut Findings) -> Option<TopicConfig> {
    let name = fields.read("name", findings, |shape, place, findings| {
        leaf::name(NameRule::Topic, shape, place, findings)
    });
    let partitions = fields.read("partitions", findings, leaf::whole);
    let retention = fields.read("retention", findings, leaf::time);
    let retention_bytes = fields.read("retention-bytes", findings, leaf::size);
    let format = fields
        .read("format", findings, leaf::choice)
        .map(super::kafka::format);
    let mut configs = BTreeMap::new();
    for named in fields.named("configs", findings) {
        let same = match named.name {
            "retention.ms" => Some("retention"),
            "retention.bytes" => Some("retention-bytes"),
            _ => None,
        };
        if let Some(own) = same {
            findings.push(
                named
                    .place
                    .error(
                        Kind::Conflict,
                        format!("`{}` has a key of its own", named.name),
                    )
                    .mend(format!("write `{own}` beside `name`")),
            );
        }
        let value = leaf::text(
            &crate::catalogue::Shape::Text(crate::catalogue::Text::TopicSetting),
            &named.place,
            findings,
        );
        if let Some(value) = value {
            configs.insert(named.name.to_owned(), value);
        }
    }
    // Kafka's -1 is "no limit".
    if let Some(retention) = retention {
        let ms = retention.map_or_else(|| "-1".to_owned(), |time| time.as_millis().to_string());
        configs.insert("retention.ms".to_owned(), ms);
    }
    if let Some(bytes) = retention_bytes {
        configs.insert("retention.bytes".to_owned(), bytes.to_string());
    }
    let partitions = i32::try_from(partitions?).ok()?;
    Some(TopicConfig {
        name: name?,
        partitions,
        configs,
        format,
    })
}
