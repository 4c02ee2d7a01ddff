//! The configuration and the components' files, which change while they run.

use super::not_taken::NotTaken;
use super::operator::PROBATION;
use super::reload::NotReloaded;
use super::{Loader, Wanted};
use jackfield_pipeline::{Refused, SwapOptions};
use jackfield_telemetry::{ReloadOutcome, Telemetry};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::time::Instant;
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

/// Longest time until what has to wait is tried again.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(8);

/// When what has to wait is tried again: later and later, since each try asks the origin.
#[derive(Debug, Default)]
struct Again {
    after: Duration,
    at: Option<Instant>,
}

impl Again {
    /// Whether something has to wait.
    fn waits(&self) -> bool {
        self.at.is_some()
    }

    fn is_due(&self) -> bool {
        self.at.is_none_or(|at| Instant::now() >= at)
    }

    /// What became of a try.
    fn tried(&mut self, settled: bool) {
        if settled {
            *self = Self::default();
            return;
        }
        self.after = (self.after * 2).clamp(LOOK_EVERY, AGAIN_AFTER_MAX);
        self.at = Some(Instant::now() + self.after);
    }
}

/// What is known of a file.
#[derive(Debug)]
struct Watched {
    /// As it was when it was taken, or refused for good.
    taken: Option<Look>,
    before: Option<Look>,
    again: Again,
}

impl Watched {
    /// As it is now, it is taken.
    fn taken(file: &Path) -> Self {
        let look = Look::at(file);
        Self {
            taken: look,
            before: look,
            again: Again::default(),
        }
    }

    /// How it looks, if it has changed and is still now.
    fn changed(&mut self, file: &Path) -> Option<Look> {
        let now = Look::at(file);
        let calm = now == self.before;
        self.before = now;
        now.filter(|_| calm && now != self.taken)
    }
}

/// Applies the file whenever it changes or SIGHUP asks for it, and swaps the connectors of each
/// plugin whose file changes, until `stop`.
pub(crate) async fn files(
    loader: Arc<Loader>,
    file: PathBuf,
    mut asked: Signal,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut configuration = Watched::taken(&file);
    let mut plugins: BTreeMap<PathBuf, Watched> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let mut asked_for = false;
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
            _ = asked.recv() => asked_for = true,
        }
        let changed = configuration.changed(&file);
        let again = configuration.again.waits();
        if asked_for || changed.is_some() || (again && configuration.again.is_due()) {
            configuration.taken = changed.or(configuration.taken);
            let reloading = reload(&loader, &file, &telemetry, again);
            let may_break = || !loader.is_removing();
            let Some(settled) = seen_through(&stop, may_break, reloading).await else {
                return;
            };
            configuration.again.tried(settled);
        }
        let files = loader.files();
        plugins.retain(|file, _| files.contains_key(file));
        for (file, connectors) in files {
            let watched = plugins.entry(file.clone());
            let watched = watched.or_insert_with(|| Watched::taken(&file));
            if let Some(now) = watched.changed(&file)
                && watched.again.is_due()
            {
                let swapping = swap_all(&loader, &file, &connectors);
                let Some(settled) = seen_through(&stop, || true, swapping).await else {
                    return;
                };
                watched.again.tried(settled);
                if settled {
                    watched.taken = Some(now);
                }
            }
        }
    }
}

/// Sees a change through, but for the end of the process: nobody waits then for a compiler, or for
/// the answer of a connector that ends. The next start reads the files anew. What may not be broken
/// off then is waited for by whoever ends the process.
async fn seen_through<T>(
    stop: &CancellationToken,
    may_break: impl FnOnce() -> bool,
    change: impl Future<Output = T>,
) -> Option<T> {
    let mut change = pin!(change);
    tokio::select! {
        changed = &mut change => return Some(changed),
        () = stop.cancelled() => {}
    }
    if may_break() {
        return None;
    }
    Some(change.await)
}

/// Whether the file was taken or refused for good: what only has to wait is tried again.
async fn reload(loader: &Loader, file: &Path, telemetry: &Telemetry, again: bool) -> bool {
    match loader.reload(file).await {
        Ok(changes) => {
            if changes.any() {
                telemetry.config_reloaded(ReloadOutcome::Applied);
            }
            changes.not_now.is_empty()
        }
        Err(NotReloaded::NotNow { connector, refused }) => {
            if !again {
                tracing::info!(%connector, %refused, "the changed file has to wait");
            }
            false
        }
        Err(refused @ (NotReloaded::Invalid(_) | NotReloaded::NeedsRestart(_))) => {
            tracing::error!(file = %file.display(), %refused, "the file is not applied: all goes on as it was");
            telemetry.config_reloaded(ReloadOutcome::Refused);
            true
        }
    }
}

