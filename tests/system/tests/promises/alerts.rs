//! Each alert of deploy/prometheus fires by the fault that it is for and not before, its runbook's
//! commands work, and it is over once the fault is. Prometheus is the real one, and a
//! minute of the rules is a second of the test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use jackfield_exchange::{Fault, Recording, Running, Speed};
use jackfield_system_tests::{
    Artifacts, Jackfield, Prometheus, Site, changed_copy, repository, spoil_table, trades_sink,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use crate::admin::Admin;
use crate::alerts_runbooks::OnCall;
use crate::disk::Small;
use crate::exchange;

/// A Jackfield with a Prometheus that scrapes it.
struct Watched {
    site: Site,
    jackfield: Jackfield,
    address: String,
    prometheus: Prometheus,
}

impl Watched {
    async fn start(site: Site) -> Watched {
        let mut jackfield = Jackfield::run(&site, &[]);
        let address = address(&jackfield.admin().await);
        let prometheus = Prometheus::start(&[&address]).await;
        prometheus.until_some("up == 1").await;
        Watched {
            site,
            jackfield,
            address,
            prometheus,
        }
    }

    /// Starts it again at the same address.
    async fn restart(&mut self) {
        self.jackfield.kill().await;
        let mut command = Command::new(&Artifacts::get().jackfield);
        command.arg("run").arg(self.site.file());
        command.args(["--listen", &self.address]);
        self.jackfield = Jackfield::spawn(command);
        self.jackfield.admin().await;
    }

    /// The connector takes records.
    async fn until_at_work(&self, connector: &str) {
        let rate = format!("rate(jackfield_records_total{{connector=\"{connector}\"}}[2s]) > 0");
        self.prometheus.until_some(&rate).await;
    }

    /// It fires for the connector, and its runbook tells where to look. Gives who is to act then.
    async fn fires(&self, alert: &str, connector: Option<&str>) -> OnCall {
        let fires = self.prometheus.until_firing(alert, connector).await;
        println!("{alert}: {}", fires["annotations"]["summary"]);
        let on_call = OnCall::told(&fires, &self.site, &self.address);
        on_call.looks().await;
        on_call
    }

    async fn quiet(&self, alert: &str, connector: Option<&str>) {
        let fires = self.prometheus.firing(alert, connector).await;
        assert!(fires.is_none(), "before the fault: {fires:?}");
    }

    async fn over(&self, alert: &str, connector: Option<&str>) {
        self.prometheus.until_over(alert, connector).await;
    }
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// The rules do what they say, and load.
#[tokio::test]
async fn promtool_passes_the_rules_and_their_tests() {
    let folder = repository().join("deploy/prometheus");
    for args in [
        &["check", "config", "prometheus.yml"][..],
        &[
            "test",
            "rules",
            "tests/alerts_test.yml",
            "tests/recording_test.yml",
        ],
    ] {
        let output = Command::new("promtool")
            .args(args)
            .current_dir(&folder)
            .output()
            .await
            .expect("promtool is missing: on Debian, run: sudo apt-get install prometheus");
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
    }
}

/// Trades without a hurry, for as long as a test takes.
async fn calm_exchange() -> Running {
    exchange(Speed::PerSecond(200.0), |o| o.laps = 10).await
}

fn hostile(site: &mut Site, settings: &Value) {
    let file = Artifacts::get().plugin("hostile");
    site.set(
        "/plugins/hostile",
        json!({ "file": file, "memory": "32MiB" }),
    );
    let pipeline = json!({
        "source": { "plugin": "hostile", "settings": settings },
        "topics": { "only": { "name": "evil" } }
    });
    site.set("/pipelines/evil", pipeline);
}

/// A source of a record now and then, which can be told to do worse.
fn decent() -> Value {
    json!({ "in": "poll", "do": "take" })
}

#[tokio::test(flavor = "multi_thread")]
async fn down_fires_when_the_process_is_killed() {
    let exchange = calm_exchange().await;
    let mut watched = Watched::start(Site::new(&exchange).await).await;
    watched.until_at_work("trades-source").await;
    watched.quiet("JackfieldDown", None).await;
    watched.jackfield.kill().await;
    let on_call = watched.fires("JackfieldDown", None).await;
    on_call.acts().await;
    watched.restart().await;
    watched.over("JackfieldDown", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connector_failed_fires_for_one_that_gave_up() {
    let exchange = calm_exchange().await;
    let mut site = Site::new(&exchange).await;
    hostile(&mut site, &json!({ "in": "poll", "do": "misconfigured" }));
    let mut watched = Watched::start(site).await;
    let on_call = watched
        .fires("JackfieldConnectorFailed", Some("evil-source"))
        .await;
    watched.until_at_work("trades-source").await;
    watched
        .quiet("JackfieldConnectorFailed", Some("trades-source"))
        .await;
    hostile(&mut watched.site, &decent());
    watched.jackfield.line("the changed file is applied").await;
    on_call.acts().await;
    watched
        .over("JackfieldConnectorFailed", Some("evil-source"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connector_restarting_fires_for_one_that_traps_again_and_again() {
    let exchange = calm_exchange().await;
    let mut site = Site::new(&exchange).await;
    hostile(&mut site, &decent());
    let mut watched = Watched::start(site).await;
    watched.until_at_work("evil-source").await;
    watched.quiet("JackfieldConnectorRestarting", None).await;
    hostile(&mut watched.site, &json!({ "in": "poll", "do": "panic" }));
    watched.restart().await;
    let on_call = watched
        .fires("JackfieldConnectorRestarting", Some("evil-source"))
        .await;
    on_call.acts().await;
    watched
        .quiet("JackfieldConnectorRestarting", Some("trades-source"))
        .await;
    hostile(&mut watched.site, &decent());
    watched.restart().await;
    watched
        .over("JackfieldConnectorRestarting", Some("evil-source"))
        .await;
}

/// The exchange goes silent, and for a while it takes neither a new connection nor a request.
#[tokio::test(flavor = "multi_thread")]
async fn source_silent_fires_when_the_origin_is_gone() {
    let exchange = calm_exchange().await;
    let watched = Watched::start(Site::new(&exchange).await).await;
    watched.until_at_work("trades-source").await;
    watched.quiet("JackfieldSourceSilent", None).await;
    let banned = Fault::Banned { retry_after_s: 45 };
    exchange.inject([
        Fault::Refuse(45_000).now(),
        banned.now(),
        Fault::HalfOpen.now(),
    ]);
    let on_call = watched
        .fires("JackfieldSourceSilent", Some("trades-source"))
        .await;
    on_call.acts().await;
    watched
        .over("JackfieldSourceSilent", Some("trades-source"))
        .await;
}

/// Takes posts once it is told to.
async fn slow_receiver() -> (SocketAddr, watch::Sender<bool>) {
    let (well, is_well) = watch::channel(true);
    let app = Router::new().route(
        "/",
        post(async move || {
            let mut is_well = is_well.clone();
            // Whoever holds the other end has ended the test.
            let _gone = is_well.wait_for(|well| *well).await;
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, well)
}

/// The target takes nothing any more, while the exchange goes on.
#[tokio::test(flavor = "multi_thread")]
async fn lag_growing_fires_when_the_target_is_slow() {
    let exchange = exchange(Speed::PerSecond(5000.0), |o| o.laps = 120).await;
    let (receiver, well) = slow_receiver().await;
    let url = format!("http://{receiver}/");
    let mut site = Site::new(&exchange).await;
    site.set("/plugins/post", json!(Artifacts::get().plugin("post-sink")));
    site.set("/pipelines/trades/delivery", json!("at-least-once"));
    let sinks = json!({ "post": {
        "plugin": "post",
        "topics": ["trade"],
        "commit": { "every": "500ms" },
        "settings": { "url": url },
        "allow": { "http": [url] }
    } });
    site.set("/pipelines/trades/sinks", sinks);
    let watched = Watched::start(site).await;
    watched.until_at_work("trades-post").await;
    watched.quiet("JackfieldLagGrowing", None).await;
    well.send(false).unwrap();
    let on_call = watched
        .fires("JackfieldLagGrowing", Some("trades-post"))
        .await;
    on_call.acts().await;
    well.send(true).unwrap();
    watched
        .over("JackfieldLagGrowing", Some("trades-post"))
        .await;
}

/// Another process holds the catalog locked.
#[tokio::test(flavor = "multi_thread")]
async fn commit_stalled_fires_while_the_catalog_is_locked() {
    let exchange = calm_exchange().await;
    let watched = Watched::start(Site::new(&exchange).await).await;
    let committed = "increase(jackfield_committed_rows_total[5s]) > 0";
    watched.prometheus.until_some(committed).await;
    watched.quiet("JackfieldCommitStalled", None).await;
    let hold = "import sqlite3, sys\n\
                catalog = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
                catalog.execute('BEGIN EXCLUSIVE')\n\
                print('held', flush=True)\n\
                sys.stdin.read()\n";
    let mut holder = Command::new("python3")
        .args(["-c", hold])
        .arg(watched.site.catalog())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let held = BufReader::new(holder.stdout.take().unwrap())
        .lines()
        .next_line()
        .await;
    assert_eq!(held.unwrap().as_deref(), Some("held"));
    let on_call = watched
        .fires("JackfieldCommitStalled", Some("trades-lake"))
        .await;
    on_call.acts().await;
    holder.stdin.take().unwrap().shutdown().await.unwrap();
    holder.wait().await.unwrap();
    watched
        .over("JackfieldCommitStalled", Some("trades-lake"))
        .await;
    watched.prometheus.until_some(committed).await;
}

/// One of a sink's tables can't be written for.
#[tokio::test(flavor = "multi_thread")]
async fn target_failed_fires_while_one_of_several_tables_is_broken() {
    let exchange = calm_exchange().await;
    let mut site = Site::new(&exchange).await;
    let mut sink = trades_sink();
    sink["settings"] = json!({ "table": "market.{symbol}" });
    site.set("/pipelines/trades/sinks/lake", sink);
    let (data, table) = (site.path().join("data"), "market.ETHUSDT");
    std::fs::create_dir_all(&data).unwrap();
    spoil_table(&data, table, false).await;
    let (alert, lake) = ("JackfieldTargetFailed", Some("trades-lake"));
    let watched = Watched::start(site).await;
    let on_call = watched.fires(alert, lake).await;
    spoil_table(&data, table, true).await;
    on_call.acts().await;
    watched.over(alert, lake).await;
}

/// A sink of tables gets records without a schema.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_fires_when_records_can_not_be_delivered() {
    let exchange = calm_exchange().await;
    let mut site = Site::new(&exchange).await;
    hostile(&mut site, &decent());
    let sink = json!({
        "plugin": "iceberg",
        "topics": ["only"],
        "commit": { "every": "500ms" },
        "on-bad-record": { "dead-letter": { "topic": "evil.dead" } },
        "settings": { "table": "market.evil" },
        "allow": { "lake": "local" }
    });
    site.set("/pipelines/evil/sinks", json!({ "lake": sink }));
    let mut watched = Watched::start(site).await;
    let on_call = watched
        .fires("JackfieldDeadLetters", Some("evil-lake"))
        .await;
    on_call.with("TOPIC", "evil.dead").acts().await;
    watched
        .quiet("JackfieldDeadLetters", Some("trades-lake"))
        .await;
    hostile(&mut watched.site, &decent());
    watched.restart().await;
    watched
        .over("JackfieldDeadLetters", Some("evil-lake"))
        .await;
}

/// Some trades are nowhere to be had.
#[tokio::test(flavor = "multi_thread")]
async fn gaps_fires_when_the_origin_lost_records() {
    let recording = Recording::spot().unwrap();
    let bitcoin = recording
        .trades()
        .iter()
        .filter(|t| *t.symbol == *"BTCUSDT");
    let ids: Vec<i64> = bitcoin.map(|trade| trade.trade_id).collect();
    let hole = Fault::Hole {
        symbol: "BTCUSDT".into(),
        from_id: ids[2000],
        to_id: ids[2249],
    };
    let exchange = exchange(Speed::PerSecond(500.0), |o| {
        o.laps = 4;
        o.hold = true;
        o.faults = vec![hole.now()];
    })
    .await;
    let watched = Watched::start(Site::new(&exchange).await).await;
    let counted = "jackfield_missing_records_total{connector=\"trades-source\"} == 0";
    watched.prometheus.until_some(counted).await;
    watched.quiet("JackfieldGaps", None).await;
    exchange.start();
    let on_call = watched.fires("JackfieldGaps", Some("trades-source")).await;
    on_call.acts().await;
    // A scrape that comes too late leaves no sample until the next one.
    let lost = watched
        .prometheus
        .until_some("jackfield_missing_records_total{connector=\"trades-source\"}")
        .await;
    assert_eq!(lost[0]["value"][1], "250");
    watched.over("JackfieldGaps", Some("trades-source")).await;
}

/// Half of a small disk is left: more than the log keeps free, and less than anyone should wait for.
#[tokio::test(flavor = "multi_thread")]
async fn log_disk_filling_fires_before_the_disk_is_full() {
    let exchange = calm_exchange().await;
    let mut site = Site::new(&exchange).await;
    let small = Small::mount(site.path().join("small"));
    site.set("/log/embedded/dir", json!(small.at.join("log")));
    let watched = Watched::start(site).await;
    watched.until_at_work("trades-source").await;
    watched.quiet("JackfieldLogDiskFilling", None).await;
    let filler = small.fill_but(0.5);
    let on_call = watched.fires("JackfieldLogDiskFilling", None).await;
    on_call.acts().await;
    // In time: the log still takes records.
    watched.until_at_work("trades-source").await;
    std::fs::remove_file(filler).unwrap();
    watched.over("JackfieldLogDiskFilling", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swap_rolled_back_fires_for_a_version_that_traps() {
    let exchange = calm_exchange().await;
    let mut site = Site::new(&exchange).await;
    hostile(&mut site, &decent());
    let mut admin = Admin::run(&site, &[]).await;
    let prometheus = Prometheus::start(&[&address(&admin.url)]).await;
    let at_work = "jackfield_records_total{connector=\"evil-source\"} > 0";
    prometheus.until_some(at_work).await;
    let (alert, connector) = ("JackfieldSwapRolledBack", Some("evil-source"));
    assert!(prometheus.firing(alert, connector).await.is_none());
    let settings: PathBuf = site.path().join("settings.json");
    std::fs::write(&settings, r#"{ "in": "poll", "do": "panic" }"#).unwrap();
    let settings = settings.to_str().unwrap();
    // It ends when the version traps: longer than a busy machine takes to let it poll.
    let args = ["evil-source", "--settings", settings, "--probation", "60s"];
    admin.expect(&site, &args, 4, "as told").await;
    let fires = prometheus.until_firing(alert, connector).await;
    let mended = changed_copy("hostile", site.path(), "mended").await;
    let on_call = OnCall::told(&fires, &site, &address(&admin.url));
    let on_call = on_call.with("FILE", mended.to_str().unwrap());
    on_call.looks().await;
    let pauses = prometheus
        .until_some("jackfield_swap_pause_seconds_count == 1")
        .await;
    assert_eq!(pauses[0]["metric"]["connector"], "evil-source");
    on_call.acts().await;
    prometheus.until_over(alert, connector).await;
    admin.jackfield.terminate().await;
    assert_eq!(
        admin.jackfield.wait_within(Duration::from_secs(60)).await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_fires_where_prometheus_knows_of_no_target() {
    let exchange = calm_exchange().await;
    let watched = Watched::start(Site::new(&exchange).await).await;
    let unaware = Prometheus::start(&[]).await;
    let fires = unaware.until_firing("JackfieldAbsent", None).await;
    let on_call = OnCall::told(&fires, &watched.site, &watched.address);
    on_call.looks().await;
    on_call.acts().await;
    watched.over("JackfieldAbsent", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn config_refused_fires_until_a_change_is_applied() {
    let exchange = calm_exchange().await;
    let mut watched = Watched::start(Site::new(&exchange).await).await;
    watched.until_at_work("trades-source").await;
    watched.quiet("JackfieldConfigRefused", None).await;
    let delivery = "/pipelines/trades/delivery";
    watched.site.set(delivery, json!("sometimes"));
    let on_call = watched.fires("JackfieldConfigRefused", None).await;
    watched.site.set(delivery, json!("exactly-once"));
    // A change that is taken back is none that is applied.
    watched
        .site
        .set("/pipelines/trades/retry", json!({ "deadline": "4m" }));
    watched.jackfield.line("the changed file is applied").await;
    on_call.acts().await;
    watched.over("JackfieldConfigRefused", None).await;
}
