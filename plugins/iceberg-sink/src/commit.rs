//! The committer: staged files and their offsets become one snapshot, or nothing does.

mod known;
mod pinned;
mod room;
mod shares;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use iceberg::spec::DataFile;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use jackfield_sdk::Failure;
use jackfield_sdk::sink::{
    CatalogError, CatalogTable, Committed, Holding, LogLevel, LogPosition, Piece, Ports,
    STORE_CHUNK_BYTES_MAX, Span,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

#[cfg(test)]
pub(crate) use self::known::KNOWN_BYTES_MAX;
use self::known::Known;
use self::pinned::Pinned;
use self::shares::Shares;
pub(crate) use self::upkeep::Schedule;
use self::upkeep::Upkept;
use crate::errors;
use crate::evolve::{self, Change, Settled};
use crate::location::data_folder;
use crate::maintain::Upkeep;
use crate::offsets::{
    Progress, Refused, Step, Stored, commit_key, first_key, offsets_key, sequence_key,
};
use crate::piece::{self, Unwritten};
use crate::routing::Route;
use crate::settings::Maintain;
use crate::storage::HostStorage;
use crate::tables::{self, Tables};

/// Attempts of one call; the host repeats the call. Each costs a load, a manifest and a commit.
const ATTEMPTS_MAX: u32 = 5;
/// Tables that are loaded in one `stored` beside those that are asked for: of these the host asks as
/// many as may be loaded within the call.
const OTHERS_LOADED_MAX: usize = 30;
/// Chunks of the file that a store is tried with: more than the 5 MiB from which on the host writes
/// in parts, as it does most data files.
const TRIED_CHUNKS: usize = 6;

/// Commits for one connector.
pub(crate) struct Committer {
    connector: String,
    settings: Maintain,
    schedule: Schedule,
    ports: Ports,
    tables: Tables,
    storage: HostStorage,
    upkept: BTreeMap<String, Upkept>,
    /// Of tables whose rows have to be read again, the commit that was told to wait.
    told_to_wait: BTreeMap<String, String>,
    known: Known,
    shares: Shares,
    /// What tables said that they hold, until something is committed to them.
    told: BTreeMap<String, Vec<LogPosition>>,
    /// Tables that were there once.
    seen: BTreeSet<String>,
}

/// What came of one attempt.
enum Attempt {
    Done(CatalogTable),
    /// Look at the table again: someone was first, or nobody knows.
    Again(String),
}

impl Committer {
    pub(crate) fn new(
        connector: String,
        settings: Maintain,
        route: Route,
        ports: Ports,
        tables: Tables,
        storage: HostStorage,
    ) -> Self {
        Self {
            connector,
            settings,
            schedule: Schedule::default(),
            ports,
            upkept: BTreeMap::new(),
            told_to_wait: BTreeMap::new(),
            tables,
            storage,
            known: Known::default(),
            shares: Shares::new(route),
            told: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    /// As a test has it.
    #[cfg(test)]
    pub(crate) fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// What each of the tables holds of this connector. There may be thousands, of which the host asks
    /// some hundreds at a time: of each only the positions stay.
    pub(crate) fn stored(&mut self, targets: &[String]) -> Result<Vec<Holding>, Failure> {
        let mut held = Vec::new();
        for target in targets {
            self.told.remove(target);
            held.extend(self.holding(target)?);
        }
        let others = self.other_holdings(&held, targets)?;
        self.shares.leave_out(&mut held, &others);
        // Where a field names the tables each holds all positions, and lacks none to be told of.
        let told = held.iter().filter(|it| self.shares.has(&it.target));
        let told = told.map(|it| (it.target.clone(), it.positions.clone()));
        self.told.extend(told);
        Ok(held)
    }

    /// What a table holds; none: nothing, or it is gone.
    fn holding(&mut self, target: &str) -> Result<Option<Holding>, Failure> {
        let Some(loaded) = self.tables.look(target, self.known.get(target))? else {
            self.known.forget(target);
            return Ok(None);
        };
        self.seen.insert(target.to_owned());
        let stored = Stored::read(loaded.table.metadata(), &self.connector)
            .map_err(|why| refused(target, &why))?;
        let positions = stored.offsets.positions();
        positions.iter().for_each(|at| self.shares.met(&at.topic));
        Ok((!positions.is_empty()).then(|| Holding {
            target: target.to_owned(),
            positions,
        }))
    }

    /// What the own tables hold of topics whose positions others have still, where they are not asked
    /// in this call. Of those that it was not looked at reading begins where the others say.
    fn other_holdings(
        &mut self,
        held: &[Holding],
        asked: &[String],
    ) -> Result<Vec<Holding>, Failure> {
        let mut others = Vec::new();
        let mut loads = OTHERS_LOADED_MAX;
        for target in self.shares.own_tables(held) {
            if asked.contains(&target) {
                continue;
            }
            if let Some(positions) = self.told.get(&target) {
                let positions = positions.clone();
                others.push(Holding { target, positions });
                continue;
            }
            if loads == 0 {
                continue;
            }
            loads -= 1;
            let Some(mut other) = self.holding(&target)? else {
                continue;
            };
            let shares = &self.shares;
            other
                .positions
                .retain(|at| !shares.go_elsewhere(&target, &at.topic));
            self.told.insert(target, other.positions.clone());
            others.push(other);
        }
        Ok(others)
    }

    /// Whether spans end where they begin, and the table has said that it stands there: the host
    /// tells a table in each life where the topics begin that it keeps no positions of.
    fn stands(&self, target: &str, spans: &[Span]) -> bool {
        let Some(told) = self.told.get(target) else {
            return false;
        };
        let says = |span: &Span| {
            told.iter().any(|at| {
                at.topic_id == span.topic_id
                    && at.partition == span.partition
                    && at.next_offset == span.next_offset
            })
        };
        let no_news = |span: &Span| self.shares.go_elsewhere(target, &span.topic) || says(span);
        let mut spans = spans.iter();
        spans.all(|it| it.first_offset == it.next_offset && no_news(it))
    }

    pub(crate) fn commit(
        &mut self,
        runtime: &Runtime,
        target: &str,
        pieces: &[Piece],
        spans: &[Span],
        id: &str,
    ) -> Result<Committed, Failure> {
        match piece::unwritten(pieces) {
            None => {}
            Some(Unwritten::ForGood(why)) => return Err(Failure::Misconfigured(why)),
            Some(Unwritten::ForNow(why)) => return Err(self.unwritten(target, id, &why)),
        }
        spans.iter().for_each(|it| self.shares.met(&it.topic));
        if pieces.is_empty() && self.stands(target, spans) {
            return Ok(Committed::default());
        }
        self.told.remove(target);
        let (rows, files, bytes) = piece::tally(target, pieces)?;
        let committed = Committed { rows, files, bytes };
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut table) = self.load(target)? else {
                return Err(self.missing(target, pieces, id));
            };
            if self.make_room(target, &table) {
                let Some(smaller) = self.load(target)? else {
                    return Err(self.missing(target, pieces, id));
                };
                table = smaller;
            }
            // Also how an unknown outcome is settled: it is in the table, or the table stands
            // where it stood, or someone else has moved it.
            let stored = Stored::read(table.metadata(), &self.connector)
                .map_err(|why| refused(target, &why))?;
            // An instance that took another's place was not asked what the tables hold.
            self.shares.holds(target, &stored.offsets.positions());
            let keeper = |topic: &str, partition| self.shares.keeper(target, topic, partition);
            let followed = stored.follow(&self.connector, spans, id, files > 0, keeper);
            let progress = match followed {
                Ok(Step::Done | Step::Nothing) => return Ok(committed),
                Ok(Step::Commit(progress)) => progress,
                Err(why) => return Err(refused(target, &why)),
            };
            let evolution = self.evolution(target, &table, pieces)?;
            // As it is going to be: partition values are of the types that its columns then have.
            let staged = piece::decode(target, &evolution.table, pieces)?;
            match self.attempt(runtime, target, evolution, staged.files, &progress, id)? {
                Attempt::Done(now) => {
                    self.shares.holds(target, &progress.offsets.positions());
                    let document_bytes = now.metadata.len();
                    let now = self.tables.table(target, now)?;
                    self.known.keep(target, now, document_bytes);
                    self.maintain(runtime, target);
                    return Ok(committed);
                }
                Attempt::Again(why) => last = why,
            }
        }
        Err(errors::retry(format!(
            "committing to {target}: {ATTEMPTS_MAX} attempts: {last}"
        )))
    }

    /// What becomes of a commit whose rows got lost on their way to the store. They are put again
    /// once files can be written: until then the host makes the commits of the other tables, and
    /// gives this one up when it has waited for long enough.
    fn unwritten(&mut self, target: &str, id: &str, why: &str) -> Failure {
        if self.waits(target, id) {
            return errors::retry(format!("{target}: {why}"));
        }
        match self.try_store(target) {
            Ok(()) => Failure::Rewind(format!("{target}: {why}")),
            Err(failure) => failure,
        }
    }

    /// Whether the commit is to wait for those of other tables, since all begins again after it: when
    /// it is tried first.
    fn waits(&mut self, target: &str, id: &str) -> bool {
        let before = self.told_to_wait.insert(target.to_owned(), id.to_owned());
        before.as_deref() != Some(id)
    }

    /// What becomes of a commit to a table that is not there. The host tells a new table where it
    /// begins before it hands over what a task could not even make it for: then it is made when
    /// the rows are read again. The host has kept by then where it begins, and does not ask again.
    fn missing(&mut self, target: &str, pieces: &[Piece], id: &str) -> Failure {
        if self.seen.contains(target) || !pieces.is_empty() {
            let why = format!("the table {target} does not exist any more");
            return Failure::Misconfigured(why);
        }
        let why = format!("the table {target} has not been made yet");
        if self.waits(target, id) {
            return errors::retry(why);
        }
        Failure::Rewind(why)
    }

    /// Whether files can be written for the table: one is, in parts, and removed again.
    fn try_store(&mut self, target: &str) -> Result<(), Failure> {
        let Some(table) = self.load(target)? else {
            return Ok(());
        };
        let during = format!("trying the store of {target}");
        let failed = |error| errors::store(&during, &error);
        // With the name of a data file, so that a clean-up finds what a kill leaves here.
        let folder = data_folder(table.metadata());
        let at = format!("{folder}/{}.parquet", Uuid::now_v7());
        let store = &self.ports.store;
        let mut upload = store.create(&at).map_err(failed)?;
        let chunk = vec![0_u8; STORE_CHUNK_BYTES_MAX];
        for _ in 0..TRIED_CHUNKS {
            upload.write(&chunk).map_err(failed)?;
        }
        upload.finish().map_err(failed)?;
        if let Err(error) = store.delete(&at) {
            let line = format!("{during}: {at} stays, and nothing refers to it: {error}");
            self.ports.log.write(LogLevel::Warn, &line);
        }
        Ok(())
    }

    /// What the rows need of the table's schema. Where two tasks gave one new field id to different
    /// columns, one schema is committed alone, and both write their rows again.
    fn evolution(&self, target: &str, table: &Table, pieces: &[Piece]) -> Result<Change, Failure> {
        let unfit = |e: iceberg::Error| {
            Failure::Misconfigured(format!("{target}: its schema can't be changed so: {e}"))
        };
        let wanted = piece::schemas(target, pieces)?;
        let alone = match evolve::settle(table.metadata(), wanted) {
            Settled::Fits => {
                return Ok(Change {
                    table: table.clone(),
                    requirements: Vec::new(),
                    updates: Vec::new(),
                });
            }
            Settled::Needs(schema) => {
                return evolve::change(&self.tables, table, *schema).map_err(unfit);
            }
            Settled::Clash(alone) => alone,
        };
        if let Some(schema) = alone {
            let change = evolve::change(&self.tables, table, *schema).map_err(unfit)?;
            let alone = Upkeep {
                requirements: change.requirements,
                updates: change.updates,
            };
            // If nobody knows, the tasks find out when they look at the table.
            self.keep_up(target, table, &alone, &format!("evolving {target}"))?;
        }
        Err(Failure::Rewind(format!(
            "{target}: the schemas of its tasks' files do not go together: they are written again"
        )))
    }

    fn load(&mut self, target: &str) -> Result<Option<Table>, Failure> {
        let Some(loaded) = self.tables.look(target, self.known.get(target))? else {
            self.known.forget(target);
            return Ok(None);
        };
        self.seen.insert(target.to_owned());
        tables::writable(target, &loaded.table)?;
        self.known.saw(target, &loaded);
        Ok(Some(loaded.table))
    }

    fn attempt(
        &self,
        runtime: &Runtime,
        target: &str,
        evolution: Change,
        files: Vec<DataFile>,
        progress: &Progress,
        id: &str,
    ) -> Result<Attempt, Failure> {
        let pinned = Pinned {
            ident: target.to_owned(),
            table: evolution.table,
            requirements: evolution.requirements,
            updates: evolution.updates,
            catalog: Arc::clone(self.tables.catalog()),
            outcome: Mutex::new(None),
        };
        self.storage.take_error();
        let built = runtime.block_on(transact(&pinned, &self.connector, files, progress, id));
        let during = format!("committing to {target}");
        match pinned
            .outcome
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some(Ok(now)) => Ok(Attempt::Done(now)),
            Some(Err(error)) => match error {
                CatalogError::Conflict(_) | CatalogError::Unknown(_) => {
                    Ok(Attempt::Again(error.to_string()))
                }
                CatalogError::Denied(_)
                | CatalogError::Missing
                | CatalogError::Exists
                | CatalogError::Transient(_)
                | CatalogError::Interrupted
                | CatalogError::Other(_) => Err(errors::catalog(&during, error)),
            },
            // The catalog was not asked: nothing has happened but files that nobody names.
            None => match (self.storage.take_error(), built) {
                (Some(error), _) => Err(errors::store(&during, &error)),
                (None, Err(error)) => Err(Failure::Broken(format!("{during}: {error}"))),
                (None, Ok(())) => Err(Failure::Broken(format!(
                    "{during}: the transaction was never sent"
                ))),
            },
        }
    }
}

