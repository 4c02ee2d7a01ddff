//! The bounds of a file's columns hold for all of its values.

use bytes::Bytes;
use iceberg::spec::{Datum, PrimitiveLiteral};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

const TEXT: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"note","type":"string"},{"name":"raw","type":"bytes"}]}"#;
const ROWS: i64 = 40_000;

fn bytes_of(bound: Option<&Datum>) -> Vec<u8> {
    match bound.map(Datum::literal) {
        Some(PrimitiveLiteral::String(text)) => text.clone().into_bytes(),
        Some(PrimitiveLiteral::Binary(bytes)) => bytes.clone(),
        other => panic!("{other:?}"),
    }
}

/// Short notes, and among the later ones two long ones: the least and the greatest.
fn note(at: i64) -> Vec<u8> {
    match at {
        30_000 => vec![b'z'; 100],
        35_000 => vec![b' '; 100],
        _ => format!("n{at:05}").into_bytes(),
    }
}

fn datum_of(at: i64) -> Vec<u8> {
    let note = note(at);
    let mut datum = Vec::new();
    for _ in 0..2 {
        long(note.len() as i64, &mut datum);
        datum.extend_from_slice(&note);
    }
    datum
}

#[test]
fn long_values_are_within_the_bounds_of_their_file() {
    for mode in ["full", "truncate(16)"] {
        let world = World::new(settings(&format!(
            r#"{{"table":"market.trades","properties":{{
                "write.parquet.row-group-size-bytes":"65536",
                "write.metadata.metrics.default":"{mode}"}}}}"#
        )));
        let schema = world.lake.schemas.avro(TEXT);
        let mut task = world.task();
        for first in (0..ROWS).step_by(1000) {
            let records: Vec<_> = (first..first + 1000)
                .map(|at| (at, Some(datum_of(at))))
                .collect();
            let batch = batch_of(schema, &records);
            put(&mut task, &span(0, first, first + 1000), &batch).unwrap();
        }
        let pieces = task.stage().unwrap();
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, ROWS)], "c1")
            .unwrap();
        let files = world.files();
        let [file] = files.as_slice() else {
            panic!("{files:?}")
        };
        let object = world.lake.store.object(file.file_path()).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(object)).unwrap();
        assert!(reader.metadata().num_row_groups() > 1);
        let metadata = world.metadata();
        for name in ["note", "raw"] {
            let id = metadata.current_schema().field_by_name(name).unwrap().id;
            let lower = bytes_of(file.lower_bounds().get(&id));
            let upper = bytes_of(file.upper_bounds().get(&id));
            assert!(lower <= note(35_000), "{mode} {name}: {lower:?}");
            assert!(upper >= note(30_000), "{mode} {name}: {upper:?}");
        }
    }
}
