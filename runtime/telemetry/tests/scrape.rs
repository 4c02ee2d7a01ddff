//! What a scrape shows, and that nothing of it reaches those who record.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_telemetry::{
    CONNECTORS_MAX, Call, Catalogue, ConnectorLabels, ConnectorMetrics, Consequence, ExportLabels,
    ExportOutcome, Kind, LogDisk, MetricKind, ReloadOutcome, Signal, State, SwapOutcome,
    TOPICS_MAX, Telemetry, Used,
};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

fn labels(connector: &str) -> ConnectorLabels {
    ConnectorLabels {
        pipeline: "trades".into(),
        connector: connector.into(),
        kind: Kind::Source,
    }
}

/// Records something in every metric that there is.
fn record_all(telemetry: &Telemetry) {
    telemetry.log_disk(LogDisk {
        used: 1 << 30,
        free: 1 << 34,
        size: 1 << 35,
    });
    telemetry.config_reloaded(ReloadOutcome::Applied);
    let labels = ExportLabels {
        signal: Signal::Metrics,
        outcome: ExportOutcome::Arrived,
    };
    telemetry.catalogue().exports.of(&labels).add(1);
    record_all_of(&telemetry.connector(&self::labels("trades-source")));
}

fn record_all_of(metrics: &ConnectorMetrics) {
    metrics.records(10);
    metrics.bytes(1000);
    metrics.batches(2);
    for call in Call::ALL {
        metrics.call(*call, Duration::from_millis(2));
    }
    metrics.error(Consequence::Retry);
    metrics.retries(1);
    metrics.restarts(1);
    metrics.rejected(1);
    metrics.dead_letters(1);
    metrics.state(State::Running);
    metrics.lag_records(5);
    metrics.counts(1, 2, 3, Some(0));
    metrics.event_time_lag_ms(-1500);
    metrics.inbox(4, 400);
    metrics.behind(6);
    metrics.append_seconds(Duration::from_millis(3));
    metrics.settle_seconds(Duration::from_millis(9));
    metrics.appends_in_flight(2);
    metrics.commit(Duration::from_secs(2), 100, 3, 5000);
    metrics.uncommitted_rows(8);
    metrics.failed_targets(2);
    metrics.swap(SwapOutcome::RolledBack);
    metrics.swap_pause(Duration::from_micros(300));
    metrics.topic_records("trades").add(10);
    metrics.topic_lag("trades").set(5.0);
    let now = Used {
        memory_bytes: 1 << 20,
        cpu: Duration::from_millis(1500),
        host_calls: 7,
        held_back: Duration::from_millis(250),
        ..Used::default()
    };
    metrics.used(&Used::default(), &now);
    metrics.used(
        &now,
        &Used {
            memory_bytes: 1 << 10,
            denials: 1,
            ..now
        },
    );
}

