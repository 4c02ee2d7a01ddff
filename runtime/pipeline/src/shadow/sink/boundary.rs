//! Where a sink's shadow begins: with an interval of the running version.

use super::running_ended;
use crate::shadow::listen::{SinkItem, SinkItems};
use crate::shadow::report::ShadowEnd;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Bytes of batches that are kept while the running version makes the commit after which the shadow
/// begins.
const BEHIND_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Where the shadow begins.
pub(super) struct Beginning {
    pub(super) end: Option<ShadowEnd>,
    /// What the tasks were given since they staged for the interval that has just ended.
    pub(super) behind: Vec<SinkItem>,
    /// To which the running version has committed meanwhile.
    pub(super) targets: BTreeSet<String>,
}

/// Waits for the end of an interval in which every task staged: what comes after it is on top of
/// what the targets hold then.
pub(super) async fn boundary(items: &mut SinkItems, tasks: u32, until: Instant) -> Beginning {
    let mut behind: Vec<SinkItem> = Vec::new();
    let mut staged = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let ended = |end| Beginning {
        end: Some(end),
        behind: Vec::new(),
        targets: BTreeSet::new(),
    };
    loop {
        let item = match tokio::time::timeout_at(until, items.next()).await {
            Ok(Some(item)) => item,
            Ok(None) => return ended(running_ended()),
            Err(_) => {
                let reason = "the running version made no commit in its time: nothing was compared";
                return ended(ShadowEnd::TooSlow {
                    reason: reason.to_owned(),
                });
            }
        };
        if behind.iter().map(SinkItem::bytes).sum::<usize>() > BEHIND_BYTES_MAX {
            let reason = "the commit that it was to begin after takes too long".to_owned();
            return ended(ShadowEnd::TooSlow { reason });
        }
        match item {
            SinkItem::Put { task, .. } if staged.contains(&task) => behind.push(item),
            SinkItem::Put { .. } => {}
            SinkItem::Staged { task } => {
                staged.insert(task);
                behind.retain(|it| match it {
                    SinkItem::Put { task: of, .. } => *of != task,
                    SinkItem::Staged { .. } | SinkItem::Interval { .. } => false,
                });
            }
            SinkItem::Interval { commits } => {
                targets.extend(commits.into_iter().map(|it| it.target));
                if staged.len() >= tasks as usize {
                    return Beginning {
                        end: None,
                        behind,
                        targets,
                    };
                }
                staged.clear();
                behind.clear();
            }
        }
    }
}
