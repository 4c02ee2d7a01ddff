//! What a table says it holds of the log, and whether a commit may follow it. Pure.
//!
//! Each commit of a connector carries, in its snapshot's summary and as table properties:
//! - `jackfield.offsets.<connector>`: the next offset of every partition ever committed, as
//!   `{"<topic id>": {"topic": "<name>", "partitions": {"<partition>": <next offset>}}}`, but of
//!   topics whose records all go to another table;
//! - `jackfield.commit-id.<connector>`: the id of that commit.
//!
//! And as properties only:
//! - `jackfield.first-offsets.<connector>`: likewise, where each partition began;
//! - `jackfield.sequence.<connector>`: the sequence number of the newest such snapshot.
//!
//! The newest snapshot on the way back from the branch's head that has the first key tells the
//! state, so that taking the table back to an earlier snapshot takes the connector back as well,
//! whoever has committed on top of that one since.
//! Where none has it (expired, or compacted away), the properties do; but where the way back leads
//! past the newest commit, the table was taken back to before the first one, and the connector
//! begins again where it began.

mod way;

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;
use jackfield_sdk::sink::{LogPosition, Span};
use serde::{Deserialize, Serialize};

pub(crate) use self::way::taken_back;
use self::way::{Standing, Way};

/// The stored offsets, by topic id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Offsets(BTreeMap<String, Topic>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Topic {
    topic: String,
    partitions: BTreeMap<i32, i64>,
}

/// What a table says of one connector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offsets: Offsets,
    /// Where each partition began.
    first: Offsets,
    commits: Vec<String>,
}

/// What a table holds after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) offsets: Offsets,
    pub(crate) first: Offsets,
}

/// What a commit has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is in the table already.
    Done,
    /// It may follow; afterwards the table holds this.
    Commit(Progress),
    /// The table says so already, and there are no rows.
    Nothing,
}

/// Which table records a partition's position, as seen from one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// This one.
    This,
    /// Another, which as far as is known does not tell it yet.
    Other,
    /// Another, which tells it.
    OtherTells,
}

/// Why a commit must not follow what the table holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{topic}[{partition}] is stored up to {stored}, and these pieces begin at {first}")]
    NotThere {
        topic: String,
        partition: i32,
        stored: i64,
        first: i64,
    },
    #[error(
        "the table holds offsets of the topic {topic} under the id {stored}, and now its id is \
         {now}: it was created again, and its offsets mean other records. Write to another table, \
         or remove the table's property and snapshots' key `{key}` to begin anew"
    )]
    TopicRecreated {
        topic: String,
        stored: String,
        now: String,
        key: String,
    },
    #[error("the spans of {topic}[{partition}] do not follow each other")]
    Gap { topic: String, partition: i32 },
    #[error(
        "the table was taken back to before this connector's last commit, or begun anew beside it, \
         and what is left of its history does not say what it holds. Take it to a newer \
         snapshot, or remove the table's property `{key}` to go on where the group stands. If the \
         table is still on top of that commit, and only snapshots between have expired, expire that \
         commit's snapshot as well"
    )]
    HistoryGone { key: String },
    #[error("the table's `{key}` is not readable: {why}")]
    Unreadable { key: String, why: String },
}

pub(crate) fn offsets_key(connector: &str) -> String {
    format!("jackfield.offsets.{connector}")
}

pub(crate) fn commit_key(connector: &str) -> String {
    format!("jackfield.commit-id.{connector}")
}

pub(crate) fn first_key(connector: &str) -> String {
    format!("jackfield.first-offsets.{connector}")
}

pub(crate) fn sequence_key(connector: &str) -> String {
    format!("jackfield.sequence.{connector}")
}

