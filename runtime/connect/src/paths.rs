//! Where a value stands in the file that was made ↔ the key that it came from.

use crate::keys;
use std::collections::{BTreeMap, BTreeSet};

/// Ways below `pipelines`, and the keys that stand there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    ways: Vec<(String, String)>,
    /// Ways below the settings, as keys write them, and the keys themselves.
    given: BTreeMap<String, String>,
    /// Configs of new topics and the keys that give them.
    pub(crate) new_topics: BTreeMap<String, String>,
    /// Keys whose values are not shown: no message repeats them.
    pub(crate) hidden: BTreeSet<String>,
}

impl Paths {
    pub(crate) fn name(&mut self, key: &str, way: &[&str]) {
        self.ways.push((path(way), key.to_owned()));
    }

    pub(crate) fn setting(&mut self, path: &str, key: &str) {
        self.given.insert(path.to_owned(), key.to_owned());
    }

    /// The key that a finding at this path speaks of.
    pub(crate) fn key_of(&self, path: &str) -> String {
        if let Some((_, config)) = path.split_once(".configs.")
            && let Some(key) = self.new_topics.get(&config.replace('"', ""))
        {
            return key.clone();
        }
        let way = self
            .ways
            .iter()
            .filter(|(way, _)| is_below(path, way))
            .max_by_key(|(way, _)| way.len());
        way.map_or_else(|| keys::CLASS.to_owned(), |(_, key)| key.clone())
    }

    /// The key of a setting: `path` begins with the settings' own keys.
    pub(crate) fn setting_of(&self, path: &str) -> String {
        let rest = path.replace('"', "");
        let given = self
            .given
            .iter()
            .filter(|(path, _)| is_below(&rest, path))
            .max_by_key(|(path, _)| path.len());
        if let Some((_, key)) = given {
            return key.clone();
        }
        let name = rest.split('[').next().unwrap_or_default();
        match name {
            "" => keys::SETTINGS.to_owned(),
            taken if keys::is_taken(taken) => format!("settings.{taken}"),
            name => name.to_owned(),
        }
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// As findings write it: names that are not plain stand in quotes.
fn path(way: &[&str]) -> String {
    let mut path = "pipelines".to_owned();
    for step in way {
        path.push('.');
        let plain = step
            .chars()
            .all(|c| c.is_alphanumeric() || "_-".contains(c));
        if plain {
            path.push_str(step);
        } else {
            path.push_str(&format!("{step:?}"));
        }
    }
    path
}
