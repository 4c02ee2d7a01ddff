//! Whose positions a table keeps. Where the topic alone names the table, no row of another topic
//! ever gets there: with all positions in each of a hundred tables, every snapshot would tell those
//! of a hundred topics.

use std::collections::{BTreeSet, HashSet};

use jackfield_sdk::sink::{Holding, LogPosition};

use crate::offsets::Keeper;
use crate::routing::Route;

/// Which topics go to which tables, of those that were met.
pub(super) struct Shares {
    route: Route,
    topics: BTreeSet<String>,
    /// The tables that they go to. Any other is one of earlier settings, and may have got rows of
    /// any topic.
    tables: BTreeSet<String>,
    /// The partitions, with their topics, whose positions their topic's own table tells.
    told: HashSet<(String, i32)>,
}

impl Shares {
    pub(super) fn new(route: Route) -> Self {
        Self {
            route,
            topics: BTreeSet::new(),
            tables: BTreeSet::new(),
            told: HashSet::new(),
        }
    }

    /// A topic was met, in a span or among what a table holds.
    pub(super) fn met(&mut self, topic: &str) {
        if !self.topics.contains(topic) {
            self.tables.extend(self.route.of_topic(topic));
            self.topics.insert(topic.to_owned());
        }
    }

    /// A table holds these positions.
    pub(super) fn holds(&mut self, target: &str, positions: &[LogPosition]) {
        for at in positions {
            self.met(&at.topic);
            if self.route.of_topic(&at.topic).as_deref() == Some(target) {
                self.told.insert((at.topic.clone(), at.partition));
            }
        }
    }

    /// Whether a topic that was met names this table alone.
    pub(super) fn has(&self, target: &str) -> bool {
        self.tables.contains(target)
    }

    /// Which table records a partition's position, as this one sees it.
    pub(super) fn keeper(&self, target: &str, topic: &str, partition: i32) -> Keeper {
        if !self.go_elsewhere(target, topic) {
            Keeper::This
        } else if self.told.contains(&(topic.to_owned(), partition)) {
            Keeper::OtherTells
        } else {
            Keeper::Other
        }
    }

    /// Whether a topic's records go to another table than this one.
    pub(super) fn go_elsewhere(&self, target: &str, topic: &str) -> bool {
        let of_topic = || self.route.of_topic(topic);
        self.tables.contains(target) && of_topic().is_some_and(|it| it != target)
    }

    /// The own tables of topics whose positions other tables hold.
    pub(super) fn own_tables(&self, held: &[Holding]) -> BTreeSet<String> {
        let mut own = BTreeSet::new();
        for Holding { target, positions } in held {
            let those = positions.iter();
            let those = those.filter(|at| self.go_elsewhere(target, &at.topic));
            own.extend(those.filter_map(|at| self.route.of_topic(&at.topic)));
        }
        own
    }

    /// Takes out of what tables hold the positions of topics whose own table tells them, which may be
    /// among the `others`: what an earlier version wrote beside a table's own moves on no more, and
    /// reading would begin there.
    pub(super) fn leave_out(&mut self, held: &mut Vec<Holding>, others: &[Holding]) {
        // A table that told some earlier may be gone.
        self.told.clear();
        for Holding { target, positions } in held.iter().chain(others) {
            self.holds(target, positions);
        }
        for Holding { target, positions } in held.iter_mut() {
            let keeper = |at: &LogPosition| self.keeper(target, &at.topic, at.partition);
            positions.retain(|at| keeper(at) != Keeper::OtherTells);
        }
        held.retain(|it| !it.positions.is_empty());
    }
}
