//! Each row is in the file of its partition, by values that the tests work out themselves.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use iceberg::spec::Literal;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

const TEXT: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"row","type":"long"},
    {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
    {"name":"n","type":["null","long"]},
    {"name":"i","type":["null","int"]},
    {"name":"d","type":["null",
        {"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
    {"name":"s","type":["null","string"]}]}"#;

#[derive(Debug, Clone, Copy)]
struct Row {
    /// Microseconds, and the years, months, days and hours since 1970.
    at: Option<(i64, [i32; 4])>,
    n: Option<i64>,
    i: Option<i32>,
    /// Hundredths.
    d: Option<i128>,
    s: Option<&'static str>,
}

const NULL: Row = Row {
    at: None,
    n: None,
    i: None,
    d: None,
    s: None,
};

const fn row(at: i64, times: [i32; 4], n: i64, i: i32, d: i128, s: &'static str) -> Row {
    Row {
        at: Some((at, times)),
        n: Some(n),
        i: Some(i),
        d: Some(d),
        s: Some(s),
    }
}

const ROWS: [Row; 9] = [
    // 1969-12-30T23:59:59.5, and the last microseconds of that year and of a November.
    row(-86_400_500_000, [-1, -1, -2, -25], -1, -1, -1, "iceberg"),
    row(-1, [-1, -1, -1, -1], -10, -10, -50, "日本語です"),
    row(
        -2_678_400_000_001,
        [-1, -2, -32, -745],
        -11,
        -11,
        -51,
        "äöüß",
    ),
    row(0, [0, 0, 0, 0], 0, 0, 0, ""),
    // 2000-02-29, and 2024-08-08 at midnight and half past one in the afternoon.
    row(
        951_782_400_000_000,
        [30, 361, 11_016, 264_384],
        9,
        9,
        1065,
        "a",
    ),
    row(MIDNIGHT, [54, 655, 19_943, 478_632], 34, 34, 1420, "ice"),
    row(
        MIDNIGHT + 48_600_000_000,
        [54, 655, 19_943, 478_645],
        -(1 << 60),
        i32::MIN + 8,
        -999_999_949,
        "naïve",
    ),
    // 1969-12-31T23:59:59, which is a whole second.
    row(
        -1_000_000,
        [-1, -1, -1, -1],
        i64::MAX,
        i32::MAX,
        128,
        "ice cream",
    ),
    NULL,
];

fn nullable<T>(value: Option<T>, push: impl FnOnce(T, &mut Vec<u8>), to: &mut Vec<u8>) {
    long(value.is_some().into(), to);
    if let Some(value) = value {
        push(value, to);
    }
}

fn datum_of(number: i64, row: &Row) -> Vec<u8> {
    let mut to = Vec::new();
    long(number, &mut to);
    nullable(row.at.map(|it| it.0), long, &mut to);
    nullable(row.n, long, &mut to);
    nullable(row.i.map(i64::from), long, &mut to);
    nullable(row.d, decimal, &mut to);
    let text = |text: &str, to: &mut Vec<u8>| {
        long(text.len() as i64, to);
        to.extend_from_slice(text.as_bytes());
    };
    nullable(row.s, text, &mut to);
    to
}

/// As Iceberg's specification has it: 32 bits, seed 0.
fn murmur3(bytes: &[u8]) -> i32 {
    let mixed = |word: u32| {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15);
        word.wrapping_mul(0x1b87_3593)
    };
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = 0_u32;
    for word in words {
        hash = (hash ^ mixed(u32::from_le_bytes(*word))).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut tail = [0; 4];
    tail[..rest.len()].copy_from_slice(rest);
    hash ^= mixed(u32::from_le_bytes(tail)) ^ bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    (hash ^ (hash >> 16)).cast_signed()
}

fn hash_of_long(value: i64) -> i32 {
    murmur3(&value.to_le_bytes())
}

/// Of as few bytes as hold it.
fn hash_of_decimal(value: i128) -> i32 {
    let mut bytes = Vec::new();
    decimal(value, &mut bytes);
    // Without its length, which is one byte.
    murmur3(&bytes[1..])
}

#[test]
fn hashes_are_those_of_the_specification() {
    assert_eq!(hash_of_long(34), 2_017_239_379);
    assert_eq!(hash_of_decimal(1420), -500_754_589);
    assert_eq!(murmur3("iceberg".as_bytes()), 1_210_000_089);
    // 2017-11-16T22:31:08
    assert_eq!(hash_of_long(1_510_871_468_000_000), -2_047_944_441);
}

fn bucket(hash: i32) -> Literal {
    Literal::int((hash & i32::MAX) % 16)
}

type Expected = fn(&Row) -> Option<Literal>;

/// What a row's partition is, by each transform.
const TRANSFORMS: [(&str, Expected); 18] = [
    ("at", |it| it.at.map(|it| Literal::timestamptz(it.0))),
    ("n", |it| it.n.map(Literal::long)),
    ("i", |it| it.i.map(Literal::int)),
    ("d", |it| it.d.map(Literal::decimal)),
    ("s", |it| it.s.map(Literal::string)),
    ("year(at)", |it| it.at.map(|it| Literal::int(it.1[0]))),
    ("month(at)", |it| it.at.map(|it| Literal::int(it.1[1]))),
    ("day(at)", |it| it.at.map(|it| Literal::date(it.1[2]))),
    ("hour(at)", |it| it.at.map(|it| Literal::int(it.1[3]))),
    ("bucket(16, at)", |it| {
        it.at.map(|it| bucket(hash_of_long(it.0)))
    }),
    ("bucket(16, n)", |it| {
        it.n.map(|it| bucket(hash_of_long(it)))
    }),
    ("bucket(16, i)", |it| {
        it.i.map(|it| bucket(hash_of_long(it.into())))
    }),
    ("bucket(16, d)", |it| {
        it.d.map(|it| bucket(hash_of_decimal(it)))
    }),
    ("bucket(16, s)", |it| {
        it.s.map(|it| bucket(murmur3(it.as_bytes())))
    }),
    ("truncate(10, n)", |it| {
        it.n.map(|it| Literal::long(it - it.rem_euclid(10)))
    }),
    ("truncate(10, i)", |it| {
        it.i.map(|it| Literal::int(it - it.rem_euclid(10)))
    }),
    ("truncate(50, d)", |it| {
        it.d.map(|it| Literal::decimal(it - it.rem_euclid(50)))
    }),
    ("truncate(3, s)", |it| {
        it.s.map(|it| Literal::string(it.chars().take(3).collect::<String>()))
    }),
];

#[test]
fn each_row_is_in_the_file_of_its_partition_by_every_transform() {
    for (by, expected) in TRANSFORMS {
        let world = World::new(settings(&format!(
            r#"{{"table":"market.trades","partition-by":["{by}"]}}"#
        )));
        let schema = world.lake.schemas.avro(TEXT);
        // Of some times before 1970 the library can name no partition.
        let named = |it: &Row| it.at.is_none_or(|(at, _)| at >= 0 || at % 1_000_000 == 0);
        let rows = (0..).zip(&ROWS).filter(|(_, it)| by != "at" || named(it));
        let records: Vec<_> = rows.map(|(at, it)| (at, Some(datum_of(at, it)))).collect();
        let next = ROWS.len() as i64;
        let mut task = world.task();
        put(&mut task, &span(0, 0, next), &batch_of(schema, &records)).unwrap();
        let pieces = task.stage().unwrap();
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, next)], "c1")
            .unwrap();
        let mut found = 0;
        for file in world.files() {
            let object = world.lake.store.object(file.file_path()).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(object));
            for rows in reader.unwrap().build().unwrap() {
                let rows = rows.unwrap();
                for number in rows["row"].as_primitive::<Int64Type>().values() {
                    let row = &ROWS[usize::try_from(*number).unwrap()];
                    assert_eq!(file.partition()[0], expected(row), "{by}: {row:?}");
                    found += 1;
                }
            }
        }
        assert_eq!(found, records.len(), "{by}");
    }
}
