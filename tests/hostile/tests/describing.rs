//! `describe` and `check` are asked before anything runs: what a component does wrong there, of
//! either kind, ends there.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, brisk, component, engraved, patient, sink_component, told};
use jackfield_plugin::{CallError, CallLimits, Death, Plugin};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_millis(300);

/// The component with the deed for `describe` written into it.
async fn told_to(component: &Path, deed: &str) -> Plugin {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("engraved.wasm");
    std::fs::write(&file, engraved(component, deed)).unwrap();
    common::engine().load(&file, None).await.unwrap()
}

async fn death(component: &Path, deed: &str, limits: &CallLimits) -> Death {
    let plugin = told_to(component, deed).await;
    match plugin.describe(limits).await.unwrap_err() {
        CallError::Dead(death) => death,
        CallError::Failure(failure) => panic!("{deed}: {failure}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_describe_that_does_not_answer_ends_by_itself() {
    let eating = CallLimits {
        memory_bytes_max: 32 << 20,
        ..patient()
    };
    for component in [component(), sink_component()] {
        for deed in ["panic", "recurse"] {
            let death = death(component, deed, &patient()).await;
            assert!(matches!(death, Death::Trap { .. }), "{deed}: {death}");
        }
        for deed in ["loop", "sleep"] {
            let death = death(component, deed, &brisk("describe", DEADLINE)).await;
            let late = matches!(&death, Death::Deadline { after, .. } if *after == DEADLINE);
            assert!(late, "{deed}: {death}");
        }
        let death = death(component, "eat", &eating).await;
        assert!(matches!(death, Death::Memory { .. }), "{death}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_can_not_be_is_refused() {
    let wrong = [
        ("nameless", "name"),
        ("two-lines", "version"),
        ("schema-no-json", "not JSON"),
        ("schema-too-large", "larger than"),
        ("giant-text", "larger than"),
        ("reads-the-future", "version 2"),
    ];
    for component in [component(), sink_component()] {
        for (deed, why) in wrong {
            let death = death(component, deed, &patient()).await;
            let text = death.to_string();
            assert!(text.contains(why), "{deed}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_bounded() {
    let engine = common::engine();
    for component in [component(), sink_component()] {
        let plugin = engine.load(component, None).await.unwrap();
        let check = async |deed| plugin.check(&told("check", deed), &patient()).await;
        let many = check("too-many-findings").await.unwrap_err();
        let large = matches!(many, CallError::Dead(Death::TooLarge { .. }));
        assert!(large, "{many}");
        let forged = check("forged-list").await.unwrap_err();
        assert!(matches!(forged, CallError::Dead(_)), "{forged}");
        let cut = check("giant-findings").await.unwrap();
        assert!(cut[0].message.len() <= 8 * 1024);
        assert_eq!(check("").await.unwrap(), Vec::new());
    }
    Bench::new(&engine).await.works().await;
}
