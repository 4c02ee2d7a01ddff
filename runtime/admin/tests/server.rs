//! What the server answers, also when those it asks are stuck.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Fake, connect, nobody};
use futures::StreamExt;
use jackfield_admin::{
    AdminConfig, AdminError, AdminServer, Answer, Component, ConnectorState, Lines, LinesAnswer,
    Objection, Operator, RecordCall, Recorded, RecordsCall, Snapshot, SwapCall, Topics,
};
use jackfield_telemetry::{ConnectorLabels, Kind, Telemetry};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "a-token";
/// What a probe waits for.
const PROBE: Duration = Duration::from_secs(5);

fn start(states: impl Fn() -> Vec<ConnectorState> + Send + Sync + 'static) -> AdminServer {
    serve(anywhere(), Telemetry::new().unwrap(), states).unwrap()
}

fn anywhere() -> AdminConfig {
    AdminConfig::new("127.0.0.1:0".parse().unwrap(), TOKEN)
}

/// A server of which Kafka Connect's API is nobody's concern here.
fn serve(
    config: AdminConfig,
    telemetry: Telemetry,
    states: impl Fn() -> Vec<ConnectorState> + Send + Sync + 'static,
) -> Result<AdminServer, AdminError> {
    let (connect, _lines) = connect(&Fake::new());
    AdminServer::start(config, telemetry, states, nobody(), connect)
}

/// One that swaps as the script says.
fn scripted() -> AdminServer {
    operated(Arc::new(Scripted::default()))
}

fn operated(operator: Arc<Scripted>) -> AdminServer {
    let (connect, _lines) = connect(&Fake::new());
    let telemetry = Telemetry::new().unwrap();
    AdminServer::start(anywhere(), telemetry, Vec::new, operator, connect).unwrap()
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

struct Page {
    status: u16,
    head: String,
    body: String,
}

fn get(from: SocketAddr, path: &str) -> Page {
    let mut stream = TcpStream::connect(from).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Page {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

fn state(connector: &str, state: &str) -> ConnectorState {
    ConnectorState {
        connector: connector.into(),
        pipeline: "trades".into(),
        state: state.into(),
        running: state == "RUNNING",
        trace: (state == "FAILED").then(|| "trap: unreachable".into()),
    }
}

#[test]
fn it_lives_and_says_where() {
    let server = start(Vec::new);
    assert_ne!(server.local_addr().port(), 0);
    let answer = get(server.local_addr(), "/livez");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    assert_eq!(get(server.local_addr(), "/nothing").status, 404);
}

#[test]
fn it_is_ready_when_all_connectors_run() {
    let states = Arc::new(Mutex::new(vec![
        state("trades-source", "RUNNING"),
        state("trades-lake", "RUNNING"),
    ]));
    let server = start({
        let states = Arc::clone(&states);
        move || states.lock().unwrap().clone()
    });
    let answer = get(server.local_addr(), "/readyz");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"));
    assert!(
        answer
            .body
            .starts_with(r#"{"ready":true,"connectors":[{"connector":"trades-source","#),
        "{}",
        answer.body
    );
    states.lock().unwrap()[1] = state("trades-lake", "FAILED");
    let answer = get(server.local_addr(), "/readyz");
    assert_eq!(answer.status, 503);
    let failed = r#"{"connector":"trades-lake","pipeline":"trades","state":"FAILED","running":false,"trace":"trap: unreachable"}"#;
    assert!(
        answer.body.contains("\"ready\":false") && answer.body.contains(failed),
        "{}",
        answer.body
    );
}

#[test]
fn metrics_are_shown() {
    let telemetry = Telemetry::new().unwrap();
    let labels = ConnectorLabels {
        pipeline: "p".into(),
        connector: "c".into(),
        kind: Kind::Source,
    };
    telemetry.connector(&labels).records(7);
    let server = serve(anywhere(), telemetry, Vec::new).unwrap();
    let answer = get(server.local_addr(), "/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    assert!(
        answer.body.contains(
            "jackfield_records_total{connector=\"c\",kind=\"source\",pipeline=\"p\"} 7\n"
        )
    );
}

#[test]
fn stuck_states_silence_nothing_else() {
    let stuck = Arc::new(Mutex::new(()));
    let asked = Arc::new(AtomicUsize::new(0));
    let held = stuck.lock().unwrap();
    let server = start({
        let (stuck, asked) = (Arc::clone(&stuck), Arc::clone(&asked));
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            drop(stuck.lock());
            Vec::new()
        }
    });
    let address = server.local_addr();
    let probes: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || get(address, "/readyz")))
        .collect();
    let started = Instant::now();
    assert_eq!(get(address, "/livez").status, 200);
    assert_eq!(get(address, "/metrics").status, 200);
    assert!(started.elapsed() < PROBE, "{:?}", started.elapsed());
    for probe in probes {
        let answer = probe.join().unwrap();
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("not told in time"), "{}", answer.body);
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "questions pile up behind one that is stuck"
    );
    drop(held);
    let started = Instant::now();
    while get(address, "/readyz").status != 200 {
        assert!(
            started.elapsed() < PATIENCE,
            "it is not ready once the states are told again"
        );
    }
}

