//! What a scrape, a reader or an exporter does never reaches those who record.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::least_asleep;
use jackfield_telemetry::{Call, ConnectorLabels, ConnectorMetrics, Kind, Telemetry};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROUNDS: u64 = 200_000;

fn connector(telemetry: &Telemetry) -> ConnectorMetrics {
    let labels = ConnectorLabels {
        pipeline: "p".into(),
        connector: "c".into(),
        kind: Kind::Source,
    };
    telemetry.connector(&labels)
}

fn record(metrics: &ConnectorMetrics, rounds: u64) {
    for _ in 0..rounds {
        metrics.records(1);
        metrics.call(Call::Poll, Duration::from_micros(10));
    }
}

fn shows(telemetry: &Telemetry, line: &str) -> bool {
    telemetry.render().unwrap().contains(line)
}

#[test]
fn a_scrape_storm_loses_nothing_and_holds_nobody_up() {
    let telemetry = Telemetry::new().unwrap();
    let metrics = connector(&telemetry);
    let stop = Arc::new(AtomicBool::new(false));
    let scrapes = Arc::new(AtomicU64::new(0));
    let scrapers: Vec<_> = (0..8)
        .map(|_| {
            let (telemetry, stop, scrapes) =
                (telemetry.clone(), Arc::clone(&stop), Arc::clone(&scrapes));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert!(
                        telemetry
                            .render()
                            .unwrap()
                            .contains("jackfield_records_total")
                    );
                    scrapes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (asleep, wall, tries) = least_asleep(|| {
        record(&metrics, ROUNDS);
        while scrapes.load(Ordering::Relaxed) < 100 {
            record(&metrics, 1);
            metrics.batches(1);
        }
    });
    stop.store(true, Ordering::Relaxed);
    scrapers
        .into_iter()
        .for_each(|scraper| scraper.join().unwrap());
    let rounds = tries * ROUNDS + extra_rounds(&telemetry);
    assert!(
        shows(
            &telemetry,
            &format!("kind=\"source\",pipeline=\"p\"}} {rounds}\n")
        ),
        "{}",
        telemetry.render().unwrap()
    );
    // A histogram's series is locked for a few loads and stores a scrape.
    assert!(asleep < wall / 4, "recording slept {asleep:?} of {wall:?}");
}

fn extra_rounds(telemetry: &Telemetry) -> u64 {
    let page = telemetry.render().unwrap();
    let line = page
        .lines()
        .find(|line| line.starts_with("jackfield_batches_total{"))
        .unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Fails, panics or hangs, each time it is to export.
#[derive(Debug)]
struct Broken {
    how: How,
    exports: mpsc::SyncSender<()>,
    release: Arc<Mutex<()>>,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Fails,
    Panics,
    Hangs,
}

impl PushMetricExporter for Broken {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        let _nobody_waits_any_more = self.exports.try_send(());
        match self.how {
            How::Fails => Err(OTelSdkError::InternalFailure("broken on purpose".into())),
            How::Panics => panic!("broken on purpose"),
            How::Hangs => {
                drop(self.release.lock());
                Ok(())
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("broken on purpose".into()))
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

#[test]
fn a_broken_exporter_changes_nothing() {
    for how in [How::Fails, How::Panics, How::Hangs] {
        let (exports, exported) = mpsc::sync_channel(1);
        let release = Arc::new(Mutex::new(()));
        let held = release.lock().unwrap();
        let exporter = Broken {
            how,
            exports,
            release: Arc::clone(&release),
        };
        let reader = PeriodicReader::builder(exporter)
            .with_interval(Duration::from_millis(1))
            .build();
        let telemetry = Telemetry::with(|provider| provider.with_reader(reader)).unwrap();
        let metrics = connector(&telemetry);
        exported.recv_timeout(Duration::from_secs(30)).unwrap();
        let (asleep, wall, tries) = least_asleep(|| record(&metrics, ROUNDS));
        let rounds = tries * ROUNDS;
        assert!(
            shows(
                &telemetry,
                &format!("kind=\"source\",pipeline=\"p\"}} {rounds}\n")
            ),
            "{how:?}"
        );
        assert!(
            asleep < wall / 4,
            "{how:?}: recording slept {asleep:?} of {wall:?}"
        );
        drop(held);
    }
}
