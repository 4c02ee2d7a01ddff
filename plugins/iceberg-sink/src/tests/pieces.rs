//! How much crosses in one stage: of all tables together, and of what one batch brings.

use std::time::SystemTime;

use super::*;

/// With so many columns a file's figures take about 22 KB of a piece, and 215 files about 4.6 MiB.
const COLUMNS: usize = 120;
/// What crosses in one stage.
const STAGED_BYTES_MAX: usize = 16 * 1024 * 1024;

struct Wide {
    world: World,
    schema: u32,
    task: IcebergSink,
    next: i64,
    letters: Option<usize>,
}

fn frozen() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

impl Wide {
    fn new() -> Self {
        Self::with(None, "")
    }

    /// Its columns are texts of so many letters; none: whole numbers.
    fn with(letters: Option<usize>, properties: &str) -> Self {
        let ty = if letters.is_some() { "string" } else { "long" };
        let columns = (0..COLUMNS).map(|n| format!(r#"{{"name":"c{n}","type":"{ty}"}}"#));
        let columns: Vec<_> = columns.collect();
        let schema = format!(
            r#"{{"type":"record","name":"W","fields":[{{"name":"name","type":"string"}},
                {{"name":"id","type":"long"}},{}]}}"#,
            columns.join(",")
        );
        let world = World::new(settings(&format!(
            r#"{{"table":"market.{{name}}","partition-by":["id"],
                "properties":{{"write.parquet.compression-codec":"uncompressed"{properties}}}}}"#
        )));
        let schema = world.lake.schemas.avro(&schema);
        let mut task = world.task();
        task.set_clock(frozen);
        Self {
            world,
            schema,
            task,
            next: 0,
            letters,
        }
    }

    /// Puts so many rows into a table, each of a partition of its own. Where they are not taken, the
    /// same are put the next time.
    fn put(&mut self, name: &str, rows: i64) -> Result<Taken, Failure> {
        let record = |at: i64| {
            let mut to = Vec::new();
            long(name.len() as i64, &mut to);
            to.extend_from_slice(name.as_bytes());
            long(at, &mut to);
            for _ in 0..COLUMNS {
                match self.letters {
                    None => long(at, &mut to),
                    Some(letters) => {
                        long(letters as i64, &mut to);
                        to.resize(to.len() + letters, b'x');
                    }
                }
            }
            (at, Some(to))
        };
        let (first, next) = (self.next, self.next + rows);
        let records: Vec<_> = (first..next).map(record).collect();
        let batch = batch_of(self.schema, &records);
        let taken = put(&mut self.task, &span(0, first, next), &batch)?;
        self.next = next;
        Ok(taken)
    }

    /// Rows that were staged; what crosses is what may.
    fn stage(&mut self) -> u64 {
        let pieces = self.task.stage().unwrap();
        let bytes: usize = pieces.iter().map(|it| it.bytes.len()).sum();
        assert!(bytes < STAGED_BYTES_MAX, "{bytes}");
        let rows = pieces.iter().map(|it| {
            let those = std::slice::from_ref(it);
            crate::piece::tally(&it.target, those).unwrap().0
        });
        rows.sum()
    }
}

#[test]
fn the_pieces_of_all_tables_together_ask_for_a_stage() {
    let mut wide = Wide::new();
    assert!(!wide.put("A", 215).unwrap().stage_now);
    assert!(wide.put("B", 215).unwrap().stage_now);
    assert_eq!(wide.stage(), 430);
    assert!(!wide.put("A", 215).unwrap().stage_now);
}

/// Nobody heeds that it asks for a stage, until it takes no more.
#[test]
fn the_pieces_of_twenty_tables_cross_in_one_stage() {
    const TABLES: i64 = 20;
    const ROWS: i64 = 53;
    let mut wide = Wide::new();
    let (mut staged, mut stages) = (0, 0);
    for table in 0..TABLES {
        let name = format!("T{table}");
        let told = wide.put(&name, ROWS);
        if told.is_ok() {
            continue;
        }
        assert!(asks_for_a_stage(&told), "{told:?}");
        staged += wide.stage();
        stages += 1;
        wide.put(&name, ROWS).unwrap();
    }
    assert_eq!(staged + wide.stage(), (TABLES * ROWS).unsigned_abs());
    assert_eq!(stages, 1);
    assert_eq!(wide.world.lake.lines.all(), vec![]);
}

#[test]
fn only_a_batch_that_is_too_much_by_itself_stops() {
    let mut wide = Wide::new();
    wide.put("A", 1).unwrap();
    let told = wide.put("B", 1000);
    assert!(asks_for_a_stage(&told), "{told:?}");
    assert_eq!(wide.stage(), 1, "nothing of it was taken");
    match wide.put("B", 1000) {
        Err(Failure::Misconfigured(why)) => {
            assert!(why.contains("`partition-by` is too fine"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    wide.put("B", 500).unwrap();
    assert_eq!(wide.stage(), 500);
}

/// Bounds of texts are lists of numbers, four bytes for each letter and twice.
#[test]
fn pieces_of_tables_of_texts_cross_in_one_stage() {
    const FULL: &str = r#","write.metadata.metrics.default":"full""#;
    /// With the longest texts about 160 KB, of the 256 KiB that a batch has at most.
    const ROWS: i64 = 20;
    for (letters, properties) in [(16, ""), (64, FULL)] {
        let mut wide = Wide::with(Some(letters), properties);
        let mut rows = 0;
        let told = loop {
            let told = wide.put("A", ROWS);
            if told.is_err() {
                break told;
            }
            rows += ROWS;
        };
        assert!(asks_for_a_stage(&told), "{told:?}");
        assert_eq!(wide.stage(), rows.unsigned_abs(), "{letters}");
        wide.put("A", ROWS).unwrap();
    }
}
