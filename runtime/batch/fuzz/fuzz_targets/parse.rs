//! Any bytes are refused or give a batch that can be read and written again:
//! `cargo +nightly fuzz run parse` in runtime/batch.
#![no_main]

use jackfield_batch::event::{Closed, Events, RequestFailed, Response};
use jackfield_batch::{Batch, BatchWriter, Limits, SchemaIds, stamp_first_offset, stamp_schemas};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    batch(bytes);
    events(bytes);
    stamped(bytes.to_vec());
});

fn batch(bytes: &[u8]) {
    let Ok(batch) = Batch::parse(bytes, &Limits::default()) else { return };
    let mut writer = BatchWriter::new();
    for (i, record) in (0..).zip(batch.iter()) {
        assert_eq!(record, batch.record(i));
        match batch.offset(i) {
            Some(offset) => writer.push_at(offset, &record),
            None => writer.push(&record),
        }
        .expect("the parts of a batch fit into a batch");
    }
    let written = writer.finish();
    let again = Batch::parse(&written, &Limits::default()).expect("what was written is sound");
    assert!(batch.iter().eq(again.iter()));
    assert_eq!(batch.len(), again.len());
}

fn events(bytes: &[u8]) {
    let Ok(events) = Events::parse(bytes) else { return };
    for event in &events {
        if let Ok(closed) = Closed::parse(event.body) {
            assert_eq!(closed.encode(), event.body);
        }
        if let Ok(response) = Response::parse(event.body) {
            assert_eq!(response.encode(), event.body);
        }
        if let Ok(failed) = RequestFailed::parse(event.body) {
            assert_eq!(failed.encode(), event.body);
        }
    }
}

fn stamped(mut bytes: Vec<u8>) {
    let sound = Batch::parse(&bytes, &Limits::default()).is_ok();
    stamp_schemas(&mut bytes, SchemaIds { value: 1, key: 2 });
    stamp_first_offset(&mut bytes, 0);
    if sound {
        let batch = Batch::parse(&bytes, &Limits::default()).expect("a stamped batch is sound");
        assert_eq!(batch.first_offset(), Some(0));
        assert!(batch.runs().all(|run| run.schemas == SchemaIds { value: 1, key: 2 }));
    }
}
