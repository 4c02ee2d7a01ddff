//! Tables of the examples have an end to their history: docs/OPERATIONS.md says why.

use std::path::{Path, PathBuf};

use jackfield_system_tests::repository;

/// Beyond as many snapshots they go before they are as old as `expire` says: docs/ICEBERG.md.
const SNAPSHOTS_MAX: u64 = 10_000;

/// The files of pipelines below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.ends_with("connectors.yaml") {
            found.push(path);
        }
    }
}

/// The example of the repository, and those of deploy/.
fn examples() -> Vec<PathBuf> {
    let mut found = vec![repository().join("connectors.yaml")];
    below(&repository().join("deploy"), &mut found);
    found
}

/// What stands behind each `key: ` of a file, up to the end of the value.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines = text.lines().filter(|it| !it.trim().starts_with('#'));
    let behind = lines.filter_map(|line| line.split_once(&format!("{key}: ")));
    behind
        .map(|(_, value)| value.split([',', ' ']).next().unwrap_or_default())
        .collect()
}

/// `12h` → 43200.
fn seconds(time: &str) -> u64 {
    let unit = match time.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        other => panic!("{time}: {other:?} is no unit here"),
    };
    let number: u64 = time[..time.len() - 1].parse().unwrap();
    number * unit
}

#[test]
fn the_history_of_each_examples_table_ends() {
    let mut seen = 0;
    for file in examples() {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.display();
        let plugins = values(&text, "plugin");
        let sinks = plugins.iter().filter(|it| **it == "iceberg").count();
        assert!(sinks > 0, "{shown} has no table: it needs none of this");
        let [every, expire, orphans] = ["every", "expire", "orphans"].map(|it| values(&text, it));
        for of_each in [&every, &expire, &orphans] {
            assert_eq!(of_each.len(), sinks, "{shown}: {of_each:?}");
        }
        for (every, expire) in every.iter().zip(&expire) {
            let snapshots = seconds(expire) / seconds(every);
            assert!(snapshots < SNAPSHOTS_MAX, "{shown}: {snapshots} snapshots");
        }
        for (key, wanted) in [
            ("merge-manifests", "true"),
            ("write.metadata.delete-after-commit.enabled", "\"true\""),
            ("write.metadata.previous-versions-max", "\"100\""),
        ] {
            assert_eq!(values(&text, key), vec![wanted; sinks], "{shown}: {key}");
        }
        seen += sinks;
    }
    assert!(seen >= 6, "{seen}");
}

/// Whoever copies them gets a table that lives long too.
#[test]
fn what_the_pages_begin_with_ends_its_tables_history() {
    for (page, table) in [
        ("README.md", "table: market.trades"),
        ("docs/REST.md", "\"table\": \"market.copy\""),
        ("docs/FROM-KAFKA-CONNECT.md", "\"table\": \"shop.orders\""),
    ] {
        let text = std::fs::read_to_string(repository().join(page)).unwrap();
        let blocks = text.split("```").skip(1).step_by(2);
        let tables: Vec<&str> = blocks.filter(|it| it.contains(table)).collect();
        assert!(!tables.is_empty(), "{page} makes no `{table}`");
        for block in tables {
            assert!(block.contains("expire"), "{page}: {block}");
        }
    }
}
