//! What the log keeps of a connector's targets: the names of all that it ever committed to, so that
//! `stored` can be asked for all of them after a restart; where those begin that could not be told
//! themselves; and where those stood that may be made anew. Both give way to offsets that are set by
//! hand.
//!
//! Each target is a record of its own: none outgrows what a log takes at once, and two workers, of
//! which one does not know yet that the other has the connector, take nothing from each other.

#[cfg(test)]
pub(crate) mod fake;
mod lies;

use super::by_hand::ByHand;
use crate::failures::Failed;
use futures::future::try_join_all;
use jackfield_log::{Keyed, Log, TopicPartition};
use jackfield_plugin::{Holding, LogPosition, Span};
use lies::Begins;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Targets of a connector: each is asked for its positions after a restart.
const TARGETS_MAX: usize = 10_000;
/// Targets that are written at once: a log makes them durable together.
const PUTS_AT_ONCE: usize = 64;

pub(crate) struct KnownTargets {
    keyed: Arc<dyn Keyed>,
    connector: String,
    targets: BTreeMap<String, Begins>,
}

impl KnownTargets {
    pub(crate) async fn load(
        log: &dyn Log,
        cluster: &str,
        connector: &str,
    ) -> Result<Self, Failed> {
        let topic = format!("{cluster}-targets");
        let keyed = log.keyed(&topic).await;
        let keyed = keyed.map_err(|e| Failed::log("read targets", e))?;
        Self::open(keyed, &topic, connector).await
    }

    /// What a keyed topic of this name holds of the connector's targets.
    pub(crate) async fn open(
        keyed: Arc<dyn Keyed>,
        topic: &str,
        connector: &str,
    ) -> Result<Self, Failed> {
        let entries = keyed.entries().await;
        let entries = entries.map_err(|e| Failed::log("read targets", e))?;
        let unread = |key: &str, error: serde_json::Error| {
            let reason = format!("the entry of {key} in {topic} can't be read: {error}");
            Failed::for_good_by_host("read targets", reason)
        };
        let mut targets = BTreeMap::new();
        if let Some((key, list)) = entries.iter().find(|(key, _)| key == connector) {
            targets = lies::read_list(list).map_err(|e| unread(key, e))?;
        }
        for (key, json) in &entries {
            if let Some(target) = lies::target_of(connector, key) {
                let begins = lies::read(json).map_err(|e| unread(key, e))?;
                targets.insert(target, begins);
            }
        }
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
        let mut changed = BTreeMap::new();
        for target in targets {
            if !self.targets.contains_key(target) {
                changed.insert(target.to_owned(), Begins::default());
            }
        }
        self.change(changed).await
    }

    /// Remembers durably where a target begins that could not be told itself.
    pub(crate) async fn keep(&mut self, begins: &Holding) -> Result<(), Failed> {
        self.keep_as(begins, Begins::set).await
    }

    /// Remembers durably where a target stood: what it holds if it says nothing at all, such as one
    /// that was removed and made anew.
    pub(crate) async fn keep_stood(&mut self, stood: &Holding) -> Result<(), Failed> {
        self.keep_as(stood, Begins::set_stood).await
    }

    /// Remembers durably where a target has begun whose offsets were set by hand: from now on they
    /// may be others.
    pub(crate) async fn keep_anew(&mut self, begun: &Holding) -> Result<(), Failed> {
        self.keep_as(begun, Begins::set_anew).await
    }

    async fn keep_as(
        &mut self,
        holding: &Holding,
        set: fn(&mut Begins, &str, &str, i32, i64),
    ) -> Result<(), Failed> {
        let known = self.targets.get(&holding.target);
        let mut begins = known.cloned().unwrap_or_default();
        for at in &holding.positions {
            let (topic, topic_id) = (&at.topic, &at.topic_id);
            set(&mut begins, topic, topic_id, at.partition, at.next_offset);
        }
        if known == Some(&begins) {
            return Ok(());
        }
        self.change(BTreeMap::from([(holding.target.clone(), begins)]))
            .await
    }

    /// The target has taken a commit of these spans: it tells by itself what it holds of them.
    pub(crate) async fn told(&mut self, target: &str, spans: &[Span]) -> Result<(), Failed> {
        let Some(known) = self.targets.get(target).filter(|it| !it.is_empty()) else {
            return Ok(());
        };
        let mut begins = known.clone();
        for span in spans {
            begins.forget(&span.topic, &span.topic_id, span.partition);
        }
        if *known == begins {
            return Ok(());
        }
        self.change(BTreeMap::from([(target.to_owned(), begins)]))
            .await
    }

    /// The offsets of the connector's group were set by hand: what is kept of these partitions gives
    /// way, durably. The targets' names stay, since each is still to say what it holds itself.
    pub(crate) async fn give_way(&mut self, by_hand: ByHand<'_>) -> Result<(), Failed> {
        let mut changed = BTreeMap::new();
        for (target, known) in &self.targets {
            let mut begins = known.clone();
            begins.begin_anew(by_hand);
            if begins != *known {
                changed.insert(target.clone(), begins);
            }
        }
        self.change(changed).await
    }

    /// The targets that begin where the group stands, or else where the connector is to start, with
    /// the partitions of which that is so as long as they say nothing of them. `said` is what they
    /// say themselves.
    pub(crate) fn anew(&self, said: &[Holding]) -> BTreeMap<String, BTreeSet<TopicPartition>> {
        let says = said.iter().filter(|it| !it.positions.is_empty());
        let says: BTreeSet<&str> = says.map(|it| it.target.as_str()).collect();
        let mut anew = BTreeMap::new();
        for (target, begins) in &self.targets {
            let partitions: BTreeSet<TopicPartition> = if says.contains(target.as_str()) {
                begins.anew().collect()
            } else {
                begins.anew_of_silent().collect()
            };
            if !partitions.is_empty() {
                anew.insert(target.clone(), partitions);
            }
        }
        anew
    }

