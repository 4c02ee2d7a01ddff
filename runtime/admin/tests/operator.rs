//! Connectors and topics as those see, swap and record them who have the token.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Fake, connect};
use futures::StreamExt;
use jackfield_admin::{
    AdminConfig, AdminServer, Answer, Component, Lines, LinesAnswer, Objection, Operator,
    RecordCall, Recorded, RecordsCall, Snapshot, SwapCall, Topics,
};
use jackfield_telemetry::Telemetry;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "a-token";

/// One that swaps as the script says.
fn scripted() -> AdminServer {
    operated(Arc::new(Scripted::default()))
}

fn operated(operator: Arc<Scripted>) -> AdminServer {
    let (connect, _lines) = connect(&Fake::new());
    let config = AdminConfig::new("127.0.0.1:0".parse().unwrap(), TOKEN);
    let telemetry = Telemetry::new().unwrap();
    AdminServer::start(config, telemetry, Vec::new, operator, connect).unwrap()
}

/// Runs one connector and takes any component but one.
#[derive(Default)]
struct Scripted {
    /// One more for each who follows records.
    listeners: Arc<()>,
}

impl Operator for Scripted {
    fn status(&self, connector: Option<&str>) -> Result<Value, Objection> {
        match connector {
            None => Ok(json!([{ "name": "c" }])),
            Some("c") => Ok(json!({ "name": "c" })),
            Some(other) => Err(Objection {
                status: 404,
                code: "unknown-connector",
                message: format!("there is no connector `{other}`"),
            }),
        }
    }

    fn swaps(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!([{ "number": 1 }]))
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    fn details(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!({ "settings": { "a": 1 } }))
    }

    fn topics(&self) -> Arc<dyn Topics> {
        Arc::new(ScriptedLog(Arc::clone(&self.listeners)))
    }

    fn shadows(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!([{ "number": 2 }]))
    }

    fn record(&self, call: RecordCall) -> Recorded {
        Box::pin(async move {
            if call.connector != "c" {
                return Err(Objection {
                    status: 404,
                    code: "unknown-connector",
                    message: "nobody".to_owned(),
                });
            }
            let (sender, receiver) = tokio::sync::mpsc::channel(2);
            for chunk in ["one ", "two"] {
                sender.try_send(chunk.into()).unwrap();
            }
            Ok(receiver)
        })
    }

    fn swap(&self, call: SwapCall) -> Answer {
        Box::pin(async move {
            let (bytes, named) = match &call.component {
                Some(Component::Uploaded(bytes)) => (Some(bytes.as_slice()), None),
                Some(Component::Named(name)) => (None, Some(name.as_str())),
                None => (None, None),
            };
            if bytes == Some(b"bad") {
                return Err(Objection {
                    status: 422,
                    code: "not-loadable",
                    message: "no component".to_owned(),
                });
            }
            Ok(json!({
                "connector": call.connector,
                "bytes": bytes.map(<[u8]>::len),
                "named": named,
                "settings": call.settings,
                "probation_ms": call.probation.map(|it| it.as_millis() as u64),
                "dry_run": call.dry_run,
                "shadow_ms": call.shadow.map(|it| it.as_millis() as u64),
            }))
        })
    }
}

/// Has one topic, whose records never end when they are followed.
struct ScriptedLog(Arc<()>);

impl Topics for ScriptedLog {
    fn list(&self) -> Answer {
        Box::pin(async { Ok(json!([{ "name": "t" }])) })
    }

    fn describe(&self, topic: String) -> Answer {
        Box::pin(async move {
            match topic.as_str() {
                "t" => Ok(json!({ "name": "t" })),
                other => Err(Objection {
                    status: 404,
                    code: "unknown-topic",
                    message: format!("there is no topic {other}"),
                }),
            }
        })
    }

    fn records(&self, call: RecordsCall) -> LinesAnswer {
        let listener = Arc::clone(&self.0);
        Box::pin(async move {
            let first = format!("{{\"from\":\"{}\"}}\n", call.from);
            let first = futures::stream::iter([first.into()]);
            let lines: Lines = match call.follow {
                true => Box::pin(first.chain(futures::stream::pending()).map(move |line| {
                    let _listens = &listener;
                    line
                })),
                false => Box::pin(first),
            };
            Ok(lines)
        })
    }
}

