//! A sink's host for plain tests: everything in memory, and whatever can go wrong on demand.

mod catalog;
mod faults;
mod http;
mod schemas;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use catalog::{FakeCatalog, Guard, Refused, TableFormat};
pub use faults::{CommitFate, Faults, Kill};
pub use http::FakeHttp;
pub use schemas::FakeSchemas;
pub use store::FakeStore;

use super::{Log, LogLevel, Ports};

/// A lake with its registry: outlives the sinks that are opened on it, as the real ones do.
#[derive(Debug, Clone)]
pub struct FakeLake {
    /// Objects.
    pub store: Arc<FakeStore>,
    /// Tables.
    pub catalog: Arc<FakeCatalog>,
    /// Schemas by id.
    pub schemas: Arc<FakeSchemas>,
    /// Answers to requests.
    pub http: Arc<FakeHttp>,
    /// What goes wrong next.
    pub faults: Arc<Faults>,
    /// What sinks wrote for people.
    pub lines: Arc<Lines>,
}

impl FakeLake {
    /// An empty lake whose tables are understood by `format`.
    #[must_use]
    pub fn new(format: impl TableFormat + 'static) -> Self {
        Self::guarded_by(Guard::Location, format)
    }

    /// An empty lake whose catalog goes by this, and whose tables are understood by `format`.
    #[must_use]
    pub fn guarded_by(guard: Guard, format: impl TableFormat + 'static) -> Self {
        let faults = Arc::new(Faults::default());
        Self {
            store: Arc::new(FakeStore::new(Arc::clone(&faults))),
            catalog: Arc::new(FakeCatalog::new(format, guard, Arc::clone(&faults))),
            schemas: Arc::new(FakeSchemas::default()),
            http: Arc::new(FakeHttp::default()),
            faults,
            lines: Arc::new(Lines::default()),
        }
    }

    /// An empty lake for a sink that keeps no tables.
    #[must_use]
    pub fn without_tables() -> Self {
        Self::new(NoTables)
    }

    /// For `Sink::open`.
    #[must_use]
    pub fn ports(&self) -> Ports {
        Ports {
            store: Arc::clone(&self.store) as _,
            catalog: Arc::clone(&self.catalog) as _,
            schemas: Arc::clone(&self.schemas) as _,
            http: Arc::clone(&self.http) as _,
            log: Arc::clone(&self.lines) as _,
        }
    }
}

/// Collects lines.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<(LogLevel, String)>>);

impl Lines {
    /// Those written so far.
    #[must_use]
    pub fn all(&self) -> Vec<(LogLevel, String)> {
        held(&self.0).clone()
    }
}

impl Log for Lines {
    fn write(&self, level: LogLevel, message: &str) {
        held(&self.0).push((level, message.to_owned()));
    }
}

/// Understands no table.
struct NoTables;

impl TableFormat for NoTables {
    fn create(&self, _: &str, _: &str, _: &str) -> Result<String, String> {
        Err("this lake has no tables".to_owned())
    }

    fn apply(&self, _: &str, _: &str, _: &str, _: &str) -> Result<String, Refused> {
        Err(Refused::Invalid("this lake has no tables".to_owned()))
    }
}

/// A test that panicked with the lock held fails by itself.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
