//! One task's share: records → rows → data files → a piece.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::arrow::schema_to_arrow_schema;
use iceberg::table::Table;
use jackfield_sdk::batch::Batch;
use jackfield_sdk::sink::{Holding, Piece, Ports, SchemasError, Span, Taken};
use jackfield_sdk::{Failure, Schema, SchemaKind};
use tokio::runtime::Runtime;

use crate::decoder::{Decoder, Tally, numbered};
use crate::errors;
use crate::files::{Files, FilesError};
use crate::metrics::Metrics;
use crate::parquet_properties::{of_new_table, writer_properties};
use crate::partition_by::PartitionBy;
use crate::piece;
use crate::schema;
use crate::settings::Settings;
use crate::storage::HostStorage;
use crate::tables::Tables;

/// Rows of one schema that are gathered before they are grouped by partition: enough for the cost
/// of a group to vanish, few enough to be lost in memory beside the files.
const GATHERED_ROWS_MAX: usize = 32 * 1024;
/// The same, in bytes, for wide rows.
const GATHERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Schemas whose rows are gathered beside each other: more than a rolling change ever mixes.
const SCHEMAS_MAX: usize = 8;
/// A piece this large is staged at once: the next rows may still add their files to it, and 16 MiB
/// cross in a `stage`.
const PIECE_BYTES_ENOUGH: usize = 6 * 1024 * 1024;

/// The table, once a record has shown what it looks like.
struct Open {
    table: Table,
    decoders: BTreeMap<u32, Decoder>,
    files: Option<Files>,
}

/// A task.
pub(crate) struct Task {
    settings: Settings,
    partition_by: Option<PartitionBy>,
    ports: Ports,
    tables: Tables,
    storage: HostStorage,
    /// By topic id and partition: what the table holds already.
    held: HashMap<(String, i32), i64>,
    open: Option<Open>,
}

impl Task {
    pub(crate) fn new(
        settings: Settings,
        partition_by: Option<PartitionBy>,
        ports: Ports,
        tables: Tables,
        storage: HostStorage,
    ) -> Self {
        Self {
            settings,
            partition_by,
            ports,
            tables,
            storage,
            held: HashMap::new(),
            open: None,
        }
    }

    pub(crate) fn assigned(&mut self, held: Vec<Holding>) {
        self.held = held
            .into_iter()
            .filter(|it| it.target == self.settings.table)
            .flat_map(|it| it.positions)
            .map(|at| ((at.topic_id, at.partition), at.next_offset))
            .collect();
    }

    /// Everything that was put and not staged is gone; the table is looked at anew.
    pub(crate) fn discard(&mut self) {
        self.open = None;
    }

    pub(crate) fn put(
        &mut self,
        runtime: &Runtime,
        at: &Span,
        records: &Batch<'_>,
    ) -> Result<Taken, Failure> {
        let key = (at.topic_id.clone(), at.partition);
        let mut tally = Tally::new(self.held.get(&key).copied());
        let mut before: BTreeMap<u32, usize> = BTreeMap::new();
        let mut all = numbered(records);
        for run in records.runs() {
            let those = all.by_ref().take(run.records as usize);
            let schema = run.schemas.value;
            let taken = self.decoder(at, schema).map(|found| match found {
                Ok(decoder) => {
                    before.entry(schema).or_insert_with(|| decoder.rows());
                    decoder.take(those, &mut tally);
                }
                Err(why) => tally.reject(those, &why),
            });
            if let Err(failure) = taken {
                self.roll_back(&before);
                return Err(failure);
            }
        }
        if !tally.rejected.is_empty() {
            self.roll_back(&before);
            return Err(Failure::Rejected(tally.rejected));
        }
        self.write_full(runtime)?;
        Ok(Taken {
            counts: tally.counts,
            stage_now: self.piece_bytes() >= PIECE_BYTES_ENOUGH,
        })
    }

    fn piece_bytes(&self) -> usize {
        self.open
            .as_ref()
            .and_then(|it| it.files.as_ref())
            .map_or(0, Files::piece_bytes)
    }

    fn roll_back(&mut self, before: &BTreeMap<u32, usize>) {
        let Some(open) = &mut self.open else { return };
        for (schema, rows) in before {
            if let Some(decoder) = open.decoders.get_mut(schema) {
                decoder.roll_back(*rows);
            }
        }
    }

