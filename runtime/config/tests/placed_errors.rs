//! What others find about a plugin or its settings stands at a line of the file.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{HUNTER, parse};
use jackfield_config::Settings;
use serde_json::json;

const FILE: &str = "\
plugins: { iceberg: a.wasm }
pipelines:
  p:
    topics: { trade: { name: trades } }
    sinks:
      s:
        plugin: iceberg
        topics: [trade]
        settings:
          table: a.b
          urls:
            - https://api.example
            - https://me:${PASSWORD}@api.example
";

fn settings(text: &str) -> Settings {
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    config.pipelines["p"].sinks["s"].settings.clone()
}

#[test]
fn a_plugin_is_found_wrong_where_it_is_named() {
    let found = settings(FILE).plugin_error("is no sink", "name another one");
    assert_eq!((found.at.line, found.at.column), (7, 17));
    assert_eq!(found.path, "pipelines.p.sinks.s.plugin");
    assert_eq!(found.mend.as_deref(), Some("name another one"));
}

#[test]
fn a_value_is_found_wrong_where_it_stands_and_is_not_shown() {
    let settings = settings(FILE);
    let found = settings.error_at(&["urls", "1"], "is not granted", "grant it");
    assert_eq!(found.at.line, 13);
    assert_eq!(found.path, "pipelines.p.sinks.s.settings.urls[1]");
    assert!(!format!("{found:?}").contains(HUNTER));
    // What a default of the plugin's schema gives stands nowhere: the settings do.
    let found = settings.error_at(&["endpoint"], "is not granted", "grant it");
    assert_eq!(found.path, "pipelines.p.sinks.s.settings");
}

#[test]
fn what_stands_in_no_file_has_a_place_too() {
    let found = Settings::new("given", json!({})).plugin_error("is no sink", "name another one");
    assert_eq!((found.at.line, found.at.column), (1, 1));
}