fn ask(server: &AdminServer, method: &str, path: &str, token: &str, body: &[u8]) -> Answered {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

type Answered = (u16, Value);

#[test]
fn connectors_are_shown_and_swapped_for_those_with_the_token() {
    let server = scripted();
    let get = |path, token| ask(&server, "GET", path, token, b"");
    assert_eq!(get("/status", "wrong").0, 401);
    assert_eq!(get("/connectors/c/swaps", "").0, 401);
    assert_eq!(get("/status", TOKEN), (200, json!([{ "name": "c" }])));
    assert_eq!(get("/status/c", TOKEN).1["name"], "c");
    assert_eq!(get("/connectors/c/swaps", TOKEN).1[0]["number"], 1);
    assert_eq!(get("/connectors/c/details", "").0, 401);
    assert_eq!(get("/connectors/c/details", TOKEN).1["settings"]["a"], 1);
    let (status, objection) = get("/status/d", TOKEN);
    assert_eq!(
        (status, &objection["code"]),
        (404, &json!("unknown-connector"))
    );

    let post = |path, token, body| ask(&server, "POST", path, token, body);
    assert_eq!(post("/connectors/c/swap", "wrong", b"x").0, 401);
    let path = "/connectors/c/swap?settings=%7B%22a%22%3A1%7D&probation-ms=5&dry-run=true";
    let (status, swapped) = post(path, TOKEN, b"wasm");
    let expected = json!({
        "connector": "c", "bytes": 4, "named": null, "settings": { "a": 1 }, "probation_ms": 5, "dry_run": true,
        "shadow_ms": null
    });
    assert_eq!((status, swapped), (200, expected));
    let (status, swapped) = post("/connectors/c/swap?file=a.wasm", TOKEN, b"");
    assert_eq!((status, &swapped["named"]), (200, &json!("a.wasm")));
    assert_eq!(swapped["bytes"], Value::Null);
    let (status, refused) = post("/connectors/c/swap", TOKEN, b"bad");
    assert_eq!((status, &refused["code"]), (422, &json!("not-loadable")));
    for (path, body) in [
        ("/connectors/c/swap", &b""[..]),
        ("/connectors/c/swap?settings=%7B", b"wasm"),
        ("/connectors/c/swap?probation-ms=99999999999", b"wasm"),
        ("/connectors/c/swap?typo=1", b"wasm"),
        ("/connectors/c/swap?file=a.wasm", b"wasm"),
        ("/connectors/c/swap?shadow-ms=99999999999", b"wasm"),
        ("/connectors/c/record?for-ms=99999999999", b""),
    ] {
        assert_eq!(post(path, TOKEN, body).0, 400, "{path}");
    }
}

#[test]
fn topics_are_shown_and_records_end_with_who_reads_them() {
    let listeners = Arc::new(());
    let server = operated(Arc::new(Scripted {
        listeners: Arc::clone(&listeners),
    }));
    let get = |path, token| ask(&server, "GET", path, token, b"");
    for path in ["/topics", "/topics/t", "/topics/t/records"] {
        assert_eq!(get(path, "wrong").0, 401, "{path}");
    }
    assert_eq!(get("/topics", TOKEN), (200, json!([{ "name": "t" }])));
    assert_eq!(get("/topics/t", TOKEN), (200, json!({ "name": "t" })));
    assert_eq!(get("/topics/u", TOKEN).0, 404);
    let (status, objection) = get("/topics/t/records?form=end", TOKEN);
    assert_eq!((status, &objection["code"]), (400, &json!("bad-request")));

    let before = Arc::strong_count(&listeners);
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /topics/t/records?follow=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    )
    .unwrap();
    let mut read = Vec::new();
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&read).contains("{\"from\":\"-10\"}\n") {
        let count = stream.read(&mut piece).unwrap();
        assert_ne!(count, 0, "it ended");
        read.extend_from_slice(&piece[..count]);
    }
    assert!(Arc::strong_count(&listeners) > before);
    drop(stream);
    let begun = Instant::now();
    while Arc::strong_count(&listeners) > before {
        assert!(begun.elapsed() < PATIENCE, "nobody listens any more");
        std::thread::yield_now();
    }
}

#[test]
fn a_recording_comes_as_it_is_made_and_only_to_those_with_the_token() {
    let server = scripted();
    assert_eq!(
        ask(&server, "GET", "/connectors/c/shadows", TOKEN, b"").1[0]["number"],
        2
    );
    let path = "/connectors/c/record?for-ms=5000&bytes-max=9";
    assert_eq!(ask(&server, "POST", path, "wrong", b"").0, 401);
    let unknown = "/connectors/d/record?for-ms=5000";
    assert_eq!(ask(&server, "POST", unknown, TOKEN, b"").0, 404);
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("one ") && answer.contains("two"),
        "{answer}"
    );
}
