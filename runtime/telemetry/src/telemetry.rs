//! The metrics of a process, and what a scrape of them gives.

use crate::catalogue::Catalogue;
use crate::connector::ConnectorMetrics;
use crate::entry::MetricKind;
use crate::labels::{BuildLabels, ConnectorLabels, ProcessLabels};
use crate::metric::GaugeHandle;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, MeterProviderBuilder, SdkMeterProvider, Stream,
};
use prometheus::{Registry, TextEncoder};
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Metrics can't be set up. Nothing can run without knowing what it does.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be set up: {reason}")]
pub struct TelemetryError {
    reason: String,
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
    _provider: SdkMeterProvider,
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
        let registry = Registry::new();
        // The catalogue's names are whole; scopes and resources would be labels that nobody asks for.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(|e| TelemetryError {
                reason: e.to_string(),
            })?;
        let provider = add(SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_view(limits))
        .build();
        let catalogue = Arc::new(Catalogue::new(&provider.meter("jackfield")));
        let uptime = catalogue.uptime.of(&ProcessLabels);
        catalogue
            .build_info
            .of(&BuildLabels {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1.0);
        catalogue.start_time.of(&ProcessLabels).set(since_epoch());
        let inner = Inner {
            catalogue,
            registry,
            uptime,
            started: Instant::now(),
            _provider: provider,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Every metric.
    pub fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    /// A connector's metrics.
    pub fn connector(&self, labels: &ConnectorLabels) -> ConnectorMetrics {
        ConnectorMetrics::new(Arc::clone(&self.0.catalogue), labels.clone())
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
