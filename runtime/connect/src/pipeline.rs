//! A flat config → a file with one pipeline, which the file's own validation then reads.

use crate::FlatConfig;
use crate::connector::Described;
use crate::errors::KeyErrors;
use crate::keys::{self, Key};
use crate::nest::nest;
use crate::paths::Paths;
use crate::refused;
use jackfield_config::{Config, End, LogConfig, RecordFormat};
use serde_json::{Map, Value, json};

/// The pipeline's own name in the file that is made, and its sink's. Names of connectors follow
/// other rules than those of the file, so the connector gets its name when that file was read.
const MADE: &str = "made";

/// Reads one flat config.
pub(crate) struct Reader<'a> {
    pub(crate) flat: &'a FlatConfig,
    pub(crate) plugin: &'a Described<'a>,
    pub(crate) config: &'a Config,
    pub(crate) errors: KeyErrors,
    pub(crate) paths: Paths,
}

impl Reader<'_> {
    /// The file, as JSON. Settings are apart.
    pub(crate) fn file(&mut self) -> Value {
        self.every_key();
        self.settled_keys();
        let on_bad_record = self.on_bad_record();
        let tasks = self.whole(keys::TASKS_MAX).unwrap_or(1);
        let mut end = json!({
            "plugin": self.plugin.name,
            "on-bad-record": on_bad_record,
        });
        let mut pipeline = json!({
            "delivery": self.delivery(),
            "retry": self.retry(),
        });
        match self.plugin.end {
            End::Source => {
                self.name(keys::TASKS_MAX, &["source", "slots"]);
                self.name(keys::DEAD_LETTERS, &["source", "on-bad-record"]);
                end["slots"] = json!(tasks);
                pipeline["topics"] = self.feeds();
                pipeline["transaction"] = self.transaction();
                pipeline["source"] = end;
            }
            End::Sink => {
                self.name(keys::TASKS_MAX, &["sinks", MADE, "tasks"]);
                self.name(keys::DEAD_LETTERS, &["sinks", MADE, "on-bad-record"]);
                self.name(keys::TOPICS, &["sinks", MADE, "topics"]);
                self.name(keys::TOPICS, &["topics"]);
                let topics = self.topics();
                let named: Map<_, _> = topics
                    .iter()
                    .map(|topic| (topic.clone(), json!({ "name": topic })))
                    .collect();
                end["tasks"] = json!(tasks);
                end["topics"] = json!(topics);
                end["commit"] = self.commit();
                end["start"] = json!(self.word(keys::OFFSET_RESET).unwrap_or("earliest"));
                pipeline["topics"] = named.into();
                pipeline["sinks"] = json!({ MADE: end });
            }
        }
        json!({
            "plugins": { self.plugin.name: "made.wasm" },
            "pipelines": { MADE: pipeline },
        })
    }

    /// The text of a key, if one was given that is not empty.
    fn text(&self, key: &str) -> Option<&str> {
        let text = self.flat.get(key)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// A key's place below the pipeline.
    fn name(&mut self, key: &str, way: &[&str]) {
        let way: Vec<&str> = std::iter::once(MADE).chain(way.iter().copied()).collect();
        self.paths.name(key, &way);
    }

    /// Whether each key can be here, and what can be said of it alone.
    fn every_key(&mut self) {
        for (key, value) in self.flat {
            if value.contains("${") {
                self.errors.push(
                    key,
                    "variables and files are not read over REST: what is secret belongs into the file's `grants`",
                );
            }
            match keys::known(key) {
                Some(known) if !known.is_of(self.plugin.end) => {
                    self.errors.push(key, for_the_other(known));
                }
                Some(known) => self.check_word(known, value),
                None => {
                    if let Some(reason) = refused::reason(key).filter(|_| !value.trim().is_empty())
                    {
                        self.errors.push(key, reason);
                    } else if key.starts_with("jackfield.") {
                        let known = keys::KEYS.iter().map(|key| key.name);
                        let ours: Vec<_> =
                            known.filter(|it| it.starts_with("jackfield.")).collect();
                        let mend = format!("unknown key: there are {}", ours.join(", "));
                        self.errors.push(key, mend);
                    } else if key.starts_with(keys::TOPIC_OF) && self.plugin.end == End::Sink {
                        self.errors.push(
                            key,
                            "a source's key: this plugin is a sink, which has `topics`",
                        );
                    }
                }
            }
        }
    }

    fn check_word(&mut self, key: &Key, value: &str) {
        let value = value.trim();
        if value.is_empty() || key.words.is_empty() {
            return;
        }
        if !key
            .words
            .iter()
            .any(|word| word.eq_ignore_ascii_case(value))
        {
            let words: Vec<_> = key.words.iter().map(|it| format!("`{it}`")).collect();
            self.errors.push(
                key.name,
                format!("only {} can be honoured. {}", words.join(" or "), key.doc),
            );
        }
    }

    /// A word in the spelling that is known.
    fn word(&self, key: &str) -> Option<&'static str> {
        let text = self.text(key)?;
        let words = keys::known(key)?.words;
        words
            .iter()
            .copied()
            .find(|word| word.eq_ignore_ascii_case(text))
    }

    fn whole(&mut self, key: &str) -> Option<u64> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                self.errors.push(key, "not a whole number");
                None
            }
        }
    }

    /// Keys that say something about the log or the plugin which is so or not.
    fn settled_keys(&mut self) {
        if let Some(wanted) = self.text(keys::VERSION) {
            let exact = wanted.trim_start_matches('[').trim_end_matches(']');
            if exact != "latest" && exact != self.plugin.version {
                let is = format!("the plugin has version {}", self.plugin.version);
                self.errors.push(keys::VERSION, is);
            }
        }
        if let Some(converter) = self.word(keys::VALUE_CONVERTER) {
            let avro = converter.ends_with("AvroConverter");
            let why = match &self.config.log {
                LogConfig::Embedded(_) => Some("the embedded log has a form of its own: remove it"),
                LogConfig::Kafka(kafka) => {
                    let is = match kafka.format {
                        RecordFormat::Avro => kafka.registry.is_some() && avro,
                        RecordFormat::Json => !avro,
                    };
                    (!is).then_some("the log's `format` in the file is another")
                }
            };
            if let Some(why) = why {
                self.errors.push(keys::VALUE_CONVERTER, why);
            }
        }
        if let Some(grant) = self.text(keys::GRANT)
            && !self.config.grants.contains_key(grant)
        {
            let named: Vec<_> = self
                .config
                .grants
                .keys()
                .map(|it| format!("`{it}`"))
                .collect();
            let why = match named.is_empty() {
                true => "the file has no `grants`".to_owned(),
                false => format!("the file's `grants` has {}", named.join(", ")),
            };
            self.errors.push(keys::GRANT, why);
        }
    }

    /// The plugin's settings.
    pub(crate) fn settings(&mut self) -> Value {
        let mut entries = Vec::new();
        for (key, value) in self.flat {
            let path = match key.strip_prefix("settings.") {
                Some(path) => path,
                None if keys::is_taken(key) => continue,
                None => key.as_str(),
            };
            self.paths.setting(path, key);
            entries.push((key.as_str(), path, value.as_str()));
        }
        let Some(whole) = self.text(keys::SETTINGS) else {
            return nest(self.plugin.schema, entries, &mut self.errors);
        };
        match serde_json::from_str::<Value>(whole) {
            Err(error) => self
                .errors
                .push(keys::SETTINGS, format!("not JSON: {error}")),
            Ok(whole) if !whole.is_object() => {
                self.errors.push(keys::SETTINGS, "not a JSON object");
            }
            Ok(_) if !entries.is_empty() => self.errors.push(
                keys::SETTINGS,
                "it is all of the plugin's settings: remove the others, or it",
            ),
            Ok(whole) => return whole,
        }
        json!({})
    }

    fn on_bad_record(&mut self) -> Value {
        let all = self.word(keys::TOLERANCE) == Some("all");
        match self.text(keys::DEAD_LETTERS) {
            Some(_) if !all => {
                self.errors.push(
                    keys::DEAD_LETTERS,
                    "with `errors.tolerance=none` the first bad record stops the connector: say `all`",
                );
                json!("stop")
            }
            Some(topic) => json!({ "dead-letter": { "topic": topic } }),
            None if all => json!("skip"),
            None => json!("stop"),
        }
    }

    fn delivery(&mut self) -> &'static str {
        let required = self.word(keys::EXACTLY_ONCE) == Some("required");
        match self.word(keys::DELIVERY) {
            Some("at-least-once") if required => {
                self.errors.push(
                    keys::DELIVERY,
                    "`exactly.once.support=required` asks for `exactly-once`",
                );
                "exactly-once"
            }
            Some(word) => word,
            None if required => "exactly-once",
            None => "at-least-once",
        }
    }

    fn retry(&mut self) -> Value {
        self.name(keys::RETRY_TIMEOUT, &["retry", "deadline"]);
        if self.text(keys::RETRY_TIMEOUT) == Some("-1") {
            self.errors.push(
                keys::RETRY_TIMEOUT,
                "there is always an end: at most 30 days",
            );
            return json!({});
        }
        match self.whole(keys::RETRY_TIMEOUT) {
            Some(ms) => json!({ "deadline": format!("{ms}ms") }),
            None => json!({}),
        }
    }

    fn transaction(&mut self) -> Value {
        self.name(keys::BOUNDARY_MS, &["transaction", "linger"]);
        self.name(keys::TRANSACTION_RECORDS, &["transaction", "records"]);
        let mut transaction = Map::new();
        let interval = self.word(keys::BOUNDARY) == Some("interval");
        match self.whole(keys::BOUNDARY_MS) {
            Some(ms) if interval => {
                transaction.insert("linger".to_owned(), json!(format!("{ms}ms")));
            }
            Some(_) => self.errors.push(
                keys::BOUNDARY_MS,
                "only `transaction.boundary=interval` has an interval",
            ),
            None if interval => self.errors.push(
                keys::BOUNDARY_MS,
                "`transaction.boundary=interval` needs it",
            ),
            None => {}
        }
        if let Some(records) = self.whole(keys::TRANSACTION_RECORDS) {
            transaction.insert("records".to_owned(), json!(records));
        }
        transaction.into()
    }

    fn commit(&mut self) -> Value {
        let mut commit = Map::new();
        for (key, name) in [(keys::COMMIT_EVERY, "every"), (keys::COMMIT_BYTES, "bytes")] {
            self.name(key, &["sinks", MADE, "commit", name]);
            if let Some(text) = self.text(key) {
                commit.insert(name.to_owned(), json!(text));
            }
        }
        self.name(keys::COMMIT_ROWS, &["sinks", MADE, "commit", "rows"]);
        if let Some(rows) = self.whole(keys::COMMIT_ROWS) {
            commit.insert("rows".to_owned(), json!(rows));
        }
        commit.into()
    }

    fn topics(&mut self) -> Vec<String> {
        let topics: Vec<String> = self
            .text(keys::TOPICS)
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(|topic| topic.trim().to_owned())
            .filter(|topic| !topic.is_empty())
            .collect();
        if topics.is_empty() {
            self.errors
                .push(keys::TOPICS, "a sink reads at least one topic");
        }
        topics
    }

    fn feeds(&mut self) -> Value {
        let partitions = self.whole(keys::NEW_PARTITIONS).unwrap_or(1);
        let mut configs = Map::new();
        let mut feeds = Vec::new();
        for (key, value) in self.flat {
            if let Some(config) = key.strip_prefix(keys::NEW_CONFIGS) {
                if keys::known(key).is_none() {
                    configs.insert(config.to_owned(), json!(value));
                    self.paths.new_topics.insert(config.to_owned(), key.clone());
                }
            } else if let Some(feed) = key.strip_prefix(keys::TOPIC_OF)
                && refused::reason(key).is_none()
            {
                feeds.push((feed.to_owned(), key.clone(), value.trim().to_owned()));
            }
        }
        if feeds.is_empty() {
            self.errors.push(
                "topic.<feed>",
                "a source needs a topic for each of its feeds: `topic.<feed>=<topic>`, or `drop`",
            );
        }
        self.name("topic.<feed>", &["topics"]);
        let mut topics = Map::new();
        for (feed, key, topic) in feeds {
            self.name(&key, &["topics", &feed]);
            self.name(keys::NEW_PARTITIONS, &["topics", &feed, "partitions"]);
            let topic = match topic.as_str() {
                "drop" => json!("drop"),
                topic => json!({ "name": topic, "partitions": partitions, "configs": configs }),
            };
            topics.insert(feed, topic);
        }
        topics.into()
    }
}

fn for_the_other(key: &Key) -> &'static str {
    match key.end {
        Some(End::Source) => "a source's key: this plugin is a sink",
        Some(End::Sink) => "a sink's key: this plugin is a source",
        None => "not a key of this plugin",
    }
}

/// The one pipeline of the file that was made.
pub(crate) fn only(config: Config) -> Option<jackfield_config::PipelineConfig> {
    let mut pipelines = config.pipelines;
    pipelines.remove(MADE)
}

/// The one sink of the pipeline that was made.
pub(crate) const SINK: &str = MADE;
