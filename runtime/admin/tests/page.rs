//! The page's files and its events, as a browser asks for them.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Fake, NoLog, connect};
use jackfield_admin::{
    AdminConfig, AdminServer, Answer, Objection, Operator, RecordCall, Recorded, Snapshot,
    SwapCall, Topics,
};
use jackfield_telemetry::Telemetry;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "a-token";
/// Streams that the server serves at a time.
const STREAMS_MAX: usize = 64;

/// Runs one connector that takes a record whenever somebody looks.
#[derive(Default)]
struct Busy {
    looks: AtomicU64,
}

impl Operator for Busy {
    fn status(&self, _: Option<&str>) -> Result<Value, Objection> {
        Ok(json!([]))
    }

    fn swaps(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!([]))
    }

    fn shadows(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!([]))
    }

    fn record(&self, _: RecordCall) -> Recorded {
        Box::pin(async {
            Err(Objection {
                status: 409,
                code: "not-running",
                message: "not in this test".to_owned(),
            })
        })
    }

    fn snapshot(&self) -> Snapshot {
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        let idle = json!({ "name": "idle", "records": 0, "text": "two\nlines" });
        let busy = json!({ "name": "busy", "records": look });
        Snapshot {
            process: json!({ "version": "1.2.3" }),
            connectors: [("idle".to_owned(), idle), ("busy".to_owned(), busy)].into(),
        }
    }

    fn details(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!({}))
    }

    fn topics(&self) -> Arc<dyn Topics> {
        Arc::new(NoLog)
    }

    fn swap(&self, _: SwapCall) -> Answer {
        Box::pin(async { Ok(json!({})) })
    }
}

fn start(operator: &Arc<Busy>) -> AdminServer {
    let config = AdminConfig::new("127.0.0.1:0".parse().unwrap(), TOKEN);
    let operator: Arc<dyn Operator> = Arc::clone(operator) as _;
    let (connect, _lines) = connect(&Fake::new());
    let telemetry = Telemetry::new().unwrap();
    AdminServer::start(config, telemetry, Vec::new, operator, connect).unwrap()
}

fn send(server: &AdminServer, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    stream
}

/// The head in lower case, and the body.
fn get(server: &AdminServer, path: &str, headers: &str) -> (String, String) {
    let mut answer = String::new();
    send(server, path, headers)
        .read_to_string(&mut answer)
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn the_page_is_given_to_browsers_without_a_token() {
    let server = start(&Arc::default());
    let (head, body) = get(&server, "/", "Accept: text/html,*/*;q=0.8\r\n");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: text/html; charset=utf-8"),
        "{head}"
    );
    assert!(body.starts_with("<!doctype html>"), "{body}");
    assert!(!body.contains("://"), "the page names another host");
    // What it is made of: each file that it or a module names, with its type.
    let files = [
        ("style.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
        ("main.js", "text/javascript"),
        ("cords.js", "text/javascript"),
    ];
    for (file, kind) in files {
        let (head, body) = get(&server, &format!("/page/{file}"), "");
        assert!(head.starts_with("http/1.1 200"), "{file}: {head}");
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{file}: {head}"
        );
        assert!(
            !body.contains("@import") && !body.contains("url("),
            "{file} fetches something"
        );
    }
    assert!(
        get(&server, "/page/other.js", "")
            .0
            .starts_with("http/1.1 404")
    );
    assert!(
        get(&server, "/page/..%2FCargo.toml", "")
            .0
            .starts_with("http/1.1 404")
    );
    // Programs ask for something else there, and are asked who they are.
    let (head, _) = get(&server, "/", "Accept: application/json\r\n");
    assert!(head.starts_with("http/1.1 401"), "{head}");
    let token = format!("Accept: */*\r\nAuthorization: Bearer {TOKEN}\r\n");
    let (_, body) = get(&server, "/", &token);
    assert!(body.contains("kafka_cluster_id"), "{body}");
}

