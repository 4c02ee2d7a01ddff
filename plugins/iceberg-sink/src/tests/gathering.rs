//! What it costs to gather rows: how often they are put into their partitions, and copied.

use std::time::SystemTime;

use arrow_array::{ArrayRef, Int64Array};
use iceberg::arrow::schema_to_arrow_schema;

use super::*;
use crate::files::{FileLimits, Files, counted, piece_bytes_per_file};
use crate::metrics::Metrics;
use crate::parquet_properties::writer_properties;
use crate::relief::Relief;

const BATCH_ROWS: i64 = 1000;

/// A task, and the id of a schema of a key and 100 more columns; partitions are by the key.
fn wide() -> (IcebergSink, u32) {
    let columns = (0..100).map(|n| format!(r#"{{"name":"c{n}","type":"int"}}"#));
    let columns: Vec<_> = columns.collect();
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["key"]}"#,
    ));
    let schema = world.lake.schemas.avro(&format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"key","type":"long"}},{}]}}"#,
        columns.join(",")
    ));
    let mut task = world.task();
    // However long a machine takes for so many files.
    task.set_clock(|| SystemTime::UNIX_EPOCH);
    (task, schema)
}

fn put_wide(
    (task, schema): &mut (IcebergSink, u32),
    round: i64,
    key: impl Fn(i64) -> i64,
) -> Result<Taken, Failure> {
    let record = |at: i64| {
        let mut to = Vec::new();
        long(key(at), &mut to);
        // Of each number a byte.
        to.resize(to.len() + 100, 2);
        (at, Some(to))
    };
    let (first, next) = (round * BATCH_ROWS, (round + 1) * BATCH_ROWS);
    let records: Vec<_> = (first..next).map(record).collect();
    put(task, &span(0, first, next), &batch_of(*schema, &records))
}

/// Where each row might be of a partition of its own, two batches would be too much for one stage.
#[test]
fn rows_of_few_partitions_are_gathered_however_many_columns_they_have() {
    const PUTS: i64 = 30;
    for partitions in [1, 7] {
        let mut wide = wide();
        let before = counted::GROUPED.get();
        for round in 0..PUTS {
            let taken = put_wide(&mut wide, round, |at| at % partitions).unwrap();
            assert!(!taken.stage_now);
        }
        let grouped = counted::GROUPED.get() - before;
        assert!(grouped <= 2, "{partitions}: {grouped}");
        let pieces = wide.0.stage().unwrap();
        let (rows, files, _) = crate::piece::tally(TABLE, &pieces).unwrap();
        let expected = (PUTS * BATCH_ROWS, partitions);
        assert_eq!((i64::try_from(rows).unwrap(), i64::from(files)), expected);
    }
}

/// They are known before they are put into their partitions.
#[test]
fn rows_of_many_partitions_ask_for_a_stage_while_they_are_gathered() {
    let mut wide = wide();
    let before = counted::GROUPED.get();
    let taken = put_wide(&mut wide, 0, |at| at % 7).unwrap();
    assert!(!taken.stage_now);
    let taken = put_wide(&mut wide, 1, |at| at % 600).unwrap();
    assert!(taken.stage_now);
    let told = put_wide(&mut wide, 2, |at| at);
    assert!(asks_for_a_stage(&told), "{told:?}");
    assert_eq!(counted::GROUPED.get(), before);
    let pieces = wide.0.stage().unwrap();
    let (rows, files, _) = crate::piece::tally(TABLE, &pieces).unwrap();
    assert_eq!((rows, files), (2000, 600));
    // After that nothing of them is expected any more.
    let taken = put_wide(&mut wide, 2, |at| at % 7).unwrap();
    assert!(!taken.stage_now);
}

/// However few partitions there were before, and however little each file takes of a piece.
#[test]
fn rows_of_many_partitions_ask_for_a_stage_after_those_of_one() {
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["symbol"]}"#,
    ));
    let mut task = world.task();
    for (round, partitions) in [(0, 1), (1, 1), (2, 600)] {
        let first = round * BATCH_ROWS;
        let rows: Vec<_> = (first..first + BATCH_ROWS)
            .map(|at| Trade::new(&format!("S{}", at % partitions), at))
            .collect();
        let batch = trades(world.schema, &rows);
        let taken = put(&mut task, &span(0, first, first + BATCH_ROWS), &batch).unwrap();
        assert_eq!(taken.stage_now, partitions > 1, "{round}");
    }
}

/// They wait until there are many, since each file of theirs ends when it is written.
#[test]
fn waiting_rows_of_a_sorted_table_are_copied_a_few_times_at_most() {
    const WRITES: i64 = 256;
    const ROWS: i64 = 400;
    let world = World::new(settings(
        r#"{"table":"market.trades","sort-by":["n"],"buffer":"1GiB"}"#,
    ));
    let number = r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}"#;
    let schema = world.lake.schemas.avro(number);
    let batch = batch_of(schema, &[(0, Some(vec![2]))]);
    put(&mut world.task(), &span(0, 0, 1), &batch).unwrap();
    world.read(async |table| {
        let metadata = table.metadata();
        let (properties, columns) = (metadata.properties(), metadata.current_schema());
        let metrics = Metrics::new(properties, columns).unwrap();
        let per_file = piece_bytes_per_file(columns, &metrics);
        let limits = FileLimits {
            target_bytes: u64::MAX,
            open: 16,
            waiting_bytes: usize::MAX,
        };
        let properties = writer_properties(properties, columns, None).unwrap();
        let mut files = Files::new(table, properties, limits, per_file).unwrap();
        assert!(files.sort_order().is_some());
        let arrow = Arc::new(schema_to_arrow_schema(columns).unwrap());
        let mut relief = Relief::of_stage(SystemTime::now);
        let (before, mut bytes) = (counted::JOINED_BYTES.get(), 0);
        for write in 0..WRITES {
            let numbers = Int64Array::from_iter_values(write * ROWS..(write + 1) * ROWS);
            let columns = vec![Arc::new(numbers) as ArrayRef];
            let rows = RecordBatch::try_new(Arc::clone(&arrow), columns).unwrap();
            bytes += rows.get_array_memory_size();
            files.write(rows, &mut relief).await.unwrap();
        }
        let waiting = files.waiting_bytes();
        assert!(waiting <= 2 * bytes, "{waiting} of {bytes}");
        assert!(files.close_all(&mut relief).await.unwrap());
        assert_eq!(files.waiting_bytes(), 0);
        let joined = counted::JOINED_BYTES.get() - before;
        assert!(joined <= 3 * bytes, "{joined} of {bytes}");
        let closed = files.into_closed();
        let rows: u64 = closed.iter().map(DataFile::record_count).sum();
        assert_eq!(rows, (WRITES * ROWS).unsigned_abs());
    });
}
