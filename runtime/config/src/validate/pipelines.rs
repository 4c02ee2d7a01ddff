//! Pipelines: opened all first, since any may refer to topics of any other; then read.

use super::connectors;
use super::grants;
use super::nothing;
use super::topics::{self, Feed, Topics};
use crate::catalogue::{PIPELINE, SINK, SOURCE};
use crate::fields::{Fields, Named, Place};
use crate::finding::{Finding, Findings, Kind, Pos};
use crate::leaf;
use crate::names::suggest;
use crate::types::{
    Delivery, FeedTopic, Grants, LogConfig, PipelineConfig, RetryConfig, TransactionConfig,
};
use std::collections::{BTreeMap, BTreeSet};

/// Names of one kind that may be referred to.
pub(super) struct Names<'a> {
    names: BTreeMap<&'a str, (Pos, String)>,
    used: BTreeSet<&'a str>,
}

/// What a connector may refer to.
pub(super) struct Declared<'a> {
    pub(super) file: &'a str,
    pub(super) plugins: Names<'a>,
    pub(super) lakes: Names<'a>,
    pub(super) topics: Topics,
    connectors: BTreeMap<String, Pos>,
}

/// A pipeline of which the outline is known.
pub(super) struct Opened<'a> {
    pub(super) name: &'a str,
    pub(super) fields: Fields<'a>,
    pub(super) feeds: BTreeMap<&'a str, Feed>,
    pub(super) source: Option<Fields<'a>>,
    pub(super) sinks: Vec<(Named<'a>, Fields<'a>)>,
}

impl<'a> Names<'a> {
    fn below(key: &str, fields: &Fields<'a>) -> Self {
        // Whether the names are good is for those who read them.
        let names = fields.named(key, &mut Findings::default());
        let names = names
            .into_iter()
            .map(|named| (named.name, (named.at, named.place.path.to_string())))
            .collect();
        Names {
            names,
            used: BTreeSet::new(),
        }
    }

    /// Whether the name is declared; a finding if not.
    pub(super) fn refer(
        &mut self,
        what: &str,
        name: &str,
        place: &Place<'_>,
        findings: &mut Findings,
    ) -> bool {
        if let Some((known, _)) = self.names.get_key_value(name) {
            self.used.insert(known);
            return true;
        }
        findings.push(
            place
                .error(
                    Kind::UnknownReference,
                    format!("no {what} of this name is declared"),
                )
                .value(name)
                .mend(suggest(
                    &format!("{what}s"),
                    name,
                    self.names.keys().copied(),
                )),
        );
        false
    }

    fn warn_unused(&self, what: &str, findings: &mut Findings) {
        for (name, (at, path)) in self
            .names
            .iter()
            .filter(|(name, _)| !self.used.contains(*name))
        {
            findings.push(
                Finding::warning(
                    Kind::Unused,
                    path,
                    *at,
                    format!("{what} `{name}` is declared and not used"),
                )
                .mend("remove it, or refer to it"),
            );
        }
    }
}

impl Declared<'_> {
    /// Takes a connector's name; a finding if another has it.
    pub(super) fn name_connector(
        &mut self,
        name: &str,
        path: &str,
        at: Pos,
        findings: &mut Findings,
    ) {
        if let Some(other) = self.connectors.get(name) {
            findings.push(
                Finding::error(Kind::DuplicateConnector, path, at, format!("two connectors are named `{name}`"))
                    .mend(format!("rename this one, or the one on line {}: a source is named `<pipeline>-source`, a sink `<pipeline>-<sink>`", other.line)),
            );
        } else {
            self.connectors.insert(name.to_owned(), at);
        }
    }
}

/// What runs, and what connectors that are not in the file may reach.
type Running = (BTreeMap<String, PipelineConfig>, BTreeMap<String, Grants>);

pub(super) fn read(
    fields: &Fields<'_>,
    file: &str,
    log: Option<&LogConfig>,
    findings: &mut Findings,
) -> Option<Running> {
    let mut declared = Declared {
        file,
        plugins: Names::below("plugins", fields),
        lakes: Names::below("lakes", fields),
        topics: Topics::default(),
        connectors: BTreeMap::new(),
    };
    let grants = grants::named(fields, &mut declared, findings);
    // Connectors made over REST are as good, and `grants` says that there are to be some.
    let by_rest = fields.given("grants").is_some();
    let named = fields.named("pipelines", findings);
    match fields.given("pipelines") {
        None if !by_rest => {
            let missing = Finding::error(
                Kind::MissingKey,
                fields.path.key("pipelines"),
                fields.at,
                "the file needs `pipelines`",
            );
            findings.push(missing.mend("add `pipelines:`. What runs, by name."));
            return None;
        }
        Some(place) if named.is_empty() && !place.node.is_broken() && !by_rest => findings.push(
            nothing(&place.path, place.node.at, "there are no pipelines")
                .mend("declare one below `pipelines:`"),
        ),
        None | Some(_) => {}
    }
    let opened: Vec<_> = named
        .into_iter()
        .filter_map(|named| open(named, &mut declared, findings))
        .collect();
    let pipelines = opened
        .into_iter()
        .filter_map(|opened| {
            Some((
                opened.name.to_owned(),
                pipeline(opened, &mut declared, findings)?,
            ))
        })
        .collect();
    if let Some(log) = log {
        declared.topics.check_formats(log, findings);
    }
    // What refers to them may be among what is wrong.
    if !findings.has_errors() {
        if !by_rest {
            declared.plugins.warn_unused("plugin", findings);
        }
        declared.lakes.warn_unused("lake", findings);
        declared.topics.warn_unused(findings);
    }
    Some((pipelines, grants))
}

