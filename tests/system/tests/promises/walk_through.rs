//! docs/HOT-SWAP.md as a newcomer follows it.

use std::process::Stdio;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Site, repository};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::admin::Admin;
use crate::exchange;

/// A command of the page, and the lines that it shows below it.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands between the sentence that ends in `after` and the end of the next block.
fn steps(after: &str) -> Vec<Step> {
    let page = std::fs::read_to_string(repository().join("docs/HOT-SWAP.md")).unwrap();
    let (_, block) = page.split_once(after).unwrap();
    let (_, block) = block.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                command: command.to_owned(),
                shown: Vec::new(),
            }),
            None => steps.last_mut().unwrap().shown.push(line.to_owned()),
        }
    }
    steps
}

/// A line without what differs from run to run: digests and numbers.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let mut digest = false;
    for it in line.chars() {
        match it {
            '(' => digest = true,
            ')' => digest = false,
            _ if digest => {}
            _ if it.is_ascii_digit() && shape.ends_with('0') => {}
            _ if it.is_ascii_digit() => shape.push('0'),
            _ => shape.push(it),
        }
    }
    shape
}

/// Each command does what the page says, and shows what the page shows.
#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_is_followed_word_for_word() {
    // It goes on for longer than anybody takes for the walk.
    let exchange = exchange(Speed::PerSecond(300.0), |o| o.laps = 10).await;
    let site = Site::new(&exchange).await;
    let mut admin = Admin::run(&site, &[]).await;
    // The process listens at a free port, which the file that the commands read names.
    let file = std::fs::read_to_string(site.file()).unwrap();
    let mut file: Value = serde_json::from_str(&file).unwrap();
    file["admin"]["listen"] = json!(admin.url.trim_start_matches("http://"));
    let asked = site.path().join("asked.yaml");
    std::fs::write(&asked, file.to_string()).unwrap();
    let artifacts = Artifacts::get();
    let moved = |command: &str| {
        let places = [
            ("target/release/jackfield", artifacts.jackfield.clone()),
            ("target/plugins", artifacts.plugins.clone()),
            ("/tmp/changed.wasm", site.path().join("changed.wasm")),
            ("connectors.yaml", asked.clone()),
        ];
        let mut command = command.to_owned();
        for (here, there) in places {
            command = command.replace(here, there.to_str().unwrap());
        }
        command
    };
    let steps = steps("And beside it:");
    assert!(steps.iter().any(|step| !step.shown.is_empty()));
    for Step { command, shown } in steps {
        let ran = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &moved(&command)])
            .current_dir(site.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ran = ran.await.unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{command}: {error}");
        let said = String::from_utf8_lossy(&ran.stdout);
        let said: Vec<String> = said.lines().map(shape).collect();
        let shown: Vec<String> = shown.iter().map(|line| shape(line)).collect();
        if !shown.is_empty() {
            assert_eq!(said, shown, "{command}");
        }
    }
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}
