//! Whose positions a table keeps. Where the topic alone names the table, no row of another topic
//! ever gets there: with all positions in each of a hundred tables, every snapshot would tell those
//! of a hundred topics.

use std::collections::{BTreeSet, HashSet};

use jackfield_sdk::sink::Holding;

use crate::routing::Route;

/// Which topics go to which tables, of those that were met.
pub(super) struct Shares {
    route: Route,
    topics: BTreeSet<String>,
    /// The tables that they go to. Any other is one of earlier settings, and may have got rows of
    /// any topic.
    tables: BTreeSet<String>,
}

impl Shares {
    pub(super) fn new(route: Route) -> Self {
        Self {
            route,
            topics: BTreeSet::new(),
            tables: BTreeSet::new(),
        }
    }

    /// A topic was met, in a span or among what a table holds.
    pub(super) fn met(&mut self, topic: &str) {
        if !self.topics.contains(topic) {
            self.tables.extend(self.route.of_topic(topic));
            self.topics.insert(topic.to_owned());
        }
    }

    /// Whether a topic's records go to another table than this one.
    pub(super) fn go_elsewhere(&self, target: &str, topic: &str) -> bool {
        let of_topic = || self.route.of_topic(topic);
        self.tables.contains(target) && of_topic().is_some_and(|it| it != target)
    }

    /// Takes out of what tables hold the positions of topics whose own table tells them: what an
    /// earlier version wrote beside a table's own moves on no more, and reading would begin there.
    pub(super) fn leave_out(&self, held: &mut Vec<Holding>) {
        let mut told: HashSet<(String, i32)> = HashSet::new();
        for Holding { target, positions } in held.iter() {
            let own = |topic: &str| self.route.of_topic(topic).as_ref() == Some(target);
            let own = positions.iter().filter(|at| own(&at.topic));
            told.extend(own.map(|at| (at.topic.clone(), at.partition)));
        }
        for Holding { target, positions } in held.iter_mut() {
            positions.retain(|at| {
                let is_told = || told.contains(&(at.topic.clone(), at.partition));
                !(self.go_elsewhere(target, &at.topic) && is_told())
            });
        }
        held.retain(|it| !it.positions.is_empty());
    }
}
