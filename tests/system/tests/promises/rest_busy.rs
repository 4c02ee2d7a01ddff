//! The admin API answers while plugins and stores do not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Artifacts, PATIENCE, Site, http, metric};
use jackfield_test_lakes::{Fault, Front, S3Server};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::exchange;
use crate::lakes::in_s3;
use crate::rest::{self, Rest};

/// How often each thing is asked for.
const ROUNDS: usize = 20;
/// What half of the answers to each question keep to wherever nothing slows the machine down. The slowest only have to
/// come while the call goes on: a busy machine may hold any of them up.
const MEDIAN_MAX: Duration = Duration::from_millis(50);
/// Or else so many times what half of a quiet process's take, which are asked for in turns with these
/// on the same machine.
const SLOWER_MAX: u32 = 20;
/// A call that loops is ended after so long: long after everything here was answered.
const CALL_TIME: &str = "10m";
/// Longer than any test: what the store is asked for is never answered.
const NEVER: Duration = Duration::from_secs(3600);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a race is run that the good side may lose on a busy machine.
const RACES: usize = 10;

/// Everything that is read, of the connector that loops and of the one that is stuck.
const LOOKS: [&str; 31] = [
    "/",
    "/health",
    "/livez",
    "/readyz",
    "/metrics",
    "/connectors",
    "/connectors?expand=status&expand=info",
    "/connectors/loop-source",
    "/connectors/loop-source/config",
    "/connectors/loop-source/status",
    "/connectors/loop-source/tasks",
    "/connectors/loop-source/tasks/0/status",
    "/connectors/loop-source/topics",
    "/connectors/loop-source/offsets",
    "/connectors/loop-source/details",
    "/connectors/trades-lake",
    "/connectors/trades-lake/config",
    "/connectors/trades-lake/status",
    "/connectors/trades-lake/tasks",
    "/connectors/trades-lake/topics",
    "/connectors/trades-lake/offsets",
    "/connectors/trades-lake/details",
    "/connectors/trades-lake/swaps",
    "/connectors/trades-lake/shadows",
    "/connector-plugins",
    "/connector-plugins/hostile/config",
    "/connector-plugins/iceberg/config",
    "/admin/loggers",
    "/admin/loggers/root",
    "/status",
    "/topics",
];

/// How long each answer took, by what was asked for.
#[derive(Default)]
struct Taken(Vec<(String, Vec<Duration>)>);

impl Taken {
    fn add(&mut self, what: &str, took: Duration) {
        match self.0.iter_mut().find(|(name, _)| name == what) {
            Some((_, all)) => all.push(took),
            None => self.0.push((what.to_owned(), vec![took])),
        }
    }

    /// Shows p50, p99 and the longest of each and of all; gives p50 and the longest of all.
    fn show(&self) -> (Duration, Duration) {
        for (what, taken) in &self.0 {
            println!("{what}: {}", figures(taken));
        }
        let all: Vec<Duration> = self.0.iter().flat_map(|(_, taken)| taken.clone()).collect();
        println!("{} answers: {}", all.len(), figures(&all));
        (part(&all, 0.5), part(&all, 1.0))
    }
}

fn figures(taken: &[Duration]) -> String {
    let ms = |of| part(taken, of).as_secs_f64() * 1000.0;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        ms(0.5),
        ms(0.99),
        ms(1.0)
    )
}

/// So much of all takes no longer than this.
fn part(taken: &[Duration], of: f64) -> Duration {
    let mut sorted = taken.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() as f64 * of).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

/// Asks, and gives the status and how long the whole answer took.
async fn timed(http: &Client, url: &str, method: Method, body: &Value) -> (u16, Duration) {
    let mut request = http.request(method, url);
    if !body.is_null() {
        request = request.json(body);
    }
    let begun = Instant::now();
    let answer = timeout(PATIENCE, request.send()).await;
    let answer = answer.unwrap_or_else(|_| panic!("{url} is not answered"));
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    (status, begun.elapsed())
}

