//! A catalog in memory: compare and swap on the metadata location, or what a commit requires alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::faults::Call;
use super::{CommitFate, Faults, held};
use crate::sink::{Catalog, CatalogError, CatalogTable};

/// Why a commit can't be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A requirement does not hold: a conflict.
    Requirement(String),
    /// It makes no sense.
    Invalid(String),
}

/// What a catalog goes by when it takes a commit or refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The metadata location that the commit expects, and its requirements: as a database does.
    Location,
    /// Its requirements alone: as servers of Iceberg's REST protocol do, which are not told a
    /// location.
    Requirements,
}

/// What a catalog knows of table metadata. The SDK itself knows no table format.
pub trait TableFormat: Send + Sync {
    /// The first metadata document of a table at `location`.
    ///
    /// # Errors
    /// Why there can't be such a table.
    fn create(&self, ident: &str, location: &str, creation: &str) -> Result<String, String>;
    /// The next metadata document.
    ///
    /// # Errors
    /// [`Refused`].
    fn apply(
        &self,
        metadata_location: &str,
        metadata: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<String, Refused>;
}

struct Late {
    calls: u32,
    commit: Commit,
}

#[derive(Clone)]
struct Commit {
    ident: String,
    expected_location: String,
    requirements: String,
    updates: String,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<String, CatalogTable>,
    late: Vec<Late>,
    commits: u64,
    serial: u64,
}

/// Tables in memory.
pub struct FakeCatalog {
    format: Box<dyn TableFormat>,
    guard: Guard,
    state: Mutex<State>,
    faults: Arc<Faults>,
}

impl fmt::Debug for FakeCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCatalog").finish_non_exhaustive()
    }
}

impl FakeCatalog {
    pub(super) fn new(
        format: impl TableFormat + 'static,
        guard: Guard,
        faults: Arc<Faults>,
    ) -> Self {
        Self {
            format: Box::new(format),
            guard,
            state: Mutex::default(),
            faults,
        }
    }

    /// A table as it is, past all faults.
    #[must_use]
    pub fn table(&self, ident: &str) -> Option<CatalogTable> {
        held(&self.state).tables.get(ident).cloned()
    }

    /// Commits that were applied to any table.
    #[must_use]
    pub fn applied(&self) -> u64 {
        held(&self.state).commits
    }

    /// Another writer's commit, past all faults.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub fn foreign(
        &self,
        ident: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<CatalogTable, CatalogError> {
        let mut state = held(&self.state);
        let expected_location = state
            .tables
            .get(ident)
            .ok_or(CatalogError::Missing)?
            .metadata_location
            .clone();
        self.apply(
            &mut state,
            &Commit {
                ident: ident.to_owned(),
                expected_location,
                requirements: requirements.to_owned(),
                updates: updates.to_owned(),
            },
        )
    }

    /// Drops a table, past all faults.
    pub fn drop_table(&self, ident: &str) {
        held(&self.state).tables.remove(ident);
    }

    /// Lets commits land that were held back.
    pub fn settle(&self) {
        let mut state = held(&self.state);
        for late in std::mem::take(&mut state.late) {
            // One that comes too late is refused, as it should be.
            drop(self.apply(&mut state, &late.commit));
        }
    }

    fn tick(&self, state: &mut State) {
        let mut due = Vec::new();
        state.late.retain_mut(|late| {
            if late.calls == 0 {
                due.push(late.commit.clone());
                return false;
            }
            late.calls -= 1;
            true
        });
        for commit in due {
            drop(self.apply(state, &commit));
        }
    }

    fn apply(&self, state: &mut State, commit: &Commit) -> Result<CatalogTable, CatalogError> {
        let table = state
            .tables
            .get(&commit.ident)
            .ok_or(CatalogError::Missing)?
            .clone();
        let moved = table.metadata_location != commit.expected_location;
        if moved && self.guard == Guard::Location {
            return Err(CatalogError::Conflict(format!(
                "the table is at {}",
                table.metadata_location
            )));
        }
        let metadata = self
            .format
            .apply(
                &table.metadata_location,
                &table.metadata,
                &commit.requirements,
                &commit.updates,
            )
            .map_err(|refused| match refused {
                Refused::Requirement(why) => CatalogError::Conflict(why),
                Refused::Invalid(why) => CatalogError::Other(why),
            })?;
        state.serial += 1;
        state.commits += 1;
        let next = CatalogTable {
            metadata_location: location_of_metadata(&table.location, state.serial),
            metadata,
            location: table.location,
        };
        state.tables.insert(commit.ident.clone(), next.clone());
        Ok(next)
    }

    fn commit_with(
        &self,
        state: &mut State,
        commit: &Commit,
        fate: CommitFate,
    ) -> Result<CatalogTable, CatalogError> {
        let unknown = || CatalogError::Unknown("the connection broke".to_owned());
        match fate {
            CommitFate::Done => self.apply(state, commit),
            CommitFate::Conflict => Err(CatalogError::Conflict("someone was first".to_owned())),
            CommitFate::Transient => Err(CatalogError::Transient("busy".to_owned())),
            CommitFate::UnknownDone => {
                drop(self.apply(state, commit));
                Err(unknown())
            }
            CommitFate::UnknownLost => Err(unknown()),
            CommitFate::UnknownLate { calls } => {
                state.late.push(Late {
                    calls,
                    commit: commit.clone(),
                });
                Err(unknown())
            }
        }
    }
}

/// As real catalogs name them: a version, then a random part.
fn location_of_metadata(location: &str, serial: u64) -> String {
    format!("{location}/metadata/{serial:05}-00000000-0000-4000-8000-{serial:012x}.metadata.json")
}

fn dead() -> CatalogError {
    CatalogError::Other("killed".to_owned())
}

impl Catalog for FakeCatalog {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        if self.faults.call() != Call::Works {
            return Err(dead());
        }
        let mut state = held(&self.state);
        self.tick(&mut state);
        let table = state.tables.get(ident).ok_or(CatalogError::Missing)?;
        Ok((known != Some(table.metadata_location.as_str())).then(|| table.clone()))
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        let call = self.faults.call();
        if call == Call::Dead {
            return Err(dead());
        }
        let mut state = held(&self.state);
        self.tick(&mut state);
        if state.tables.contains_key(ident) {
            return Err(CatalogError::Exists);
        }
        let location = format!("memory://warehouse/{}", ident.replace('.', "/"));
        let metadata = self
            .format
            .create(ident, &location, creation)
            .map_err(CatalogError::Other)?;
        state.serial += 1;
        let table = CatalogTable {
            metadata_location: location_of_metadata(&location, state.serial),
            metadata,
            location,
        };
        state.tables.insert(ident.to_owned(), table.clone());
        if call == Call::WorksUnheard {
            Err(dead())
        } else {
            Ok(table)
        }
    }

    fn commit(
        &self,
        ident: &str,
        expected_location: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<CatalogTable, CatalogError> {
        let call = self.faults.call();
        if call == Call::Dead {
            return Err(dead());
        }
        let fate = self.faults.next_commit();
        let mut state = held(&self.state);
        self.tick(&mut state);
        let commit = Commit {
            ident: ident.to_owned(),
            expected_location: expected_location.to_owned(),
            requirements: requirements.to_owned(),
            updates: updates.to_owned(),
        };
        let outcome = self.commit_with(&mut state, &commit, fate);
        if call == Call::WorksUnheard {
            Err(dead())
        } else {
            outcome
        }
    }
}
