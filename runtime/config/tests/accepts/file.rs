//! How the file is read, whatever it configures: YAML, variables, its folder.

use crate::common::parse;
use crate::{SECOND, with_sink};
use jackfield_config::*;
use serde_json::json;

fn settings(lines: &str) -> serde_json::Value {
    let text = with_sink(&format!("settings:\n  {}", lines.replace('\n', "\n  ")));
    let config = parse(&text).unwrap_or_else(|findings| panic!("{text}\n{findings}"));
    config.pipelines["p"].sinks["s"].settings.value().clone()
}

#[test]
fn variables_are_values_whatever_they_contain() {
    assert_eq!(
        settings(
            "a: ${NUMBER}\nb: \"${NUMBER}\"\nc: ${YAML}\nd: ${NO}\ne: ${EMPTY:-x}\nf: ${EMPTY}\ng: $${NUMBER}\nh: a${SYMBOL}b${NUMBER}\ni: $NUMBER\nj: ${TRUE:-true}\nk: >-\n  ${SYMBOL}\n  ${UNSET:-12}"
        ),
        json!({
            "a": 4, "b": "4", "c": "a: [b, {c: d}]\n- e", "d": "no", "e": "x", "f": "", "g": "${NUMBER}",
            "h": "aBTCUSDTb4", "i": "$NUMBER", "j": true, "k": "BTCUSDT 12",
        })
    );
    let config = parse(&with_sink(
        "tasks: \"${NUMBER}\"\ncommit: { every: \"${NUMBER}s\" }",
    ))
    .unwrap();
    assert_eq!(config.pipelines["p"].sinks["s"].tasks, 4);
    assert_eq!(config.pipelines["p"].sinks["s"].commit.every, 4 * SECOND);
}

#[test]
fn yaml_1_2_is_read_as_written() {
    assert_eq!(
        settings(
            "a: no\nb: on\non: yes\nc: 12:30\nd: 1_000\ne: 0o17\nf: 2024-08-08\ng: ~\nh: !!str 12\ni: 1.5\nj: 'x'\nk: TRUE"
        ),
        json!({
            "a": "no", "b": "on", "on": "yes", "c": "12:30", "d": "1_000", "e": 15, "f": "2024-08-08", "g": null,
            "h": "12", "i": 1.5, "j": "x", "k": true,
        })
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let config = parse(
        r"
x-sink: &sink { plugin: iceberg, tasks: 3, commit: { every: 1m } }
x-unused: ${NOT_SET}
plugins: { iceberg: a.wasm }
pipelines:
  p:
    topics: { trade: { name: trades } }
    sinks:
      a: { <<: *sink, topics: [trade] }
      b: { <<: [*sink, { start: latest, tasks: 9 }], topics: [trade], tasks: 2 }
",
    )
    .unwrap_or_else(|findings| panic!("{findings}"));
    let sinks = &config.pipelines["p"].sinks;
    assert_eq!(
        (sinks["a"].tasks, sinks["a"].commit.every),
        (3, 60 * SECOND)
    );
    assert_eq!((sinks["b"].tasks, sinks["b"].start), (2, StartAt::Latest));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let text = format!("\u{feff}{}", with_sink("tasks: 2").replace('\n', "\r\n"));
    assert_eq!(parse(&text).unwrap().pipelines["p"].sinks["s"].tasks, 2);
}

#[test]
fn moved_lines_are_no_change() {
    let text = with_sink("settings: { table: a.b }");
    assert_eq!(
        parse(&text).unwrap(),
        parse(&format!("# more\n\n{text}")).unwrap()
    );
    assert_ne!(
        parse(&text).unwrap(),
        parse(&text.replace("a.b", "a.c")).unwrap()
    );
}

#[test]
fn a_file_is_loaded_with_its_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("connectors.yaml");
    std::fs::write(&file, with_sink("")).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.base_dir, dir.path());
    std::fs::write(&file, b"pipelines:\n  \xff: 1").unwrap();
    let refused = Config::load(&file).unwrap_err().to_string();
    assert!(
        refused.contains("connectors.yaml:2:3") && refused.contains("not UTF-8"),
        "{refused}"
    );
    let missing = Config::load(&dir.path().join("none.yaml")).unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable { .. }), "{missing}");
}
