//! Upkeep of tables: by counts of their commits, and by what a table shows when a life begins, since
//! one that is short never counts that far.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use iceberg::table::Table;
use jackfield_sdk::Failure;
use jackfield_sdk::sink::{CatalogError, LogLevel};
use tokio::runtime::Runtime;

use super::Committer;
use super::room::{DOCUMENT_BYTES_LARGE, DOCUMENT_BYTES_NEAR, SNAPSHOTS_MAX};
use crate::documents::{self, Whose};
use crate::errors;
use crate::maintain::{self, Upkeep};
use crate::offsets::taken_back;
use crate::orphans::{self, Place, Until, canonical};

/// Commits between two looks at manifests and snapshots: a merge makes at least 100 manifests one,
/// so there is little to do more often.
const TIDY_EACH: u64 = 50;
/// Commits between two clean-ups, which list all the table's files.
const SWEEP_EACH: u64 = 500;
/// The first clean-up of a life: a sink that is started again and again must get to it, and one
/// that dies at once must not list its tables each time.
const SWEEP_FIRST: u64 = 10;
/// Objects that one clean-up looks at: a hundred requests. The next goes on behind them.
const LISTED_MAX: usize = 100_000;
/// What one clean-up may take: it is part of a call that has two minutes, half of them for the
/// commit itself. A third of it is for listing, the next for reading documents and what is
/// referenced.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(30);
/// What reading the manifests of one merge may take, of the same two minutes: an instance that
/// overstays them is discarded, and the next would begin to count the commits anew.
const MERGE_TIME_MAX: Duration = Duration::from_secs(30);

/// Tries of a commit of upkeep, each on top of what others have committed meanwhile: beside a busy
/// writer the first is often late. One costs a look at the table, and a list of manifests.
const TRIES_MAX: u32 = 4;

/// When upkeep is due, and what time it is.
pub(crate) struct Schedule {
    pub(crate) tidy_each: u64,
    pub(crate) sweep_first: u64,
    pub(crate) sweep_each: u64,
    pub(crate) listed_max: usize,
    pub(crate) snapshots_max: usize,
    pub(crate) document_bytes_near: usize,
    pub(crate) document_bytes_large: usize,
    pub(crate) clock: fn() -> SystemTime,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            tidy_each: TIDY_EACH,
            sweep_first: SWEEP_FIRST,
            sweep_each: SWEEP_EACH,
            listed_max: LISTED_MAX,
            snapshots_max: SNAPSHOTS_MAX,
            document_bytes_near: DOCUMENT_BYTES_NEAR,
            document_bytes_large: DOCUMENT_BYTES_LARGE,
            clock: SystemTime::now,
        }
    }
}

/// Of one table, since this was opened.
#[derive(Debug, Default)]
pub(super) struct Upkept {
    pub(super) commits: u64,
    /// Whether its snapshots' age was looked at.
    pub(super) looked: bool,
    /// The commit at which its size was last warned of.
    pub(super) warned_at: Option<u64>,
    /// How far the clean-up has looked; none: it begins anew.
    swept_to: Option<Place>,
    /// Whether the last clean-up left something for the next.
    unfinished: bool,
    /// Documents of the table that the clean-up at this place has met.
    own: HashSet<String>,
    /// Those of tables that never had a row, which are left alone.
    strange: HashSet<String>,
    /// The location of which this pass, or the one that it follows up, has seen all documents, none
    /// of them another table's.
    sole: Option<String>,
    /// Whether files were left because they had not all been seen.
    left: bool,
    /// Whether this pass follows up the one before it, for what that one left.
    follows_up: bool,
    /// Whether another table's was: nothing is cleaned up any more.
    shared: bool,
}

