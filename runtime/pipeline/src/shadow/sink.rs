//! The shadow of a sink: the same batches, on a lake whose writes are thrown away.

mod boundary;
mod differences;
mod instances;
#[cfg(test)]
mod tests;

use super::report::{Figures, ShadowEnd, SinkCompared, Written};
use super::watch::SinkWatch;
use crate::failures::Failed;
use crate::swap::Version;
use boundary::{Beginning, boundary};
use instances::SinkShadow;
use jackfield_core::Consequence;
use jackfield_plugin::lake::LakeOverlay;
use jackfield_plugin::{Committed, Usage};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of files that a shadow may write before it is thrown away.
const OVERLAY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Differences that are listed.
const DIFFERENCES_MAX: usize = 50;

/// What a sink's shadow found.
#[derive(Debug, Default)]
pub(super) struct SinkFound {
    pub(super) sink: SinkCompared,
    pub(super) running: Figures,
    pub(super) new: Figures,
    pub(super) given: u64,
    pub(super) cpu: Duration,
}

impl SinkFound {
    fn differs_by(&mut self, difference: String) {
        if self.sink.differences.len() < DIFFERENCES_MAX {
            self.sink.differences.push(difference);
        } else {
            self.sink.more += 1;
        }
    }

    /// Whether rows, rejections or schemas differ.
    pub(super) fn differs(&self) -> bool {
        !self.sink.differences.is_empty()
    }
}

impl Written {
    fn add(&mut self, committed: Committed) {
        self.commits += 1;
        self.rows += committed.rows;
        self.files += u64::from(committed.files);
        self.bytes += committed.bytes;
    }
}

/// Runs the new version until `until`, beginning with the next interval of the running one.
pub(super) async fn run(
    watch: SinkWatch,
    to: &Version,
    until: Instant,
    scratch: &Path,
) -> (ShadowEnd, SinkFound) {
    let usage = Arc::new(Usage::default());
    let mut found = SinkFound::default();
    let shadowed = shadow(watch, to, until, scratch, &usage, &mut found).await;
    found.cpu = usage.snapshot().cpu;
    (shadowed.unwrap_or_else(|failed| ended_by(&failed)), found)
}

/// A sink that keeps its positions in objects reads the running version's until it has written its
/// own: they may have moved on by then, and that is nobody's fault.
fn ended_by(failed: &Failed) -> ShadowEnd {
    match failed.consequence {
        Consequence::Fenced => ShadowEnd::TooSlow {
            reason: format!("the running version's commits overtook it: {failed}"),
        },
        Consequence::Retry
        | Consequence::Rewind
        | Consequence::Unknown
        | Consequence::Replace
        | Consequence::Fail => ShadowEnd::Failed {
            reason: failed.to_string(),
        },
    }
}

async fn shadow(
    watch: SinkWatch,
    to: &Version,
    until: Instant,
    scratch: &Path,
    usage: &Arc<Usage>,
    found: &mut SinkFound,
) -> Result<ShadowEnd, Failed> {
    let SinkWatch {
        spec,
        host,
        mut known,
        mut items,
        ..
    } = watch;
    let Beginning {
        end,
        behind,
        targets,
    } = boundary(&mut items, spec.tasks.max(1), until).await;
    if let Some(end) = end {
        return Ok(end);
    }
    // One that the running version made meanwhile lies below the shadow too.
    known.extend(targets);
    known.sort_unstable();
    known.dedup();
    let overlay = spec
        .lake
        .as_ref()
        .map(|lake| LakeOverlay::over(lake, scratch, OVERLAY_BYTES_MAX));
    let mut shadow = SinkShadow::open(&spec, &host, to, overlay.as_ref(), known, usage).await?;
    for item in behind {
        shadow.take(item, found).await?;
    }
    let end = loop {
        match tokio::time::timeout_at(until, items.next()).await {
            Ok(Some(item)) => shadow.take(item, found).await?,
            Ok(None) => break running_ended(),
            Err(_) => break ShadowEnd::Over,
        }
    };
    if let Some(overlay) = &overlay {
        let told = overlay.schema_differences().await;
        let told = told.map_err(|e| Failed::for_good("compare schemas", e.to_string()))?;
        told.into_iter().for_each(|it| found.differs_by(it));
    }
    Ok(end)
}

fn running_ended() -> ShadowEnd {
    ShadowEnd::RunningEnded {
        reason: "it began anew, was given other partitions, was replaced, or was not kept up with"
            .to_owned(),
    }
}
