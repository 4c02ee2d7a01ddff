//! Files of components that change while they run.

use super::operator::PROBATION;
use super::{Loader, Wanted};
use jackfield_pipeline::{Refused, SwapOptions};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often files are looked at. Looking works on every file system, mounted or not; a change is
/// taken when it has not gone on for one look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells that a file is another: when it was written, its size, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    written_s: i64,
    written_ns: i64,
    bytes: u64,
    inode: u64,
}

impl Look {
    fn at(file: &Path) -> Option<Self> {
        // A file that is missing is about to be replaced, or nobody's wish to swap.
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            written_s: metadata.mtime(),
            written_ns: metadata.mtime_nsec(),
            bytes: metadata.size(),
            inode: metadata.ino(),
        })
    }
}

struct Watched {
    file: PathBuf,
    connectors: Vec<String>,
    /// What its connectors run, or were refused.
    taken: Option<Look>,
    before: Option<Look>,
}

/// Swaps the connectors of each plugin whose file changes, until `stop`.
pub(crate) async fn plugins(loader: Arc<Loader>, stop: CancellationToken) {
    let mut all = watched(&loader);
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        for it in &mut all {
            let now = Look::at(&it.file);
            let calm = now.is_some() && now == it.before;
            it.before = now;
            if calm && now != it.taken && swap_all(&loader, it).await {
                it.taken = now;
            }
        }
    }
}

fn watched(loader: &Loader) -> Vec<Watched> {
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for connector in loader.config().connectors() {
        let of = users.entry(connector.plugin).or_default();
        of.push(connector.name.to_owned());
    }
    let plugins = loader.config().plugins.iter();
    plugins
        .filter_map(|(name, plugin)| {
            let connectors = users.remove(name.as_str())?;
            let look = Look::at(&plugin.file);
            Some(Watched {
                file: plugin.file.clone(),
                connectors,
                taken: look,
                before: look,
            })
        })
        .collect()
}

/// Whether every connector took the file or refused it for good: what only has to wait is tried
/// again.
async fn swap_all(loader: &Loader, watched: &Watched) -> bool {
    let mut settled = true;
    for connector in &watched.connectors {
        let wanted = Wanted {
            file: None,
            sha256: None,
            settings: None,
        };
        let options = SwapOptions {
            probation: PROBATION,
            dry_run: false,
            by: format!("the file {}", watched.file.display()),
        };
        match loader.swap(connector, wanted, options).await {
            Ok(_) | Err(Refused::Same) => {}
            Err(Refused::Busy(_) | Refused::NotAtRest { .. }) => settled = false,
            Err(
                refused @ (Refused::Unknown(_)
                | Refused::NotRunning(_)
                | Refused::KnownBad(_)
                | Refused::NotLoadable(_)
                | Refused::WrongDigest(_)
                | Refused::WrongWorld { .. }
                | Refused::WeakerDelivery
                | Refused::StateVersion { .. }
                | Refused::Grant(_)
                | Refused::Settings(_)
                | Refused::Fails(_)),
            ) => {
                tracing::warn!(%connector, file = %watched.file.display(), %refused, "the file has changed and is not taken");
            }
        }
    }
    settled
}
