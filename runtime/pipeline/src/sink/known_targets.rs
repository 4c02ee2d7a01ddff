//! What the log keeps of a connector's targets: the names of all that it ever committed to, so that
//! `stored` can be asked for all of them after a restart; and where those begin that could not be
//! told themselves.

use crate::failures::Failed;
use crate::host::Host;
use jackfield_log::Keyed;
use jackfield_plugin::{Holding, LogPosition, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A target's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    /// It tells by itself what it holds.
    Name(String),
    /// What it holds as long as it does not say otherwise.
    Begins { target: String, begins: Vec<Begin> },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Begin {
    topic: String,
    topic_id: String,
    partition: i32,
    next_offset: i64,
}
/// Targets of a connector. All their names are one record of the log, and each is asked for its
/// positions after a restart.
const TARGETS_MAX: usize = 10_000;

pub(crate) struct KnownTargets {
    keyed: Arc<dyn Keyed>,
    connector: String,
    targets: BTreeMap<String, Vec<Begin>>,
}

impl KnownTargets {
    pub(crate) async fn load(host: &Host, connector: &str) -> Result<Self, Failed> {
        // Connector → JSON list of targets.
        let topic = format!("{}-targets", host.cluster);
        let keyed = host
            .log
            .keyed(&topic)
            .await
            .map_err(|e| Failed::log("read targets", e))?;
        let targets = match keyed
            .get(connector)
            .await
            .map_err(|e| Failed::log("read targets", e))?
        {
            Some(json) => parsed(&json).map_err(|e| {
                Failed::for_good(
                    "read targets",
                    format!("the entry of {connector} in {topic} is not a list: {e}"),
                )
            })?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            keyed,
            connector: connector.to_owned(),
            targets,
        })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.targets.keys().cloned().collect()
    }

    /// Remembers `targets` durably; to be called before the first commit to any of them.
    ///
    /// # Errors
    /// There are too many, which only a component can cause that names them by what it reads; or
    /// the log fails.
    pub(crate) async fn remember(
        &mut self,
        targets: impl Iterator<Item = &str>,
    ) -> Result<(), Failed> {
        let mut now = self.targets.clone();
        for target in targets {
            now.entry(target.to_owned()).or_default();
        }
        self.change(now).await
    }

    /// Remembers durably what a target holds that could not be told itself.
    pub(crate) async fn keep(&mut self, holding: &Holding) -> Result<(), Failed> {
        let mut now = self.targets.clone();
        let begins = now.entry(holding.target.clone()).or_default();
        for at in &holding.positions {
            let same = |it: &Begin| it.topic_id == at.topic_id && it.partition == at.partition;
            begins.retain(|it| !same(it));
            begins.push(Begin {
                topic: at.topic.clone(),
                topic_id: at.topic_id.clone(),
                partition: at.partition,
                next_offset: at.next_offset,
            });
        }
        begins.sort();
        self.change(now).await
    }

    /// The target has taken a commit of these spans: it tells by itself what it holds of them.
    pub(crate) async fn told(&mut self, target: &str, spans: &[Span]) -> Result<(), Failed> {
        if self.targets.get(target).is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let mut now = self.targets.clone();
        now.entry(target.to_owned()).or_default().retain(|begin| {
            !spans
                .iter()
                .any(|it| it.topic_id == begin.topic_id && it.partition == begin.partition)
        });
        self.change(now).await
    }

    /// What targets say they hold, and what is kept of those that say nothing of a partition.
    pub(crate) fn complete(&self, mut held: Vec<Holding>) -> Vec<Holding> {
        for (target, begins) in &self.targets {
            if begins.is_empty() {
                continue;
            }
            let at = held.iter().position(|it| it.target == *target);
            let at = at.unwrap_or_else(|| {
                held.push(Holding {
                    target: target.clone(),
                    positions: Vec::new(),
                });
                held.len() - 1
            });
            let positions = &mut held[at].positions;
            for begin in begins {
                let says = |it: &LogPosition| {
                    it.topic_id == begin.topic_id && it.partition == begin.partition
                };
                if !positions.iter().any(says) {
                    positions.push(LogPosition {
                        topic: begin.topic.clone(),
                        topic_id: begin.topic_id.clone(),
                        partition: begin.partition,
                        next_offset: begin.next_offset,
                    });
                }
            }
        }
        held
    }

    async fn change(&mut self, now: BTreeMap<String, Vec<Begin>>) -> Result<(), Failed> {
        if now == self.targets {
            return Ok(());
        }
        if now.len() > TARGETS_MAX {
            return Err(Failed::for_good(
                "remember targets",
                format!("the component commits to more than {TARGETS_MAX} targets"),
            ));
        }
        let json = written(&now);
        self.keyed
            .put(&self.connector, Some(&json))
            .await
            .map_err(|e| Failed::log("remember targets", e))?;
        self.targets = now;
        Ok(())
    }
}

fn parsed(json: &str) -> Result<BTreeMap<String, Vec<Begin>>, serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_str(json)?;
    let entries = entries.into_iter().map(|entry| match entry {
        Entry::Name(target) => (target, Vec::new()),
        Entry::Begins { target, begins } => (target, begins),
    });
    Ok(entries.collect())
}

fn written(targets: &BTreeMap<String, Vec<Begin>>) -> String {
    let entries = targets.iter().map(|(target, begins)| match begins.len() {
        0 => Entry::Name(target.clone()),
        _ => Entry::Begins {
            target: target.clone(),
            begins: begins.clone(),
        },
    });
    serde_json::json!(entries.collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_as_names_and_beginnings_beside_theirs() {
        let begin = Begin {
            topic: "t".into(),
            topic_id: "i".into(),
            partition: 2,
            next_offset: 7,
        };
        let targets = BTreeMap::from([("a".to_owned(), vec![]), ("b".to_owned(), vec![begin])]);
        let json = written(&targets);
        assert_eq!(
            json,
            r#"["a",{"begins":[{"next-offset":7,"partition":2,"topic":"t","topic-id":"i"}],"target":"b"}]"#
        );
        assert_eq!(parsed(&json).unwrap(), targets);
    }
}