/// Whether every connector took the file or refused it for good: what only has to wait is tried
/// again. One that does not run here begins with it when it does.
async fn swap_all(loader: &Loader, file: &Path, connectors: &[String]) -> bool {
    let mut settled = true;
    for connector in connectors {
        let options = SwapOptions {
            probation: PROBATION,
            dry_run: false,
            by: format!("the file {}", file.display()),
        };
        match loader.swap(connector, Wanted::default(), options).await {
            Ok(_) | Err(NotTaken::Refused(Refused::Same)) => {}
            Err(NotTaken::Refused(refused)) if refused.passes() => settled = false,
            Err(NotTaken::Refused(Refused::NotRunning(_))) => {
                settled &= begin_anew(loader, file, connector).await;
            }
            Err(refused @ (NotTaken::Reaches(_) | NotTaken::Refused(_))) => {
                tracing::warn!(%connector, file = %file.display(), %refused, "the file has changed and is not taken");
            }
        }
    }
    settled
}

/// What another worker runs, or what rests or has failed, has nothing to swap. False: it runs here by
/// now.
async fn begin_anew(loader: &Loader, file: &Path, connector: &str) -> bool {
    match loader.begins_anew(connector).await {
        Ok(()) => {
            tracing::info!(%connector, file = %file.display(), "the file has changed: begins with it when it is to run");
        }
        Err(NotTaken::Refused(Refused::Same)) => {}
        Err(NotTaken::Refused(refused)) if refused.passes() => return false,
        Err(refused @ (NotTaken::Reaches(_) | NotTaken::Refused(_))) => {
            tracing::error!(%connector, file = %file.display(), %refused, "the file has changed and is not taken");
        }
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::io::Write;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    /// Far longer than anything here takes.
    const STUCK_AFTER: Duration = Duration::from_secs(60);

    fn grow(file: &Path) {
        let mut open = fs::File::options().append(true).open(file).unwrap();
        open.write_all(b"more").unwrap();
    }

    #[test]
    fn what_grows_at_each_look_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "some").unwrap();
        let mut watched = Watched::taken(&file);
        for _ in 0..5 {
            grow(&file);
            assert_eq!(watched.changed(&file), None);
        }
        assert_eq!(watched.changed(&file), Look::at(&file));
    }

    #[test]
    fn what_stands_still_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "some").unwrap();
        let mut watched = Watched::taken(&file);
        assert_eq!(watched.changed(&file), None, "it has not changed");
        grow(&file);
        assert_eq!(watched.changed(&file), None, "it may go on");
        let look = watched.changed(&file);
        assert!(look.is_some());
        assert_eq!(watched.changed(&file), look, "until it is taken");
        watched.taken = look;
        assert_eq!(watched.changed(&file), None);
        assert_eq!(watched.changed(&file), None);
    }

    #[test]
    fn what_is_missing_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "some").unwrap();
        let mut watched = Watched::taken(&file);
        fs::remove_file(&file).unwrap();
        for _ in 0..3 {
            assert_eq!(watched.changed(&file), None);
        }
        fs::write(&file, "another").unwrap();
        assert_eq!(watched.changed(&file), None, "it may go on");
        assert!(watched.changed(&file).is_some());
    }

    #[tokio::test]
    async fn the_end_of_the_process_breaks_off_a_change_but_no_removal() {
        let stop = CancellationToken::new();
        assert_eq!(seen_through(&stop, || true, ready(1)).await, Some(1));
        stop.cancel();
        let broken_off = seen_through(&stop, || true, pending::<u32>());
        let broken_off = timeout(STUCK_AFTER, broken_off).await;
        assert_eq!(broken_off.unwrap(), None);

        let (remove, removed) = oneshot::channel();
        let removes = || {
            remove.send(2).unwrap();
            false
        };
        let removal = async { removed.await.unwrap() };
        assert_eq!(seen_through(&stop, removes, removal).await, Some(2));
    }
}
