//! Rows → rows of one partition each, before anything is encoded.

use foldhash::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_ord::partition::partition;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_select::take::{take, take_record_batch};
use iceberg::arrow::arrow_struct_to_literal;
use iceberg::spec::{Literal, PartitionKey, PartitionSpecRef, SchemaRef, Struct};
use iceberg::{Error, ErrorKind, Result};

use crate::partition_values::PartitionValues;

/// Rows that are looked at for how long runs of one partition are.
const SAMPLE_ROWS: usize = 1024;
/// A key for each row costs several times as much as finding where the runs end: with fewer rows a
/// run, both would be paid.
const RUN_ROWS_MIN: usize = 4;

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
    values: Option<PartitionValues>,
}

impl Grouping {
    pub(crate) fn new(spec: PartitionSpecRef, schema: SchemaRef) -> Result<Self> {
        let values = if spec.is_unpartitioned() {
            None
        } else {
            Some(PartitionValues::new(&spec, &schema)?)
        };
        Ok(Self {
            spec,
            schema,
            values,
        })
    }

    pub(crate) fn partition(&self, values: Struct) -> PartitionKey {
        PartitionKey::new(self.spec.as_ref().clone(), Arc::clone(&self.schema), values)
    }

    /// Whether the values of a column say which partition a row is of.
    pub(crate) fn is_by(&self, column: usize) -> bool {
        self.values.as_ref().is_some_and(|it| it.are_by(column))
    }

    /// The keys of the partitions that rows are of, each once. Only the columns that partitions are
    /// by are looked at.
    pub(crate) fn keys(&self, columns: &[ArrayRef]) -> Result<Vec<Vec<u8>>> {
        let Some(partitions) = &self.values else {
            return Ok(vec![Vec::new()]);
        };
        let values = partitions.of(columns)?;
        let members = members(values.columns())?.into_iter();
        Ok(members.map(|it| it.key).collect())
    }

    /// In the order in which the partitions first appear.
    pub(crate) fn group(&self, rows: RecordBatch) -> Result<Vec<Group>> {
        let Some(partitions) = &self.values else {
            return Ok(vec![Group {
                key: Vec::new(),
                // What a spec is left with once its fields are dropped: a null for each.
                values: self.spec.fields().iter().map(|_| None).collect(),
                rows,
            }]);
        };
        let values = partitions.of(rows.columns())?;
        let members = members(values.columns())?;
        let firsts: UInt32Array = members
            .iter()
            .filter_map(|it| it.rows.first().copied())
            .collect();
        let firsts = take(&values, &firsts, None)?;
        let literals = arrow_struct_to_literal(&firsts, partitions.ty())?;
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
                let rows = if only {
                    rows.clone()
                } else {
                    take_record_batch(&rows, &UInt32Array::from(members.rows))?
                };
                Ok(Group {
                    key: members.key,
                    values,
                    rows,
                })
            })
            .collect()
    }
}

/// The rows of one partition.
struct Members {
    key: Vec<u8>,
    rows: Vec<u32>,
}

/// In the order in which the partitions first appear.
fn members(values: &[ArrayRef]) -> Result<Vec<Members>> {
    let Some(runs) = runs(values)? else {
        let rows = values.first().map_or(0, |it| it.len());
        return Ok(gathered(&keys(values)?, (0..rows).map(|at| at..at + 1)));
    };
    let firsts = UInt32Array::from_iter_values(runs.iter().map(|it| number(it.start)));
    let firsts: Vec<_> = values
        .iter()
        .map(|it| take(it, &firsts, None))
        .collect::<std::result::Result<_, _>>()?;
    Ok(gathered(&keys(&firsts)?, runs))
}

/// Rows of one partition that follow each other; none where most runs are short.
fn runs(values: &[ArrayRef]) -> Result<Option<Vec<Range<usize>>>> {
    let rows = values.first().map_or(0, |it| it.len());
    let sampled = rows.min(SAMPLE_ROWS);
    let sample: Vec<_> = values.iter().map(|it| it.slice(0, sampled)).collect();
    if partition(&sample)?.len() * RUN_ROWS_MIN > sampled {
        return Ok(None);
    }
    Ok(Some(partition(values)?.ranges()))
}

fn keys(values: &[ArrayRef]) -> Result<Rows> {
    let fields = values
        .iter()
        .map(|it| SortField::new(it.data_type().clone()))
        .collect();
    Ok(RowConverter::new(fields)?.convert_columns(values)?)
}

/// Puts together the runs of each partition; each run has a key.
fn gathered(keys: &Rows, runs: impl IntoIterator<Item = Range<usize>>) -> Vec<Members> {
    let mut groups: HashMap<&[u8], usize> = HashMap::default();
    let mut members: Vec<Members> = Vec::new();
    let mut last: Option<(&[u8], usize)> = None;
    for (key, run) in keys.iter().zip(runs) {
        let key = key.data();
        let group = match last {
            Some((before, group)) if before == key => group,
            _ => *groups.entry(key).or_insert_with(|| {
                members.push(Members {
                    key: key.to_vec(),
                    rows: Vec::new(),
                });
                members.len() - 1
            }),
        };
        members[group].rows.extend(run.map(number));
        last = Some((key, group));
    }
    members
}

fn number(row: usize) -> u32 {
    u32::try_from(row).expect("fewer rows than that are gathered")
}

#[cfg(test)]
mod tests {
    use arrow_array::{Date32Array, StringArray};

    use super::*;

    /// Partitions of a day and a symbol, by row.
    fn values(rows: &[(Option<i32>, Option<&str>)]) -> Vec<ArrayRef> {
        let days: Date32Array = rows.iter().map(|it| it.0).collect();
        let symbols: StringArray = rows.iter().map(|it| it.1).collect();
        vec![Arc::new(days), Arc::new(symbols)]
    }

    #[test]
    fn rows_are_with_their_partition_however_long_its_runs_are() {
        let kinds = [
            (Some(1), Some("a")),
            (None, Some("a")),
            (Some(1), Some("")),
            (Some(1), None),
            (Some(2), Some("a")),
        ];
        for run in [1, 2, 3, 4, 5, 100, 10_000] {
            let kind = |at: usize| at / run % kinds.len();
            let rows: Vec<_> = (0..12_345).map(|at| kinds[kind(at)]).collect();
            let values = values(&rows);
            let found = members(&values).unwrap();
            assert_eq!(runs(&values).unwrap().is_some(), run >= 4, "{run}");
            let mut expected = vec![Vec::new(); kinds.len()];
            for at in 0..rows.len() {
                expected[kind(at)].push(number(at));
            }
            expected.retain(|it| !it.is_empty());
            let rows: Vec<_> = found.iter().map(|it| it.rows.clone()).collect();
            assert_eq!(rows, expected, "{run}");
            // The same key in every batch, whichever way it was found.
            let alone = members(&values.iter().map(|it| it.slice(0, 1)).collect::<Vec<_>>());
            assert_eq!(found[0].key, alone.unwrap()[0].key, "{run}");
        }
    }

    #[test]
    fn runs_that_begin_long_and_get_short_are_told_apart_all_the_same() {
        let mut rows = vec![(Some(1), Some("a")); 5000];
        rows.extend([(Some(1), Some("b")), (Some(1), Some("a"))].repeat(100));
        let found = members(&values(&rows)).unwrap();
        let b: Vec<u32> = (0..100).map(|at| 5000 + 2 * at).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].rows.len(), 5100);
        assert_eq!(found[1].rows, b);
    }
}