/// The value of the series of `metric` whose labels contain all of `with`.
fn value(page: &str, metric: &str, with: &[&str]) -> Option<f64> {
    let mut found = page.lines().filter(|line| {
        let name = line.split(['{', ' ']).next();
        name == Some(metric) && with.iter().all(|label| line.contains(label))
    });
    let line = found.next()?;
    assert!(
        found.next().is_none(),
        "several series of {metric} with {with:?}"
    );
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn sum(page: &str, metric: &str) -> f64 {
    let lines = page
        .lines()
        .filter(|line| line.split('{').next() == Some(metric));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn what_is_recorded_is_shown() {
    let telemetry = Telemetry::new().unwrap();
    record_all(&telemetry);
    let page = telemetry.render().unwrap();
    let of = &[
        "pipeline=\"trades\"",
        "connector=\"trades-source\"",
        "kind=\"source\"",
    ];
    let shown = |metric| value(&page, metric, of).unwrap_or_else(|| panic!("{metric} in\n{page}"));
    assert_eq!(shown("jackfield_records_total"), 10.0);
    assert_eq!(shown("jackfield_record_bytes_total"), 1000.0);
    assert_eq!(shown("jackfield_lag_records"), 5.0);
    assert_eq!(shown("jackfield_event_time_lag_seconds"), -1.5);
    assert_eq!(shown("jackfield_missing_records_total"), 2.0);
    assert_eq!(shown("jackfield_component_memory_bytes"), 1024.0);
    assert_eq!(shown("jackfield_component_cpu_seconds_total"), 1.5);
    assert_eq!(shown("jackfield_host_calls_total"), 7.0);
    assert_eq!(shown("jackfield_denials_total"), 1.0);
    assert_eq!(shown("jackfield_component_held_back_seconds_total"), 0.25);
    assert_eq!(shown("jackfield_committed_rows_total"), 100.0);
    assert!(shown("jackfield_last_commit_timestamp_seconds") > 1.6e9);
    assert_eq!(shown("jackfield_commit_duration_seconds_sum"), 2.0);
    assert_eq!(shown("jackfield_uncommitted_rows"), 8.0);
    assert_eq!(shown("jackfield_failed_targets"), 2.0);
    assert_eq!(shown("jackfield_topic_records_total"), 10.0);
    assert_eq!(shown("jackfield_topic_lag_records"), 5.0);
    for (outcome, count) in [("kept", 0.0), ("rolled-back", 1.0), ("refused", 0.0)] {
        let with = format!("outcome=\"{outcome}\"");
        let swaps = value(&page, "jackfield_swaps_total", &[&with]);
        assert_eq!(swaps, Some(count), "{outcome}");
    }
    let free = value(&page, "jackfield_log_disk_free_bytes", &[]);
    assert_eq!(free, Some((1u64 << 34) as f64));
    let refused = &["outcome=\"refused\""];
    let reloads = value(&page, "jackfield_config_reloads_total", refused);
    assert_eq!(reloads, Some(0.0), "there from the start");
    assert_eq!(shown("jackfield_settle_duration_seconds_sum"), 0.009);
    let poll = &["call=\"poll\""];
    assert_eq!(
        value(&page, "jackfield_call_duration_seconds_count", poll),
        Some(1.0)
    );
    assert_eq!(
        value(
            &page,
            "jackfield_call_duration_seconds_bucket",
            &["call=\"poll\"", "le=\"0.001\""]
        ),
        Some(0.0)
    );
    assert_eq!(
        value(
            &page,
            "jackfield_call_duration_seconds_bucket",
            &["call=\"poll\"", "le=\"0.003\""]
        ),
        Some(1.0)
    );
    assert_eq!(
        value(&page, "jackfield_errors_total", &["consequence=\"retry\""]),
        Some(1.0)
    );
    assert_eq!(
        value(&page, "jackfield_errors_total", &["consequence=\"fail\""]),
        Some(0.0)
    );
    assert_eq!(
        value(&page, "jackfield_connector_state", &["state=\"running\""]),
        Some(1.0)
    );
    assert_eq!(
        value(&page, "jackfield_connector_state", &["state=\"failed\""]),
        Some(0.0)
    );
    assert_eq!(
        value(&page, "jackfield_build_info", &["version="]),
        Some(1.0)
    );
    assert!(value(&page, "jackfield_uptime_seconds", &[]).unwrap() > 0.0);
}

#[test]
fn every_metric_of_the_catalogue_is_shown_as_it_says() {
    let telemetry = Telemetry::new().unwrap();
    record_all(&telemetry);
    let page = telemetry.render().unwrap();
    for entry in Catalogue::ENTRIES {
        assert!(
            page.contains(&format!("# HELP {} {}\n", entry.name, entry.help)),
            "{}",
            entry.name
        );
        assert!(
            page.contains(&format!("# TYPE {} {}\n", entry.name, entry.kind)),
            "{}",
            entry.name
        );
        let sample = if entry.kind == MetricKind::Histogram {
            format!("{}_sum", entry.name)
        } else {
            entry.name.into()
        };
        let line = page
            .lines()
            .find(|line| line.split(['{', ' ']).next() == Some(&sample))
            .unwrap();
        for label in entry.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line}");
        }
        assert_eq!(line.matches("=\"").count(), entry.labels.len(), "{line}");
    }
    let types = page
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .count();
    assert_eq!(
        types,
        Catalogue::ENTRIES.len(),
        "there is a metric outside the catalogue"
    );
}

