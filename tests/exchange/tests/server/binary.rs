//! The binary: its ready line, its flags, its control endpoint.

use std::io::Write;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use jackfield_exchange::Recording;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support;

async fn start(args: &[&str]) -> (Child, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jackfield-exchange"))
        .args(args)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words.len()), ("ready", 3), "{line}");
    (child, words[1].to_owned(), words[2].to_owned())
}

#[tokio::test]
async fn it_replays_a_file_and_takes_faults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short.jsonl.gz");
    let recording = Recording::spot().unwrap();
    let mut packed = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    for index in 0..500 {
        let received = recording.trades()[index].received_ns;
        writeln!(packed, "{received} {}", recording.frame(index)).unwrap();
    }
    packed.finish().unwrap();
    let args = [
        "--speed",
        "max",
        "--recording",
        path.to_str().unwrap(),
        "--hold",
    ];
    let (_child, ws, rest) = start(&args).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("{ws}{}", support::BOTH))
        .await
        .unwrap();
    let http = support::http();
    let faults = http
        .post(format!("{rest}/control/faults"))
        .body("close:1001@400");
    assert_eq!(faults.send().await.unwrap().status(), 200);
    http.post(format!("{rest}/control/start"))
        .send()
        .await
        .unwrap();
    let mut seen = 0;
    while let Some(Ok(message)) = futures::StreamExt::next(&mut socket).await {
        seen += usize::from(message.is_text());
    }
    assert_eq!(seen, 400);
    let status = http
        .get(format!("{rest}/control/status"))
        .send()
        .await
        .unwrap();
    let status: Value = status.json().await.unwrap();
    assert_eq!(status["total"], 500);
    assert_eq!(status["struck"], serde_json::json!(["close:1001@400"]));
}

#[tokio::test]
async fn a_wrong_fault_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_jackfield-exchange"))
        .args(["--faults", "dorp@4"])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("`dorp@4` is no fault"), "{text}");
}
