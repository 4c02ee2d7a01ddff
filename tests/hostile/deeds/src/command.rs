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
    /// The slot, or the task such as `task-1` or `committer`, that misbehaves; empty: each.
    who: String,
    /// What this instance is called.
    #[serde(skip)]
    me: String,
    /// A source: where to reach, or with `take` what to listen to.
    pub url: String,
    /// A source: whether to make a record of each event, instead of one record a poll.
    pub take: bool,
    /// A source without `take`: how long a decent poll waits, ms.
    pub pause_ms: u32,
    /// A source: into how many slots it splits its work, which are called `s0` and so on. 0: into
    /// one, `only`.
    pub slots: u32,
    /// A source: how many lines it numbers by itself, from where their positions stand; slots share
    /// them. 0: none.
    pub lines: u32,
    /// A source that misbehaves in `replan`: what it asks before each plan. It does where the
    /// answer's status is 503. One that misbehaves in `open`: what it asks before, so that a test
    /// knows that it is there.
    pub ask: String,
    /// A source: stands behind what it numbers, so that a test can tell versions apart.
    pub mark: String,
    /// A sink: whether it has something to hand to the next version.
    pub saves: bool,
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

    /// From here on this instance is called so.
    pub fn is_called(&mut self, me: &str) {
        me.clone_into(&mut self.me);
    }

    /// What this instance is called.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// What to do wrong in this call now; empty: nothing.
    pub fn deed_in(&self, call: &str) -> &str {
        let is_meant = self.who.is_empty() || self.who == self.me;
        if self.call == call && is_meant && self.is_its_turn() {
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
