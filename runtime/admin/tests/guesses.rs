//! Who guesses tokens is held off, and it is written down once. Alone in its process, since the
//! server's thread writes to whatever the process's subscriber is.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Fake, Lines, connect, nobody};
use jackfield_admin::{AdminConfig, AdminServer};
use jackfield_telemetry::Telemetry;
use jackfield_telemetry::logging::{self, Format};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const TOKEN: &str = "the-token-of-the-test";
/// Of different wrong tokens that an address may try in a minute.
const WRONG_MAX: usize = 20;
/// Of the changes that an address may not make one is written in so long.
const WINDOW: Duration = Duration::from_secs(60);
/// Changes of a flood: many more than windows go by while they are sent.
const FLOOD: usize = 200;

#[tokio::test]
async fn who_guesses_is_held_off_and_it_is_written_down_once() {
    let lines = Lines::default();
    let dispatch = logging::dispatch(Format::Json, "info", lines.clone()).unwrap();
    tracing::dispatcher::set_global_default(dispatch).unwrap();
    let (connect, _lines) = connect(&Fake::new());
    let config = AdminConfig::new("127.0.0.1:0".parse().unwrap(), TOKEN);
    let telemetry = Telemetry::new().unwrap();
    let server = AdminServer::start(config, telemetry, Vec::new, nobody(), connect).unwrap();
    let url = |path: &str| format!("http://{}{path}", server.local_addr());
    let _there = rustls::crypto::ring::default_provider().install_default();
    let http = Client::builder().no_proxy().build().unwrap();
    let look = |token: &str| http.get(url("/connectors")).bearer_auth(token);
    let pause = |token: &str| {
        let pause = http.put(url("/connectors/declared/pause"));
        pause.bearer_auth(token)
    };

    // An old token is no guess, however often it comes.
    for _ in 0..WRONG_MAX * 3 {
        let answer = look("of-last-year").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        look(TOKEN).send().await.unwrap().status(),
        StatusCode::OK,
        "nobody guessed"
    );
    let mut refused = 0;
    for guess in 0..WRONG_MAX * 3 {
        let token = format!("guess-{guess}");
        let request = match guess % 2 {
            0 => look(&token),
            _ => pause(&token),
        };
        let answer = request.send().await.unwrap();
        if answer.status() == StatusCode::UNAUTHORIZED {
            assert_eq!(refused, 0, "{token} was looked at");
            continue;
        }
        refused += 1;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait = answer.headers()["retry-after"].to_str().unwrap();
        assert!((1..=60).contains(&wait.parse::<u64>().unwrap()), "{wait}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], "too-many-wrong-tokens");
    }
    // The old one was the first of them.
    assert_eq!(refused, WRONG_MAX * 3 - (WRONG_MAX - 1));
    // The right one would tell a guess from another.
    let right = look(TOKEN).send().await.unwrap();
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS);
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        let answer = http.get(url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }

    // Pages of other sites, and who calls the server by another name, fill no disk either.
    let floods = [
        ("127.0.0.2", "host", StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.3", "origin", StatusCode::FORBIDDEN),
    ];
    let flooding = Instant::now();
    for (from, header, status) in floods {
        let from: IpAddr = from.parse().unwrap();
        let foreign = Client::builder().no_proxy().local_address(from);
        let foreign = foreign.build().unwrap();
        for _ in 0..FLOOD {
            let pause = foreign.put(url("/connectors/declared/pause"));
            let answer = pause.header(header, "evil.example").send().await.unwrap();
            assert_eq!(answer.status(), status);
        }
    }
    let windows = 1 + flooding.elapsed().as_secs() / WINDOW.as_secs();

    logging::flush(Duration::from_secs(60));
    let (foreign, written): (Vec<_>, Vec<_>) = lines
        .audit()
        .into_iter()
        .partition(|it| it["status"] == 403 || it["status"] == 421);
    for (from, _, status) in floods {
        let of = foreign.iter().filter(|it| {
            let who = it["who"].as_str().unwrap();
            who.starts_with(from) && it["status"] == status.as_u16() && it["outcome"] == "denied"
        });
        let of = of.count() as u64;
        assert!((1..=windows).contains(&of), "{of} lines of {from}");
    }
    let bursts: Vec<_> = written.iter().filter(|it| it["wrong"].is_u64()).collect();
    assert_eq!(bursts.len(), 1, "{written:?}");
    assert_eq!(bursts[0]["who"], "127.0.0.1");
    assert_eq!(bursts[0]["wrong"], WRONG_MAX);
    assert_eq!(bursts[0]["outcome"], "denied");
    // Of the changes that were refused the first.
    let denied = written.iter().filter(|it| it["status"] == 401);
    assert_eq!(denied.count(), 1, "{written:?}");
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(!lines.text().contains("guess-") && !lines.text().contains(TOKEN));
}
