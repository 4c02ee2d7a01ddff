//! The committer: staged files and their offsets become one snapshot, or nothing does.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{
    Catalog, Error, ErrorKind, Namespace, NamespaceIdent, TableCommit, TableCreation, TableIdent,
    TableRequirement, TableUpdate,
};
use jackfield_sdk::Failure;
use jackfield_sdk::sink::{
    Catalog as Port, CatalogError, CatalogTable, Committed, Holding, LogLevel, Piece, Ports, Span,
};
use tokio::runtime::Runtime;

use crate::errors;
use crate::evolve::{self, Change, Settled};
use crate::maintain::{self, Upkeep};
use crate::offsets::{
    Progress, Refused, Step, Stored, commit_key, first_key, offsets_key, sequence_key,
};
use crate::piece;
use crate::settings::Maintain;
use crate::storage::HostStorage;
use crate::tables::Tables;

/// Attempts of one call; the host repeats the call. Each costs a load, a manifest and a commit.
const ATTEMPTS_MAX: u32 = 5;

/// Commits between two looks at manifests and snapshots: a merge makes at least 100 manifests one,
/// so there is little to do more often.
const TIDY_EACH: u64 = 50;
/// Commits between two clean-ups, which list all the table's files.
const SWEEP_EACH: u64 = 500;

