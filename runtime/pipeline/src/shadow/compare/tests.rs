use super::found::shown;
use super::lane::RECORD_OVERHEAD_BYTES;
use super::*;
use jackfield_batch::BatchWriter;
use jackfield_plugin::SchemaKind;
use proptest::prelude::*;

fn feed(text: &str) -> Feed {
    Feed {
        name: "f".into(),
        value: Schema {
            kind: SchemaKind::Avro,
            text: text.into(),
        },
        key: None,
    }
}

fn batch(records: &[(u8, u32)]) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for (key, value) in records {
        let record = Record {
            key: Some(&[*key]),
            value: Some(&value.to_le_bytes()),
            ..Record::default()
        };
        writer.push(&record).unwrap();
    }
    writer.finish()
}

fn comparison() -> Comparison {
    let mut comparison = Comparison::default();
    comparison.running_feeds(&[feed("a")]);
    comparison.new_feeds(&[feed("a")]);
    comparison
}

/// Both sides in batches of other sizes, and none of them ahead for long.
fn compare(running: &[(u8, u32)], new: &[(u8, u32)], sizes: (usize, usize)) -> FeedCompared {
    let mut comparison = comparison();
    let (mut a, mut b) = (running.chunks(sizes.0), new.chunks(sizes.1));
    let basis = Basis { given: 5 };
    loop {
        match (a.next(), b.next()) {
            (None, None) => break,
            (x, y) => {
                if let Some(x) = x {
                    comparison.running(0, batch(x), basis).unwrap();
                }
                if let Some(y) = y {
                    comparison.new_version(0, batch(y), basis).unwrap();
                }
            }
        }
    }
    let mut compared = comparison.finish(5, 5);
    compared.feeds.remove("f").unwrap_or_default()
}

fn counted(same: u64, missing: u64, extra: u64, changed: u64) -> FeedCompared {
    FeedCompared {
        same,
        missing,
        extra,
        changed,
        ..FeedCompared::default()
    }
}

fn records(count: u32) -> Vec<(u8, u32)> {
    (0..count).map(|i| ((i % 3) as u8, i)).collect()
}

#[test]
fn the_same_records_are_the_same_however_they_are_batched_and_interleaved() {
    let all = records(1000);
    assert_eq!(compare(&all, &all, (7, 90)), counted(1000, 0, 0, 0));
    let mut by_key = all.clone();
    by_key.sort_by_key(|(key, _)| *key);
    assert_eq!(compare(&all, &by_key, (100, 3)), counted(1000, 0, 0, 0));
}

#[test]
fn what_is_missing_extra_or_changed_is_told_apart() {
    let all = records(1000);
    let less: Vec<_> = all.iter().filter(|(_, i)| i % 10 != 4).copied().collect();
    assert_eq!(compare(&all, &less, (50, 50)), counted(900, 100, 0, 0));
    assert_eq!(compare(&less, &all, (50, 50)), counted(900, 0, 100, 0));
    let other = |(key, i): &(u8, u32)| (*key, if i % 10 == 4 { i + 5000 } else { *i });
    let other: Vec<_> = all.iter().map(other).collect();
    assert_eq!(compare(&all, &other, (50, 50)), counted(900, 0, 0, 100));
}

#[test]
fn what_the_other_need_not_have_yet_is_not_compared() {
    let mut comparison = comparison();
    let records = records(9);
    for (at, record) in (1u64..).zip(&records) {
        let basis = Basis { given: at };
        comparison.running(0, batch(&[*record]), basis).unwrap();
        if at <= 4 {
            comparison.new_version(0, batch(&[*record]), basis).unwrap();
        }
    }
    let compared = comparison.finish(9, 6);
    let feed = &compared.feeds["f"];
    assert_eq!((feed.same, feed.missing, feed.not_compared), (4, 2, 3));
    assert!(compared.differs());
    assert_eq!(compared.examples.len(), 2);
}

#[test]
fn an_equal_schema_is_no_difference_and_another_is() {
    let mut comparison = comparison();
    comparison.new_feeds(&[feed("b")]);
    assert!(comparison.finish(0, 0).differs());
}

#[test]
fn what_waits_is_counted() {
    let mut comparison = comparison();
    let basis = Basis { given: 1 };
    comparison.running(0, batch(&records(5)), basis).unwrap();
    assert!(comparison.running_waits() > 5 * RECORD_OVERHEAD_BYTES);
    comparison
        .new_version(0, batch(&records(5)), basis)
        .unwrap();
    assert_eq!((comparison.running_waits(), comparison.new_waits()), (0, 0));
}

#[test]
fn bytes_that_are_no_text_are_shown_escaped() {
    let bytes = Bytes::from_static(b"a\xff\n\xc3\xa9");
    assert_eq!(shown(&bytes), "a\\xff\\né");
}

proptest! {
    #[test]
    fn nothing_is_lost_in_the_count(
        running in proptest::collection::vec((0u8..3, 0u32..5), 0..60),
        new in proptest::collection::vec((0u8..3, 0u32..5), 0..60),
        sizes in (1usize..9, 1usize..9),
    ) {
        let feed = compare(&running, &new, sizes);
        let both = feed.same + feed.changed;
        prop_assert_eq!(both + feed.missing, running.len() as u64);
        prop_assert_eq!(both + feed.extra, new.len() as u64);
        if running == new {
            prop_assert_eq!(feed.same, running.len() as u64);
        }
    }
}