/// Asks for everything once, and for what each plugin says of a config.
async fn round(client: &Client, rest: &Rest) -> Vec<(String, Duration)> {
    let mut taken = Vec::new();
    for path in LOOKS {
        let url = format!("{}{path}", rest.url);
        let (status, took) = timed(client, &url, Method::GET, &Value::Null).await;
        // Whether all is well is another question than whether it is answered.
        let expected = status == 200 || path == "/readyz" && status == 503;
        assert!(expected, "{path}: {status}");
        taken.push((path.to_owned(), took));
    }
    for (plugin, config) in [
        (
            "hostile",
            json!({ "connector.class": "hostile", "topic.only": "t" }),
        ),
        ("iceberg", rest::sink()),
    ] {
        let path = format!("/connector-plugins/{plugin}/config/validate");
        let url = format!("{}{path}", rest.url);
        let (status, took) = timed(client, &url, Method::PUT, &config).await;
        assert_eq!(status, 200, "{path}");
        taken.push((path, took));
    }
    taken
}

/// A source that is told this, beside the trades.
async fn site(exchange: &Running, told: Value) -> Site {
    let mut site = Site::new(exchange).await;
    site.set("/admin", json!({ "auth": "none" }));
    let plugin = json!({
        "file": Artifacts::get().plugin("hostile"), "memory": "32MiB", "call-time": CALL_TIME
    });
    site.set("/plugins/hostile", plugin);
    let pipeline = json!({
        "source": { "plugin": "hostile", "settings": told },
        "topics": { "only": { "name": "evil.loop" } }
    });
    site.set("/pipelines/loop", pipeline);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_answered_while_a_plugin_loops_and_a_store_hangs() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    front.decide(|seen| {
        let data = seen.path.contains(".parquet");
        data.then_some(Fault::Late(NEVER))
    });
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut busy = site(&exchange, json!({ "in": "poll", "do": "loop" })).await;
    busy.set("/lakes/local", in_s3(&front.url()));
    let mut rest = Rest::run(&busy).await;
    rest.state("loop-source", "RUNNING").await;
    let stuck = async {
        while !front.seen().iter().any(|it| it.path.contains(".parquet")) {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, stuck)
        .await
        .expect("the sink asks its store");

    // Beside it, a process in which nothing is stuck.
    let quiet = site(&exchange, json!({ "pause-ms": 10 })).await;
    let mut beside = Rest::run(&quiet).await;
    for connector in ["loop-source", "trades-lake"] {
        beside.state(connector, "RUNNING").await;
    }

    let client = http();
    let (mut taken, mut quiet_taken) = (Taken::default(), Taken::default());
    for number in 0..=ROUNDS {
        for (rest, taken) in [(&beside, &mut quiet_taken), (&rest, &mut taken)] {
            let answers = round(&client, rest).await;
            // The first of each may load what all others find.
            if number == 0 {
                continue;
            }
            for (what, took) in answers {
                taken.add(&what, took);
            }
        }
    }
    println!("where nothing is stuck:");
    quiet_taken.show();
    println!("where a plugin loops and a store hangs:");
    let (_, longest) = taken.show();
    for ((what, all), (beside, quiet)) in taken.0.iter().zip(&quiet_taken.0) {
        assert_eq!(what, beside);
        let (median, quiet) = (part(all, 0.5), part(quiet, 0.5));
        let most = MEDIAN_MAX.max(quiet * SLOWER_MAX);
        assert!(median <= most, "{what}: {median:?}, else {quiet:?}");
    }
    beside.jackfield.kill().await;
    // What is changed is answered, too, however long the connector takes to do it.
    let mut changes = Taken::default();
    for connector in ["loop-source", "trades-lake"] {
        for change in ["pause", "resume"] {
            let url = format!("{}/connectors/{connector}/{change}", rest.url);
            let (status, took) = timed(&client, &url, Method::PUT, &Value::Null).await;
            assert_eq!(status, 202, "{connector} {change}");
            changes.add(&format!("{change} {connector}"), took);
        }
    }
    changes.show();

    // All of that was while one call went on: none has returned, and none was ended.
    let status = rest.get("/status/loop-source").await;
    assert_eq!(status["records"], 0, "{status}");
    let page = client.get(format!("{}/metrics", rest.url)).send().await;
    let page = page.unwrap().text().await.unwrap();
    let died = metric(&page, "jackfield_component_deaths_total", "loop-source");
    assert_eq!(
        died as u64, 0,
        "the looping call was ended after {longest:?}"
    );
    assert!(rest.jackfield.is_running());
    rest.jackfield.kill().await;
}

/// A copy of the hostile component that loops in `describe`.
fn looping(folder: &Path) -> PathBuf {
    const MARK: &[u8] = b"engraved-deed:";
    const DEED: &[u8] = b"loop";
    let mut bytes = std::fs::read(Artifacts::get().plugin("hostile")).unwrap();
    let at = bytes.windows(MARK.len()).position(|it| it == MARK);
    let from = at.unwrap() + MARK.len();
    bytes[from..from + DEED.len()].copy_from_slice(DEED);
    let path = folder.join("looping.wasm");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A component's description is asked for when somebody asks for its keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_does_not_answer_keeps_nobody_from_the_others() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = rest::site(&exchange).await;
    let looping = looping(site.path());
    site.set("/plugins/looping", json!({ "file": looping }));
    let hostile = json!({ "file": Artifacts::get().plugin("hostile") });
    site.set("/plugins/hostile", hostile);
    let mut rest = Rest::run(&site).await;
    let keys = "/connector-plugins/hostile/config";
    rest.get(keys).await;
    let client = http();
    let mut won = false;
    for _ in 0..RACES {
        let url = format!("{}/connector-plugins/looping/config", rest.url);
        let slow = client.get(url).send();
        let slow = tokio::spawn(async move { slow.await.unwrap().status().as_u16() });
        // It is asked once its request has arrived; if not yet, the others wait for nothing.
        sleep(LOOK_EVERY).await;
        rest.get(keys).await;
        let (status, infos) = rest
            .ask(
                "PUT",
                "/connector-plugins/hostile/config/validate",
                json!({ "connector.class": "hostile", "topic.only": "t" }),
            )
            .await;
        assert_eq!(status, 200, "{infos}");
        won = !slow.is_finished();
        assert_eq!(slow.await.unwrap(), 400, "it never says what it is");
        if won {
            break;
        }
    }
    assert!(won, "the others are answered after the one that loops");
    rest.jackfield.kill().await;
}

/// It may drain for as long as the grace time; others are changed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_connector_that_is_deleted_keeps_nobody_from_changing_others() {
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut site = rest::site(&exchange).await;
    let plugin = json!({
        "file": Artifacts::get().plugin("hostile-sink"), "memory": "32MiB", "call-time": CALL_TIME
    });
    site.set("/plugins/hostile-sink", plugin);
    let mut rest = Rest::run_with(&site, &["--grace", "20s"]).await;
    let source = rest::source(&exchange);
    let (status, said) = rest
        .ask("PUT", "/connectors/trades/config", source.clone())
        .await;
    assert_eq!(status, 201, "{said}");
    let some = |now: &Value| now["records"].as_u64() > Some(0);
    rest.until("trades come", "/status/trades", some).await;
    let stuck = json!({
        "connector.class": "hostile-sink",
        "jackfield.grant": "spot",
        "topics": "binance.spot.trade",
        "settings": json!({ "in": "put", "do": "sleep" }).to_string(),
    });
    let client = http();
    let mut won = false;
    for race in 0..RACES {
        let path = format!("/connectors/stuck-{race}");
        let (status, said) = rest
            .ask("PUT", &format!("{path}/config"), stuck.clone())
            .await;
        assert_eq!(status, 201, "{said}");
        rest.state(&format!("stuck-{race}"), "RUNNING").await;
        let behind = |now: &Value| now["lag"].as_u64() > Some(0);
        let status = format!("/status/stuck-{race}");
        rest.until("it has something to put", &status, behind).await;
        let delete = client.delete(format!("{}{path}", rest.url)).send();
        let deleting = tokio::spawn(async move { delete.await.unwrap().status().as_u16() });
        let gone = |now: &Value| *now == json!(["trades"]);
        rest.until("it is being ended", "/connectors", gone).await;

        rest.told("PUT", "/connectors/trades/pause", 202).await;
        rest.told("PUT", "/connectors/trades/resume", 202).await;
        let mut changed = source.clone();
        changed["silence-after"] = json!(format!("{}s", race + 2));
        let (status, said) = rest.ask("PUT", "/connectors/trades/config", changed).await;
        assert_eq!(status, 200, "{said}");
        won = !deleting.is_finished();
        if won {
            // Its name is free once it has ended.
            let (status, said) = rest
                .ask("PUT", &format!("{path}/config"), stuck.clone())
                .await;
            assert_eq!(status, 201, "{said}");
        }
        assert_eq!(deleting.await.unwrap(), 204);
        if won {
            break;
        }
    }
    assert!(won, "others are changed after the one that is being ended");
    rest.jackfield.kill().await;
}
