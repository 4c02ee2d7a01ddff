//! The connector.

use std::fmt;

use jackfield_sdk::batch::Batch;
use jackfield_sdk::sink::{Committed, Holding, Piece, Ports, Sink, Span, Taken};
use jackfield_sdk::{Context, Delivery, Description, Failure, Finding, Role, Saved};
use tokio::runtime::{Builder, Runtime};

use crate::commit::Committer;
use crate::piece::{STAGED_VERSION, STAGED_VERSION_MIN};
use crate::routing::Route;
use crate::settings::Settings;
use crate::storage::HostStorage;
use crate::tables::Tables;
use crate::task::Task;

/// This sink keeps no cache: the table and the settings say everything.
const SAVED_VERSION: u32 = 1;

enum Work {
    Task(Box<Task>),
    Committer(Box<Committer>),
}

/// The Iceberg sink.
pub struct IcebergSink {
    table: String,
    route: Route,
    work: Work,
    /// The library wants one. Every wait in it is a call to the host, which returns when it is
    /// done: nothing else ever runs here.
    runtime: Runtime,
}

impl fmt::Debug for IcebergSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IcebergSink")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl IcebergSink {
    fn task(&mut self) -> Result<(&mut Task, &Runtime), Failure> {
        match &mut self.work {
            Work::Task(task) => Ok((task, &self.runtime)),
            Work::Committer(_) => Err(Failure::Broken("the committer takes no records".to_owned())),
        }
    }

    /// Upkeep as a test has it.
    #[cfg(test)]
    pub(crate) fn set_schedule(&mut self, schedule: crate::commit::Schedule) {
        if let Work::Committer(committer) = &mut self.work {
            committer.set_schedule(schedule);
        }
    }

    /// What time it is, as a test has it.
    #[cfg(test)]
    pub(crate) fn set_clock(&mut self, clock: fn() -> std::time::SystemTime) {
        if let Work::Task(task) = &mut self.work {
            task.set_clock(clock);
        }
    }

    /// How many tables a committer has in memory, and their documents' bytes.
    #[cfg(test)]
    pub(crate) fn known(&self) -> (usize, usize) {
        match &self.work {
            Work::Committer(committer) => committer.known().size(),
            Work::Task(_) => (0, 0),
        }
    }

    fn committer(&mut self) -> Result<(&mut Committer, &Runtime), Failure> {
        match &mut self.work {
            Work::Committer(committer) => Ok((committer, &self.runtime)),
            Work::Task(_) => Err(Failure::Broken("a task commits nothing".to_owned())),
        }
    }
}

impl Sink for IcebergSink {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Writes topics into Apache Iceberg tables, exactly once".to_owned(),
            delivery: Delivery::ExactlyOnce,
            saved_version: SAVED_VERSION,
            saved_version_min: SAVED_VERSION,
            staged_version: STAGED_VERSION,
            staged_version_min: STAGED_VERSION_MIN,
        }
    }

    fn check(settings: &Settings) -> Vec<Finding> {
        settings.findings()
    }

    fn open(
        ports: Ports,
        context: Context,
        settings: Settings,
        _state: Option<Saved>,
    ) -> Result<Self, Failure> {
        if let Some(found) = settings.findings().into_iter().next() {
            let Finding {
                path,
                message,
                mend,
                ..
            } = found;
            return Err(Failure::Misconfigured(format!("{path}: {message}; {mend}")));
        }
        let partition_by = settings
            .partitioning()
            .map_err(|(at, why)| Failure::Misconfigured(format!("partition-by[{at}]: {why}")))?;
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| Failure::Broken(format!("no runtime: {e}")))?;
        let storage = HostStorage::new(ports.store.clone());
        let tables = Tables::new(
            ports.catalog.clone(),
            storage.file_io(),
            iceberg::Runtime::new(&runtime),
        );
        let table = settings.table.clone();
        let route = Route::parse(&settings.table)
            .map_err(|why| Failure::Misconfigured(format!("table: {why}")))?;
        let work = match context.role {
            Role::Task(_) => Work::Task(Box::new(Task::new(
                settings,
                route.clone(),
                partition_by,
                ports,
                tables,
                storage,
            ))),
            Role::Committer => Work::Committer(Box::new(Committer::new(
                context.connector,
                settings.maintain.clone(),
                route.clone(),
                ports,
                tables,
                storage,
            ))),
        };
        Ok(Self {
            table,
            route,
            work,
            runtime,
        })
    }

    fn assigned(&mut self, held: Vec<Holding>) -> Result<(), Failure> {
        self.task().map(|(task, _)| task.assigned(held))
    }

    fn put(&mut self, at: &Span, records: &Batch<'_>) -> Result<Taken, Failure> {
        let (task, runtime) = self.task()?;
        task.put(runtime, at, records)
    }

    fn stage(&mut self) -> Result<Vec<Piece>, Failure> {
        let (task, runtime) = self.task()?;
        task.stage(runtime)
    }

    fn discard(&mut self) {
        if let Work::Task(task) = &mut self.work {
            task.discard();
        }
    }

    fn stored(&mut self, known: &[String]) -> Result<Vec<Holding>, Failure> {
        let mut targets = known.to_vec();
        // The host's list may have been lost; the settings still say where to look.
        if let Some(only) = self.route.only()
            && !targets.iter().any(|it| it == only)
        {
            targets.push(only.to_owned());
        }
        self.committer()?.0.stored(&targets)
    }

    fn commit(
        &mut self,
        target: &str,
        pieces: &[Piece],
        spans: &[Span],
        id: &str,
    ) -> Result<Committed, Failure> {
        let (committer, runtime) = self.committer()?;
        committer.commit(runtime, target, pieces, spans, id)
    }
}