#[test]
fn nothing_but_its_own_files_may_run_in_it() {
    let server = start(&Arc::default());
    let (head, body) = get(&server, "/", "Accept: text/html\r\n");
    let policy = head
        .lines()
        .find_map(|line| line.strip_prefix("content-security-policy: "));
    let policy = policy.expect("a policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ] {
        assert!(policy.contains(rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for header in [
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "vary: accept",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    // Neither scripts nor styles within the page, which the policy would stop.
    assert!(
        !body.contains("<style") && !body.contains("style=") && !body.contains("onclick"),
        "{body}"
    );
    assert_eq!(
        body.matches("<script").count(),
        body.matches("src=\"./page/").count()
    );
}

struct Events(BufReader<TcpStream>);

impl Events {
    /// The head of the answer, and what follows it.
    fn open(server: &AdminServer) -> (String, Events) {
        let mut lines = BufReader::new(send(
            server,
            "/events",
            &format!("Authorization: Bearer {TOKEN}\r\n"),
        ));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        (head.to_lowercase(), Events(lines))
    }

    /// The next event of any kind.
    fn next(&mut self) -> (String, Value) {
        let mut kind = None;
        loop {
            let mut line = String::new();
            assert!(
                self.0.read_line(&mut line).unwrap() > 0,
                "the stream has ended"
            );
            if let Some(named) = line.strip_prefix("event: ") {
                kind = Some(named.trim().to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (kind.unwrap(), serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn events_tell_all_and_then_what_changes() {
    let server = start(&Arc::default());
    assert!(get(&server, "/events", "").0.starts_with("http/1.1 401"));
    let (head, mut events) = Events::open(&server);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let (kind, first) = events.next();
    assert_eq!(kind, "snapshot");
    assert_eq!(first["process"]["version"], "1.2.3");
    let names: Vec<&Value> = first["connectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["busy", "idle"]);
    let (kind, next) = events.next();
    assert_eq!(kind, "change");
    assert_eq!(next["connectors"].as_array().unwrap().len(), 1, "{next}");
    assert_eq!(next["connectors"][0]["name"], "busy");
    assert!(next["at_ms"].as_i64() > first["at_ms"].as_i64());
}

#[test]
fn many_streams_cost_one_look_and_a_client_that_reads_nothing_harms_none() {
    let operator = Arc::new(Busy::default());
    let server = start(&operator);
    let stuck = send(
        &server,
        "/events",
        &format!("Authorization: Bearer {TOKEN}\r\n"),
    );
    let mut streams: Vec<Events> = (1..STREAMS_MAX).map(|_| Events::open(&server).1).collect();
    for stream in &mut streams {
        assert_eq!(stream.next().0, "snapshot");
    }
    // One too many.
    let (head, body) = get(
        &server,
        "/events",
        &format!("Authorization: Bearer {TOKEN}\r\n"),
    );
    assert!(
        head.starts_with("http/1.1 503") && body.contains("too-many-streams"),
        "{head} {body}"
    );
    let (before, begun) = (operator.looks.load(Ordering::SeqCst), Instant::now());
    for _ in 0..2 {
        for stream in &mut streams {
            stream.next();
        }
    }
    let looks = operator.looks.load(Ordering::SeqCst) - before;
    // One a second, however many listen, and one that was on its way.
    assert!(
        looks <= begun.elapsed().as_secs() + 2,
        "{looks} looks in {:?}",
        begun.elapsed()
    );
    // There is room again when somebody leaves.
    drop((stuck, streams.pop()));
    let begun = Instant::now();
    while Events::open(&server).0.starts_with("http/1.1 503") {
        assert!(begun.elapsed() < PATIENCE, "no stream ends with its client");
    }
}

#[test]
fn nobody_is_looked_for_while_nobody_listens_and_streams_end_with_the_server() {
    let operator = Arc::new(Busy::default());
    let server = start(&operator);
    assert!(get(&server, "/livez", "").0.starts_with("http/1.1 200"));
    assert_eq!(operator.looks.load(Ordering::SeqCst), 0);
    let (_, mut events) = Events::open(&server);
    events.next();
    let begun = Instant::now();
    server.stop();
    let mut rest = Vec::new();
    events.0.read_to_end(&mut rest).unwrap();
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