    /// What targets say they hold; where those begin that say nothing of a partition; and where
    /// those stood that say nothing at all.
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
            let says = positions.iter();
            let says: BTreeSet<(String, i32)> =
                says.map(|it| (it.topic_id.clone(), it.partition)).collect();
            let kept: Vec<(&str, &str, i32, i64)> = if says.is_empty() {
                begins.all_of_silent().collect()
            } else {
                begins.all().collect()
            };
            let silent = kept.into_iter().filter(|(_, topic_id, partition, _)| {
                !says.contains(&((*topic_id).to_owned(), *partition))
            });
            let silent = silent.map(|(topic, topic_id, partition, next_offset)| LogPosition {
                topic: topic.to_owned(),
                topic_id: topic_id.to_owned(),
                partition,
                next_offset,
            });
            positions.extend(silent);
        }
        held
    }

    /// Writes what has changed, each target by itself.
    async fn change(&mut self, changed: BTreeMap<String, Begins>) -> Result<(), Failed> {
        let known = |target: &&String| self.targets.contains_key(*target);
        let new = changed.len() - changed.keys().filter(known).count();
        if self.targets.len() + new > TARGETS_MAX {
            return Err(Failed::for_good(
                "remember targets",
                format!("the component commits to more than {TARGETS_MAX} targets"),
            ));
        }
        let written: Vec<(String, String)> = changed
            .iter()
            .map(|(target, begins)| (lies::key(&self.connector, target), begins.written()))
            .collect();
        for some in written.chunks(PUTS_AT_ONCE) {
            let puts = some
                .iter()
                .map(|(key, json)| self.keyed.put(key, Some(json.as_str())));
            try_join_all(puts)
                .await
                .map_err(|e| Failed::log("remember targets", e))?;
        }
        self.targets.extend(changed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fake::FakeKeyed;

    const CONNECTOR: &str = "c";

    async fn open(log: &Arc<FakeKeyed>) -> KnownTargets {
        let opened = KnownTargets::open(log.clone(), "topic", CONNECTOR).await;
        opened.unwrap()
    }

    fn holding(target: &str, partitions: i32) -> Holding {
        let position = |partition| LogPosition {
            topic: "binance.spot.trade".to_owned(),
            topic_id: "0198f2b0-0000-7000-8000-000000000000".to_owned(),
            partition,
            next_offset: 1_000_000_000 + i64::from(partition),
        };
        Holding {
            target: target.to_owned(),
            positions: (0..partitions).map(position).collect(),
        }
    }

    /// As one list they would have millions of bytes.
    #[tokio::test]
    async fn however_many_targets_begin_each_is_a_small_record() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = open(&log).await;
        let kept: Vec<Holding> = (10..60)
            .map(|number| holding(&format!("market.trades_{number}"), 600))
            .collect();
        for it in &kept {
            known.keep(it).await.unwrap();
        }
        assert_eq!(open(&log).await.complete(Vec::new()), kept);
        let longest = log.entries().await.unwrap().into_iter();
        let longest = longest.map(|(key, json)| key.len() + json.len()).max();
        let all = 50 * longest.unwrap();
        assert!(all < fake::RECORD_BYTES_MAX, "{all}");
    }

    #[tokio::test]
    async fn workers_at_once_take_nothing_from_each_other() {
        let log = Arc::new(FakeKeyed::default());
        let (mut one, mut other) = (open(&log).await, open(&log).await);
        one.keep(&holding("C", 1)).await.unwrap();
        other.remember(["D"].into_iter()).await.unwrap();
        let known = open(&log).await;
        assert_eq!(known.names(), ["C", "D"]);
        assert_eq!(known.complete(Vec::new()), [holding("C", 1)]);
    }

    #[tokio::test]
    async fn a_connectors_list_is_read_and_a_targets_own_entry_counts_more() {
        let log = Arc::new(FakeKeyed::default());
        let list = r#"["a",{"begins":[{"next-offset":7,"partition":2,"topic":"t","topic-id":"i"}],"target":"b"}]"#;
        log.put(CONNECTOR, Some(list)).await.unwrap();
        log.put(r#"["d","x"]"#, Some("another's")).await.unwrap();
        let mut known = open(&log).await;
        assert_eq!(known.names(), ["a", "b"]);
        let held = known.complete(Vec::new());
        let (target, at) = (held[0].target.as_str(), &held[0].positions[0]);
        assert_eq!((target, at.next_offset), ("b", 7));
        let span = Span {
            topic: "t".to_owned(),
            topic_id: "i".to_owned(),
            partition: 2,
            first_offset: 7,
            next_offset: 9,
        };
        known.told("b", &[span]).await.unwrap();
        let known = open(&log).await;
        assert_eq!(known.names(), ["a", "b"]);
        assert!(known.complete(Vec::new()).is_empty());
        log.put(r#"["c","x"]"#, Some("x")).await.unwrap();
        let opened = KnownTargets::open(log, "topic", CONNECTOR).await;
        let failed = opened.err().unwrap();
        assert!(failed.reason.contains(r#"["c","x"] in topic"#), "{failed}");
    }

    #[tokio::test]
    async fn what_a_target_says_counts_more_than_what_is_kept() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = open(&log).await;
        known.keep(&holding("a", 2)).await.unwrap();
        let mut says = holding("a", 1);
        says.positions[0].next_offset = 5;
        let completed = known.complete(vec![says]);
        let offsets = completed[0].positions.iter().map(|it| it.next_offset);
        assert_eq!(offsets.collect::<Vec<_>>(), [5, 1_000_000_001]);
    }
}