impl Committer {
    /// After a commit. It has happened, so what goes wrong here is said and left for later.
    pub(super) fn maintain(&mut self, runtime: &Runtime, target: &str) {
        let schedule = &self.schedule;
        let state = self.upkept.entry(target.to_owned()).or_default();
        state.commits += 1;
        let tidy = state.commits.is_multiple_of(schedule.tidy_each);
        let begins = state.commits % schedule.sweep_each == schedule.sweep_first;
        // What one clean-up could not look at is looked at soon.
        let sweep = begins || (tidy && state.unfinished);
        let begins_life = state.commits == 1;
        let now = (schedule.clock)();
        self.warn_of_size(target);
        if (tidy || begins_life) && self.settings.merge_manifests {
            let done = self.merge(runtime, target, now);
            self.said(target, "merging manifests", done);
        }
        if tidy && let Some(age) = self.settings.expire {
            let done = self.expire(target, now, age.0);
            self.said(target, "expiring snapshots", done);
        }
        if sweep && let Some(age) = self.settings.orphans {
            let done = self.sweep(runtime, target, age.0);
            self.said(target, "cleaning up", done);
        }
    }

    pub(super) fn said(&self, target: &str, what: &str, done: Result<Option<String>, Failure>) {
        match done {
            Ok(None) => {}
            Ok(Some(done)) => self
                .ports
                .log
                .write(LogLevel::Info, &format!("{target}: {done}")),
            Err(why) => {
                let line = format!("{target}: {what} is left for later: {why}");
                self.ports.log.write(LogLevel::Warn, &line);
            }
        }
    }

    fn merge(
        &mut self,
        runtime: &Runtime,
        target: &str,
        now: SystemTime,
    ) -> Result<Option<String>, Failure> {
        let Some(mut table) = self.load(target)? else {
            return Ok(None);
        };
        let until = Until {
            clock: self.schedule.clock,
            at: now + MERGE_TIME_MAX,
        };
        let unread = |e: iceberg::Error| errors::retry(e.to_string());
        let merged = runtime.block_on(maintain::merge(&table, until));
        let Some(merged) = merged.map_err(unread)? else {
            return Ok(None);
        };
        let done = || Ok(Some("manifests were merged".to_owned()));
        for _ in 0..TRIES_MAX {
            let upkeep = merged.upkeep(&table, maintain::millis(now));
            let Some(upkeep) = runtime.block_on(upkeep).map_err(unread)? else {
                let why = "someone else has replaced some of the manifests";
                return Err(errors::retry(why));
            };
            if self.keep_up(target, &table, &upkeep, "upkeep")? {
                return done();
            }
            let Some(again) = self.load(target)? else {
                return Ok(None);
            };
            table = again;
            if merged.is_in(table.metadata()) {
                return done();
            }
        }
        Err(errors::retry(late()))
    }

    fn expire(
        &mut self,
        target: &str,
        now: SystemTime,
        age: Duration,
    ) -> Result<Option<String>, Failure> {
        match self.load(target)? {
            None => Ok(None),
            Some(table) => self.expire_of(target, table, now, age),
        }
    }

    /// Expires snapshots of a table that has just been looked at.
    pub(super) fn expire_of(
        &mut self,
        target: &str,
        mut table: Table,
        now: SystemTime,
        age: Duration,
    ) -> Result<Option<String>, Failure> {
        for _ in 0..TRIES_MAX {
            // What this connector goes on by must not go, and what others do only for want of room.
            let taken_back = taken_back(table.metadata());
            if taken_back.contains(&self.connector.as_str()) {
                return Ok(None);
            }
            let age = if taken_back.is_empty() {
                age
            } else {
                Duration::MAX
            };
            let left = |count| self.snapshots_left(target, count);
            let Some(upkeep) = maintain::expire(table.metadata(), now, age, left) else {
                return Ok(None);
            };
            if self.keep_up(target, &table, &upkeep, "upkeep")? {
                return Ok(Some("old snapshots were expired".to_owned()));
            }
            let Some(again) = self.load(target)? else {
                return Ok(None);
            };
            table = again;
        }
        Err(errors::retry(late()))
    }

