//! Changing what runs: nothing lost, nothing doubled; what is no good is refused or taken back.

use std::ops::Range;
use std::path::{Path, PathBuf};

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Artifacts, PATIENCE, Site};
use jackfield_test_lakes::{Fault, Front};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::admin::{Admin, changed_copy};
use crate::{assert_landed, ends_amid_the_feed, exchange, lasting_exchange, run_until_idle};

/// Swaps of each connector while the stream goes on.
pub(crate) const SWAPS: usize = 200;
/// Laps of a stream that outlasts all of these swaps.
pub(crate) const SWAPS_LAPS: u32 = 10;
/// Laps of a stream for some swaps.
const LAPS: u32 = 3;
/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Swaps a connector at work to and fro, and gives the pauses in µs.
pub(crate) async fn to_and_fro(admin: &Admin, connector: &str, files: [&Path; 2]) -> Vec<u64> {
    let components = files.map(|file| std::fs::read(file).unwrap());
    let mut pauses = Vec::with_capacity(SWAPS);
    let mut in_flight = 0;
    for number in 0..SWAPS {
        let swap = admin.swap(connector, &components[number % 2], 1).await;
        assert_eq!(swap["outcome"], "on-probation", "{swap}");
        pauses.push(swap["pause_us"].as_u64().unwrap());
        in_flight += swap["in_flight"].as_u64().unwrap();
    }
    println!("{connector}: {in_flight} in flight over all swaps");
    assert!(in_flight > 0, "{connector} had nothing in hand");
    pauses.sort_unstable();
    pauses
}

