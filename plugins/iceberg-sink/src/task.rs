//! One task's share: records → rows → data files → pieces.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::arrow::schema_to_arrow_schema;
use iceberg::table::Table;
use jackfield_sdk::batch::Batch;
use jackfield_sdk::sink::{Holding, Piece, Ports, SchemasError, Span, Taken};
use jackfield_sdk::{Failure, Schema, SchemaKind};
use tokio::runtime::Runtime;

use crate::avro::AvroField;
use crate::decoder::{Decoder, Numbered, Tally, numbered};
use crate::errors;
use crate::evolve;
use crate::files::{Files, FilesError};
use crate::metrics::Metrics;
use crate::parquet_properties::{of_new_table, writer_properties};
use crate::partition_by::PartitionBy;
use crate::piece;
use crate::routing::{Probe, Route};
use crate::schema;
use crate::settings::Settings;
use crate::storage::HostStorage;
use crate::tables::Tables;

/// Rows of one schema that are gathered before they are grouped by partition: enough for the cost
/// of a group to vanish, few enough to be lost in memory beside the files.
const GATHERED_ROWS_MAX: usize = 32 * 1024;
/// The same, in bytes, for wide rows.
const GATHERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The same, of all tables together.
const GATHERED_BYTES_MAX_OF_ALL: usize = 32 * 1024 * 1024;
/// Schemas whose rows are gathered beside each other: more than a rolling change ever mixes.
const SCHEMAS_MAX: usize = 8;
/// Schemas of topics that are kept parsed: those of many topics, in one task.
const SCHEMAS_KNOWN_MAX: usize = 256;
/// A piece this large is staged at once: the next rows may still add their files to it, and 16 MiB
/// cross in a `stage`.
const PIECE_BYTES_ENOUGH: usize = 6 * 1024 * 1024;

/// A table with one schema, once a record has shown what it needs.
struct Open {
    table: Table,
    /// The catalog's, when it was opened: the table's own may be further than that.
    base_schema_id: i32,
    decoders: BTreeMap<u32, Decoder>,
    files: Option<Files>,
}

/// A table; the last of them takes rows. The schema changes seldom.
type Opens = Vec<Open>;

/// A topic's schema.
struct Known {
    avro: Vec<AvroField>,
    probe: Probe,
}

