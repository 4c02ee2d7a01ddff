//! docs/OPERATIONS.md on Kubernetes: where a command fails, none that needs it is run.

use std::process::{Command, Stdio};

use jackfield_system_tests::repository;
use serde_json::Value;

use crate::kubernetes::{VERSIONS, kinds};
use crate::output;
use crate::page::{blocks, commands};

/// What the block below this heading tells `kubectl` until a command fails that has `fails` in it,
/// once `passes` such have worked; pasted into a shell that goes on after an error.
fn told(heading: &str, fails: &str, passes: usize) -> Vec<String> {
    let mut blocks = blocks().into_iter();
    let block = blocks.find(|block| block.kind == "sh kubectl" && block.heading == heading);
    let root = tempfile::tempdir().unwrap();
    let stand_ins = repository().join("tests/deploy/stand-ins");
    let path = std::env::var("PATH").unwrap();
    let pasted = output(
        Command::new("bash")
            .args(["-c", &block.unwrap().text])
            .env("PATH", format!("{}:{path}", stand_ins.display()))
            .env("ROOT", root.path())
            .env("FAILS", fails)
            .env("PASSES", passes.to_string())
            .stdin(Stdio::null()),
    );
    assert!(!pasted.status.success(), "{heading}: it hides `{fails}`");
    let told = std::fs::read_to_string(root.path().join("told")).unwrap();
    told.lines().map(str::to_owned).collect()
}

fn tells(told: &[String], word: &str) -> bool {
    told.iter().any(|it| it.contains(word))
}

#[test]
fn a_pods_volume_is_kept_unless_the_backup_is_whole() {
    let heading = "Restore the pod's volume";
    for fails in ["create --filename -", "wait job/"] {
        let told = told(heading, fails, 0);
        assert!(told.last().unwrap().contains(fails), "{told:?}");
        for later in ["scale ", "delete "] {
            assert!(!tells(&told, later), "{fails}: {told:?}");
        }
    }
    let told = told(heading, "wait pod/", 0);
    assert!(!tells(&told, "delete persistentvolumeclaim"), "{told:?}");
}

/// And the failed job stays, for its log.
#[test]
fn a_pod_is_not_started_where_its_backup_or_restore_failed() {
    for (heading, worked) in [
        ("Back up the pod's volume", 0),
        ("Restore the pod's volume", 1),
    ] {
        let told = told(heading, "wait job/", worked);
        assert!(told.last().unwrap().contains("wait job/"), "{told:?}");
        assert!(!tells(&told, "--replicas 1"), "{told:?}");
        let deleted = told.iter().filter(|it| it.contains("delete job/"));
        assert_eq!(deleted.count(), worked, "{told:?}");
    }
}

/// A backup is tried in a volume that has room for it, in the place of the pod's.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_tried_in_another_volume_of_the_pods_size() {
    let commands = commands("sh kubectl");
    let patch = commands.iter().find_map(|command| {
        let (_, patch) = command.split_once("--patch '")?;
        Some(patch.trim_end_matches('\''))
    });
    let patch: Value = serde_json::from_str(patch.unwrap()).unwrap();
    let change = &patch[0];
    let claim = &change["value"]["ephemeral"]["volumeClaimTemplate"]["spec"];
    let kinds = kinds("embedded-log", VERSIONS[1]).await;
    let own = &kinds["StatefulSet"][0]["spec"]["volumeClaimTemplates"][0]["spec"];
    for key in ["accessModes", "resources"] {
        assert_eq!(claim[key], own[key]);
    }
    for job in kinds["CronJob"].as_array().unwrap() {
        let mut job = job["spec"]["jobTemplate"].clone();
        let volume = job.pointer_mut(change["path"].as_str().unwrap()).unwrap();
        assert_eq!(volume["name"], change["value"]["name"]);
        assert!(volume["persistentVolumeClaim"].is_object(), "{volume}");
    }
}
