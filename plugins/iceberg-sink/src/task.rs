//! One task's share: records → rows → data files → pieces.

mod opening;
mod room;
mod writing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use iceberg::table::Table;
use jackfield_sdk::batch::Batch;
use jackfield_sdk::sink::{Holding, Ports, SchemasError, Span, Taken};
use jackfield_sdk::{Failure, Schema, SchemaKind};
use tokio::runtime::Runtime;

use crate::avro::AvroField;
use crate::decoder::{Decoder, Numbered, Tally, numbered};
use crate::errors;
use crate::failing::Failing;
use crate::files::Files;
use crate::partition_by::PartitionBy;
use crate::relief::Relief;
use crate::routing::{Probe, Route};
use crate::settings::Settings;
use crate::storage::HostStorage;
use crate::tables::Tables;

/// Schemas whose rows are gathered beside each other: more than a rolling change ever mixes.
const SCHEMAS_MAX: usize = 8;
/// Schemas of topics that are kept parsed: those of many topics, in one task.
const SCHEMAS_KNOWN_MAX: usize = 256;

/// A table with one schema, once a record has shown what it needs.
struct Open {
    table: Table,
    /// The catalog's, when it was opened: the table's own may be further than that.
    base_schema_id: i32,
    decoders: BTreeMap<u32, Decoder>,
    files: Option<Files>,
    /// What a file takes of a piece, about.
    piece_bytes_per_file: usize,
    /// How many partitions were found the last time in how many gathered rows.
    spread: (usize, usize),
}

impl Open {
    /// Whether all that was put is staged.
    fn is_idle(&self) -> bool {
        self.files.as_ref().is_none_or(Files::is_empty)
            && self.decoders.values().all(|it| it.rows() == 0)
    }
}

/// A table; the last of them takes rows. The schema changes seldom.
type Opens = Vec<Open>;

/// A topic's schema.
struct Known {
    avro: Vec<AvroField>,
    probe: Probe,
}

/// A decoder: target, which of its opens, schema.
type Place = (String, usize, u32);
/// The rows that decoders had before a call.
type Before = BTreeMap<Place, usize>;
/// By topic id and partition: what a table holds already.
type Held = HashMap<(String, i32), i64>;

/// A task.
pub(crate) struct Task {
    settings: Settings,
    route: Route,
    partition_by: Option<PartitionBy>,
    ports: Ports,
    tables: Tables,
    storage: HostStorage,
    held: HashMap<String, Held>,
    known: BTreeMap<u32, Arc<Known>>,
    targets: BTreeMap<String, Opens>,
    failing: Failing,
    pace: room::Pace,
    /// A stage could not close all files in its time. What was put stays put, and nothing comes to it
    /// until it is staged: more files would open than a stage can close.
    half_staged: bool,
    clock: fn() -> SystemTime,
}

impl Task {
    pub(crate) fn new(
        settings: Settings,
        route: Route,
        partition_by: Option<PartitionBy>,
        ports: Ports,
        tables: Tables,
        storage: HostStorage,
    ) -> Self {
        Self {
            settings,
            route,
            partition_by,
            ports,
            tables,
            storage,
            held: HashMap::new(),
            known: BTreeMap::new(),
            targets: BTreeMap::new(),
            failing: Failing::default(),
            pace: room::Pace::default(),
            half_staged: false,
            clock: SystemTime::now,
        }
    }

    /// As a test has it.
    #[cfg(test)]
    pub(crate) fn set_clock(&mut self, clock: fn() -> SystemTime) {
        self.clock = clock;
    }

    pub(crate) fn assigned(&mut self, held: Vec<Holding>) {
        self.held.clear();
        for holding in held {
            let positions = holding.positions.into_iter();
            let positions = positions.map(|at| ((at.topic_id, at.partition), at.next_offset));
            self.held
                .entry(holding.target)
                .or_default()
                .extend(positions);
        }
    }

    /// Everything that was put and not staged is gone; the tables are looked at anew.
    pub(crate) fn discard(&mut self) {
        self.targets.clear();
        self.failing.discard();
        self.half_staged = false;
    }

