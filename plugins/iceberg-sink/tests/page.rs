//! docs/ICEBERG.md has each table property that the sink and the host go by.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a file of ours has for tests stands behind this.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

/// The texts that begin with `write.` in the Rust files below a folder, but for tests.
fn properties(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_of_tests = path.file_stem().is_some_and(|name| name == "tests");
        if is_of_tests {
            continue;
        }
        if path.is_dir() {
            properties(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split(TESTS).next().unwrap();
            let named = code.split("\"write.").skip(1);
            let named = named.map(|rest| rest.split('"').next().unwrap());
            found.extend(named.map(|name| format!("write.{name}")));
        }
    }
}

#[test]
fn the_page_has_every_table_property() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/ICEBERG.md")).unwrap();
    let mut found = BTreeSet::new();
    for folder in ["plugins/iceberg-sink/src", "runtime/plugin/src/lake"] {
        let before = found.len();
        properties(&root.join(folder), &mut found);
        assert!(found.len() > before, "{folder} names none");
    }
    for property in found {
        // Behind a dot at the end stands a column.
        let shown = match property.ends_with('.') {
            true => format!("`{property}<c>`"),
            false => format!("`{property}`"),
        };
        assert!(page.contains(&shown), "docs/ICEBERG.md lacks {shown}");
    }
}
