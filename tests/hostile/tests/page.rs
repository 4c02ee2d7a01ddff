//! docs/SECURITY.md gives each limit as it is in the code.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A number as the page has it, in bytes, ms, or one by one.
fn shown(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: u64 = number.replace(',', "").parse().unwrap();
    number
        * match unit {
            "" | "B" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            "s" => 1000,
            other => panic!("{other} is no unit: {text}"),
        }
}

/// The value of a constant's expression: products of numbers, also as a `Duration`.
fn value(expression: &str) -> u64 {
    let text = expression.trim().trim_end_matches(" as u64");
    let inner = |text: &str, function: &str| {
        let text = text.strip_prefix(function)?.strip_prefix('(')?;
        text.strip_suffix(')').map(value)
    };
    if let Some(seconds) = inner(text, "Duration::from_secs") {
        return seconds * 1000;
    }
    if let Some(ms) = inner(text, "Duration::from_millis") {
        return ms;
    }
    let factors = text.split('*').map(|factor| match factor.trim() {
        "KIB" => KIB,
        "MIB" => MIB,
        number => number
            .replace('_', "")
            .parse()
            .unwrap_or_else(|e| panic!("{expression}: {e}")),
    });
    factors.product()
}

/// What a file of `runtime` defines a constant as.
fn constant(file: &str, name: &str) -> u64 {
    let path = repository().join("runtime").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    let named = format!("const {name}: ");
    let mut lines = text.lines().filter(|line| line.contains(&named));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("{file} has no constant {name}"));
    let (_, expression) = line.split_once(" = ").unwrap();
    value(expression.trim_end_matches(';'))
}

#[test]
fn every_limit_is_what_the_page_says() {
    let page = std::fs::read_to_string(repository().join("docs/SECURITY.md")).unwrap();
    let mut limits = 0;
    for row in page.lines().skip_while(|line| *line != "## Limits") {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [_, at_most, _, named] = cells[..] else {
            continue;
        };
        let [_, file, _, name, _] = named.split('`').collect::<Vec<_>>()[..] else {
            continue;
        };
        assert_eq!(shown(at_most), constant(file, name), "{row}");
        limits += 1;
    }
    assert!(limits > 50, "{limits}");
}

#[test]
fn numbers_of_the_page_and_of_the_code_are_compared_as_numbers() {
    assert_eq!(shown("10,000"), value("10_000"));
    assert_eq!(shown("16 MiB"), value("16 * 1024 * 1024"));
    assert_eq!(shown("64 KiB"), value("64 * KIB as u64"));
    assert_eq!(shown("900 s"), value("Duration::from_secs(15 * 60)"));
    assert_ne!(shown("2 KiB"), value("2 * MIB"));
}