    /// Whether a commit without rows was made. If not, someone else was first, or nobody knows.
    pub(super) fn keep_up(
        &self,
        target: &str,
        table: &Table,
        upkeep: &Upkeep,
        during: &str,
    ) -> Result<bool, Failure> {
        let json = |e: serde_json::Error| Failure::Broken(format!("{target}: {e}"));
        let committed = self.tables.catalog().commit(
            target,
            table.metadata_location().unwrap_or_default(),
            &serde_json::to_string(&upkeep.requirements).map_err(json)?,
            &serde_json::to_string(&upkeep.updates).map_err(json)?,
        );
        match committed {
            Ok(_) => Ok(true),
            Err(CatalogError::Conflict(_) | CatalogError::Unknown(_)) => Ok(false),
            Err(
                error @ (CatalogError::Denied(_)
                | CatalogError::Missing
                | CatalogError::Exists
                | CatalogError::Transient(_)
                | CatalogError::Interrupted
                | CatalogError::Other(_)),
            ) => Err(errors::catalog(during, error)),
        }
    }

    fn sweep(
        &mut self,
        runtime: &Runtime,
        target: &str,
        age: Duration,
    ) -> Result<Option<String>, Failure> {
        let clock = self.schedule.clock;
        let now = clock();
        let until = |sixths: u32| Until {
            clock,
            at: now + SWEEP_TIME_MAX / 6 * sixths,
        };
        let Some(table) = self.load(target)? else {
            return Ok(None);
        };
        let location = table.metadata().location().to_owned();
        let state = self.upkept.entry(target.to_owned()).or_default();
        if state.shared {
            return Ok(None);
        }
        // Another table may have come since. A pass that follows up is at the heels of one that has
        // looked: if it forgot that, it would leave the same files again, without end.
        if state.swept_to.is_none() && !state.follows_up {
            state.sole = None;
        }
        let store = self.ports.store.as_ref();
        let listed = orphans::old_files(
            store,
            table.metadata(),
            now,
            age,
            state.swept_to.as_ref(),
            self.schedule.listed_max,
            until(2),
        )
        .map_err(|error| errors::store("listing", &error))?;
        // Only now: a file that was committed since it was listed is found here.
        let Some(table) = self.tables.load(target, None)? else {
            return Ok(None);
        };
        let (own, strange) = (&mut state.own, &mut state.strange);
        let whose = documents::whose(store, &table, &listed.documents, own, strange, until(3))
            .map_err(|e| errors::retry(e.to_string()))?;
        match &whose {
            Whose::Own if listed.past_documents => state.sole = Some(location.clone()),
            Whose::Own | Whose::Untold => {}
            Whose::Other(document) => {
                state.shared = true;
                let line = format!(
                    "{target}: nothing is cleaned up any more: {document} is of another table, \
                     whose files may be among these. Move one of the two to a place of its own, \
                     or remove that document if its table is no more, and start the connector again"
                );
                self.ports.log.write(LogLevel::Error, &line);
                return Ok(None);
            }
        }
        let mut orphans = Vec::new();
        if !listed.old.is_empty() {
            orphans = runtime
                .block_on(orphans::unreferenced(&table, listed.old, until(4)))
                .map_err(|e| errors::retry(e.to_string()))?;
        }
        orphans.retain(|it| !state.strange.contains(canonical(it)));
        // Only the documents that were read are surely not another table's until all have been.
        if whose != Whose::Own || state.sole.as_ref() != Some(&location) {
            let found = orphans.len();
            orphans.retain(|it| state.own.contains(canonical(it)));
            // Where there was no time for documents, the next look is at the same place.
            state.left |= whose == Whose::Own && orphans.len() < found;
        }
        let mut count = 0;
        for orphan in &orphans {
            let deleted = self.ports.store.delete(orphan);
            deleted.map_err(|error| errors::store("deleting", &error))?;
            count += 1;
            if until(6).is_over() {
                break;
            }
        }
        // Where time was up, the next clean-up finds the rest at the same place.
        let all = whose == Whose::Own && count == orphans.len();
        if all {
            state.swept_to = listed.to;
            state.own.clear();
            state.strange.clear();
        }
        if all && state.swept_to.is_none() {
            state.follows_up = std::mem::take(&mut state.left);
        }
        state.unfinished = !all || state.follows_up || state.swept_to.is_some();
        Ok((count > 0).then(|| format!("{count} files that nothing refers to were deleted")))
    }
}

fn late() -> String {
    format!("someone else was first, {TRIES_MAX} times")
}