fn refused(target: &str, why: &Refused) -> Failure {
    let text = format!("{target}: {why}");
    match why {
        Refused::NotThere { .. } => Failure::Fenced(text),
        Refused::TopicRecreated { .. }
        | Refused::HistoryGone { .. }
        | Refused::Unreadable { .. } => Failure::Misconfigured(text),
        Refused::Gap { .. } => Failure::Broken(text),
    }
}

/// Offsets and files in one fast append; offsets alone make an empty one, since the newest
/// snapshot is what tells them.
async fn transact(
    pinned: &Pinned,
    connector: &str,
    files: Vec<DataFile>,
    progress: &Progress,
    id: &str,
) -> iceberg::Result<()> {
    let offsets = progress.offsets.to_json();
    // As the library numbers the snapshot that it is about to make.
    let sequence = pinned.table.metadata().next_sequence_number();
    let state = HashMap::from([
        (offsets_key(connector), offsets.clone()),
        (commit_key(connector), id.to_owned()),
    ]);
    let transaction = Transaction::new(&pinned.table);
    let transaction = transaction
        .fast_append()
        // It would read every manifest of the table. The spans' equality is the guard.
        .with_check_duplicate(false)
        .set_snapshot_properties(state)
        .add_data_files(files)
        .apply(transaction)?;
    let transaction = transaction
        .update_table_properties()
        .set(offsets_key(connector), offsets)
        .set(commit_key(connector), id.to_owned())
        .set(first_key(connector), progress.first.to_json())
        .set(sequence_key(connector), sequence.to_string())
        .apply(transaction)?;
    transaction.commit(pinned).await.map(drop)
}