#[test]
fn states_that_panic_make_it_unready() {
    let server = start(|| panic!("on purpose"));
    for _ in 0..3 {
        let answer = get(server.local_addr(), "/readyz");
        assert_eq!(answer.status, 503);
        assert!(
            answer
                .body
                .contains("telling the connectors' states failed"),
            "{}",
            answer.body
        );
    }
    assert_eq!(get(server.local_addr(), "/livez").status, 200);
}

#[test]
fn it_stops_though_states_are_stuck_and_clients_linger() {
    let stuck = Arc::new(Mutex::new(()));
    let held = stuck.lock().unwrap();
    let server = start({
        let stuck = Arc::clone(&stuck);
        move || {
            drop(stuck.lock());
            Vec::new()
        }
    });
    let address = server.local_addr();
    assert_eq!(get(address, "/readyz").status, 503);
    let lingering = TcpStream::connect(address).unwrap();
    assert_eq!(get(address, "/livez").status, 200);
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < PROBE, "{:?}", started.elapsed());
    assert!(TcpStream::connect(address).is_err());
    drop((lingering, held));
}

#[test]
fn it_stops_inside_an_async_program() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { start(Vec::new).stop() });
}

#[test]
fn an_address_that_is_taken_is_named() {
    let server = start(Vec::new);
    let taken = AdminConfig::new(server.local_addr(), TOKEN);
    let error = serve(taken, Telemetry::new().unwrap(), Vec::new)
        .err()
        .unwrap();
    assert!(matches!(error, AdminError::Listen { .. }));
    assert!(
        error.to_string().contains(&server.local_addr().to_string()),
        "{error}"
    );
}

#[test]
fn a_scrape_storm_is_answered_and_silences_nothing() {
    let telemetry = Telemetry::new().unwrap();
    for i in 0..200 {
        let labels = ConnectorLabels {
            pipeline: "p".into(),
            connector: format!("c{i}"),
            kind: Kind::Sink,
        };
        telemetry.connector(&labels).records(1);
    }
    let server = serve(anywhere(), telemetry, Vec::new).unwrap();
    let address = server.local_addr();
    let stop = Arc::new(AtomicBool::new(false));
    let scrapers: Vec<_> = (0..16)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = get(address, "/metrics");
                    assert_eq!(answer.status, 200);
                    assert!(answer.body.contains("connector=\"c199\""));
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for _ in 0..50 {
        let started = Instant::now();
        assert_eq!(get(address, "/livez").status, 200);
        assert_eq!(get(address, "/readyz").status, 200);
        assert!(started.elapsed() < PROBE, "{:?}", started.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let answers: usize = scrapers
        .into_iter()
        .map(|scraper| scraper.join().unwrap())
        .sum();
    assert!(answers >= 16, "{answers}");
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let server = start(Vec::new);
    let address = server.local_addr();
    // More than the server takes at a time; each of them silent.
    let silent: Vec<_> = (0..256)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let waiting = std::thread::spawn(move || get(address, "/livez"));
    drop(silent);
    assert_eq!(waiting.join().unwrap().status, 200);
}