impl Offsets {
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("maps of numbers under text are JSON")
    }

    pub(crate) fn positions(&self) -> Vec<LogPosition> {
        self.0
            .iter()
            .flat_map(|(id, it)| {
                it.partitions.iter().map(|(partition, next)| LogPosition {
                    topic: it.topic.clone(),
                    topic_id: id.clone(),
                    partition: *partition,
                    next_offset: *next,
                })
            })
            .collect()
    }

    fn get(&self, topic_id: &str, partition: i32) -> Option<i64> {
        self.0.get(topic_id)?.partitions.get(&partition).copied()
    }

    fn set(&mut self, span: &Span) {
        let topic = self.0.entry(span.topic_id.clone()).or_default();
        topic.topic.clone_from(&span.topic);
        topic.partitions.insert(span.partition, span.next_offset);
    }

    /// Where a partition began, unless that is known.
    fn begin(&mut self, span: &Span) {
        let topic = self.0.entry(span.topic_id.clone()).or_default();
        topic.topic.clone_from(&span.topic);
        topic
            .partitions
            .entry(span.partition)
            .or_insert(span.first_offset);
    }

    /// With the partitions of `other` that these lack.
    fn filled(mut self, other: &Self) -> Self {
        for (id, there) in &other.0 {
            let topic = self.0.entry(id.clone()).or_default();
            topic.topic.clone_from(&there.topic);
            for (partition, offset) in &there.partitions {
                topic.partitions.entry(*partition).or_insert(*offset);
            }
        }
        self
    }

    fn keep(&mut self, keeps: impl Fn(&str, i32) -> bool) {
        for Topic { topic, partitions } in self.0.values_mut() {
            partitions.retain(|partition, _| keeps(topic, *partition));
        }
        self.0.retain(|_, it| !it.partitions.is_empty());
    }

    fn other_id_of(&self, topic: &str, topic_id: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(id, it)| it.topic == topic && id.as_str() != topic_id)
            .map(|(id, _)| id.as_str())
    }
}

impl Stored {
    /// What the table says of `connector`.
    pub(crate) fn read(metadata: &TableMetadata, connector: &str) -> Result<Self, Refused> {
        let (offsets_key, commit_key) = (offsets_key(connector), commit_key(connector));
        let properties = metadata.properties();
        let mut first = parsed(properties.get(&first_key(connector)), &first_key(connector))?;
        let newest: Option<i64> = properties
            .get(&sequence_key(connector))
            .and_then(|it| it.parse().ok());
        let mut way = Way::back(metadata, connector, newest);
        let offsets = match (way.found, properties.get(&offsets_key)) {
            // What began after that commit begins again.
            (Some(found), _) => parsed(Some(found), &offsets_key)?.filled(&first),
            // It has never committed, or a person wants it to go on where the group stands: also
            // those partitions that its next commit says nothing of.
            (None, None) => {
                first = Offsets::default();
                Offsets::default()
            }
            (None, Some(last)) => match way.standing(metadata, newest) {
                Standing::Kept => {
                    way.commits.extend(properties.get(&commit_key).cloned());
                    parsed(Some(last), &offsets_key)?
                }
                Standing::BeforeAll => first.clone(),
                Standing::Untold => return Err(Refused::HistoryGone { key: offsets_key }),
            },
        };
        Ok(Self {
            offsets,
            first,
            commits: way.commits,
        })
    }

    /// Whether the commit `id` of these spans may follow. A partition that the table has no entry
    /// of may begin anywhere: whoever is late finds an entry there.
    ///
    /// Partitions with another `keeper` are not recorded: their own table fences them, and says where
    /// to go on. Entries of them that an earlier version wrote go with the next rows, once that table
    /// tells them: before, only the group would. Until then they move on as they are told, so that
    /// none of them is left behind where reading would have to begin.
    pub(crate) fn follow(
        &self,
        connector: &str,
        spans: &[Span],
        id: &str,
        rows: bool,
        keeper: impl Fn(&str, i32) -> Keeper,
    ) -> Result<Step, Refused> {
        if self.commits.iter().any(|it| it == id) {
            return Ok(Step::Done);
        }
        let mut next = self.offsets.clone();
        let mut first = self.first.clone();
        if rows {
            let keeps = |topic: &str, partition| keeper(topic, partition) != Keeper::OtherTells;
            next.keep(keeps);
            first.keep(keeps);
        }
        for span in joined(spans)? {
            if keeper(&span.topic, span.partition) != Keeper::This {
                if next.get(&span.topic_id, span.partition).is_some() {
                    next.set(&span);
                }
                continue;
            }
            if let Some(stored) = self.offsets.other_id_of(&span.topic, &span.topic_id) {
                return Err(Refused::TopicRecreated {
                    topic: span.topic,
                    stored: stored.to_owned(),
                    now: span.topic_id,
                    key: offsets_key(connector),
                });
            }
            if let Some(stored) = self.offsets.get(&span.topic_id, span.partition)
                && stored != span.first_offset
            {
                return Err(Refused::NotThere {
                    topic: span.topic,
                    partition: span.partition,
                    stored,
                    first: span.first_offset,
                });
            }
            first.begin(&span);
            next.set(&span);
        }
        if next == self.offsets && !rows {
            Ok(Step::Nothing)
        } else {
            Ok(Step::Commit(Progress {
                offsets: next,
                first,
            }))
        }
    }
}

