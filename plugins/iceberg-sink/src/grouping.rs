//! Rows → rows of one partition each, before anything is encoded.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, UInt32Array};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_select::take::{take, take_record_batch};
use iceberg::arrow::{PartitionValueCalculator, arrow_struct_to_literal};
use iceberg::spec::{Literal, PartitionKey, PartitionSpecRef, SchemaRef, Struct};
use iceberg::{Error, ErrorKind, Result};

/// Rows that belong to one partition. `key` is the partition's values, comparable.
pub(crate) struct Group {
    pub(crate) key: Vec<u8>,
    pub(crate) values: Struct,
    pub(crate) rows: RecordBatch,
}

/// Groups rows by a table's partition spec.
pub(crate) struct Grouping {
    spec: PartitionSpecRef,
    schema: SchemaRef,
    /// None: the table is not partitioned.
    calculator: Option<PartitionValueCalculator>,
}

impl Grouping {
    pub(crate) fn new(spec: PartitionSpecRef, schema: SchemaRef) -> Result<Self> {
        let calculator = if spec.is_unpartitioned() {
            None
        } else {
            Some(PartitionValueCalculator::try_new(&spec, &schema)?)
        };
        Ok(Self {
            spec,
            schema,
            calculator,
        })
    }

    pub(crate) fn partition(&self, values: Struct) -> PartitionKey {
        PartitionKey::new(self.spec.as_ref().clone(), Arc::clone(&self.schema), values)
    }

    /// In the order in which the partitions first appear.
    pub(crate) fn group(&self, rows: RecordBatch) -> Result<Vec<Group>> {
        let Some(calculator) = &self.calculator else {
            return Ok(vec![Group {
                key: Vec::new(),
                // What a spec is left with once its fields are dropped: a null for each.
                values: self.spec.fields().iter().map(|_| None).collect(),
                rows,
            }]);
        };
        let values = calculator.calculate(&rows)?;
        let keys = keys(&values)?;
        let members = members(&keys);
        let firsts: UInt32Array = members
            .iter()
            .filter_map(|it| it.first().copied())
            .collect();
        let firsts = take(&values, &firsts, None)?;
        let literals = arrow_struct_to_literal(&firsts, calculator.partition_type())?;
        let only = members.len() == 1;
        members
            .into_iter()
            .zip(literals)
            .map(|(members, literal)| {
                let Some(Literal::Struct(values)) = literal else {
                    return Err(Error::new(
                        ErrorKind::DataInvalid,
                        "a partition without values",
                    ));
                };
                let key = keys.row(members[0] as usize).data().to_vec();
                let rows = if only {
                    rows.clone()
                } else {
                    take_record_batch(&rows, &UInt32Array::from(members))?
                };
                Ok(Group { key, values, rows })
            })
            .collect()
    }
}

fn keys(values: &ArrayRef) -> Result<Rows> {
    let values = values
        .as_any()
        .downcast_ref::<StructArray>()
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "the partition values are not a struct",
            )
        })?;
    let fields = values
        .fields()
        .iter()
        .map(|it| SortField::new(it.data_type().clone()))
        .collect();
    Ok(RowConverter::new(fields)?.convert_columns(values.columns())?)
}

/// The rows of each partition. Rows of one partition mostly follow each other.
fn members(keys: &Rows) -> Vec<Vec<u32>> {
    let mut groups: HashMap<&[u8], usize> = HashMap::new();
    let mut members: Vec<Vec<u32>> = Vec::new();
    let mut last: Option<(&[u8], usize)> = None;
    for (row, key) in (0_u32..).zip(keys) {
        let key = key.data();
        let group = match last {
            Some((before, group)) if before == key => group,
            _ => *groups.entry(key).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            }),
        };
        members[group].push(row);
        last = Some((key, group));
    }
    members
}
