//! Times before 1970, and far from it.

use super::*;

const DAYS_MAX: i64 = MICROS_MAX / DAY;

/// Puts times of a logical type into a table that is partitioned so, and commits what is taken.
fn land(by: &str, logical: &str, times: &[i64]) -> Result<World, Failure> {
    let ty = if logical == "date" { "int" } else { "long" };
    let text = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"at","type":["null",
            {{"type":"{ty}","logicalType":"{logical}"}}]}}]}}"#
    );
    let by = match by {
        "" => String::new(),
        by => format!(r#""{by}""#),
    };
    let world = World::new(settings(&format!(
        r#"{{"table":"market.trades","partition-by":[{by}]}}"#
    )));
    let schema = world.lake.schemas.avro(&text);
    let records: Vec<_> = (0..)
        .zip(times)
        .map(|(offset, at)| {
            let mut datum = Vec::new();
            long(1, &mut datum);
            long(*at, &mut datum);
            (offset, Some(datum))
        })
        .collect();
    let next = times.len() as i64;
    let mut task = world.task();
    put(&mut task, &span(0, 0, next), &batch_of(schema, &records))?;
    let pieces = task.stage()?;
    let done = world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, next)], "c1")?;
    assert_eq!(done.rows, times.len() as u64, "{by}");
    Ok(world)
}

fn rejected(by: &str, logical: &str, times: &[i64]) -> Vec<u32> {
    match land(by, logical, times) {
        Err(Failure::Rejected(bad)) => bad.iter().map(|it| it.index).collect(),
        Err(other) => panic!("{by}: {other}"),
        Ok(_) => panic!("{by}: taken"),
    }
}

const TRANSFORMS: [&str; 6] = [
    "",
    "year(at)",
    "month(at)",
    "day(at)",
    "hour(at)",
    "bucket(7, at)",
];

#[test]
fn a_fraction_of_a_second_before_1970_lands_where_a_partition_can_be_named() {
    let times = [-500_000, -1, -DAY - 1, 500_000];
    for by in TRANSFORMS {
        for logical in ["timestamp-micros", "local-timestamp-micros"] {
            land(by, logical, &times).unwrap();
        }
    }
    land("at", "local-timestamp-micros", &times).unwrap();
    assert_eq!(rejected("at", "timestamp-micros", &times), [0, 1, 2]);
    assert_eq!(rejected("at", "timestamp-millis", &[-1500, -2000]), [0]);
    assert_eq!(rejected("at", "timestamp-nanos", &[-1000, 1000]), [0]);
    land("at", "timestamp-micros", &[-1_000_000, 0, 500_000]).unwrap();
}

#[test]
fn dates_and_times_are_taken_up_to_243_000_years_from_1970_whatever_the_partition() {
    let beyond = [i64::MAX, i64::MIN, MICROS_MAX + 1, -MICROS_MAX - 1];
    for by in TRANSFORMS.into_iter().chain(["at"]) {
        for logical in ["timestamp-micros", "local-timestamp-micros"] {
            assert_eq!(rejected(by, logical, &beyond), [0, 1, 2, 3], "{by}");
            let world = land(by, logical, &[MICROS_MAX, -MICROS_MAX]).unwrap();
            let files = world.files();
            let mut values = files.iter().flat_map(|it| it.partition().fields());
            assert!(values.all(Option::is_some), "{by}: {files:?}");
        }
        if by == "hour(at)" {
            continue;
        }
        let beyond = [
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            DAYS_MAX + 1,
            -DAYS_MAX - 1,
        ];
        assert_eq!(rejected(by, "date", &beyond), [0, 1, 2, 3], "{by}");
        land(by, "date", &[DAYS_MAX, -DAYS_MAX]).unwrap();
    }
}
