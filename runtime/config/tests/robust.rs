//! Whatever the text is, an answer comes back, and it is either a configuration or errors.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{HUNTER, parse};
use jackfield_config::{Config, Findings};
use proptest::prelude::*;
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../../connectors.yaml");

fn check(text: &str) -> Result<Config, Findings> {
    let result = parse(text);
    match &result {
        Ok(config) => assert!(!config.warnings.has_errors()),
        Err(findings) => {
            assert!(findings.has_errors(), "refused without an error: {text:?}");
            assert!(findings.to_string().lines().all(|line| line.len() < 4000));
        }
    }
    result
}

/// Pieces that a grammar-blind generator would seldom put together.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(EXAMPLE.split_inclusive(char::is_whitespace).map(str::to_owned).collect::<Vec<_>>()),
        2 => prop::sample::select(vec![
            "\n", "\n  ", "\n    ", ": ", "- ", "[", "]", "{", "}", ", ", "? ", "&a ", "*a ", "<<: ", "!!str ", "!x ", "|\n",
            ">-\n", "\"", "'", "#", "---\n", "...\n", "%YAML 1.2\n", "\t", "${", "${SYMBOL}", "${file:/run/secrets/key}",
            "$${", "}", "~", "null", "0o", ".inf", "-1", "010", "\u{feff}", "\0", "\u{85}", "x-", "é",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _ = check(&text);
    }

    #[test]
    fn any_pieces_of_yaml_are_answered(pieces in prop::collection::vec(piece(), 0..80)) {
        if let Err(findings) = check(&pieces.concat()) {
            prop_assert!(!findings.to_string().contains(HUNTER), "{}", findings);
        }
    }

    #[test]
    fn a_file_with_a_mistake_is_answered(at in 0..EXAMPLE.len(), length in 0usize..40, instead in piece()) {
        let start = EXAMPLE.floor_char_boundary(at);
        let end = EXAMPLE.floor_char_boundary((start + length).min(EXAMPLE.len())).max(start);
        let _ = check(&format!("{}{instead}{}", &EXAMPLE[..start], &EXAMPLE[end..]));
    }

    #[test]
    fn any_schema_is_answered(schema in any::<String>(), keyword in "(type|properties|required|\\$ref|anyOf|allOf|pattern|items|enum)", value in any::<String>()) {
        let config = check(EXAMPLE).unwrap();
        let settings = &config.pipelines["trades"].sinks["lake"].settings;
        let _ = settings.check(&schema);
        let _ = settings.check(&serde_json::json!({ keyword.as_str(): value }).to_string());
        let _ = settings.check(&serde_json::json!({ "properties": { "table": { keyword.as_str(): [value] } } }).to_string());
    }
}

#[test]
fn schemas_that_refer_in_circles_are_answered() {
    let config = check(EXAMPLE).unwrap();
    let settings = &config.pipelines["trades"].sinks["lake"].settings;
    for schema in [
        r##"{ "$ref": "#" }"##,
        r##"{ "allOf": [{ "$ref": "#" }] }"##,
        r##"{ "anyOf": [{ "$ref": "#/$defs/A" }], "$defs": { "A": { "anyOf": [{ "$ref": "#" }] } } }"##,
        r##"{ "$ref": "https://example.com/schema.json" }"##,
        r##"{ "$ref": "file:///etc/passwd" }"##,
        r##"{ "$dynamicRef": "#a" }"##,
        r##"{ "additionalProperties": { "$ref": "#" } }"##,
    ] {
        // Refused or taken: it ends, and nothing is fetched.
        let _ = settings.check(schema);
    }
    assert!(
        settings
            .check(r#"{ "$ref": "https://example.com/schema.json" }"#)
            .is_err()
    );
}

/// What this thread has computed: how long it waited for a busy machine does not count.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ns = stat.split_whitespace().next().unwrap().parse().unwrap();
    Duration::from_nanos(ns)
}

#[test]
fn large_files_take_no_time_to_refuse() {
    let bombs = [
        "[".repeat(1_000_000),
        "{a: ".repeat(300_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "a: b\n".repeat(200_000),
        (0..100_000)
            .map(|n| format!("k{n}: ${{UNSET{n}}}\n"))
            .collect(),
        format!("pipelines: {{ {}: {{}} }}", "a".repeat(1_000_000)),
        format!("pipelines: {{ a: {{ {}: 1 }} }}", "b".repeat(1_000_000)),
        format!(
            "pipelines: {{ a: {{ {} }} }}",
            (0..50_000)
                .map(|n| format!("k{n}: 1, "))
                .collect::<String>()
        ),
        "#".repeat(jackfield_config::FILE_BYTES_MAX + 1),
    ];
    for bomb in bombs {
        let begun = cpu_time();
        assert!(check(&bomb).is_err());
        let taken = cpu_time() - begun;
        eprintln!("{taken:?} for {}…", &bomb[..40]);
        assert!(taken.as_secs() < 20, "{taken:?} for {}…", &bomb[..40]);
    }
}
