//! The bytes of a batch, written out by hand: what is on disk today must be read tomorrow.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_batch::{
    Batch, BatchWriter, Full, Headers, Limits, Malformed, RECORDS_MAX, Record, Run, SchemaIds,
    stamp_first_offset, stamp_schemas,
};

fn record(value: &[u8]) -> Record<'_> {
    Record {
        value: Some(value),
        ..Record::default()
    }
}

fn parse(bytes: &[u8]) -> Result<Batch<'_>, Malformed> {
    Batch::parse(bytes, &Limits::default())
}

#[test]
fn the_format_is_this() {
    let headers = [("h", Some(b"v".as_slice())), ("", None)];
    let mut writer = BatchWriter::new();
    let first = Record {
        timestamp_ms: -2,
        key: Some(b"k"),
        value: None,
        schemas: SchemaIds { value: 7, key: 9 },
        headers: Headers::of(&headers),
    };
    writer.push_at(100, &first).unwrap();
    writer
        .push_at(
            103,
            &Record {
                timestamp_ms: 1,
                value: Some(b"xyz"),
                ..Record::default()
            },
        )
        .unwrap();
    let expected_len = writer.encoded_len();
    let bytes = writer.finish();
    #[rustfmt::skip]
    let expected: Vec<u8> = [
        b"JFRB".as_slice(), &[1, 0], &[7, 0],
        &2u32.to_le_bytes(), &2u32.to_le_bytes(), &4u32.to_le_bytes(), &26u32.to_le_bytes(), &100i64.to_le_bytes(),
        &1u32.to_le_bytes(), &7u32.to_le_bytes(), &9u32.to_le_bytes(),
        &1u32.to_le_bytes(), &0u32.to_le_bytes(), &0u32.to_le_bytes(),
        &(-2i64).to_le_bytes(), &1i64.to_le_bytes(),
        &1u32.to_le_bytes(), &(1u32 | 1 << 31).to_le_bytes(),
        &(1u32 | 1 << 31).to_le_bytes(), &4u32.to_le_bytes(),
        &0u32.to_le_bytes(), &3u32.to_le_bytes(),
        &18u32.to_le_bytes(), &18u32.to_le_bytes(),
        &1u32.to_le_bytes(), b"h", &1u32.to_le_bytes(), b"v", &0u32.to_le_bytes(), &u32::MAX.to_le_bytes(),
        b"kxyz",
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(bytes.len(), expected_len);
    let batch = parse(&bytes).unwrap();
    assert_eq!(batch.record(0), first);
    assert_eq!(
        (batch.offset(0), batch.offset(1), batch.offset(2)),
        (Some(100), Some(103), None)
    );
}

#[test]
fn the_writer_starts_over_after_finish() {
    let mut writer = BatchWriter::new();
    writer.push_at(5, &record(b"a")).unwrap();
    let first = writer.finish();
    assert!(writer.is_empty());
    writer.push(&record(b"b")).unwrap();
    let second = writer.finish();
    assert_eq!(parse(&first).unwrap().first_offset(), Some(5));
    assert_eq!(parse(&second).unwrap().first_offset(), None);
    assert_eq!(
        parse(&second).unwrap().record(0).value,
        Some(b"b".as_slice())
    );
    assert_eq!(parse(&writer.finish()).unwrap().len(), 0);
}

#[test]
fn a_full_batch_takes_no_more_and_a_record_that_can_never_fit_says_so() {
    let mut writer = BatchWriter::new();
    for _ in 0..RECORDS_MAX {
        writer.push(&record(b"")).unwrap();
    }
    assert_eq!(writer.push(&record(b"")), Err(Full::BatchIsFull));
    let limits = Limits {
        records_max: 10,
        bytes_max: 200,
    };
    let mut writer = BatchWriter::with_limits(limits);
    writer.push(&record(&[0; 100])).unwrap();
    let before = writer.encoded_len();
    assert_eq!(writer.push(&record(&[0; 100])), Err(Full::BatchIsFull));
    assert_eq!(
        writer.push(&record(&[0; 141])),
        Err(Full::TooLarge {
            bytes: 201,
            bytes_max: 200
        })
    );
    assert_eq!((writer.len(), writer.encoded_len()), (1, before));
    writer.finish();
    writer.push(&record(&[0; 140])).unwrap();
    assert_eq!(Batch::parse(&writer.finish(), &limits).unwrap().len(), 1);
}

#[test]
fn an_offset_that_does_not_follow_starts_a_new_batch() {
    let mut writer = BatchWriter::new();
    writer.push_at(10, &record(b"")).unwrap();
    for offset in [10, 9, 10 + (1 << 32)] {
        assert_eq!(
            writer.push_at(offset, &record(b"")),
            Err(Full::BatchIsFull),
            "{offset}"
        );
    }
    assert_eq!(writer.push(&record(b"")), Err(Full::BatchIsFull));
    writer.push_at(10 + u32::MAX as i64, &record(b"")).unwrap();
    let bytes = writer.finish();
    assert_eq!(parse(&bytes).unwrap().offset(1), Some(10 + u32::MAX as i64));
    for offset in [-1, i64::MAX] {
        assert_eq!(
            writer.push_at(offset, &record(b"")),
            Err(Full::NotAnOffset { offset })
        );
    }
}

#[test]
fn any_part_of_a_full_batch_is_a_batch() {
    // Taking records out of the middle brings in gaps, which no limit counts.
    let limits = Limits::default();
    let value = vec![1; (limits.bytes_max - 32 - 12) / 1000 - 16];
    let mut writer = BatchWriter::new();
    for offset in 0..1000 {
        writer.push_at(offset, &record(&value)).unwrap();
    }
    let whole = writer.finish();
    let batch = parse(&whole).unwrap();
    for (offset, record) in (0..).zip(batch.iter()).filter(|(offset, _)| *offset != 1) {
        writer.push_at(offset, &record).unwrap();
    }
    let part = writer.finish();
    assert!(part.len() > limits.bytes_max);
    assert_eq!(parse(&part).unwrap().len(), 999);
}

#[test]
fn stamps_change_nothing_else() {
    let mut writer = BatchWriter::new();
    for schemas in [SchemaIds::default(), SchemaIds { value: 1, key: 2 }] {
        writer
            .push(&Record {
                schemas,
                ..record(b"abc")
            })
            .unwrap();
    }
    let mut bytes = writer.finish();
    let ids = SchemaIds {
        value: 70_000,
        key: 3,
    };
    stamp_schemas(&mut bytes, ids);
    stamp_first_offset(&mut bytes, 1 << 40);
    let batch = parse(&bytes).unwrap();
    assert_eq!(
        batch.runs().collect::<Vec<_>>(),
        [Run {
            records: 1,
            schemas: ids
        }; 2]
    );
    assert_eq!(batch.first_offset(), Some(1 << 40));
    assert_eq!(batch.offset(1), Some((1 << 40) + 1));
    assert_eq!(
        batch.record(1),
        Record {
            schemas: ids,
            ..record(b"abc")
        }
    );
    assert_eq!(batch.iter().count(), 2);
    // Whatever it is given, stamping does not panic.
    for len in 0..40 {
        stamp_schemas(&mut bytes[..len].to_vec(), ids);
        stamp_first_offset(&mut bytes[..len].to_vec(), 0);
    }
}

#[test]
fn each_kind_of_damage_is_named() {
    let mut writer = BatchWriter::new();
    writer
        .push_at(
            0,
            &Record {
                key: Some(b"k"),
                ..record(b"value")
            },
        )
        .unwrap();
    writer.push_at(2, &record(b"w")).unwrap();
    let sound = writer.finish();
    let damaged = |at: usize, bytes: &[u8]| {
        let mut copy = sound.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&copy).err().unwrap().to_string()
    };
    let max = u32::MAX.to_le_bytes();
    assert_eq!(
        parse(&sound[..31]).err().unwrap().to_string(),
        "cut off: 31 bytes where at least 32 are needed"
    );
    assert!(damaged(0, b"JFEV").contains("does not begin with \"JFRB\""));
    assert_eq!(damaged(4, &[2]), "version 2 is not known, only 1");
    assert!(damaged(6, &[8]).contains("flags 0x0008"));
    assert!(damaged(6, &[4]).contains("flags 0x0004"));
    assert!(damaged(24, &[0xff; 8]).contains("log offset of record 0"));
    assert!(damaged(16, &max).contains("the header adds up to"));
    assert!(damaged(20, &[1]).contains("flags 0x0006"));
    assert!(damaged(8, &max).contains("4294967295 records, where 1000 are allowed"));
    assert!(damaged(12, &max).contains("the header adds up to"));
    assert!(damaged(32, &[3]).contains("the runs cover 3 records of 2"));
    assert!(damaged(60, &[8]).contains("the bytes of record 0 end at 8, outside 0..=7"));
    assert!(damaged(63, &[0x80]).contains("record 0 has bytes for a null"));
    let gaps = sound.len() - 7 - 8;
    assert!(damaged(gaps, &[1]).contains("log offset of record 0"));
    assert!(damaged(gaps + 4, &[0]).contains("log offset of record 1"));
    let small = Limits {
        records_max: 1000,
        bytes_max: 40,
    };
    assert!(matches!(
        Batch::parse(&sound, &small),
        Err(Malformed::TooLarge { bytes_max: 40, .. })
    ));
}
