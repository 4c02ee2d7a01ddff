//! What docs/runbooks has people type: each page belongs to an alert, and its commands are typed
//! here as they stand while that alert fires.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jackfield_system_tests::{Artifacts, Site, output, repository, rules};
use serde_json::Value;
use tokio::process::Command;

/// What every `runbook_url` begins with, but for the external label that may replace the folder.
const FOUND_AT: &str = "{{ with $externalLabels.runbooks }}{{ . }}{{ else }}\
                        file:///usr/share/doc/jackfield/docs/runbooks{{ end }}/";
/// Does not end: the test that this command is for starts the process itself.
const RUN: &str = "jackfield run connectors.yaml";
/// Commands that have commands.
const GROUPS: [&str; 4] = ["offsets", "topics", "logs", "plugin"];

/// Whoever is told of an alert: has its runbook open, in the folder of the file.
pub(crate) struct OnCall {
    page: String,
    text: String,
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl OnCall {
    /// `fires`: the alert as Prometheus tells it.
    pub(crate) fn told(fires: &Value, site: &Site, address: &str) -> OnCall {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let url = text(&fires["annotations"]["runbook_url"]);
        let page = url.rsplit('/').next().unwrap().to_owned();
        let file = repository().join("docs/runbooks").join(&page);
        let state = &Artifacts::get().state;
        let token = std::fs::read_to_string(state.join("admin-token")).unwrap();
        // Names that the pages call these by.
        let bin = site.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        called(&Artifacts::get().jackfield, &bin.join("jackfield"));
        called(&site.file(), &site.path().join("connectors.yaml"));
        let path = std::env::var("PATH").unwrap();
        let url = format!("http://{address}");
        OnCall {
            text: std::fs::read_to_string(file).expect("the runbook exists"),
            page,
            folder: site.path().to_owned(),
            variables: vec![
                ("PATH", format!("{}:{path}", bin.display())),
                ("JACKFIELD", url.clone()),
                // Tests have the port chosen, so that the file does not say it.
                ("JACKFIELD_URL", url),
                ("TOKEN", token.trim().to_owned()),
                ("CONNECTOR", text(&fires["labels"]["connector"])),
                ("PIPELINE", text(&fires["labels"]["pipeline"])),
            ],
        }
    }

    /// With a variable that only some pages want.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> OnCall {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Types what stands below `## Look`.
    pub(crate) async fn looks(&self) {
        for command in commands(&self.text, "## Look").lines() {
            self.types(command).await;
        }
    }

    /// Types what stands below `## Do`.
    pub(crate) async fn acts(&self) {
        let commands = commands(&self.text, "## Do");
        for command in commands.lines().filter(|it| *it != RUN) {
            self.types(command).await;
        }
    }

    /// A command must work, and show something.
    async fn types(&self, command: &str) {
        let variables = self.variables.iter().map(|(name, value)| (*name, value));
        let output = Command::new("bash")
            .args(["-euc", command])
            .current_dir(&self.folder)
            .envs(variables)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let place = format!("{}: {command}", self.page);
        let shown = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{place}\n{shown}");
        let code = output.status.code();
        // It ends with 1 where something is wrong, as it is meanwhile; the report is whole then too.
        let examined = command.starts_with("jackfield doctor ") && code == Some(1);
        assert!(code == Some(0) || examined, "{place}\n{shown}{said}");
        assert!(
            !examined || shown.contains(" checks failed"),
            "{place}\n{shown}"
        );
        assert!(!shown.trim().is_empty(), "{place} shows nothing");
        assert!(!shown.contains("\"error_code\""), "{place}: {shown}");
    }
}

fn called(what: &Path, name: &Path) {
    let made = symlink(what, name);
    let there = made
        .as_ref()
        .is_err_and(|it| it.kind() == ErrorKind::AlreadyExists);
    assert!(made.is_ok() || there, "{made:?}");
}

/// The commands below a heading of a runbook.
fn commands(runbook: &str, heading: &str) -> String {
    let (_, part) = runbook
        .split_once(heading)
        .expect("a runbook has this part");
    let part = part.split("\n## ").next().unwrap();
    let (_, block) = part
        .split_once("```sh\n")
        .unwrap_or_else(|| panic!("{heading} has no commands: {part}"));
    block.split("```").next().unwrap().to_owned()
}

/// Every page of the folder but the index.
fn pages() -> BTreeSet<String> {
    let folder = std::fs::read_dir(repository().join("docs/runbooks")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "README.md").collect()
}

fn read(page: &str) -> String {
    std::fs::read_to_string(repository().join("docs/runbooks").join(page)).unwrap()
}

/// Every alert has a runbook with commands, every runbook has an alert, and the index names all.
#[test]
fn every_alert_has_a_runbook() {
    let index = read("README.md");
    let mut told = BTreeSet::new();
    for rule in rules("alerts.yml")["groups"][0]["rules"]
        .as_array()
        .unwrap()
    {
        let alert = rule["alert"].as_str().unwrap();
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        let page = url.strip_prefix(FOUND_AT);
        let page = page.unwrap_or_else(|| panic!("{alert}: {url}"));
        let text = read(page);
        assert!(text.starts_with(&format!("# {alert}\n")), "{page}");
        for part in ["## What it means", "## Look", "## Do", "## Over when"] {
            assert!(text.contains(part), "{page} has no {part}");
        }
        for part in ["## Look", "## Do"] {
            assert!(!commands(&text, part).trim().is_empty(), "{page}");
        }
        assert!(index.contains(&format!("({page})")), "{page}: no index");
        told.insert(page.to_owned());
    }
    assert_eq!(told, pages(), "pages without an alert");
    // Where alerts look for them is where a release has them.
    let package = std::fs::read_to_string(repository().join("scripts/package")).unwrap();
    assert!(package.contains("doc=$root/usr/share/doc/jackfield\n"));
    let copied = package
        .lines()
        .find(|it| it.starts_with("cp -R --parents "));
    assert!(copied.unwrap().split_whitespace().any(|it| it == "docs"));
}

/// The `jackfield …` of a page, in its blocks and in its text.
fn named(page: &str) -> Vec<String> {
    let mut named = Vec::new();
    let mut text = String::new();
    for (number, part) in page.split("```").enumerate() {
        match number % 2 {
            0 => text.push_str(part),
            _ => named.extend(part.lines().map(str::to_owned)),
        }
    }
    let code = text.split('`').skip(1).step_by(2);
    named.extend(code.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")));
    named.retain(|it| it.starts_with("jackfield "));
    named
}

/// Also those that are only spoken of are commands of this program, with options that they have.
#[tokio::test]
async fn runbooks_name_commands_that_there_are() {
    let mut seen = 0;
    for page in pages() {
        for command in named(&read(&page)) {
            let mut words = command.split_whitespace().skip(1).peekable();
            let first = words.next().unwrap();
            let mut asked = vec![first];
            if GROUPS.contains(&first) {
                asked.extend(words.next_if(|it| !it.starts_with('-')));
            }
            asked.push("--help");
            let help = output(&asked).await;
            assert!(help.status.success(), "{page}: {command}: {help:?}");
            let help = String::from_utf8(help.stdout).unwrap();
            for option in words.filter(|it| it.starts_with("--")) {
                assert!(help.contains(option), "{page}: {command}: no {option}");
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}
