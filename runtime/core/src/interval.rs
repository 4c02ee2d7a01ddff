//! When a sink connector commits.

use std::time::Duration;

/// `commit:` of a sink. Whichever limit is reached first makes a commit due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitWhen {
    /// Longest time that records wait, put but not visible.
    pub every: Duration,
    /// Rows put since the last commit, over all tasks.
    pub rows: u64,
    /// Bytes put since the last commit, over all tasks.
    pub bytes: u64,
}

/// Why a commit is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// `every` has passed with something put.
    Time,
    /// `rows` were put.
    Rows,
    /// `bytes` were put.
    Bytes,
    /// A task's component asked for it.
    Asked,
}

impl CommitWhen {
    /// Decides, for what was put since the last commit; `waiting` is how long its first record
    /// has been waiting. Nothing put is never due.
    pub fn due(&self, waiting: Duration, rows: u64, bytes: u64, asked: bool) -> Option<Due> {
        if rows == 0 && bytes == 0 {
            None
        } else if asked {
            Some(Due::Asked)
        } else if rows >= self.rows {
            Some(Due::Rows)
        } else if bytes >= self.bytes {
            Some(Due::Bytes)
        } else if waiting >= self.every {
            Some(Due::Time)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: CommitWhen = CommitWhen {
        every: Duration::from_secs(10),
        rows: 100,
        bytes: 1000,
    };

    #[test]
    fn the_first_limit_reached_decides() {
        let soon = Duration::from_secs(1);
        assert_eq!(WHEN.due(Duration::from_secs(99), 0, 0, true), None);
        assert_eq!(WHEN.due(soon, 1, 1, false), None);
        assert_eq!(WHEN.due(soon, 100, 1, false), Some(Due::Rows));
        assert_eq!(WHEN.due(soon, 1, 1000, false), Some(Due::Bytes));
        assert_eq!(WHEN.due(WHEN.every, 1, 1, false), Some(Due::Time));
        assert_eq!(WHEN.due(soon, 1, 1, true), Some(Due::Asked));
    }
}