/// Where rows were before a call: target, which of its opens, schema.
type Before = BTreeMap<(String, usize, u32), usize>;
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
    /// Of several tables, those that can't be written for, and why: their records are left out, and
    /// their commits fail.
    failed: BTreeMap<String, String>,
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
            failed: BTreeMap::new(),
        }
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
        self.failed.clear();
    }

    /// Of several tables one can't be written for: the others go on. What was put for it since the
    /// last commit goes with it.
    ///
    /// # Errors
    /// There is only this one, or the failure is not the table's.
    fn fail(&mut self, target: &str, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Misconfigured(why) if self.route.only().is_none() => {
                self.targets.remove(target);
                self.failed.insert(target.to_owned(), why);
                Ok(())
            }
            failure => Err(failure),
        }
    }

    pub(crate) fn put(
        &mut self,
        runtime: &Runtime,
        at: &Span,
        records: &Batch<'_>,
    ) -> Result<Taken, Failure> {
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
        self.write_full(runtime)?;
        // Files of an older schema wait for nothing but the commit that ends it.
        let evolved = self.targets.values().any(|it| it.len() > 1);
        Ok(Taken {
            counts: tally.counts,
            stage_now: evolved || self.piece_bytes() >= PIECE_BYTES_ENOUGH,
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
            if let Err(why) = self.know(at, schema)? {
                tally.reject(those, &why);
                continue;
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
            Ok(target) if self.failed.contains_key(&target) => Ok(()),
            Ok(target) => {
                tally.held(self.held(&target, at));
                if tally.has(record.1) {
                    return Ok(());
                }
                self.room_for(&target)?;
                let those = std::iter::once(record);
                let decoded = self.decode(&target, at, schema, those, tally, before);
                decoded.or_else(|failure| self.fail(&target, failure))
            }
        }
    }

    fn room_for(&self, target: &str) -> Result<(), Failure> {
        let most = self.settings.tables_max as usize;
        let open = self.targets.len() + self.failed.len();
        if self.targets.contains_key(target) || open < most {
            return Ok(());
        }
        Err(Failure::Misconfigured(format!(
            "records of more than {most} tables at once: {target} is one too many. Raise \
             `tables-max`, or look at what `table` names them by"
        )))
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

    fn piece_bytes(&self) -> usize {
        let opens = self.targets.values().flatten();
        opens
            .filter_map(|it| it.files.as_ref())
            .map(Files::piece_bytes)
            .max()
            .unwrap_or(0)
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

    /// Makes the decoder of a schema: opens the table, or creates it, or moves its schema on.
    fn open_for(&mut self, target: &str, at: &Span, id: u32) -> Result<(), Failure> {
        let misfit = |why: String| misfit(id, &at.topic, target, &why);
        let known = Arc::clone(&self.known[&id]);
        let avro = &known.avro;
        if !self.targets.contains_key(target) {
            let open = self.open_table(target, avro, &misfit)?;
            self.targets.insert(target.to_owned(), vec![open]);
            self.share();
        }
        let opens = self.targets.get_mut(target);
        let opens = opens.expect("it was there, or has just been inserted");
        let open = opens.last().expect("a table that is open has one at least");
        let metadata = open.table.metadata();
        let evolved = evolve::evolved(avro, metadata, self.settings.evolve).map_err(misfit)?;
        if let Some(schema) = evolved {
            let change = evolve::change(&self.tables, &open.table, schema)
                .map_err(|e| misfit(e.to_string()))?;
            let mut next = Open {
                table: change.table,
                base_schema_id: open.base_schema_id,
                decoders: BTreeMap::new(),
                files: None,
            };
            // Refused, it leaves nothing behind.
            next.add_decoder(id, avro, &misfit)?;
            opens.push(next);
            return Ok(());
        }
        let open = opens
            .last_mut()
            .expect("a table that is open has one at least");
        open.add_decoder(id, avro, &misfit)
    }

    fn open_table(
        &self,
        target: &str,
        avro: &[AvroField],
        misfit: &impl Fn(String) -> Failure,
    ) -> Result<Open, Failure> {
        let table = match self.tables.load(target, None)? {
            Some(table) => table,
            None if self.settings.create => {
                self.create(target, avro).map_err(|failure| match failure {
                    Failure::Misconfigured(why) => misfit(why),
                    other => other,
                })?
            }
            None => {
                return Err(Failure::Misconfigured(format!(
                    "the table {target} does not exist, and `create` is false"
                )));
            }
        };
        if let Some(wanted) = &self.partition_by {
            let metadata = table.metadata();
            wanted
                .check(metadata.default_partition_spec(), metadata.current_schema())
                .map_err(misfit)?;
        }
        Ok(Open {
            base_schema_id: table.metadata().current_schema_id(),
            table,
            decoders: BTreeMap::new(),
            files: None,
        })
    }

    fn create(&self, target: &str, avro: &[AvroField]) -> Result<Table, Failure> {
        let columns = schema::for_new_table(avro).map_err(Failure::Misconfigured)?;
        let nothing = PartitionBy(Vec::new());
        let spec = self
            .partition_by
            .as_ref()
            .unwrap_or(&nothing)
            .bind(&columns)
            .map_err(Failure::Misconfigured)?;
        let order = match self.settings.sorting() {
            Ok(None) => None,
            Ok(Some(by)) => Some(by.bind(&columns).map_err(Failure::Misconfigured)?),
            Err((_, why)) => return Err(Failure::Misconfigured(format!("sort-by: {why}"))),
        };
        let properties = of_new_table(self.settings.compression_level, &self.settings.properties);
        self.tables
            .create(target, &columns, &spec, order.as_ref(), &properties)
    }

    fn share(&mut self) {
        let tables = self.targets.len();
        for files in self.targets.values_mut().flatten() {
            if let Some(files) = &mut files.files {
                files.share(tables);
            }
        }
    }

    /// Writes the rows that have gathered enough.
    fn write_full(&mut self, runtime: &Runtime) -> Result<(), Failure> {
        let bytes_max =
            GATHERED_BYTES_MAX.min(GATHERED_BYTES_MAX_OF_ALL / self.targets.len().max(1));
        let mut full = Vec::new();
        for (target, opens) in &self.targets {
            for (generation, open) in opens.iter().enumerate() {
                let crowded = open.decoders.len() > SCHEMAS_MAX;
                let decoders = open.decoders.iter().filter(|(_, it)| {
                    crowded || it.rows() >= GATHERED_ROWS_MAX || it.bytes() >= bytes_max
                });
                full.extend(decoders.map(|(id, _)| (target.clone(), generation, *id)));
            }
        }
        full.iter()
            .try_for_each(|(target, generation, id)| self.write(runtime, target, *generation, *id))
    }

    fn write(
        &mut self,
        runtime: &Runtime,
        target: &str,
        generation: usize,
        schema: u32,
    ) -> Result<(), Failure> {
        let Err(failure) = self.try_write(runtime, target, generation, schema) else {
            return Ok(());
        };
        let lost = self.fail(target, failure);
        if lost.is_err() {
            // Rows of earlier calls are lost with these.
            self.discard();
        }
        lost
    }

    fn try_write(
        &mut self,
        runtime: &Runtime,
        target: &str,
        generation: usize,
        schema: u32,
    ) -> Result<(), Failure> {
        let tables = self.targets.len();
        let opens = self.targets.get_mut(target);
        let Some(open) = opens.and_then(|it| it.get_mut(generation)) else {
            return Ok(());
        };
        let Some(decoder) = open.decoders.get_mut(&schema) else {
            return Ok(());
        };
        if decoder.rows() == 0 {
            return Ok(());
        }
        let broken = |e: &dyn std::fmt::Display| Failure::Broken(format!("making rows: {e}"));
        let rows = decoder.finish().map_err(|e| broken(&e))?;
        if open.files.is_none() {
            let properties = writer_properties(
                open.table.metadata().properties(),
                open.table.metadata().current_schema(),
                self.settings.compression_level,
            )
            .map_err(Failure::Misconfigured)?;
            let files = Files::new(&open.table, properties, self.settings.target_file_size.0);
            let mut files = files.map_err(|e| broken(&e))?;
            files.share(tables);
            open.files = Some(files);
        }
        let files = open
            .files
            .as_mut()
            .expect("it was there, or has just been made");
        self.storage.take_error();
        runtime
            .block_on(files.write(rows))
            .map_err(|e| lost(&self.storage, "writing", &e))
    }

    pub(crate) fn stage(&mut self, runtime: &Runtime) -> Result<Vec<Piece>, Failure> {
        let mut gathered = Vec::new();
        for (target, opens) in &self.targets {
            for (generation, open) in opens.iter().enumerate() {
                let ids = open.decoders.keys();
                gathered.extend(ids.map(|id| (target.clone(), generation, *id)));
            }
        }
        for (target, generation, id) in gathered {
            self.write(runtime, &target, generation, id)?;
        }
        let staged = self.stage_files(runtime);
        if staged.is_err() {
            self.discard();
        }
        staged
    }

    fn stage_files(&mut self, runtime: &Runtime) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        let targets: Vec<String> = self.targets.keys().cloned().collect();
        for target in targets {
            match self.stage_target(runtime, &target) {
                Ok(staged) => pieces.extend(staged),
                Err(failure) => self.fail(&target, failure)?,
            }
        }
        let failed = self.failed.iter();
        pieces.extend(failed.map(|(target, why)| piece::of_failed(target, why)));
        Ok(pieces)
    }

    fn stage_target(&mut self, runtime: &Runtime, target: &str) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        let Some(opens) = self.targets.get_mut(target) else {
            return Ok(pieces);
        };
        for open in opens.iter_mut() {
            let Some(files) = open.files.take() else {
                continue;
            };
            let (metadata, sort_order) = (open.table.metadata(), files.sort_order());
            let metrics = Metrics::new(metadata.properties(), metadata.current_schema())
                .map_err(Failure::Misconfigured)?;
            self.storage.take_error();
            let files = runtime
                .block_on(files.finish())
                .map_err(|e| lost(&self.storage, "closing files", &e))?;
            let base = open.base_schema_id;
            let piece = piece::encode(target, &open.table, base, files, &metrics, sort_order);
            pieces.push(piece.map_err(|e| Failure::Broken(format!("staging: {e}")))?);
        }
        // What is older takes no more rows. The newest goes on: until it is committed the table may
        // not have its schema, and the next pieces say again what they need.
        opens.drain(..opens.len().saturating_sub(1));
        Ok(pieces)
    }
}

impl Open {
    fn add_decoder(
        &mut self,
        id: u32,
        avro: &[AvroField],
        misfit: &impl Fn(String) -> Failure,
    ) -> Result<(), Failure> {
        let columns = self.table.metadata().current_schema();
        let plan = schema::plan(avro, columns).map_err(misfit)?;
        let arrow = schema_to_arrow_schema(columns).map_err(|e| misfit(e.to_string()))?;
        let decoder = Decoder::new(plan, Arc::new(arrow)).map_err(misfit)?;
        if self.decoders.len() >= SCHEMAS_MAX {
            // Those without rows can be made again at any time.
            self.decoders.retain(|_, it| it.rows() > 0);
        }
        self.decoders.insert(id, decoder);
        Ok(())
    }
}

fn misfit(id: u32, topic: &str, target: &str, why: &str) -> Failure {
    Failure::Misconfigured(format!("schema {id} of {topic} into {target}: {why}"))
}

/// After an error in the middle of files: what was put is gone.
fn lost(storage: &HostStorage, during: &str, error: &FilesError) -> Failure {
    match (error, storage.take_error()) {
        (FilesError::TooMany(_), _) => Failure::Misconfigured(error.to_string()),
        (FilesError::Library(_), Some(error)) => errors::store_lossy(during, &error),
        (FilesError::Library(error), None) => Failure::Broken(format!("{during}: {error}")),
    }
}
