//! A connector that is wanted over REST.

use crate::FlatConfig;
use crate::entities::ConnectorType;
use crate::errors::KeyErrors;
use crate::keys;
use crate::masking::hides;
use crate::name::check_name;
use crate::paths::Paths;
use crate::pipeline::{self, Reader};
use jackfield_config::{
    BadRecord, Config, End, FeedTopic, Finding, ParseContext, PipelineConfig, Settings, Severity,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// A plugin, as far as configs depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Its name in the file: what `connector.class` says.
    pub name: &'a str,
    /// Which end of a pipeline it can be.
    pub end: End,
    /// Its version.
    pub version: &'a str,
    /// JSON Schema 2020-12 of its settings.
    pub schema: &'a Value,
}

/// A connector as a config asks for it. What only its component knows is not checked yet.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub connector: String,
    /// Its one end, under the connector's name, with what its grant allows.
    pub pipeline: PipelineConfig,
    /// The plugin's settings, with the defaults of its schema.
    pub settings: Value,
    end: End,
    given: Settings,
    paths: Paths,
}

impl Wanted {
    /// Reads a config as that of this plugin; everything wrong is found at once. `others` are
    /// pipelines beside those of the file.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn read(
        connector: &str,
        flat: &FlatConfig,
        plugin: &Described<'_>,
        config: &Config,
        others: &[&PipelineConfig],
    ) -> Result<Self, KeyErrors> {
        let mut reader = Reader {
            flat,
            plugin,
            config,
            errors: KeyErrors::default(),
            paths: Paths::default(),
        };
        check_names(connector, flat, plugin, &mut reader.errors);
        let file = reader.file().to_string();
        let given = Settings::new(connector, reader.settings());
        let (mut errors, mut paths) = (reader.errors, reader.paths);
        paths.hidden = flat
            .iter()
            .filter(|(key, value)| hides(key, value))
            .map(|(key, _)| key.clone())
            .collect();
        let parsed = parse(connector, &file, &paths, &mut errors);
        let whole = match given.check(&plugin.schema.to_string()) {
            Ok(whole) => whole,
            Err(findings) => {
                let of = |path: &str| paths.setting_of(path);
                push(&findings.findings, of, &paths, &mut errors);
                Value::Null
            }
        };
        let all = || config.pipelines.values().chain(others.iter().copied());
        if let Some(pipeline) = &parsed {
            check_topics(pipeline, all(), &mut errors);
            let needed = config.memory_of(all().chain([pipeline]));
            if config.memory_bytes_max.is_some_and(|max| needed > max) {
                errors.push(
                    keys::TASKS_MAX,
                    "the components would take more memory than the file's `memory` allows",
                );
            }
        }
        match parsed {
            Some(pipeline) if errors.is_empty() => Ok(Self {
                connector: connector.to_owned(),
                pipeline: topics_as_declared(named(pipeline, connector, &given, flat, config), all),
                settings: whole,
                end: plugin.end,
                given,
                paths,
            }),
            Some(_) | None => Err(errors),
        }
    }

    /// Which end it is.
    pub fn end(&self) -> ConnectorType {
        end_of(self.end)
    }

    /// Tasks that it has at most.
    pub fn tasks_max(&self) -> u32 {
        tasks_max(&self.pipeline)
    }

    /// The plugin's settings as they were given: findings about them point into these.
    pub fn given(&self) -> &Settings {
        &self.given
    }

    /// What a component's own check found of [`given`](Self::given), by key; warnings are left
    /// out.
    pub fn errors_of<'f>(&self, findings: impl IntoIterator<Item = &'f Finding>) -> KeyErrors {
        let mut errors = KeyErrors::default();
        let of = |path: &str| self.paths.setting_of(path);
        push(findings, of, &self.paths, &mut errors);
        errors
    }
}

/// Reads the file that was made by the rules of any other.
fn parse(
    connector: &str,
    file: &str,
    paths: &Paths,
    errors: &mut KeyErrors,
) -> Option<PipelineConfig> {
    let context = ParseContext {
        file: connector,
        base_dir: Path::new("/"),
        env: &|_| None,
        read_file: &|_| Err(io::ErrorKind::Unsupported.into()),
    };
    match Config::parse(file, &context) {
        Ok(parsed) => pipeline::only(parsed),
        Err(findings) => {
            push(&findings.findings, |path| paths.key_of(path), paths, errors);
            None
        }
    }
}

pub(crate) fn end_of(end: End) -> ConnectorType {
    match end {
        End::Source => ConnectorType::Source,
        End::Sink => ConnectorType::Sink,
    }
}

/// Tasks of a pipeline's one end.
pub(crate) fn tasks_max(pipeline: &PipelineConfig) -> u32 {
    let source = pipeline.source.iter().map(|source| source.slots_max);
    source
        .chain(pipeline.sinks.values().map(|sink| sink.tasks))
        .sum()
}