pub(crate) fn shown(connector: &str, pauses: &[u64]) {
    let at = |share: f64| pauses[((pauses.len() - 1) as f64 * share) as usize];
    println!(
        "{connector}: {} swaps, pause p50 {} µs, p99 {} µs, longest {} µs",
        pauses.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// After all swaps: the stream goes to its end, over the one connection, and what the process had
/// not taken yet when it drains the next one takes.
pub(crate) async fn finish(mut admin: Admin, exchange: &Running, site: &Site) {
    let at = exchange.status();
    println!("the last swap at trade {} of {}", at.position, at.total);
    for connector in ["trades-source", "trades-lake"] {
        let path = format!("/connectors/{connector}/swaps");
        let history = admin.get(&path).await;
        let last = history.as_array().unwrap().last().unwrap();
        assert_eq!(last["number"], SWAPS);
    }
    exchange.finished().await;
    assert_eq!(exchange.status().connections, 1, "kept over every swap");
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(site, "4s").await;
}

pub(crate) async fn busy_exchange(laps: u32) -> Running {
    exchange(Speed::PerSecond(2000.0), |o| o.laps = laps).await
}

/// Source and sink are swapped 200 times each under load: every trade lands once, the exchange sees
/// one connection, and no trade had to be fetched a second way: there is none meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_swaps_under_load_lose_and_double_nothing() {
    const RECOVERED: &str = "jackfield_recovered_records_total";
    let exchange = busy_exchange(SWAPS_LAPS).await;
    let mut site = Site::new(&exchange).await;
    let rest = Front::before(exchange.rest_url()).await;
    site.set(
        "/pipelines/trades/source/settings/endpoints/rest",
        json!(rest.url()),
    );
    site.set("/pipelines/trades/source/allow/http", json!([rest.url()]));
    let mut copies = Vec::new();
    for of in ["binance-source", "iceberg-sink"] {
        let copy = changed_copy(of, site.path(), "copy").await;
        copies.push([copy, Artifacts::get().plugin(of)]);
    }
    let [source, sink] = &copies[..] else {
        unreachable!("two were made")
    };
    let admin = Admin::run(&site, &[]).await;
    let some = |now: &Value| now["records"].as_u64() > Some(1000);
    admin.until("it runs", "/status/trades-source", some).await;
    admin.until_none_is_missed(&exchange).await;
    rest.decide(|_| Some(Fault::Status(503, String::new())));
    let recovered = admin.figure(RECOVERED, "trades-source").await;
    let (source, sink) = tokio::join!(
        to_and_fro(&admin, "trades-source", [&source[0], &source[1]]),
        to_and_fro(&admin, "trades-lake", [&sink[0], &sink[1]]),
    );
    shown("source", &source);
    shown("sink", &sink);
    admin.until_none_is_missed(&exchange).await;
    assert_eq!(admin.figure(RECOVERED, "trades-source").await, recovered);
    rest.mend();
    finish(admin, &exchange, &site).await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// Each reason has its own message and exit code, and what runs is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_take_over_is_refused_before_anything_is_touched() {
    let exchange = busy_exchange(LAPS).await;
    let mut site = Site::new(&exchange).await;
    let components = site.path().join("components");
    std::fs::create_dir(&components).unwrap();
    site.set("/admin", json!({ "components": components }));
    let plugins = Artifacts::get();
    let path = |file: PathBuf| file.to_str().unwrap().to_owned();
    let source = path(plugins.plugin("binance-source"));
    let sink = path(plugins.plugin("iceberg-sink"));
    let post = path(plugins.plugin("post-sink"));
    let copy = path(changed_copy("binance-source", site.path(), "copy").await);
    let sink_copy = path(changed_copy("iceberg-sink", site.path(), "copy").await);
    let (cut, settings) = (site.path().join("cut.wasm"), site.path().join("s.json"));
    let whole = std::fs::read(&source).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let (cut, settings) = (path(cut), path(settings));
    let zeros = "0".repeat(64);

    let mut admin = Admin::run(&site, &[]).await;
    let running = |now: &Value| now["connector"]["state"] == "RUNNING" && now["records"] != 0;
    let before = admin
        .until("it runs", "/status/trades-source", running)
        .await;
    let sink_before = admin.until("it runs", "/status/trades-lake", running).await;
    let (one, lake) = ("trades-source", "trades-lake");
    admin.expect(&site, &[one, &source], 10, "neither").await;
    admin.expect(&site, &[lake, &sink], 10, "neither").await;
    admin
        .expect(&site, &["nobody", &source], 13, "nobody")
        .await;
    admin.expect(&site, &[one, &cut], 20, "not a WASM").await;
    let args = [one, &copy, "--sha256", &zeros];
    admin.expect(&site, &args, 21, "sha256").await;
    std::fs::write(&settings, r#"{ "table": "a.b" }"#).unwrap();
    let args = [one, &sink, "--settings", &settings];
    admin.expect(&site, &args, 22, "a source runs").await;
    std::fs::write(&settings, r#"{ "symbols": ["BTCUSDT"] }"#).unwrap();
    let args = [lake, &source, "--settings", &settings];
    admin.expect(&site, &args, 22, "a sink runs").await;
    std::fs::write(&settings, r#"{ "symbols": "BTCUSDT" }"#).unwrap();
    let args = [one, &copy, "--settings", &settings];
    admin.expect(&site, &args, 26, "symbols").await;
    std::fs::write(&settings, r#"{ "table": 5 }"#).unwrap();
    let args = [lake, &sink_copy, "--settings", &settings];
    admin.expect(&site, &args, 26, "table").await;
    std::fs::write(&settings, r#"{ "url": "http://127.0.0.1:9/" }"#).unwrap();
    let args = [lake, &post, "--settings", &settings];
    admin.expect(&site, &args, 23, "at least once").await;
    let args = [one, &copy, "--dry-run"];
    admin.expect(&site, &args, 0, "can take over").await;
    std::fs::copy(&copy, components.join("copy.wasm")).unwrap();
    let args = [one, "--named", "copy.wasm", "--dry-run"];
    admin.expect(&site, &args, 0, "can take over").await;
    let args = [one, "--named", "../cut.wasm", "--dry-run"];
    admin.expect(&site, &args, 20, "is not the name").await;
    for (connector, before) in [(one, &before), (lake, &sink_before)] {
        let after = admin.get(&format!("/status/{connector}")).await;
        assert_eq!(before["plugin"], after["plugin"]);
        let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
        assert_eq!(swaps, json!([]), "nothing was swapped");
    }

    // While one is on probation another has to wait.
    for (connector, copy, old) in [(one, &copy, &source), (lake, &sink_copy, &sink)] {
        let args = [connector, copy, "--probation", "1h", "--no-wait"];
        admin.expect(&site, &args, 0, "took over").await;
        admin
            .expect(&site, &[connector, old], 11, "probation")
            .await;
    }
    assert_eq!(exchange.status().connections, 1, "kept over it all");
    let log = admin.jackfield.log();
    assert!(!log.contains("restarts from what"), "nothing was touched");

    // What rests has nothing to swap.
    admin.put("/connectors/trades-source/stop").await;
    let stopped = |now: &Value| now["connector"]["state"] == "STOPPED";
    admin
        .until("it is stopped", "/status/trades-source", stopped)
        .await;
    admin
        .expect(&site, &[one, &source], 12, "does not run")
        .await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}

/// Of two swaps of a connector at once one is made, and the other has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_swaps_at_once_one_is_made_and_the_other_refused() {
    let exchange = busy_exchange(LAPS).await;
    let site = Site::new(&exchange).await;
    let mut files = Vec::new();
    for of in ["binance-source", "iceberg-sink"] {
        for word in ["copy", "other"] {
            files.push(changed_copy(of, site.path(), word).await);
        }
    }
    let mut admin = Admin::run(&site, &[]).await;
    for (connector, files) in ["trades-source", "trades-lake"]
        .into_iter()
        .zip(files.chunks(2))
    {
        let status = format!("/status/{connector}");
        admin
            .until("it runs", &status, |now| now["records"] != 0)
            .await;
        let order = async |file: &Path| {
            let file = file.to_str().unwrap();
            let args = [connector, file, "--probation", "1h", "--no-wait"];
            admin.command(&site, &args).await.status.code()
        };
        let (one, other) = tokio::join!(order(files[0].as_path()), order(files[1].as_path()));
        let mut codes = [one, other];
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(11)], "{connector}");
        let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
        assert_eq!(swaps.as_array().unwrap().len(), 1, "{swaps}");
        assert_eq!(swaps[0]["outcome"], "on-probation");
        let now = admin.get(&status).await;
        assert_eq!(now["plugin"], swaps[0]["to"]);
    }
    exchange.finished().await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// What a new version does wrong, where, and a word of why it is taken back.
const DEEDS: [(&str, &str, &str); 7] = [
    ("poll", "panic", "as told"),
    ("poll", "loop", "did not return within"),
    ("poll", "eat", "memory"),
    ("poll", "recurse", "trapped"),
    ("poll", "malformed", "malformed"),
    ("poll", "broken", "as told"),
    ("poll", "silent", "silent"),
];

/// A version that fails or falls silent is taken back, the old one goes on, and the same version is
/// not tried twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_worse_version_is_taken_back_and_not_tried_again() {
    let exchange = busy_exchange(LAPS).await;
    let mut site = Site::new(&exchange).await;
    let file = Artifacts::get().plugin("hostile");
    // Only what never returns is to run out of time: eating its memory takes a busy machine a while.
    for (name, call_time) in [("hostile", "10s"), ("looping", "2s")] {
        let plugin = json!({ "file": file, "memory": "32MiB", "call-time": call_time });
        site.set(&format!("/plugins/{name}"), plugin);
    }
    for (_, deed, _) in DEEDS {
        let plugin = if deed == "loop" { "looping" } else { "hostile" };
        let pipeline = json!({
            "source": { "plugin": plugin, "settings": {} },
            "topics": { "only": { "name": format!("evil.{deed}") } }
        });
        site.set(&format!("/pipelines/{deed}"), pipeline);
    }
    let mut admin = Admin::run(&site, &["--grace", "20s"]).await;
    for (call, deed, word) in DEEDS {
        let connector = format!("{deed}-source");
        let status = format!("/status/{connector}");
        let records = |now: &Value| now["records"].as_u64().unwrap_or_default();
        admin
            .until("records", &status, |now| records(now) > 100)
            .await;
        let settings = site.path().join("settings.json");
        let told = json!({ "in": call, "do": deed }).to_string();
        std::fs::write(&settings, told).unwrap();
        let settings = settings.to_str().unwrap();
        // Silence is told at the end of the probation, all else when it happens.
        let probation = if deed == "silent" { "5s" } else { "5m" };
        let args = [&connector, "--settings", settings, "--probation", probation];
        admin.expect(&site, &args, 4, word).await;
        let at = records(&admin.get(&status).await);
        admin
            .until("it goes on", &status, |now| records(now) > at)
            .await;
        admin.expect(&site, &args, 14, "taken back before").await;
    }
    // One that can't even open is refused; the running one goes on where it was.
    let settings = site.path().join("settings.json");
    std::fs::write(&settings, r#"{ "in": "open", "do": "panic" }"#).unwrap();
    let args = ["panic-source", "--settings", settings.to_str().unwrap()];
    admin.expect(&site, &args, 27, "as told").await;
    let history = admin.get("/connectors/panic-source/swaps").await;
    assert_eq!(history[0]["outcome"], "rolled-back");
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}

/// A file that changes is taken once it is whole; half of one is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_swapped_in_once_it_is_whole() {
    let exchange = busy_exchange(LAPS).await;
    let mut site = Site::new(&exchange).await;
    let file = site.path().join("running.wasm");
    std::fs::copy(Artifacts::get().plugin("binance-source"), &file).unwrap();
    site.set("/plugins/binance", json!(file));
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let whole = std::fs::read(copy).unwrap();
    let mut admin = Admin::run(&site, &[]).await;
    let path = "/status/trades-source";
    let before = admin
        .until("it runs", path, |now| now["records"] != 0)
        .await;
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    admin.jackfield.line("is not taken").await;
    let meanwhile = admin.get(path).await;
    assert_eq!(meanwhile["plugin"], before["plugin"]);
    std::fs::write(&file, &whole).unwrap();
    admin
        .until("the new file runs", path, |now| {
            now["plugin"]["sha256"] != before["plugin"]["sha256"]
        })
        .await;
    exchange.finished().await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// The number at `at`, as WASM writes it; `at` moves behind it.
fn number(bytes: &[u8], at: &mut usize) -> usize {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

/// The bytes at `at`, which have their length before them; `at` moves behind them.
fn counted<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let length = number(bytes, at);
    *at += length;
    &bytes[*at - length..*at]
}

/// The sections of a module or component: their kinds, and where their contents lie.
fn sections(bytes: &[u8], within: Range<usize>) -> Vec<(u8, Range<usize>)> {
    const PREAMBLE: usize = 8;
    let mut found = Vec::new();
    let mut at = within.start + PREAMBLE;
    while at < within.end {
        let kind = bytes[at];
        at += 1;
        let length = number(bytes, &mut at);
        found.push((kind, at..at + length));
        at += length;
    }
    found
}

/// Where a module's functions that are not imported begin to count, and the one that it exports as
/// a source's `poll`, if it does.
fn poll_of(bytes: &[u8], imports: usize, exports: usize) -> Option<(usize, usize)> {
    const FUNCTION: u8 = 0;
    let (mut at, mut found) = (exports, None);
    for _ in 0..number(bytes, &mut at) {
        let name = counted(bytes, &mut at);
        let kind = bytes[at];
        at += 1;
        let index = number(bytes, &mut at);
        if kind == FUNCTION && name.starts_with(b"jackfield:") && name.ends_with(b"#poll") {
            found = Some(index);
        }
    }
    let poll = found?;
    let mut at = imports;
    let imported = number(bytes, &mut at);
    for _ in 0..imported {
        counted(bytes, &mut at);
        counted(bytes, &mut at);
        assert_eq!(bytes[at], FUNCTION, "our components import nothing else");
        at += 1;
        number(bytes, &mut at);
    }
    Some((imported, poll))
}

/// The same source, but for its `poll`, which traps.
fn trapping(component: &Path) -> Vec<u8> {
    const MODULE: u8 = 1;
    const IMPORTS: u8 = 2;
    const EXPORTS: u8 = 7;
    const CODE: u8 = 10;
    const LOCAL_GET: u8 = 0x20;
    const UNREACHABLE: u8 = 0x00;
    const NOP: u8 = 0x01;
    let mut bytes = std::fs::read(component).unwrap();
    let all = sections(&bytes, 0..bytes.len());
    for (_, module) in all.into_iter().filter(|(kind, _)| *kind == MODULE) {
        let within = sections(&bytes, module);
        let start = |wanted: u8| {
            let found = within.iter().find(|(kind, _)| *kind == wanted);
            found.map(|(_, at)| at.start)
        };
        let (Some(imports), Some(exports), Some(mut at)) =
            (start(IMPORTS), start(EXPORTS), start(CODE))
        else {
            continue;
        };
        let Some((imported, poll)) = poll_of(&bytes, imports, exports) else {
            continue;
        };
        number(&bytes, &mut at);
        for _ in imported..poll {
            counted(&bytes, &mut at);
        }
        number(&bytes, &mut at);
        for _ in 0..number(&bytes, &mut at) {
            number(&bytes, &mut at);
            at += 1;
        }
        assert_eq!(bytes[at], LOCAL_GET, "it begins with its arguments");
        let first = at;
        at += 1;
        number(&bytes, &mut at);
        bytes[first] = UNREACHABLE;
        bytes[first + 1..at].fill(NOP);
        return bytes;
    }
    panic!("{} is no source", component.display());
}

/// One that rests when its file changes goes on resting, and goes on with the changed file; not with
/// one that was taken back before.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_its_connector_rests_is_what_it_goes_on_with() {
    // Something is left to be taken whenever it is to go on.
    let exchange = lasting_exchange(1000.0).await;
    let mut site = Site::new(&exchange).await;
    let file = site.path().join("running.wasm");
    let own = Artifacts::get().plugin("binance-source");
    std::fs::copy(&own, &file).unwrap();
    site.set("/plugins/binance", json!(file));
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let (good, worse) = (std::fs::read(&own).unwrap(), trapping(&file));
    let mut admin = Admin::run(&site, &[]).await;
    let (path, swaps) = ("/status/trades-source", "/connectors/trades-source/swaps");
    let records = |now: &Value| now["records"].as_u64().unwrap();
    let before = admin
        .until("it runs", path, |now| now["records"] != 0)
        .await;
    std::fs::write(&file, &worse).unwrap();
    let rolled_back = |now: &Value| now[0]["outcome"] == "rolled-back";
    admin.until("it is taken back", swaps, rolled_back).await;

    let in_state = |state: &'static str| move |now: &Value| now["connector"]["state"] == state;
    admin.put("/connectors/trades-source/pause").await;
    admin.until("it rests", path, in_state("PAUSED")).await;
    // The same bytes, in a file that looks changed.
    let again = site.path().join("again.wasm");
    std::fs::write(&again, &worse).unwrap();
    std::fs::rename(&again, &file).unwrap();
    admin.jackfield.line("and is not taken").await;
    // A sink can't begin where a source is to run.
    std::fs::copy(Artifacts::get().plugin("iceberg-sink"), &file).unwrap();
    let begin = Instant::now();
    while admin.jackfield.log().matches("and is not taken").count() < 2 {
        assert!(begin.elapsed() < PATIENCE, "the sink was taken");
        sleep(LOOK_EVERY).await;
    }
    admin.put("/connectors/trades-source/resume").await;
    let at = records(&admin.get(path).await);
    let after = admin
        .until("it goes on", path, |now| records(now) > at)
        .await;
    assert_eq!(after["plugin"], before["plugin"]);

    admin.put("/connectors/trades-source/pause").await;
    admin.until("it rests", path, in_state("PAUSED")).await;
    std::fs::copy(&copy, &file).unwrap();
    admin.jackfield.line("begins with it when it is to").await;
    admin.until("it rests", path, in_state("PAUSED")).await;
    admin.put("/connectors/trades-source/resume").await;
    let at = records(&admin.get(path).await);
    let after = admin
        .until("it goes on", path, |now| records(now) > at)
        .await;
    assert_ne!(after["plugin"], before["plugin"]);
    // It has not forgotten what became of it before.
    let rolled_back = admin.get(swaps).await;
    assert_eq!(rolled_back.as_array().map(Vec::len), Some(1));
    std::fs::write(&file, &good).unwrap();
    let kept = |now: &Value| now[1]["number"] == 2;
    admin.until("it is swapped again", swaps, kept).await;
    let put = admin.get("/status/trades-lake").await["records"].as_u64();
    let put = [("market.trades", put.unwrap())];
    ends_amid_the_feed(&mut admin.jackfield, &site, &exchange, &put).await;
}

/// One that has FAILED gets another chance with the changed file.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_gives_a_failed_connector_another_chance() {
    let exchange = exchange(Speed::PerSecond(500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let file = site.path().join("running.wasm");
    let own = Artifacts::get().plugin("binance-source");
    let worse = trapping(&own);
    std::fs::write(&file, &worse).unwrap();
    site.set("/plugins/binance", json!(file));
    site.set("/pipelines/trades/retry", json!({ "deadline": "1s" }));
    let mut admin = Admin::run(&site, &[]).await;
    let path = "/status/trades-source";
    let failed = |now: &Value| now["connector"]["state"] == "FAILED";
    admin.until("it gives up", path, failed).await;
    std::fs::copy(&own, &file).unwrap();
    admin
        .until("it runs", path, |now| now["records"] != 0)
        .await;
    exchange.finished().await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    let begun = admin.jackfield.log();
    let begun = begun.matches("begins with it when it is to").count();
    assert_eq!(begun, 1);
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// A worse version that comes by the file is taken back and left alone; a good one that comes after
/// it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_worse_file_is_taken_back_and_a_better_one_after_it_stays() {
    // The stream goes on while the better one is taken.
    let exchange = busy_exchange(4 * LAPS).await;
    let mut site = Site::new(&exchange).await;
    let file = site.path().join("running.wasm");
    std::fs::copy(Artifacts::get().plugin("binance-source"), &file).unwrap();
    site.set("/plugins/binance", json!(file));
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let (worse, better) = (trapping(&file), std::fs::read(copy).unwrap());
    let mut admin = Admin::run(&site, &[]).await;
    let (status, swaps) = ("/status/trades-source", "/connectors/trades-source/swaps");
    let before = admin
        .until("it runs", status, |now| now["records"] != 0)
        .await;
    std::fs::write(&file, &worse).unwrap();
    let history = admin
        .until("it is taken back", swaps, |now| {
            now[0]["outcome"] == "rolled-back"
        })
        .await;
    let reason = history[0]["reason"].as_str().unwrap();
    assert!(reason.contains("poll"), "{reason}");

    // While the file stays the old version runs, and nothing else is tried, over several looks.
    let records = |now: &Value| now["records"].as_u64().unwrap();
    let at = records(&admin.get(status).await);
    let after = admin
        .until("it goes on", status, |now| records(now) > at + 8000)
        .await;
    assert_eq!(after["plugin"], before["plugin"]);
    assert_eq!(admin.get(swaps).await.as_array().unwrap().len(), 1);
    let log = admin.jackfield.log();
    assert!(!log.contains("is not taken"), "it was tried again");

    std::fs::write(&file, &better).unwrap();
    let history = admin
        .until("the better one stays", swaps, |now| {
            now[1]["outcome"] == "kept"
        })
        .await;
    let now = admin.get(status).await;
    assert_eq!(now["plugin"], history[1]["to"]);
    assert_ne!(now["plugin"], before["plugin"]);
    exchange.finished().await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