/// Commits for one connector.
pub(crate) struct Committer {
    connector: String,
    upkeep: Maintain,
    ports: Ports,
    tables: Tables,
    storage: HostStorage,
    /// Commits of each table since this was opened.
    commits: BTreeMap<String, u64>,
    /// As of the last call, so that a catalog need not send what it has sent.
    known: BTreeMap<String, Table>,
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
        upkeep: Maintain,
        ports: Ports,
        tables: Tables,
        storage: HostStorage,
    ) -> Self {
        Self {
            connector,
            upkeep,
            ports,
            commits: BTreeMap::new(),
            tables,
            storage,
            known: BTreeMap::new(),
        }
    }

    /// What each of the tables holds of this connector.
    pub(crate) fn stored(&mut self, targets: &[String]) -> Result<Vec<Holding>, Failure> {
        let mut held = Vec::new();
        for target in targets {
            // A table that is gone holds nothing.
            let Some(table) = self.load(target)? else {
                continue;
            };
            let stored = Stored::read(table.metadata(), &self.connector)
                .map_err(|why| refused(target, &why))?;
            let positions = stored.offsets.positions();
            if !positions.is_empty() {
                held.push(Holding {
                    target: target.clone(),
                    positions,
                });
            }
        }
        Ok(held)
    }

    pub(crate) fn commit(
        &mut self,
        runtime: &Runtime,
        target: &str,
        pieces: &[Piece],
        spans: &[Span],
        id: &str,
    ) -> Result<Committed, Failure> {
        if let Some(why) = piece::failed(pieces) {
            return Err(Failure::Misconfigured(why));
        }
        let (rows, files, bytes) = piece::tally(target, pieces)?;
        let committed = Committed { rows, files, bytes };
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let table = self.load(target)?.ok_or_else(|| {
                Failure::Misconfigured(format!("the table {target} does not exist any more"))
            })?;
            // Also how an unknown outcome is settled: it is in the table, or the table stands
            // where it stood, or someone else has moved it.
            let stored = Stored::read(table.metadata(), &self.connector)
                .map_err(|why| refused(target, &why))?;
            let progress = match stored.follow(&self.connector, spans, id, files > 0) {
                Ok(Step::Done | Step::Nothing) => return Ok(committed),
                Ok(Step::Commit(progress)) => progress,
                Err(why) => return Err(refused(target, &why)),
            };
            let evolution = self.evolution(target, &table, pieces)?;
            let staged = piece::decode(target, &table, pieces)?;
            match self.attempt(runtime, target, evolution, staged.files, &progress, id)? {
                Attempt::Done(now) => {
                    let now = self.tables.table(target, now)?;
                    self.known.insert(target.to_owned(), now);
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
            let json = |e: serde_json::Error| Failure::Broken(format!("{target}: {e}"));
            let committed = self.tables.catalog().commit(
                target,
                table.metadata_location().unwrap_or_default(),
                &serde_json::to_string(&change.requirements).map_err(json)?,
                &serde_json::to_string(&change.updates).map_err(json)?,
            );
            match committed {
                // If nobody knows, the tasks find out when they look at the table.
                Ok(_) | Err(CatalogError::Conflict(_) | CatalogError::Unknown(_)) => {}
                Err(error) => {
                    return Err(errors::catalog(&format!("evolving {target}"), error));
                }
            }
        }
        Err(Failure::Rewind(format!(
            "{target}: the schemas of its tasks' files do not go together: they are written again"
        )))
    }

    /// After a commit. It has happened, so what goes wrong here is said and left for later.
    fn maintain(&mut self, runtime: &Runtime, target: &str) {
        let count = self.commits.entry(target.to_owned()).or_default();
        *count += 1;
        let tidy = count.is_multiple_of(TIDY_EACH);
        let sweep = count.is_multiple_of(SWEEP_EACH);
        let now = SystemTime::now();
        if tidy && self.upkeep.merge_manifests {
            let done = self.merge(runtime, target, now);
            self.said(target, "merging manifests", done);
        }
        if tidy && let Some(age) = self.upkeep.expire {
            let done = self.expire(target, now, age.0);
            self.said(target, "expiring snapshots", done);
        }
        if sweep && let Some(age) = self.upkeep.orphans {
            let done = self.sweep(runtime, target, now, age.0);
            self.said(target, "cleaning up", done);
        }
    }

    fn said(&self, target: &str, what: &str, done: Result<Option<String>, Failure>) {
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
        let Some(table) = self.load(target)? else {
            return Ok(None);
        };
        let merged = runtime.block_on(maintain::merge_manifests(&table, maintain::millis(now)));
        match merged.map_err(|e| errors::retry(e.to_string()))? {
            None => Ok(None),
            Some(upkeep) => {
                self.keep_up(target, &table, &upkeep)?;
                Ok(Some("manifests were merged".to_owned()))
            }
        }
    }

    fn expire(
        &mut self,
        target: &str,
        now: SystemTime,
        age: Duration,
    ) -> Result<Option<String>, Failure> {
        let Some(table) = self.load(target)? else {
            return Ok(None);
        };
        match maintain::expire(table.metadata(), now, age) {
            None => Ok(None),
            Some(upkeep) => {
                self.keep_up(target, &table, &upkeep)?;
                Ok(Some("old snapshots were expired".to_owned()))
            }
        }
    }

    fn keep_up(&self, target: &str, table: &Table, upkeep: &Upkeep) -> Result<(), Failure> {
        let json = |e: serde_json::Error| Failure::Broken(format!("{target}: {e}"));
        self.tables
            .catalog()
            .commit(
                target,
                table.metadata_location().unwrap_or_default(),
                &serde_json::to_string(&upkeep.requirements).map_err(json)?,
                &serde_json::to_string(&upkeep.updates).map_err(json)?,
            )
            .map(drop)
            .map_err(|error| errors::catalog("upkeep", error))
    }

    fn sweep(
        &mut self,
        runtime: &Runtime,
        target: &str,
        now: SystemTime,
        age: Duration,
    ) -> Result<Option<String>, Failure> {
        let Some(table) = self.load(target)? else {
            return Ok(None);
        };
        let store = self.ports.store.as_ref();
        let old = maintain::old_files(store, table.metadata(), now, age)
            .map_err(|error| errors::store("listing", &error))?;
        if old.is_empty() {
            return Ok(None);
        }
        // Only now: a file that was committed since it was listed is found here.
        let Some(table) = self.tables.load(target, None)? else {
            return Ok(None);
        };
        let orphans = runtime
            .block_on(maintain::unreferenced(&table, old))
            .map_err(|e| errors::retry(e.to_string()))?;
        for orphan in &orphans {
            let deleted = self.ports.store.delete(orphan);
            deleted.map_err(|error| errors::store("deleting", &error))?;
        }
        let count = orphans.len();
        Ok((count > 0).then(|| format!("{count} files that nothing refers to were deleted")))
    }

    fn load(&mut self, target: &str) -> Result<Option<Table>, Failure> {
        let loaded = self.tables.load(target, self.known.get(target))?;
        match &loaded {
            Some(table) => self.known.insert(target.to_owned(), table.clone()),
            None => self.known.remove(target),
        };
        Ok(loaded)
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

/// A catalog that knows one table as it was when its offsets were checked. The library loads the
/// table anew before it commits; that would put these files on top of whatever has come since.
struct Pinned {
    ident: String,
    table: Table,
    /// Of the table's schema, which goes first.
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
    catalog: Arc<dyn Port>,
    outcome: Mutex<Option<Result<CatalogTable, CatalogError>>>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned")
            .field("ident", &self.ident)
            .finish_non_exhaustive()
    }
}

impl Pinned {
    fn send(&self, mut commit: TableCommit) -> iceberg::Result<Result<CatalogTable, CatalogError>> {
        let mut requirements = self.requirements.clone();
        requirements.extend(commit.take_requirements());
        requirements.push(TableRequirement::DefaultSpecIdMatch {
            default_spec_id: self.table.metadata().default_partition_spec_id(),
        });
        let mut updates = self.updates.clone();
        updates.extend(commit.take_updates());
        updates.retain(
            |it| !matches!(it, TableUpdate::RemoveProperties { removals } if removals.is_empty()),
        );
        Ok(self.catalog.commit(
            &self.ident,
            self.table.metadata_location_result()?,
            &serde_json::to_string(&requirements)?,
            &serde_json::to_string(&updates)?,
        ))
    }
}

fn unasked<T>() -> iceberg::Result<T> {
    Err(Error::new(
        ErrorKind::FeatureUnsupported,
        "not part of a commit",
    ))
}

#[async_trait]
impl Catalog for Pinned {
    async fn load_table(&self, _table: &TableIdent) -> iceberg::Result<Table> {
        Ok(self.table.clone())
    }

    async fn update_table(&self, commit: TableCommit) -> iceberg::Result<Table> {
        let outcome = self.send(commit)?;
        // Not retryable: what comes next is decided here, after a new look at the table.
        let told = match &outcome {
            Ok(_) => Ok(self.table.clone()),
            Err(error) => Err(Error::new(ErrorKind::Unexpected, error.to_string())),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        told
    }

    async fn list_namespaces(
        &self,
        _parent: Option<&NamespaceIdent>,
    ) -> iceberg::Result<Vec<NamespaceIdent>> {
        unasked()
    }

    async fn create_namespace(
        &self,
        _namespace: &NamespaceIdent,
        _properties: HashMap<String, String>,
    ) -> iceberg::Result<Namespace> {
        unasked()
    }

    async fn get_namespace(&self, _namespace: &NamespaceIdent) -> iceberg::Result<Namespace> {
        unasked()
    }

    async fn namespace_exists(&self, _namespace: &NamespaceIdent) -> iceberg::Result<bool> {
        unasked()
    }

    async fn update_namespace(
        &self,
        _namespace: &NamespaceIdent,
        _properties: HashMap<String, String>,
    ) -> iceberg::Result<()> {
        unasked()
    }

    async fn drop_namespace(&self, _namespace: &NamespaceIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn list_tables(&self, _namespace: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        unasked()
    }

    async fn create_table(
        &self,
        _namespace: &NamespaceIdent,
        _creation: TableCreation,
    ) -> iceberg::Result<Table> {
        unasked()
    }

    async fn drop_table(&self, _table: &TableIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn purge_table(&self, _table: &TableIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn table_exists(&self, _table: &TableIdent) -> iceberg::Result<bool> {
        unasked()
    }

    async fn rename_table(&self, _from: &TableIdent, _to: &TableIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn register_table(
        &self,
        _table: &TableIdent,
        _metadata_location: String,
    ) -> iceberg::Result<Table> {
        unasked()
    }
}
