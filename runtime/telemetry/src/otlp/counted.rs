//! Exporters whose outcomes are counted and, when they change, said.

use crate::catalogue::Catalogue;
use crate::labels::{ExportLabels, ExportOutcome, Signal};
use crate::metric::CounterHandle;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How pushes of one signal ended.
#[derive(Debug)]
pub(super) struct Counts {
    signal: Signal,
    arrived: OnceLock<CounterHandle>,
    failed: OnceLock<CounterHandle>,
    failing: AtomicBool,
}

impl Counts {
    pub(super) fn new(signal: Signal) -> Arc<Self> {
        Arc::new(Self {
            signal,
            arrived: OnceLock::new(),
            failed: OnceLock::new(),
            failing: AtomicBool::new(false),
        })
    }

    /// Counts there from now on.
    pub(super) fn bind(&self, catalogue: &Catalogue) {
        let of = |outcome| {
            let labels = ExportLabels {
                signal: self.signal,
                outcome,
            };
            let counter = catalogue.exports.of(&labels);
            counter.add(0);
            counter
        };
        self.arrived.get_or_init(|| of(ExportOutcome::Arrived));
        self.failed.get_or_init(|| of(ExportOutcome::Failed));
    }

    fn note(&self, outcome: &OTelSdkResult) {
        let counter = match outcome {
            Ok(()) => self.arrived.get(),
            Err(_) => self.failed.get(),
        };
        if let Some(counter) = counter {
            counter.add(1);
        }
        let signal = self.signal.name();
        match outcome {
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!(signal, "pushed by OTLP again");
            }
            Ok(()) => {}
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(signal, %error, "not pushed by OTLP; records go on as before");
            }
            Err(_) => {}
        }
    }
}

/// An exporter, and what became of its pushes.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    counts: Arc<Counts>,
}

impl<E> Counted<E> {
    pub(super) fn new(exporter: E, counts: &Arc<Counts>) -> Self {
        Self {
            exporter,
            counts: Arc::clone(counts),
        }
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let outcome = self.exporter.export(metrics).await;
        self.counts.note(&outcome);
        outcome
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        self.counts.note(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
