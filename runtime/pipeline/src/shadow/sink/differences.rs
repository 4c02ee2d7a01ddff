//! How what the new version does with a batch or an interval differs.

use super::SinkFound;
use crate::shadow::listen::CommitSeen;
use jackfield_plugin::{Committed, Rejection, Span};

/// Bytes of a reason in a report.
const REASON_BYTES_MAX: usize = 512;

pub(super) fn compare_rejections(
    span: &Span,
    running: &[Rejection],
    new: &[Rejection],
    found: &mut SinkFound,
) {
    let alone = |of: &[Rejection], others: &[Rejection], who: &str| -> Vec<String> {
        let only = of
            .iter()
            .filter(|it| others.iter().all(|other| other.index != it.index));
        only.map(|it| {
            let cut = it.reason.floor_char_boundary(REASON_BYTES_MAX);
            format!(
                "only {who} rejects record {} of the batch at {}-{} offset {}: {}",
                it.index,
                span.topic,
                span.partition,
                span.first_offset,
                &it.reason[..cut]
            )
        })
        .collect()
    };
    let of_running = alone(running, new, "the running version");
    let of_new = alone(new, running, "the new version");
    of_running
        .into_iter()
        .chain(of_new)
        .for_each(|it| found.differs_by(it));
}

pub(super) fn compare_commits(seen: &CommitSeen, own: Committed, found: &mut SinkFound) {
    let target = &seen.target;
    let written = found.sink.running.entry(target.clone()).or_default();
    written.add(seen.committed);
    let written = found.sink.new.entry(target.clone()).or_default();
    written.add(own);
    if own.rows != seen.committed.rows {
        found.differs_by(format!(
            "a commit to {target} makes {} rows visible, the running version's {}",
            own.rows, seen.committed.rows
        ));
    }
}
