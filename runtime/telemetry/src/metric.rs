//! Metrics, each with its label struct, and the handles that recording goes through.

use crate::entry::{Entry, MetricKind};
use crate::labels::Labels;
use opentelemetry::metrics::{self as otel, Meter};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// What the catalogue needs of each type of metric.
pub(crate) trait Metric {
    type Labels: Labels;
    const KIND: MetricKind;

    fn build(meter: &Meter, entry: &Entry) -> Self;
}

macro_rules! metric {
    (
        $(#[$doc:meta])* $Metric:ident: $Otel:ident<$number:ty> = $build:ident, $kind:ident;
        $(#[$handle_doc:meta])* $Handle:ident: $Bound:ident
    ) => {
        $(#[$doc])*
        pub struct $Metric<L> {
            instrument: otel::$Otel<$number>,
            labels: PhantomData<fn(&L)>,
        }

        impl<L: Labels> $Metric<L> {
            /// The series with these labels.
            pub fn of(&self, labels: &L) -> $Handle {
                $Handle(self.instrument.bind(&labels.pairs()))
            }
        }

        impl<L: Labels> Metric for $Metric<L> {
            type Labels = L;
            const KIND: MetricKind = MetricKind::$kind;

            fn build(meter: &Meter, entry: &Entry) -> Self {
                let builder = meter.$build(entry.name).with_unit(entry.unit.ucum()).with_description(entry.help);
                Self { instrument: builder.build(), labels: PhantomData }
            }
        }

        impl<L> fmt::Debug for $Metric<L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($Metric))
            }
        }

        $(#[$handle_doc])*
        #[derive(Debug, Clone)]
        pub struct $Handle(otel::$Bound<$number>);
    };
}

metric! {
    /// Counts things.
    Counter: Counter<u64> = u64_counter, Counter;
    /// A series of a [`Counter`].
    CounterHandle: BoundCounter
}

metric! {
    /// Adds up time.
    Seconds: Counter<f64> = f64_counter, Counter;
    /// A series of a [`Seconds`].
    SecondsHandle: BoundCounter
}

metric! {
    /// Shows a figure that someone else keeps.
    Gauge: Gauge<f64> = f64_gauge, Gauge;
    /// A series of a [`Gauge`].
    GaugeHandle: BoundGauge
}

metric! {
    /// Shows how much there is, where several add to it and take from it.
    Level: UpDownCounter<i64> = i64_up_down_counter, Gauge;
    /// A series of a [`Level`].
    LevelHandle: BoundUpDownCounter
}

metric! {
    /// Counts durations by length.
    Histogram: Histogram<f64> = f64_histogram, Histogram;
    /// A series of a [`Histogram`].
    HistogramHandle: BoundHistogram
}

impl CounterHandle {
    /// Counts `n` more.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.add(n);
    }
}

impl SecondsHandle {
    /// Adds a duration.
    #[inline]
    pub fn add(&self, time: Duration) {
        self.0.add(time.as_secs_f64());
    }
}

impl GaugeHandle {
    /// Shows `value` from now on.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.record(value);
    }
}

impl LevelHandle {
    /// There is so much more, or less.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.add(n);
    }
}

impl HistogramHandle {
    /// Counts a duration.
    #[inline]
    pub fn record(&self, time: Duration) {
        self.0.record(time.as_secs_f64());
    }
}
