//! How a target lies in the log: under its connector's name and its own, with where it begins.
//!
//! Names alone once lay in one list for each connector. What is written there is read, and a target's
//! own entry counts more.

use crate::sink::by_hand::ByHand;
use jackfield_log::TopicPartition;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of a target that could not be told itself. Nothing: it tells by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begins {
    /// Where it begins: what it holds of a partition as long as it does not say otherwise of that
    /// one. By topic id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    begins: BTreeMap<String, OfTopic>,
    /// Where it stood: what it holds as long as it says nothing of any partition. A target of one
    /// topic never says anything of the others, and stands nowhere in them. By topic id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stood: BTreeMap<String, OfTopic>,
    /// Partitions in which it began, and whose offsets were set by hand since: it begins where the
    /// group stands, or else where the connector is to start, as long as it does not say otherwise
    /// of that one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    anew: Partitions,
    /// The same of those in which it stood: as long as it says nothing of any partition.
    #[serde(
        default,
        rename = "anew-if-silent",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    anew_if_silent: Partitions,
}

/// By topic, which may have been created anew.
type Partitions = BTreeMap<String, BTreeSet<i32>>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfTopic {
    topic: String,
    /// By partition.
    offsets: BTreeMap<i32, i64>,
}

impl Begins {
    pub(super) fn is_empty(&self) -> bool {
        self.begins.is_empty()
            && self.stood.is_empty()
            && self.anew.is_empty()
            && self.anew_if_silent.is_empty()
    }

    /// Where it begins in a partition, wherever it stood.
    pub(super) fn set(&mut self, topic: &str, topic_id: &str, partition: i32, offset: i64) {
        forget(&mut self.stood, topic_id, partition);
        leave(&mut self.anew, topic, partition);
        leave(&mut self.anew_if_silent, topic, partition);
        set(&mut self.begins, topic, topic_id, partition, offset);
    }

    /// Where it stood in a partition.
    pub(super) fn set_stood(&mut self, topic: &str, topic_id: &str, partition: i32, offset: i64) {
        leave(&mut self.anew_if_silent, topic, partition);
        set(&mut self.stood, topic, topic_id, partition, offset);
    }

    /// Where it has begun anew in a partition. If only because it said nothing at all, that counts
    /// no longer than where it had stood.
    pub(super) fn set_anew(&mut self, topic: &str, topic_id: &str, partition: i32, offset: i64) {
        let anew = self.anew.get(topic);
        if anew.is_some_and(|partitions| partitions.contains(&partition)) {
            self.set(topic, topic_id, partition, offset);
        } else {
            self.set_stood(topic, topic_id, partition, offset);
        }
    }

    pub(super) fn forget(&mut self, topic: &str, topic_id: &str, partition: i32) {
        forget(&mut self.begins, topic_id, partition);
        forget(&mut self.stood, topic_id, partition);
        leave(&mut self.anew, topic, partition);
        leave(&mut self.anew_if_silent, topic, partition);
    }

    /// Wherever it begins or stood in these partitions, it is to begin anew there.
    pub(super) fn begin_anew(&mut self, by_hand: ByHand<'_>) {
        let Self {
            begins,
            stood,
            anew,
            anew_if_silent,
        } = self;
        for (kept, anew) in [(begins, anew), (stood, anew_if_silent)] {
            for OfTopic { topic, offsets } in kept.values_mut() {
                offsets.retain(|partition, _| {
                    let set = by_hand.names(topic, *partition);
                    if set {
                        anew.entry(topic.clone()).or_default().insert(*partition);
                    }
                    !set
                });
            }
            kept.retain(|_, of_topic| !of_topic.offsets.is_empty());
        }
    }

    /// The partitions that it begins anew.
    pub(super) fn anew(&self) -> impl Iterator<Item = TopicPartition> {
        places(&self.anew)
    }

    /// The same of a target that says nothing at all.
    pub(super) fn anew_of_silent(&self) -> impl Iterator<Item = TopicPartition> {
        places(&self.anew).chain(places(&self.anew_if_silent))
    }