    /// Of several tables one can't be written for: the others go on.
    ///
    /// # Errors
    /// There is only this one, or the failure is not the table's.
    fn fail(&mut self, target: &str, failure: Failure) -> Result<(), Failure> {
        if self.route.only().is_some() {
            return Err(failure);
        }
        self.failing.fail(target, failure)?;
        self.targets.remove(target);
        Ok(())
    }

    pub(crate) fn put(
        &mut self,
        runtime: &Runtime,
        at: &Span,
        records: &Batch<'_>,
    ) -> Result<Taken, Failure> {
        let mut relief = Relief::of_put(self.clock);
        self.has_room(runtime, &mut relief)?;
        let mut tally = Tally::new();
        let mut before = Before::new();
        if let Err(failure) = self.take(at, records, &mut tally, &mut before) {
            self.roll_back(&before);
            return Err(failure);
        }
        if !tally.rejected.is_empty() {
            self.roll_back(&before);
            return Err(Failure::Rejected(tally.rejected));
        }
        if let Err(failure) = self.fit(&before) {
            self.roll_back(&before);
            return Err(failure);
        }
        self.write_full(runtime, &mut relief)?;
        self.failing.got_through();
        // Files of an older schema wait for nothing but the commit that ends it.
        let evolved = self.targets.values().any(|it| it.len() > 1);
        Ok(Taken {
            counts: tally.counts,
            stage_now: evolved || self.has_enough(),
        })
    }

