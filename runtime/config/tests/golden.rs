//! Every class of error: a file, and what is said about it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p jackfield-config --test golden` rewrites what is said.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{HUNTER, parse};
use jackfield_config::{Config, Findings, Kind, Severity};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn golden() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    assert!(!files.is_empty());
    files
}

/// All that is found, the plugins' schemas included, as `jackfield check` does it.
fn findings(text: &str) -> Findings {
    let config = match parse(text) {
        Ok(config) => config,
        Err(findings) => return findings,
    };
    let mut findings = config.warnings.clone();
    for (plugin, settings) in plugins(&config) {
        let schema =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/schemas/{plugin}.json"));
        if let Ok(schema) = fs::read_to_string(schema)
            && let Err(more) = settings.check(&schema)
        {
            findings.extend(more);
        }
        // As a plugin's own check would say it.
        if settings.value()["table"] == "unnamespaced" {
            let finding = settings.finding(
                Severity::Error,
                "table",
                "a table needs a namespace",
                "write `market.unnamespaced`",
            );
            findings.push(finding);
        }
    }
    findings
}

fn plugins(config: &Config) -> Vec<(&str, &jackfield_config::Settings)> {
    let pipelines = config.pipelines.values();
    pipelines
        .flat_map(|pipeline| {
            let source = pipeline
                .source
                .iter()
                .map(|source| (source.plugin.as_str(), &source.settings));
            source.chain(
                pipeline
                    .sinks
                    .values()
                    .map(|sink| (sink.plugin.as_str(), &sink.settings)),
            )
        })
        .collect()
}

fn class(kind: Kind) -> String {
    serde_json::to_value(kind)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn each_class_of_error_is_explained() {
    let mut wrong = Vec::new();
    for file in golden() {
        let findings = findings(&fs::read_to_string(&file).unwrap());
        let said = format!("{findings}\n");
        let expected = file.with_extension("out");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", file.display()));
        }
        let json = serde_json::to_string(&findings).unwrap();
        assert!(
            !said.contains(HUNTER) && !json.contains(HUNTER),
            "{} shows a secret:\n{said}",
            file.display()
        );
        for finding in &findings.findings {
            assert!(
                finding.mend.is_some(),
                "{}: nothing mends: {finding:?}",
                file.display()
            );
            assert!(finding.at.line > 0 && finding.at.column > 0, "{finding:?}");
        }
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let named = findings
            .findings
            .iter()
            .any(|finding| stem.starts_with(&class(finding.kind)));
        assert!(
            named,
            "{stem}.yaml is named by a class that it does not show:\n{said}"
        );
    }
    assert!(
        wrong.is_empty(),
        "UPDATE_GOLDEN=1 rewrites, if this is right:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn there_is_a_file_for_each_class() {
    let shown: BTreeSet<Kind> = golden()
        .iter()
        .flat_map(|file| findings(&fs::read_to_string(file).unwrap()).findings)
        .map(|finding| finding.kind)
        .collect();
    let missing: Vec<_> = Kind::ALL
        .iter()
        .filter(|kind| !shown.contains(kind))
        .collect();
    assert!(missing.is_empty(), "no golden file shows {missing:?}");
}

#[test]
fn nothing_is_said_without_a_file() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for entry in fs::read_dir(dir).unwrap() {
        let file = entry.unwrap().path();
        assert!(
            file.with_extension("yaml").exists(),
            "{} belongs to nothing",
            file.display()
        );
    }
}
