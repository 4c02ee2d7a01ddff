//! How a table is opened for records of a schema: loaded, created, or its schema moved on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::Schema;
use iceberg::table::Table;
use jackfield_sdk::Failure;
use jackfield_sdk::sink::Span;

use super::{Open, SCHEMAS_MAX, Task, misfit};
use crate::avro::AvroField;
use crate::decoder::Decoder;
use crate::evolve::{self, PastNames};
use crate::files;
use crate::metrics::Metrics;
use crate::parquet_properties::{of_new_table, target_file_bytes, writer_properties};
use crate::partition_by::PartitionBy;
use crate::partitioning;
use crate::reading;
use crate::schema;

impl Task {
    /// Makes the decoder of a schema: opens the table, or creates it, or moves its schema on.
    pub(super) fn open_for(&mut self, target: &str, at: &Span, id: u32) -> Result<(), Failure> {
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
            let mut next = Open::new(change.table, open.base_schema_id).map_err(misfit)?;
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
        let metadata = table.metadata();
        let (spec, schema) = (metadata.default_partition_spec(), metadata.current_schema());
        if let Some(wanted) = &self.partition_by {
            let past = PastNames::of(metadata);
            let checked = wanted.check(spec, schema, avro, &past);
            checked.map_err(misfit)?;
        }
        // Before rows are taken: what can't be kept would stop the sink in the middle of them.
        partitioning::check(spec, schema).map_err(misfit)?;
        self.kept(metadata.properties(), schema).map_err(misfit)?;
        let base_schema_id = table.metadata().current_schema_id();
        Open::new(table, base_schema_id).map_err(misfit)
    }

    fn create(&self, target: &str, avro: &[AvroField]) -> Result<Table, Failure> {
        let columns = schema::for_new_table(avro).map_err(Failure::Misconfigured)?;
        let nothing = PartitionBy(Vec::new());
        let spec = self
            .partition_by
            .as_ref()
            .unwrap_or(&nothing)
            .bind(&columns, avro)
            .map_err(Failure::Misconfigured)?;
        let made = Arc::new(columns.clone());
        let bound = spec.clone().bind(Arc::clone(&made));
        let bound = bound.map_err(|e| Failure::Misconfigured(format!("partition-by: {e}")))?;
        partitioning::check(&Arc::new(bound), &made).map_err(Failure::Misconfigured)?;
        let order = match self.settings.sorting() {
            Ok(None) => None,
            Ok(Some(by)) => Some(by.bind(&columns).map_err(Failure::Misconfigured)?),
            Err((_, why)) => return Err(Failure::Misconfigured(format!("sort-by: {why}"))),
        };
        let properties = of_new_table(self.settings.compression_level, &self.settings.properties);
        self.kept(&properties, &columns)
            .map_err(Failure::Misconfigured)?;
        self.tables
            .create(target, &columns, &spec, order.as_ref(), &properties)
    }

    /// Whether files can be written as a table's properties ask for.
    fn kept(&self, properties: &HashMap<String, String>, schema: &Schema) -> Result<(), String> {
        writer_properties(properties, schema, self.settings.compression_level)?;
        target_file_bytes(properties)?;
        Metrics::new(properties, schema).map(drop)
    }
}

impl Open {
    fn new(table: Table, base_schema_id: i32) -> Result<Self, String> {
        let (metadata, schema) = (table.metadata(), table.metadata().current_schema());
        let metrics = Metrics::new(metadata.properties(), schema)?;
        Ok(Self {
            piece_bytes_per_file: files::piece_bytes_per_file(schema, &metrics),
            table,
            base_schema_id,
            decoders: BTreeMap::new(),
            files: None,
            // Before any was looked at, each row may be of a partition of its own.
            spread: (1, 1),
        })
    }

    fn add_decoder(
        &mut self,
        id: u32,
        avro: &[AvroField],
        misfit: &impl Fn(String) -> Failure,
    ) -> Result<(), Failure> {
        let metadata = self.table.metadata();
        let columns = metadata.current_schema();
        let past = PastNames::of(metadata);
        let mut plan = reading::plan(avro, columns, &past).map_err(misfit)?;
        for path in partitioning::named_times(metadata.default_partition_spec(), columns) {
            plan.name_partitions(&path);
        }
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
