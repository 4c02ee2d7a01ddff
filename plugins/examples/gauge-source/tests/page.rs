//! What docs/PLUGINS.md quotes is what stands in the files.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

const QUOTED: [&str; 7] = [
    "gauge-source/Cargo.toml",
    "gauge-source/src/lib.rs",
    "gauge-source/src/reading.rs",
    "gauge-source/tests/gauge.rs",
    "post-sink/src/lib.rs",
    "post-sink/src/line.rs",
    "connectors.yaml",
];

#[test]
fn the_page_quotes_the_examples() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(examples.join("../../docs/PLUGINS.md")).unwrap();
    let files = QUOTED.map(|file| fs::read_to_string(examples.join(file)).unwrap());
    let mut quotes = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, quote) = block.split_once('\n').unwrap();
        if language.is_empty() {
            continue; // Commands.
        }
        assert!(
            files.iter().any(|file| file.contains(quote)),
            "no example has this {language}:\n{quote}"
        );
        quotes += 1;
    }
    assert!(quotes >= 5, "only {quotes} quotes found");
}