#[test]
fn handles_of_the_same_connector_share_its_series() {
    let telemetry = Telemetry::new().unwrap();
    let (one, other) = (
        telemetry.connector(&labels("c")),
        telemetry.connector(&labels("c")),
    );
    one.records(1);
    other.clone().records(2);
    assert_eq!(
        value(&telemetry.render().unwrap(), "jackfield_records_total", &[]),
        Some(3.0)
    );
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let telemetry = Telemetry::new().unwrap();
    record_all(&telemetry);
    let page = telemetry.render().unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: apt-get install -y --no-install-recommends prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn beyond_its_series_a_metric_overflows_and_its_sum_stays_right() {
    let connectors = 10_000;
    assert!(connectors > CONNECTORS_MAX);
    let telemetry = Telemetry::new().unwrap();
    for i in 0..connectors {
        let metrics = telemetry.connector(&labels(&format!("c{i}")));
        metrics.records(3);
        metrics.error(Consequence::Fail);
    }
    let page = telemetry.render().unwrap();
    assert_eq!(sum(&page, "jackfield_records_total"), 30_000.0);
    let overflow = value(
        &page,
        "jackfield_records_total",
        &["otel_metric_overflow=\"true\""],
    )
    .unwrap();
    assert_eq!(overflow, (connectors - CONNECTORS_MAX) as f64 * 3.0);
    assert_eq!(sum(&page, "jackfield_errors_total"), 10_000.0);
    let lines = page
        .lines()
        .filter(|line| line.starts_with("jackfield_records_total{"))
        .count();
    assert_eq!(lines, CONNECTORS_MAX + 1);
}

#[test]
fn ten_thousand_topics_overflow_and_their_sum_stays_right() {
    let topics = 10_000;
    assert!(topics > TOPICS_MAX);
    let telemetry = Telemetry::new().unwrap();
    let metrics = telemetry.connector(&labels("c"));
    for i in 0..topics {
        let topic = format!("t{i}");
        metrics.topic_records(&topic).add(3);
        metrics.topic_lag(&topic).set(1.0);
    }
    let page = telemetry.render().unwrap();
    assert_eq!(sum(&page, "jackfield_topic_records_total"), 30_000.0);
    let surplus = (topics - TOPICS_MAX) as f64 * 3.0;
    let overflow = &["otel_metric_overflow=\"true\""];
    let overflowed = value(&page, "jackfield_topic_records_total", overflow);
    assert_eq!(overflowed, Some(surplus));
    for metric in [
        "jackfield_topic_records_total",
        "jackfield_topic_lag_records",
    ] {
        let series = |line: &&str| line.starts_with(&format!("{metric}{{"));
        assert_eq!(
            page.lines().filter(series).count(),
            TOPICS_MAX + 1,
            "{metric}"
        );
    }
    // The other metrics of the connector are as they were.
    metrics.records(1);
    let page = telemetry.render().unwrap();
    let records = value(&page, "jackfield_records_total", &["connector=\"c\""]);
    assert_eq!(records, Some(1.0));
}

#[test]
fn nothing_is_shown_of_exemplars() {
    let telemetry = Telemetry::new().unwrap();
    record_all(&telemetry);
    let page = telemetry.render().unwrap();
    assert!(
        !page.contains("trace_id") && !page.contains(" # {"),
        "{page}"
    );
}