    /// Topic, its id, partition and offset of each place where it begins.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, i32, i64)> {
        each(&self.begins)
    }

    /// The same of a target that says nothing at all: where it stood, or else begins.
    pub(super) fn all_of_silent(&self) -> impl Iterator<Item = (&str, &str, i32, i64)> {
        let stood = &self.stood;
        let begins = each(&self.begins).filter(move |(_, topic_id, partition, _)| {
            let of_topic = stood.get(*topic_id);
            of_topic.is_none_or(|it| !it.offsets.contains_key(partition))
        });
        each(stood).chain(begins)
    }

    pub(super) fn written(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

fn set(
    all: &mut BTreeMap<String, OfTopic>,
    topic: &str,
    topic_id: &str,
    partition: i32,
    offset: i64,
) {
    let of_topic = all.entry(topic_id.to_owned()).or_default();
    topic.clone_into(&mut of_topic.topic);
    of_topic.offsets.insert(partition, offset);
}

fn forget(all: &mut BTreeMap<String, OfTopic>, topic_id: &str, partition: i32) {
    if let Some(of_topic) = all.get_mut(topic_id) {
        of_topic.offsets.remove(&partition);
        if of_topic.offsets.is_empty() {
            all.remove(topic_id);
        }
    }
}

fn leave(all: &mut Partitions, topic: &str, partition: i32) {
    if let Some(partitions) = all.get_mut(topic) {
        partitions.remove(&partition);
        if partitions.is_empty() {
            all.remove(topic);
        }
    }
}

fn places(all: &Partitions) -> impl Iterator<Item = TopicPartition> {
    all.iter().flat_map(|(topic, partitions)| {
        let partitions = partitions.iter();
        partitions.map(move |partition| TopicPartition::new(topic.as_str(), *partition))
    })
}

fn each(all: &BTreeMap<String, OfTopic>) -> impl Iterator<Item = (&str, &str, i32, i64)> {
    all.iter().flat_map(|(topic_id, of_topic)| {
        let (topic, id) = (of_topic.topic.as_str(), topic_id.as_str());
        let offsets = of_topic.offsets.iter();
        offsets.map(move |(partition, offset)| (topic, id, *partition, *offset))
    })
}

/// The key of a target's own entry.
pub(super) fn key(connector: &str, target: &str) -> String {
    serde_json::json!([connector, target]).to_string()
}

/// The target that a key is of, if it is one of this connector's.
pub(super) fn target_of(connector: &str, key: &str) -> Option<String> {
    let (whose, target) = serde_json::from_str::<(String, String)>(key).ok()?;
    (whose == connector).then_some(target)
}

/// A target's own entry.
pub(super) fn read(json: &str) -> Result<Begins, serde_json::Error> {
    serde_json::from_str(json)
}

/// A target in the list of all.
#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Name(String),
    Begins { target: String, begins: Vec<Begin> },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Begin {
    topic: String,
    topic_id: String,
    partition: i32,
    next_offset: i64,
}

/// A connector's list.
pub(super) fn read_list(json: &str) -> Result<BTreeMap<String, Begins>, serde_json::Error> {
    let listed: Vec<Listed> = serde_json::from_str(json)?;
    let listed = listed.into_iter().map(|listed| match listed {
        Listed::Name(target) => (target, Begins::default()),
        Listed::Begins { target, begins } => {
            let mut all = Begins::default();
            for it in begins {
                all.set(&it.topic, &it.topic_id, it.partition, it.next_offset);
            }
            (target, all)
        }
    });
    Ok(listed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins() -> Begins {
        let mut begins = Begins::default();
        begins.set("t", "i", 2, 7);
        begins
    }

    #[test]
    fn a_target_lies_under_its_own_name_with_where_it_begins() {
        let key = key("c", "a \"b\".c");
        assert_eq!(key, r#"["c","a \"b\".c"]"#);
        assert_eq!(target_of("c", &key).unwrap(), "a \"b\".c");
        assert_eq!(target_of("d", &key), None);
        assert_eq!(target_of("c", "c"), None, "a list");
        let json = begins().written();
        assert_eq!(json, r#"{"begins":{"i":{"offsets":{"2":7},"topic":"t"}}}"#);
        assert_eq!(read(&json).unwrap(), begins());
        assert_eq!(Begins::default().written(), "{}");
        assert_eq!(read("{}").unwrap(), Begins::default());
    }

    #[test]
    fn what_is_forgotten_leaves_nothing() {
        let mut begins = begins();
        begins.set("t", "i", 3, 9);
        begins.forget("t", "i", 2);
        assert_eq!(begins.all().collect::<Vec<_>>(), [("t", "i", 3, 9)]);
        begins.forget("t", "other", 3);
        begins.forget("t", "i", 3);
        assert!(begins.is_empty());
        begins.set_stood("t", "i", 3, 9);
        assert!(!begins.is_empty());
        begins.forget("t", "i", 3);
        assert!(begins.is_empty());
        begins.set("t", "i", 3, 9);
        begins.begin_anew(ByHand::All);
        assert!(!begins.is_empty());
        begins.forget("t", "another", 3);
        assert!(begins.is_empty(), "it was told of the topic by its name");
        begins.set_stood("t", "i", 3, 9);
        begins.begin_anew(ByHand::All);
        assert!(!begins.is_empty());
        begins.forget("t", "another", 3);
        assert!(begins.is_empty());
    }

    #[test]
    fn where_it_stood_counts_for_a_silent_target_only() {
        let mut begins = begins();
        begins.set_stood("t", "i", 2, 8);
        begins.set_stood("t", "i", 3, 9);
        assert_eq!(begins.all().collect::<Vec<_>>(), [("t", "i", 2, 7)]);
        let silent: Vec<_> = begins.all_of_silent().collect();
        assert_eq!(silent, [("t", "i", 2, 8), ("t", "i", 3, 9)]);
        assert_eq!(read(&begins.written()).unwrap(), begins);
        begins.set("t", "i", 3, 10);
        let silent: Vec<_> = begins.all_of_silent().collect();
        assert_eq!(silent, [("t", "i", 2, 8), ("t", "i", 3, 10)]);
    }

    #[test]
    fn what_is_set_by_hand_leaves_a_partition_without_an_offset() {
        let mut begins = begins();
        begins.set("t", "i", 3, 8);
        begins.set_stood("u", "j", 0, 9);
        begins.begin_anew(ByHand::Of(&[TopicPartition::new("t", 2)]));
        let json = r#"{"anew":{"t":[2]},"begins":{"i":{"offsets":{"3":8},"topic":"t"}},"stood":{"j":{"offsets":{"0":9},"topic":"u"}}}"#;
        assert_eq!(begins.written(), json);
        assert_eq!(read(json).unwrap(), begins);
        begins.begin_anew(ByHand::All);
        let json = r#"{"anew":{"t":[2,3]},"anew-if-silent":{"u":[0]}}"#;
        assert_eq!(begins.written(), json);
        assert_eq!(read(json).unwrap(), begins);
        let anew: Vec<_> = begins.anew().collect();
        let places = [2, 3].map(|partition| TopicPartition::new("t", partition));
        assert_eq!(anew, places);
        let silent: Vec<_> = begins.anew_of_silent().collect();
        assert_eq!(silent[2..], [TopicPartition::new("u", 0)]);
    }

    #[test]
    fn where_it_has_begun_anew_is_kept_as_what_gave_way() {
        let mut begins = begins();
        begins.set_stood("u", "j", 0, 9);
        begins.begin_anew(ByHand::All);
        begins.set_anew("t", "i", 2, 20);
        begins.set_anew("u", "j", 0, 20);
        let json = r#"{"begins":{"i":{"offsets":{"2":20},"topic":"t"}},"stood":{"j":{"offsets":{"0":20},"topic":"u"}}}"#;
        assert_eq!(begins.written(), json);
        begins.begin_anew(ByHand::All);
        begins.set("u", "j", 0, 20);
        assert_eq!(begins.anew_of_silent().count(), 1, "it begins in the other");
    }

    #[test]
    fn a_list_has_names_and_beginnings_beside_theirs() {
        let list = r#"["a",{"begins":[{"next-offset":7,"partition":2,"topic":"t","topic-id":"i"}],"target":"b"}]"#;
        let expected = [
            ("a".to_owned(), Begins::default()),
            ("b".to_owned(), begins()),
        ];
        assert_eq!(read_list(list).unwrap(), BTreeMap::from(expected));
    }
}