fn check_names(connector: &str, flat: &FlatConfig, plugin: &Described<'_>, errors: &mut KeyErrors) {
    if let Err(why) = check_name(connector) {
        errors.push(keys::NAME, why);
    }
    if flat.get(keys::NAME).is_some_and(|name| name != connector) {
        errors.push(keys::NAME, "another name than the connector's");
    }
    match flat.get(keys::CLASS) {
        None => errors.push(keys::CLASS, "the plugin's name is missing"),
        Some(class) if class != plugin.name => {
            errors.push(keys::CLASS, format!("not the plugin `{}`", plugin.name));
        }
        Some(_) => {}
    }
}

fn push<'f>(
    findings: impl IntoIterator<Item = &'f Finding>,
    key_of: impl Fn(&str) -> String,
    paths: &Paths,
    errors: &mut KeyErrors,
) {
    let before = errors.clone();
    for finding in findings {
        if finding.severity != Severity::Error {
            continue;
        }
        let key = key_of(&finding.path);
        // What was wrong about it already may be why it is missing now.
        if !before.of(&key).is_empty() {
            continue;
        }
        let message = match &finding.mend {
            // A mend may repeat what was given.
            Some(mend) if !paths.hidden.contains(&key) => format!("{}: {mend}", finding.message),
            Some(_) | None => finding.message.clone(),
        };
        errors.push(&key, message);
    }
}

/// Gives the end its own name and what it may reach.
fn named(
    mut pipeline: PipelineConfig,
    connector: &str,
    settings: &Settings,
    flat: &FlatConfig,
    config: &Config,
) -> PipelineConfig {
    let grant = flat.get(keys::GRANT).map(|name| name.trim());
    let allow = grant
        .and_then(|name| config.grants.get(name))
        .cloned()
        .unwrap_or_default();
    if let Some(source) = &mut pipeline.source {
        source.connector = connector.to_owned();
        source.settings = settings.clone();
        source.allow = jackfield_config::Grants {
            lake: None,
            ..allow
        };
        return pipeline;
    }
    if let Some(sink) = pipeline.sinks.get_mut(pipeline::SINK) {
        sink.connector = connector.to_owned();
        sink.settings = settings.clone();
        sink.allow = jackfield_config::Grants {
            websocket: Vec::new(),
            ..allow
        };
    }
    pipeline
}

/// Topics that a source declares are read as that has them: whoever is up first creates them.
fn topics_as_declared<'a, P: Iterator<Item = &'a PipelineConfig>>(
    mut pipeline: PipelineConfig,
    all: impl Fn() -> P,
) -> PipelineConfig {
    for topic in pipeline.sinks.values_mut().flat_map(|it| &mut it.topics) {
        if let Some(declared) = declared(all(), &topic.name) {
            topic.partitions = declared.partitions;
            topic.configs.clone_from(&declared.configs);
            topic.format = declared.format;
        }
    }
    pipeline
}

fn declared<'a>(
    all: impl Iterator<Item = &'a PipelineConfig>,
    name: &str,
) -> Option<&'a jackfield_config::TopicConfig> {
    let feeds = all.flat_map(|it| it.topics.values());
    feeds
        .filter_map(|feed| match feed {
            FeedTopic::Topic(topic) => Some(topic),
            FeedTopic::Drop => None,
        })
        .find(|topic| topic.name == name)
}

/// One topic has one writing pipeline, and dead letters must not come between a source's records.
fn check_topics<'a>(
    pipeline: &PipelineConfig,
    others: impl Iterator<Item = &'a PipelineConfig>,
    errors: &mut KeyErrors,
) {
    let (mut written, mut letters) = (BTreeSet::new(), BTreeSet::new());
    for other in others {
        written.extend(writes(other).map(|(_, topic)| topic));
        letters.extend(dead_letters(other));
    }
    if pipeline.source.is_some() {
        for (feed, topic) in writes(pipeline) {
            if written.contains(topic) || letters.contains(topic) {
                let key = format!("{}{feed}", keys::TOPIC_OF);
                errors.push(&key, format!("another connector writes `{topic}` already"));
            }
        }
    }
    for topic in dead_letters(pipeline) {
        if written.contains(topic) {
            let why = format!("a source writes `{topic}`: give dead letters a topic of their own");
            errors.push(keys::DEAD_LETTERS, why);
        }
    }
}

fn writes(pipeline: &PipelineConfig) -> impl Iterator<Item = (&str, &str)> {
    let topics = pipeline.topics.iter().filter(|_| pipeline.source.is_some());
    topics.filter_map(|(feed, topic)| match topic {
        FeedTopic::Topic(topic) => Some((feed.as_str(), topic.name.as_str())),
        FeedTopic::Drop => None,
    })
}

fn dead_letters(pipeline: &PipelineConfig) -> impl Iterator<Item = &str> {
    let source = pipeline.source.iter().map(|source| &source.on_bad_record);
    let sinks = pipeline.sinks.values().map(|sink| &sink.on_bad_record);
    source.chain(sinks).filter_map(|bad| match bad {
        BadRecord::DeadLetter { topic } => Some(topic.as_str()),
        BadRecord::Stop | BadRecord::Skip => None,
    })
}
