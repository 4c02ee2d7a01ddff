//! What Jackfield measures of itself, and how it logs.
//!
//! # Metrics
//!
//! One [`Catalogue`] holds every metric there is: each is one entry with its name, unit, help and a
//! label *struct*. To record, a metric is bound once to such a struct ([`Counter::of`] and the
//! like), so that a wrong set of labels does not compile; from then on recording is an atomic
//! operation or two (for a histogram a lock that is held for a few loads and stores): it can't fail,
//! takes no lock that a scrape holds on to, and allocates nothing. A connector's metrics are bound
//! together in a [`ConnectorMetrics`].
//!
//! Label values come from names in the configuration and from closed enums. Should there be more
//! of them than a metric has series for ([`CONNECTORS_MAX`]), the surplus is recorded under
//! `otel_metric_overflow="true"`: sums stay right, memory stays bounded.
//!
//! # Pushing, and traces
//!
//! Told to ([`Otlp`]), it pushes metrics by OTLP, and traces of single records on their way from
//! `poll` to `commit` ([`Step`]). A receiver that is down, slow or mad costs a counter
//! (`jackfield_telemetry_exports_total`) and a log line.
//!
//! # Logs
//!
//! [`logging`] writes lines from a thread of its own: a terminal or pipe that takes no more drops
//! lines and counts them, and holds nothing up.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod catalogue;
mod connector;
mod entry;
mod labels;
pub mod logging;
mod markdown;
mod metric;
mod otlp;
mod telemetry;
mod traces;

pub use catalogue::Catalogue;
pub use connector::{ConnectorMetrics, Used};
pub use entry::{Entry, MetricKind, Unit};
pub use labels::{
    BuildLabels, CONNECTORS_MAX, Call, CallLabels, ConnectorLabels, ErrorLabels, ExportLabels,
    ExportOutcome, Kind, Labels, ProcessLabels, ReloadLabels, ReloadOutcome, Signal, State,
    StateLabels, SwapLabels, SwapOutcome, TOPICS_MAX, TopicLabels,
};
pub use markdown::catalogue_markdown;
pub use metric::{
    Counter, CounterHandle, Gauge, GaugeHandle, Histogram, HistogramHandle, Level, LevelHandle,
    Seconds, SecondsHandle,
};
pub use otlp::{Otlp, Protocol};
pub use telemetry::{LogDisk, RenderError, Telemetry, TelemetryError};
pub use traces::{Part, SPANS_PER_STEP_MAX, Step};

#[doc(no_inline)]
pub use jackfield_core::Consequence;