    fn take(
        &mut self,
        at: &Span,
        records: &Batch<'_>,
        tally: &mut Tally,
        before: &mut Before,
    ) -> Result<(), Failure> {
        let only = self.route.only().map(str::to_owned);
        let mut all = numbered(records);
        for run in records.runs() {
            let those = all.by_ref().take(run.records as usize);
            let schema = run.schemas.value;
            if let Some(target) = &only {
                tally.held(self.held(target, at));
            }
            match self.know(at, schema) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    tally.reject(those, &why);
                    continue;
                }
                Err(failure) => {
                    self.leave_out(at, those, failure, tally, before)?;
                    continue;
                }
            }
            match &only {
                Some(target) => self.decode(target, at, schema, those, tally, before)?,
                None => {
                    for record in those {
                        self.route_one(at, schema, record, tally, before)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the topic alone names the table, a schema that nobody can use stops that table only.
    ///
    /// # Errors
    /// Nobody knows whose records these are, or the failure is not the schema's.
    fn leave_out<'a>(
        &mut self,
        at: &Span,
        those: impl Iterator<Item = Numbered<'a>>,
        failure: Failure,
        tally: &mut Tally,
        before: &Before,
    ) -> Result<(), Failure> {
        let Failure::Misconfigured(_) = &failure else {
            return Err(failure);
        };
        let Some(target) = self.route.of_topic(&at.topic) else {
            return Err(failure);
        };
        tally.held(self.held(&target, at));
        let lacking = those.filter(|(_, offset, _)| !tally.has(*offset)).count();
        if lacking == 0 || self.failing.has(&target) {
            return Ok(());
        }
        self.room_for(&target, before)?;
        self.fail(&target, failure)
    }

    fn route_one(
        &mut self,
        at: &Span,
        schema: u32,
        record: Numbered<'_>,
        tally: &mut Tally,
        before: &mut Before,
    ) -> Result<(), Failure> {
        let (index, value) = (record.0, record.2.value);
        let known = &self.known[&schema];
        let Some(datum) = value else {
            tally.reject_one(index, "a tombstone, which names no table".to_owned());
            return Ok(());
        };
        match self.route.table(&known.probe, &at.topic, datum) {
            Err(why) => {
                tally.reject_one(index, why);
                Ok(())
            }
            Ok(target) if self.failing.has(&target) => Ok(()),
            Ok(target) => {
                tally.held(self.held(&target, at));
                if tally.has(record.1) {
                    return Ok(());
                }
                self.room_for(&target, before)?;
                let those = std::iter::once(record);
                let decoded = self.decode(&target, at, schema, those, tally, before);
                decoded.or_else(|failure| self.fail(&target, failure))
            }
        }
    }

    /// Where one more table is too many, those make room that have no rows. What they hold is the
    /// host's to say, so that they can be opened again at any time. One that is, before the commit of
    /// a schema that it was to get, moves on to that again, or its rows are written again.
    ///
    /// # Errors
    /// All of them have rows. Those that came before this batch make room once they are staged;
    /// if there are none, no stage helps.
    fn room_for(&mut self, target: &str, before: &Before) -> Result<(), Failure> {
        let most = self.settings.tables_max as usize;
        if self.targets.contains_key(target) || self.tables_open() < most {
            return Ok(());
        }
        self.targets.retain(|_, it| !it.iter().all(Open::is_idle));
        if self.tables_open() < most {
            return Ok(());
        }
        let why = format!(
            "records of more than {most} tables at once: {target} is one too many. Raise \
             `tables-max`, or look at what `table` names them by"
        );
        Err(if self.has_earlier(before) {
            errors::stage_first(why)
        } else {
            Failure::Misconfigured(why)
        })
    }

    fn tables_open(&self) -> usize {
        self.targets.len() + self.failing.count()
    }

    fn held(&self, target: &str, at: &Span) -> Option<i64> {
        let held = self.held.get(target)?;
        held.get(&(at.topic_id.clone(), at.partition)).copied()
    }

    fn decode<'a>(
        &mut self,
        target: &str,
        at: &Span,
        schema: u32,
        those: impl Iterator<Item = Numbered<'a>>,
        tally: &mut Tally,
        before: &mut Before,
    ) -> Result<(), Failure> {
        let ready = |it: &Opens| {
            it.last()
                .is_some_and(|it| it.decoders.contains_key(&schema))
        };
        if !self.targets.get(target).is_some_and(ready) {
            self.open_for(target, at, schema)?;
            self.failing.works(target);
        }
        let opens = self.targets.get_mut(target);
        let opens = opens.expect("it was open, or has just been opened");
        let generation = opens.len().saturating_sub(1);
        let decoder = opens
            .last_mut()
            .and_then(|it| it.decoders.get_mut(&schema))
            .expect("it was ready, or has just been made");
        before
            .entry((target.to_owned(), generation, schema))
            .or_insert_with(|| decoder.rows());
        decoder.take(those, tally);
        Ok(())
    }

    fn roll_back(&mut self, before: &Before) {
        for ((target, generation, schema), rows) in before {
            let opens = self.targets.get_mut(target);
            let open = opens.and_then(|it| it.get_mut(*generation));
            if let Some(decoder) = open.and_then(|it| it.decoders.get_mut(schema)) {
                decoder.roll_back(*rows);
            }
        }
    }

    /// Fetches a schema. Inside: why its records are bad.
    fn know(&mut self, at: &Span, id: u32) -> Result<Result<(), String>, Failure> {
        if self.known.contains_key(&id) {
            return Ok(Ok(()));
        }
        if id == 0 {
            return Ok(Err("it has no schema: columns come from Avro".to_owned()));
        }
        let misfit = |why: String| misfit(id, &at.topic, &self.settings.table, &why);
        let schema: Schema = match self.ports.schemas.get(id) {
            Ok(schema) => schema,
            Err(SchemasError::Missing) => {
                return Ok(Err(format!("the registry knows no schema {id}")));
            }
            Err(SchemasError::Refused(why)) => {
                return Err(Failure::Misconfigured(format!("schema {id}: {why}")));
            }
            Err(SchemasError::Transient(why)) => {
                return Err(errors::retry(format!("schema {id}: {why}")));
            }
        };
        let avro = match schema.kind {
            SchemaKind::Avro => crate::avro::parse(&schema.text).map_err(misfit)?,
            SchemaKind::Json | SchemaKind::None => {
                return Err(misfit("it is not Avro, where columns come from".to_owned()));
            }
        };
        let probe = self.route.probe(&avro).map_err(misfit)?;
        if self.known.len() >= SCHEMAS_KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(id, Arc::new(Known { avro, probe }));
        Ok(Ok(()))
    }

    fn share(&mut self) {
        let tables = self.targets.len();
        for files in self.targets.values_mut().flatten() {
            if let Some(files) = &mut files.files {
                files.share(tables);
            }
        }
    }
}

fn misfit(id: u32, topic: &str, target: &str, why: &str) -> Failure {
    Failure::Misconfigured(format!("schema {id} of {topic} into {target}: {why}"))
}
