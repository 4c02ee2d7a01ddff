//! What is said of a metric.

use std::fmt;

/// One line of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The whole name, as Prometheus shows it.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it means.
    pub help: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Most series; what comes beyond is recorded as overflow.
    pub series_max: usize,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// A base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things counted.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Unit {
    /// As the Unified Code for Units of Measure writes it, which OpenTelemetry wants.
    pub(crate) fn ucum(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Bytes => "By",
            Self::Seconds => "s",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "–",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        })
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}
