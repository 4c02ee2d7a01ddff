//! docs/BINANCE.md has each setting, and each field of the records.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use binance_source::{GapRecord, Settings, TradeRecord};
use jackfield_sdk::avro::AvroRecord;
use jackfield_sdk::settings_schema;
use serde_json::Value;

fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/BINANCE.md");
    std::fs::read_to_string(file).unwrap()
}

/// The first cells of the page's tables, whose names are parted by commas.
fn named(page: &str) -> Vec<&str> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = cells.filter_map(|row| row.split(" | ").next());
    cells
        .flat_map(|cell| cell.split(", "))
        .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'))
        .collect()
}

fn names(properties: &Value) -> Vec<String> {
    properties.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_page_has_every_setting() {
    let page = page();
    let named = named(&page);
    let schema: Value = serde_json::from_str(&settings_schema::<Settings>()).unwrap();
    let mut settings = names(&schema["properties"]);
    settings.retain(|name| name != "endpoints");
    let endpoints = names(&schema["$defs"]["Endpoints"]["properties"]);
    settings.extend(endpoints.iter().map(|name| format!("endpoints.{name}")));
    assert!(settings.len() > 10, "{settings:?}");
    for setting in settings {
        assert!(
            named.contains(&&*setting),
            "docs/BINANCE.md lacks `{setting}`"
        );
    }
}

#[test]
fn the_page_has_every_field_of_the_records() {
    let page = page();
    let named = named(&page);
    for schema in [TradeRecord::SCHEMA, GapRecord::SCHEMA] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        for field in schema["fields"].as_array().unwrap() {
            let name = field["name"].as_str().unwrap();
            assert!(named.contains(&name), "docs/BINANCE.md lacks `{name}`");
        }
    }
}