fn open<'a>(
    named: Named<'a>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Option<Opened<'a>> {
    let fields = Fields::open(&named.place, &PIPELINE, findings)?;
    let source = fields.given("source");
    let mut feeds = BTreeMap::new();
    for feed in fields.named("topics", findings) {
        let topic = topics::Declared {
            pipeline: named.name,
            has_source: source.is_some(),
            place: feed.place,
        };
        feeds.insert(feed.name, declared.topics.declare(&topic, findings));
    }
    let sinks = fields.named("sinks", findings);
    if let Some(source) = &source {
        declared.name_connector(
            &format!("{}-source", named.name),
            &source.path.to_string(),
            source.node.at,
            findings,
        );
        if feeds.is_empty()
            && fields
                .given("topics")
                .is_none_or(|topics| !topics.node.is_broken())
        {
            findings.push(
                Finding::error(Kind::MissingKey, fields.path.key("topics"), source.node.at, "a source needs `topics`")
                    .mend("name a topic for each feed: `topics: { trade: { name: binance.spot.trade } }`, or `drop`"),
            );
        }
    } else if sinks.is_empty() {
        findings.push(
            nothing(
                &named.place.path,
                named.at,
                "a pipeline without a source and without sinks",
            )
            .mend("give it one of them"),
        );
    }
    for sink in &sinks {
        declared.name_connector(
            &format!("{}-{}", named.name, sink.name),
            &sink.place.path.to_string(),
            sink.at,
            findings,
        );
    }
    let source = source.and_then(|place| Fields::open(&place, &SOURCE, findings));
    let sinks: Vec<_> = sinks
        .into_iter()
        .filter_map(|sink| {
            let fields = Fields::open(&sink.place, &SINK, findings)?;
            Some((sink, fields))
        })
        .collect();
    for fields in source.iter().chain(sinks.iter().map(|(_, fields)| fields)) {
        connectors::declare_dead_letters(fields, declared);
    }
    Some(Opened {
        name: named.name,
        fields,
        feeds,
        source,
        sinks,
    })
}

fn pipeline(
    opened: Opened<'_>,
    declared: &mut Declared<'_>,
    findings: &mut Findings,
) -> Option<PipelineConfig> {
    let fields = &opened.fields;
    let delivery = fields
        .read("delivery", findings, leaf::choice)
        .map(|word| match word {
            "exactly-once" => Delivery::ExactlyOnce,
            _ => Delivery::AtLeastOnce,
        });
    let retry = fields.section("retry", findings).and_then(|retry| {
        let deadline = retry.read("deadline", findings, leaf::bounded_time)?;
        Some(RetryConfig { deadline })
    });
    let transaction = fields
        .section("transaction", findings)
        .and_then(|transaction| {
            let linger = transaction.read("linger", findings, leaf::bounded_time);
            let records = transaction.read("records", findings, leaf::whole);
            Some(TransactionConfig {
                linger: linger?,
                records_max: u32::try_from(records?).ok()?,
            })
        });
    let source = opened
        .source
        .as_ref()
        .and_then(|source| connectors::source(source, &opened, declared, findings));
    let mut sinks = BTreeMap::new();
    for (named, fields) in &opened.sinks {
        if let Some(sink) = connectors::sink(named, fields, &opened, declared, findings) {
            sinks.insert(named.name.to_owned(), sink);
        }
    }
    let topics = opened
        .feeds
        .into_iter()
        .filter_map(|(feed, topic)| match topic {
            Feed::Topic(config) => Some((
                feed.to_owned(),
                FeedTopic::Topic(declared.topics.settled(config)),
            )),
            Feed::Drop => Some((feed.to_owned(), FeedTopic::Drop)),
            Feed::Broken => None,
        })
        .collect();
    Some(PipelineConfig {
        delivery: delivery?,
        source,
        topics,
        sinks,
        retry: retry?,
        transaction: transaction?,
    })
}
