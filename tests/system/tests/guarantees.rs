//! docs/GUARANTEES.md names tests that exist.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_system_tests::repository;
use std::collections::BTreeSet;
use std::path::Path;

/// The names of all functions in the Rust files below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let named = text.split("fn ").skip(1);
            names.extend(named.map(|rest| rest.split(['(', '<']).next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = std::fs::read_to_string(repository().join("docs/GUARANTEES.md")).unwrap();
    let mut names = BTreeSet::new();
    for folder in ["tests", "runtime", "plugins"] {
        functions(&repository().join(folder), &mut names);
    }
    let mut promises = 0;
    let rows = page.lines().skip_while(|line| *line != "## Faults");
    for row in rows.take_while(|line| !line.starts_with("## What every log")) {
        let Some(shown_by) = row
            .strip_suffix(" |")
            .and_then(|row| row.rsplit(" | ").next())
        else {
            continue;
        };
        let mut named = 0;
        for name in shown_by.split('`').skip(1).step_by(2) {
            named += 1;
            let exists = match name.contains('/') {
                true => repository().join(name).exists(),
                false => names.contains(name.rsplit("::").next().unwrap()),
            };
            assert!(exists, "{name} is named, but there is no such test");
        }
        if !row.contains("---") && shown_by != "shown by" {
            promises += 1;
            assert!(named > 0, "no test is named for: {row}");
        }
    }
    assert!(promises > 20, "{promises}");
}
