//! What is recorded replays, each time the same, and so does a trap.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_batch::event::Kind;
use jackfield_hostile_tests::{component, patient};
use jackfield_plugin::recording::{
    self, Opening, Recording, ReplayEnd, Replayed, Secrets, SlotOpening, SlotWriter,
};
use jackfield_plugin::{Heard, Item, Slot};

const FRAMES: u64 = 2000;
const URL: &str = "ws://127.0.0.1:9/x";

fn frame(number: u64) -> Item {
    Item::Event(Heard {
        number,
        kind: Kind::Text,
        id: 1,
        received_ns: 1_000_000_000 + i64::try_from(number).unwrap() * 700_000,
        body: format!("frame {number}").into(),
    })
}

/// What a slot would have heard whose one connection brought all its frames.
fn recorded(deed: &str) -> Recording {
    let settings = serde_json::json!({ "in": "poll", "do": deed, "url": URL });
    let opening = Opening {
        connector: "hostile".into(),
        kind: "source".into(),
        plugin: "hostile".into(),
        version: "0.1.0".into(),
        sha256: String::new(),
        settings,
        masked: false,
        exactly_once: true,
        slots: 1,
        began_ms: 1000,
    };
    let slot = Slot {
        id: "only".into(),
        settings: "{}".into(),
    };
    let mut file = recording::begin(&opening);
    let opening = SlotOpening::new(&slot, 0, &[], None, &[], &mut Secrets::default());
    file.extend(recording::slot_opening(0, &opening));
    let mut writer = SlotWriter::new(0);
    let opened = Item::Opened {
        id: 1,
        name: "echo".into(),
        url: URL.into(),
    };
    writer.push(opened, &mut file);
    for number in 1..=FRAMES {
        writer.push(frame(number), &mut file);
    }
    writer.flush(&mut file);
    file.extend(recording::end("it is enough"));
    Recording::read(file.into()).unwrap()
}

async fn replayed(recording: &Recording) -> (Replayed, Vec<String>) {
    let engine = common::engine();
    let plugin = engine.load(component(), None).await.unwrap();
    let settings = recording.opening.settings.to_string();
    let mut values = Vec::new();
    let replayed = recording::replay(&plugin, &patient(), recording, &settings, &mut |seen| {
        let value = seen.record.value.unwrap_or_default();
        values.push(String::from_utf8_lossy(value).into_owned());
    })
    .await;
    (replayed, values)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replays_give_the_same_digest_and_another_version_another() {
    let recording = recorded("echo");
    let (first, values) = replayed(&recording).await;
    let all: Vec<String> = (1..=FRAMES).map(|it| format!("frame {it}")).collect();
    assert_eq!(values, all);
    assert_eq!(first.ends["only"], ReplayEnd::Exhausted);
    assert_eq!(
        (first.events, first.feeds["only"].records),
        (FRAMES, FRAMES)
    );
    let (second, _) = replayed(&recording).await;
    assert_eq!(first.digest(), second.digest());
    assert_eq!(first.polls, second.polls, "also how it was polled");
    let (other, values) = replayed(&recorded("echo-less")).await;
    assert_ne!(first.digest(), other.digest());
    assert_eq!(values.len() as u64, FRAMES - FRAMES / 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_trap_replays_with_its_stack() {
    let recording = recorded("echo-panic");
    let mut errors = Vec::new();
    for _ in 0..2 {
        let (replayed, _) = replayed(&recording).await;
        let ReplayEnd::Failed { call, error } = &replayed.ends["only"] else {
            panic!("{:?}", replayed.ends);
        };
        assert_eq!(*call, "poll");
        assert!(error.contains("at event 500"), "{error}");
        assert!(error.contains("wasm backtrace"), "{error}");
        errors.push((error.clone(), replayed.digest()));
    }
    assert_eq!(errors[0], errors[1]);
}