/// None: nothing.
fn parsed(text: Option<&String>, key: &str) -> Result<Offsets, Refused> {
    match text {
        None => Ok(Offsets::default()),
        Some(text) => Offsets::parse(text).map_err(|e| Refused::Unreadable {
            key: key.to_owned(),
            why: e.to_string(),
        }),
    }
}

/// One span a partition.
fn joined(spans: &[Span]) -> Result<Vec<Span>, Refused> {
    let mut sorted = spans.to_vec();
    sorted.sort_by(|a, b| {
        (&a.topic_id, a.partition, a.first_offset, a.next_offset).cmp(&(
            &b.topic_id,
            b.partition,
            b.first_offset,
            b.next_offset,
        ))
    });
    let mut joined: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        let gap = || Refused::Gap {
            topic: span.topic.clone(),
            partition: span.partition,
        };
        if span.next_offset < span.first_offset {
            return Err(gap());
        }
        match joined.last_mut() {
            Some(last) if last.topic_id == span.topic_id && last.partition == span.partition => {
                if last.next_offset != span.first_offset {
                    return Err(gap());
                }
                last.next_offset = span.next_offset;
            }
            _ => joined.push(span),
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(partition: i32, first_offset: i64, next_offset: i64) -> Span {
        Span {
            topic: "trades".to_owned(),
            topic_id: "t1".to_owned(),
            partition,
            first_offset,
            next_offset,
        }
    }

    fn stored(text: &str, commits: &[&str]) -> Stored {
        Stored {
            offsets: Offsets::parse(text).unwrap(),
            first: Offsets::default(),
            commits: commits.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn nowhere(_: &str, _: i32) -> Keeper {
        Keeper::This
    }

    const AT_10: &str = r#"{"t1":{"topic":"trades","partitions":{"0":10}}}"#;

    #[test]
    fn only_equality_lets_a_commit_follow() {
        let stored = stored(AT_10, &[]);
        let follow = |spans: &[Span]| stored.follow("c", spans, "new", true, nowhere);
        assert!(matches!(follow(&[span(0, 10, 20)]), Ok(Step::Commit(_))));
        for first in [9, 11, 0, 20] {
            assert!(matches!(
                follow(&[span(0, first, 20)]),
                Err(Refused::NotThere { stored: 10, .. })
            ));
        }
        // A strict prefix, and what ends where the table is, are both no beginning.
        assert!(follow(&[span(0, 0, 10)]).is_err());
        assert!(follow(&[span(1, 0, 5), span(0, 9, 20)]).is_err());
    }

    #[test]
    fn a_partition_without_an_entry_may_begin_anywhere_once() {
        let begun = stored(AT_10, &[])
            .follow("c", &[span(1, 77, 80)], "a", true, nowhere)
            .unwrap();
        let Step::Commit(Progress { offsets, first }) = begun else {
            panic!("{begun:?}")
        };
        assert_eq!(first.get("t1", 1), Some(77));
        assert_eq!(
            offsets.to_json(),
            r#"{"t1":{"topic":"trades","partitions":{"0":10,"1":80}}}"#
        );
        let late = Stored {
            offsets,
            first,
            commits: vec![],
        };
        assert!(
            late.follow("c", &[span(1, 77, 80)], "b", true, nowhere)
                .is_err()
        );
    }

    #[test]
    fn a_commit_that_is_there_is_done_whatever_has_followed() {
        let stored = stored(AT_10, &["z", "a"]);
        assert_eq!(
            stored.follow("c", &[span(0, 0, 5)], "a", true, nowhere),
            Ok(Step::Done)
        );
    }

    #[test]
    fn positions_that_are_stored_already_need_no_snapshot() {
        let stored = stored(AT_10, &[]);
        assert_eq!(
            stored.follow("c", &[span(0, 10, 10)], "a", false, nowhere),
            Ok(Step::Nothing)
        );
        assert!(matches!(
            stored.follow("c", &[span(0, 10, 10)], "a", true, nowhere),
            Ok(Step::Commit(_))
        ));
        assert!(matches!(
            stored.follow("c", &[span(1, 0, 0)], "a", false, nowhere),
            Ok(Step::Commit(_))
        ));
    }

    #[test]
    fn a_recreated_topic_stops() {
        let mut again = span(0, 0, 5);
        again.topic_id = "t2".to_owned();
        let why = stored(AT_10, &[])
            .follow("c", &[again], "a", true, nowhere)
            .unwrap_err();
        assert!(matches!(why, Refused::TopicRecreated { .. }), "{why}");
    }

    #[test]
    fn spans_of_a_partition_join_only_without_a_gap() {
        let stored = stored(AT_10, &[]);
        let follow = |spans: &[Span]| stored.follow("c", spans, "a", true, nowhere);
        let Ok(Step::Commit(Progress { offsets, .. })) =
            follow(&[span(0, 15, 20), span(0, 10, 15)])
        else {
            panic!("they follow each other");
        };
        assert_eq!(offsets.get("t1", 0), Some(20));
        assert!(matches!(
            follow(&[span(0, 10, 15), span(0, 16, 20)]),
            Err(Refused::Gap { .. })
        ));
        assert!(matches!(
            follow(&[span(0, 10, 9)]),
            Err(Refused::Gap { .. })
        ));
    }

    const TWO_TOPICS: &str = r#"{"t1":{"topic":"trades","partitions":{"0":10}},
        "t2":{"topic":"orders","partitions":{"0":5,"1":6}}}"#;

    fn orders(partition: i32, first_offset: i64, next_offset: i64) -> Span {
        Span {
            topic: "orders".to_owned(),
            topic_id: "t2".to_owned(),
            ..span(partition, first_offset, next_offset)
        }
    }

    fn orders_go_elsewhere(topic: &str, _: i32) -> Keeper {
        if topic == "orders" {
            Keeper::OtherTells
        } else {
            Keeper::This
        }
    }

    fn orders_are_untold_but_for_partition_1(topic: &str, partition: i32) -> Keeper {
        if topic == "orders" && partition != 1 {
            Keeper::Other
        } else {
            orders_go_elsewhere(topic, partition)
        }
    }

    fn committed(step: Result<Step, Refused>) -> Progress {
        match step {
            Ok(Step::Commit(progress)) => progress,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_topic_that_goes_elsewhere_is_neither_recorded_nor_fenced() {
        let stored = stored(AT_10, &[]);
        let spans = [span(0, 10, 20), orders(0, 77, 90)];
        let step = stored.follow("c", &spans, "a", true, orders_go_elsewhere);
        let progress = committed(step);
        let expected = r#"{"t1":{"topic":"trades","partitions":{"0":20}}}"#;
        assert_eq!(progress.offsets.to_json(), expected);
        assert_eq!(progress.first.get("t2", 0), None);
        // It alone is no news.
        let spans = [span(0, 10, 10), orders(0, 77, 90)];
        let step = stored.follow("c", &spans, "a", false, orders_go_elsewhere);
        assert_eq!(step, Ok(Step::Nothing));
        // Its own table does fence it.
        let late = stored.follow("c", &[span(0, 9, 20)], "a", true, orders_go_elsewhere);
        assert!(matches!(late, Err(Refused::NotThere { .. })), "{late:?}");
    }

    #[test]
    fn what_an_earlier_version_recorded_of_other_topics_moves_on_and_goes_with_the_next_rows() {
        let stored = stored(TWO_TOPICS, &[]);
        let spans = [span(0, 10, 10), orders(0, 8, 90), orders(2, 0, 4)];
        let idle = committed(stored.follow("c", &spans, "a", false, orders_go_elsewhere));
        let at = |partition| idle.offsets.get("t2", partition);
        assert_eq!([at(0), at(1), at(2)], [Some(90), Some(6), None]);
        let rows = committed(stored.follow("c", &spans, "a", true, orders_go_elsewhere));
        assert_eq!(rows.offsets.to_json(), AT_10);
    }

    #[test]
    fn what_no_other_table_tells_yet_stays_and_moves_on_with_rows_too() {
        let stored = stored(TWO_TOPICS, &[]);
        let spans = [span(0, 10, 20), orders(0, 5, 90), orders(2, 0, 4)];
        let keeper = orders_are_untold_but_for_partition_1;
        let rows = committed(stored.follow("c", &spans, "a", true, keeper));
        let at = |partition| rows.offsets.get("t2", partition);
        assert_eq!([at(0), at(1), at(2)], [Some(90), None, None]);
        assert_eq!(rows.offsets.get("t1", 0), Some(20));
    }
}
