//! What the server answers, also when those it asks are stuck.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Fake, connect, nobody};
use jackfield_admin::{AdminConfig, AdminError, AdminServer, ConnectorState};
use jackfield_telemetry::{ConnectorLabels, Kind, Telemetry};
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
        ready: state != "FAILED",
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
fn it_is_ready_when_all_connectors_are() {
    let states = Arc::new(Mutex::new(vec![
        state("trades-source", "RUNNING"),
        state("trades-lake", "PAUSED"),
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
    assert!(
        answer.body.contains(r#""state":"PAUSED","ready":true"#),
        "{}",
        answer.body
    );
    states.lock().unwrap()[1] = state("trades-lake", "FAILED");
    let answer = get(server.local_addr(), "/readyz");
    assert_eq!(answer.status, 503);
    let failed = r#"{"connector":"trades-lake","pipeline":"trades","state":"FAILED","ready":false,"trace":"trap: unreachable"}"#;
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