    /// The decoder of a schema, or why its records are bad. The first one opens the table, or
    /// creates it.
    fn decoder(&mut self, at: &Span, schema: u32) -> Result<Result<&mut Decoder, String>, Failure> {
        let known = |it: &Open| it.decoders.contains_key(&schema);
        if !self.open.as_ref().is_some_and(known) {
            if schema == 0 {
                return Ok(Err("it has no schema: columns come from Avro".to_owned()));
            }
            match self.ports.schemas.get(schema) {
                Ok(it) => self.open_for(at, schema, &it)?,
                Err(SchemasError::Missing) => {
                    return Ok(Err(format!("the registry knows no schema {schema}")));
                }
                Err(SchemasError::Refused(why)) => {
                    return Err(Failure::Misconfigured(format!("schema {schema}: {why}")));
                }
                Err(SchemasError::Transient(why)) => {
                    return Err(errors::retry(format!("schema {schema}: {why}")));
                }
            }
        }
        let decoder = self
            .open
            .as_mut()
            .and_then(|it| it.decoders.get_mut(&schema));
        Ok(Ok(decoder.expect("it was known, or has just been made")))
    }

    fn open_for(&mut self, at: &Span, id: u32, schema: &Schema) -> Result<(), Failure> {
        let target = &self.settings.table;
        let misfit = |why: String| {
            Failure::Misconfigured(format!("schema {id} of {} into {target}: {why}", at.topic))
        };
        let avro = match schema.kind {
            SchemaKind::Avro => crate::avro::parse(&schema.text).map_err(misfit)?,
            SchemaKind::Json | SchemaKind::None => {
                return Err(misfit("it is not Avro, where columns come from".to_owned()));
            }
        };
        if self.open.is_none() {
            let table = match self.tables.load(target, None)? {
                Some(table) => table,
                None if self.settings.create => {
                    self.create(&avro).map_err(|failure| match failure {
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
            self.open = Some(Open {
                table,
                decoders: BTreeMap::new(),
                files: None,
            });
        }
        let open = self
            .open
            .as_mut()
            .expect("it was open, or has just been opened");
        let columns = open.table.metadata().current_schema();
        let plan = schema::plan(&avro, columns).map_err(misfit)?;
        let arrow = schema_to_arrow_schema(columns).map_err(|e| misfit(e.to_string()))?;
        let decoder = Decoder::new(plan, Arc::new(arrow)).map_err(misfit)?;
        if open.decoders.len() >= SCHEMAS_MAX {
            // Those without rows can be made again at any time.
            open.decoders.retain(|_, it| it.rows() > 0);
        }
        open.decoders.insert(id, decoder);
        Ok(())
    }

    fn create(&self, avro: &[crate::avro::AvroField]) -> Result<Table, Failure> {
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
        self.tables.create(
            &self.settings.table,
            &columns,
            &spec,
            order.as_ref(),
            &properties,
        )
    }

    /// Writes the rows of schemas that have gathered enough.
    fn write_full(&mut self, runtime: &Runtime) -> Result<(), Failure> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let crowded = open.decoders.len() > SCHEMAS_MAX;
        let full: Vec<u32> = open
            .decoders
            .iter()
            .filter(|(_, it)| {
                crowded || it.rows() >= GATHERED_ROWS_MAX || it.bytes() >= GATHERED_BYTES_MAX
            })
            .map(|(id, _)| *id)
            .collect();
        full.into_iter().try_for_each(|id| self.write(runtime, id))
    }

    fn write(&mut self, runtime: &Runtime, schema: u32) -> Result<(), Failure> {
        let outcome = self.try_write(runtime, schema);
        if outcome.is_err() {
            // Rows of earlier calls are lost with these.
            self.discard();
        }
        outcome
    }

    fn try_write(&mut self, runtime: &Runtime, schema: u32) -> Result<(), Failure> {
        let Some(open) = &mut self.open else {
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
            open.files = Some(files.map_err(|e| broken(&e))?);
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
        let schemas: Vec<u32> = self
            .open
            .iter()
            .flat_map(|it| it.decoders.keys().copied())
            .collect();
        for schema in schemas {
            self.write(runtime, schema)?;
        }
        let Some(open) = &mut self.open else {
            return Ok(Vec::new());
        };
        let Some(files) = open.files.take() else {
            return Ok(Vec::new());
        };
        let (metadata, sort_order) = (open.table.metadata(), files.sort_order());
        let metrics = Metrics::new(metadata.properties(), metadata.current_schema())
            .map_err(Failure::Misconfigured)?;
        self.storage.take_error();
        let piece = runtime
            .block_on(files.finish())
            .map_err(|e| lost(&self.storage, "closing files", &e))
            .and_then(|files| {
                piece::encode(
                    &self.settings.table,
                    &open.table,
                    files,
                    &metrics,
                    sort_order,
                )
                .map_err(|e| Failure::Broken(format!("staging: {e}")))
            });
        if piece.is_err() {
            self.discard();
        }
        Ok(vec![piece?])
    }
}

/// After an error in the middle of files: what was put is gone.
fn lost(storage: &HostStorage, during: &str, error: &FilesError) -> Failure {
    match (error, storage.take_error()) {
        (FilesError::TooMany(_), _) => Failure::Misconfigured(error.to_string()),
        (FilesError::Library(_), Some(error)) => errors::store_lossy(during, &error),
        (FilesError::Library(error), None) => Failure::Broken(format!("{during}: {error}")),
    }
}
