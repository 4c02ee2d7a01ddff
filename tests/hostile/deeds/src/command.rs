//! The settings of an evil component: what to do wrong, where, and what to do well otherwise.

use serde::Deserialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// Without any key: a decent component.
#[derive(Deserialize, Debug, Clone, Default)]
#[serde(rename_all = "kebab-case", default)]
pub struct Command {
    /// The exported function in which to misbehave.
    #[serde(rename = "in")]
    call: String,
    /// How.
    #[serde(rename = "do")]
    deed: String,
    /// A source: where to reach, or with `take` what to listen to.
    pub url: String,
    /// A source: whether to make a record of each event, instead of one record a poll.
    pub take: bool,
    /// A source without `take`: how long a decent poll waits, ms.
    pub pause_ms: u32,
    /// A sink: the folder in the store below which it keeps what it was given.
    pub root: String,
    /// A sink: whether the first `put` of an instance asks for a rewind, so that `stored` is asked.
    pub rewind: bool,
    /// `reject`: one of so many.
    pub every: i64,
    /// Misbehaves for so long, then behaves for so long, in turns by the wall clock: those that
    /// have the same number do so together. 0: misbehaves always.
    pub turns_ms: u64,
}

impl Command {
    /// What the settings say; what is no command is a decent component's.
    pub fn from_settings(settings: &str) -> Self {
        serde_json::from_str(settings).unwrap_or_default()
    }

    /// What to do wrong in this call now; empty: nothing.
    pub fn deed_in(&self, call: &str) -> &str {
        if self.call == call && self.is_its_turn() {
            &self.deed
        } else {
            ""
        }
    }

    fn is_its_turn(&self) -> bool {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let turn = since.as_millis().checked_div(u128::from(self.turns_ms));
        turn.is_none_or(|turn| turn % 2 == 1)
    }
}
