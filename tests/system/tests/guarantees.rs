//! docs/GUARANTEES.md names tests that exist.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_system_tests::repository;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where tests are.
const FOLDERS: [&str; 3] = ["tests", "runtime", "plugins"];

/// Where the suite is that every log passes, with the list of its promises.
const SUITE: &str = "runtime/log/src/suite";

/// The files that have a test of a name, below the repository.
type Tests = BTreeMap<String, Vec<PathBuf>>;

/// The names of the functions of a file that have the attribute of a test.
fn tests_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some(name) = function(line) {
            names.push(name);
            is_test = false;
        }
    }
    names
}

/// The function that begins in a line.
fn function(line: &str) -> Option<String> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = line.strip_prefix("fn ")?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(name[..end?].to_owned())
}

/// Module and promise of each line of the suite's list, which a macro makes a test of each from.
fn promises_of(list: &str) -> Vec<(String, String)> {
    let mut promises = Vec::new();
    let mut module = None;
    let before = |it: &&str| !it.contains("@each $fixture;");
    for line in list.lines().skip_while(before).skip(1).map(str::trim) {
        let is_name = |it: &str| it.chars().all(|c| c.is_alphanumeric() || c == '_');
        match (line.strip_suffix(" {"), &module) {
            (Some(name), _) => module = Some(name.to_owned()),
            (None, Some(module)) if is_name(line) => {
                promises.push((module.clone(), line.to_owned()));
            }
            (None, Some(_)) if line == "}" => module = None,
            (None, _) => break,
        }
    }
    promises
}

/// Adds the tests of all Rust files below a folder.
fn add_below(folder: &Path, tests: &mut Tests) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_below(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(repository()).unwrap();
            for name in tests_of(&std::fs::read_to_string(&path).unwrap()) {
                tests.entry(name).or_default().push(file.to_owned());
            }
        }
    }
}

fn all_tests() -> Tests {
    let mut tests = Tests::new();
    for folder in FOLDERS {
        add_below(&repository().join(folder), &mut tests);
    }
    let list = repository().join(SUITE).join("mod.rs");
    let promises = promises_of(&std::fs::read_to_string(list).unwrap());
    assert!(promises.len() > 50, "{}", promises.len());
    for (module, name) in promises {
        let file = Path::new(SUITE).join(module + ".rs");
        tests.entry(name).or_default().push(file);
    }
    tests
}

/// Whether a name of the page is a test's: its module is the test's file, and the crate before it, if
/// one is named, is the test's.
fn is_shown(tests: &Tests, name: &str, of_crate: Option<&str>) -> bool {
    let (module, function) = match name.rsplit_once("::") {
        Some((module, function)) => (Some(module.replace("::", "/")), function),
        None => (None, name),
    };
    let Some(files) = tests.get(function) else {
        return false;
    };
    files.iter().any(|file| match (&module, of_crate) {
        (Some(module), _) => {
            let file = file.with_extension("");
            file.ends_with(module) || file.ends_with(format!("{module}/mod"))
        }
        (None, Some(of_crate)) => file.iter().any(|it| it == of_crate),
        (None, None) => true,
    })
}

/// Whether a path of the page is a file that has a test, or the folder that such a file is beside.
fn has_tests(tests: &Tests, path: &str) -> bool {
    let mut file = PathBuf::from(path);
    if repository().join(&file).is_dir() {
        file.set_extension("rs");
    }
    tests.values().flatten().any(|it| *it == file)
}

/// The crate that the words before a name end with: `plugin: `.
fn crate_before(words: &str) -> Option<&str> {
    let words = words.trim_end().strip_suffix(':')?;
    let name = words.rsplit(' ').next().filter(|name| !name.is_empty())?;
    let has_crate = |folder: &&str| repository().join(folder).join(name).is_dir();
    FOLDERS.iter().any(has_crate).then_some(name)
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = std::fs::read_to_string(repository().join("docs/GUARANTEES.md")).unwrap();
    let tests = all_tests();
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
        let mut of_crate = None;
        for (at, part) in shown_by.split('`').enumerate() {
            if at % 2 == 0 {
                // A list goes on with the crate that stands before it.
                if part.trim_end().ends_with(':') {
                    of_crate = crate_before(part);
                }
                continue;
            }
            named += 1;
            let exists = match part.contains('/') {
                true => has_tests(&tests, part),
                false => is_shown(&tests, part, of_crate),
            };
            assert!(exists, "{part} is named, but there is no such test");
        }
        if !row.contains("---") && shown_by != "shown by" {
            promises += 1;
            assert!(named > 0, "no test is named for: {row}");
        }
    }
    assert!(promises > 20, "{promises}");
}

#[test]
fn only_tests_are_taken_for_tests() {
    let text = "/// Unlike fn told(.\n#[test]\n#[should_panic]\nfn shown() {}\nfn helper() {}\n\
                // #[test]\nfn said() {}\n    #[tokio::test(\n        flavor = \"x\"\n    )]\n    \
                async fn awaited() {}\n";
    assert_eq!(tests_of(text), ["shown", "awaited"]);
    let list = "a fn {\n$crate::conformance! { @each $fixture;\n  topics {\n    one\n    two\n  }\n\
                appends {\n    three\n  }\n}\nfour\n";
    let named: Vec<String> = promises_of(list).into_iter().map(|it| it.1).collect();
    assert_eq!(named, ["one", "two", "three"]);
}

#[test]
fn a_test_of_another_module_or_crate_is_another() {
    let file = PathBuf::from("runtime/plugin/tests/lakes/late.rs");
    let tests = Tests::from([("shown".to_owned(), vec![file])]);
    for name in ["shown", "late::shown", "lakes::late::shown"] {
        assert!(is_shown(&tests, name, None), "{name}");
    }
    for name in ["hidden", "lakes::shown", "ate::shown", "other::late::shown"] {
        assert!(!is_shown(&tests, name, None), "{name}");
    }
    assert!(is_shown(&tests, "shown", Some("plugin")));
    assert!(!is_shown(&tests, "shown", Some("core")));
}
