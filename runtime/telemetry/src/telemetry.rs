//! The metrics of a process, and what a scrape of them gives.

use crate::catalogue::Catalogue;
use crate::connector::ConnectorMetrics;
use crate::entry::MetricKind;
use crate::labels::{BuildLabels, ConnectorLabels, ProcessLabels, ReloadLabels, ReloadOutcome};
use crate::metric::GaugeHandle;
use crate::otlp::{Otlp, Pushing, Running};
use crate::traces::Traces;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, MeterProviderBuilder, SdkMeterProvider, Stream,
};
use prometheus::{Registry, TextEncoder};
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Metrics can't be set up. Nothing can run without knowing what it does.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be set up: {reason}")]
pub struct TelemetryError {
    reason: String,
}

impl TelemetryError {
    pub(crate) fn new(reason: &dyn fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
        }
    }
}

/// A log's share of its disk, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDisk {
    /// Taken by the log.
    pub used: u64,
    /// Free for anyone.
    pub free: u64,
    /// The disk's size.
    pub size: u64,
}

/// A scrape failed; recording goes on.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be rendered: {reason}")]
pub struct RenderError {
    reason: String,
}

/// The metrics of a process. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    catalogue: Arc<Catalogue>,
    registry: Registry,
    uptime: GaugeHandle,
    started: Instant,
    /// Keeps the readers alive.
    provider: SdkMeterProvider,
    traces: Option<Arc<Traces>>,
    /// The network of what pushes.
    _pushing: Option<Running>,
}

impl Telemetry {
    /// Metrics that are read by [`render`](Self::render) only.
    ///
    /// # Errors
    /// The exporter can't be set up.
    pub fn new() -> Result<Self, TelemetryError> {
        Self::with(|provider| provider)
    }

    /// Metrics that other exporters read too: `add` adds them.
    ///
    /// # Errors
    /// The exporter can't be set up.
    pub fn with(
        add: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) -> Result<Self, TelemetryError> {
        Self::build(add, None)
    }

    /// Metrics that are pushed too, and traces if these are asked for.
    ///
    /// # Errors
    /// The settings make no sense, or the system gives no thread.
    pub fn pushing(otlp: &Otlp) -> Result<Self, TelemetryError> {
        Self::build(|provider| provider, Some(Pushing::start(otlp)?))
    }

    fn build(
        add: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
        pushing: Option<Pushing>,
    ) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        // The catalogue's names are whole; scopes and resources would be labels that nobody asks for.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(|e| TelemetryError::new(&e))?;
        let provider = add(SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_view(limits));
        let (provider, traces, running, counting) = match pushing {
            None => (provider, None, None, None),
            Some(pushing) => {
                let (provider, traces, running, counting) = pushing.read(provider);
                (provider, traces, Some(running), Some(counting))
            }
        };
        let provider = provider.build();
        let catalogue = Arc::new(Catalogue::new(&provider.meter("jackfield")));
        if let Some(counting) = counting {
            counting.of(&catalogue);
        }
        let uptime = catalogue.uptime.of(&ProcessLabels);
        catalogue
            .build_info
            .of(&BuildLabels {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1.0);
        catalogue.start_time.of(&ProcessLabels).set(since_epoch());
        for outcome in ReloadOutcome::ALL {
            let labels = ReloadLabels { outcome: *outcome };
            catalogue.config_reloads.of(&labels).add(0);
        }
        let inner = Inner {
            catalogue,
            registry,
            uptime,
            started: Instant::now(),
            provider,
            traces: traces.map(Arc::new),
            _pushing: running,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Every metric.
    pub fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    /// A connector's metrics.
    pub fn connector(&self, labels: &ConnectorLabels) -> ConnectorMetrics {
        ConnectorMetrics::new(
            Arc::clone(&self.0.catalogue),
            labels.clone(),
            self.0.traces.clone(),
        )
    }

    /// What the log takes of its disk now.
    pub fn log_disk(&self, disk: LogDisk) {
        let catalogue = &self.0.catalogue;
        let shown = [
            (&catalogue.log_bytes, disk.used),
            (&catalogue.log_disk_free, disk.free),
            (&catalogue.log_disk_size, disk.size),
        ];
        for (gauge, bytes) in shown {
            gauge.of(&ProcessLabels).set(bytes as f64);
        }
    }

    /// The configuration file changed.
    pub fn config_reloaded(&self, outcome: ReloadOutcome) {
        let labels = ReloadLabels { outcome };
        self.0.catalogue.config_reloads.of(&labels).add(1);
    }

    /// Pushes what was recorded last, if anything is pushed at all, and stops pushing; whether
    /// that was done in time. Blocks no longer than `patience`.
    pub fn close(&self, patience: Duration) -> bool {
        let (closed, done) = mpsc::channel();
        let (provider, traces) = (self.0.provider.clone(), self.0.traces.clone());
        let started = std::thread::Builder::new()
            .name("telemetry-close".to_owned())
            .spawn(move || {
                let spans = traces.is_none_or(|traces| traces.close(patience));
                let pushed = provider.shutdown().is_ok();
                // Whoever waited may have given up.
                let _late = closed.send(spans && pushed);
            });
        started.is_ok() && done.recv_timeout(patience).unwrap_or(false)
    }

    /// What Prometheus asks for at `/metrics`, in its text format (version 0.0.4).
    ///
    /// # Errors
    /// The exporter failed; what was recorded is kept.
    pub fn render(&self) -> Result<String, RenderError> {
        self.0.uptime.set(self.0.started.elapsed().as_secs_f64());
        let families = self.0.registry.gather();
        // The build's series is always there, so that none at all is a failure.
        if families.is_empty() {
            return Err(RenderError {
                reason: "the exporter gave nothing".to_owned(),
            });
        }
        TextEncoder::new()
            .encode_to_string(&families)
            .map_err(|e| RenderError {
                reason: e.to_string(),
            })
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

/// A view that gives each metric its number of series and its buckets.
fn limits(instrument: &Instrument) -> Option<Stream> {
    let entry = Catalogue::ENTRIES
        .iter()
        .find(|entry| entry.name == instrument.name())?;
    let mut stream = Stream::builder().with_cardinality_limit(entry.series_max);
    if entry.kind == MetricKind::Histogram {
        let boundaries = entry.buckets.to_vec();
        stream = stream.with_aggregation(Aggregation::ExplicitBucketHistogram {
            boundaries,
            record_min_max: false,
        });
    }
    Some(
        stream
            .build()
            .expect("the catalogue's limits and buckets are in order"),
    )
}

pub(crate) fn since_epoch() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}
