//! Every metric there is.

use crate::entry::{Entry, Unit};
use crate::labels::{
    BuildLabels, CallLabels, ConnectorLabels, ErrorLabels, ExportLabels, Labels, ProcessLabels,
    ReloadLabels, StateLabels, SwapLabels, TopicLabels,
};
use crate::metric::{Counter, Gauge, Histogram, Level, Metric, Seconds};
use opentelemetry::metrics::Meter;

/// Upper bounds of buckets, s. Calls take from microseconds to the longest deadline.
const CALLS: &[f64] = &[
    0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0,
    100.0,
];
/// An fsync takes a millisecond or a few, a cluster's answer tens, a delivery time-out 30 s.
const APPENDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// A commit uploads files and asks a catalog: on a disk some ten milliseconds, in a region far
/// away minutes.
const COMMITS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];
/// A source's pause is microseconds, a sink's as long as its `stage`.
const PAUSES: &[f64] = &[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// What follows the unit of a histogram, if anything does.
const fn buckets(given: &[&'static [f64]]) -> &'static [f64] {
    match given {
        [] => &[],
        [first, ..] => first,
    }
}

/// Makes of each line a field of [`Catalogue`], typed by its labels, and an [`Entry`].
macro_rules! catalogue {
    ($($field:ident: $Metric:ident<$Labels:ident> = $name:literal, $unit:ident $(in $buckets:ident)?, $help:literal;)+) => {
        /// Every metric, each to be bound to labels of its own type.
        #[derive(Debug)]
        pub struct Catalogue {
            $(#[doc = $help] pub $field: $Metric<$Labels>,)+
        }

        impl Catalogue {
            /// What is said of each metric, in the order of the fields.
            pub const ENTRIES: &'static [Entry] = &[$(Entry {
                name: $name,
                unit: Unit::$unit,
                help: $help,
                kind: <$Metric<$Labels> as Metric>::KIND,
                labels: <$Labels as Labels>::NAMES,
                series_max: <$Labels as Labels>::SERIES_MAX,
                buckets: buckets(&[$($buckets)?]),
            },)+];

            pub(crate) fn new(meter: &Meter) -> Self {
                let mut entries = Self::ENTRIES.iter();
                let mut entry = || entries.next().expect("each field has an entry");
                Self { $($field: Metric::build(meter, entry()),)+ }
            }
        }
    };
}

catalogue! {
    build_info: Gauge<BuildLabels> = "jackfield_build_info", Count,
        "Always 1; the version is in the label.";
    start_time: Gauge<ProcessLabels> = "jackfield_start_time_seconds", Seconds,
        "When the process started, since the epoch.";
    uptime: Gauge<ProcessLabels> = "jackfield_uptime_seconds", Seconds,
        "How long the process has been running.";
    log_bytes: Gauge<ProcessLabels> = "jackfield_log_bytes", Bytes,
        "Bytes that the embedded log takes on its disk; absent with a Kafka log.";
    log_disk_free: Gauge<ProcessLabels> = "jackfield_log_disk_free_bytes", Bytes,
        "Bytes that are free on the embedded log's disk; below its reserve the log takes no more.";
    log_disk_size: Gauge<ProcessLabels> = "jackfield_log_disk_size_bytes", Bytes,
        "Size of the embedded log's disk.";
    config_reloads: Counter<ReloadLabels> = "jackfield_config_reloads_total", Count,
        "Changes of the configuration file while it ran, by what became of them.";
    exports: Counter<ExportLabels> = "jackfield_telemetry_exports_total", Count,
        "Pushes of metrics or traces by OTLP, if asked for; one that failed is not made again.";

    records: Counter<ConnectorLabels> = "jackfield_records_total", Count,
        "Records that a source has had appended to the log, or that a sink has taken from it.";
    record_bytes: Counter<ConnectorLabels> = "jackfield_record_bytes_total", Bytes,
        "Bytes of the batches that these records came in.";
    batches: Counter<ConnectorLabels> = "jackfield_batches_total", Count,
        "Batches that these records came in.";
    topic_records: Counter<TopicLabels> = "jackfield_topic_records_total", Count,
        "Records that a source has written to a topic, or that a sink has taken from it.";
    call_duration: Histogram<CallLabels> = "jackfield_call_duration_seconds", Seconds in CALLS,
        "How long calls into the component took, waits inside them included.";

    errors: Counter<ErrorLabels> = "jackfield_errors_total", Count,
        "Failures, by what they led to; unknown and fail deserve a look.";
    retries: Counter<ConnectorLabels> = "jackfield_retries_total", Count,
        "Calls and appends that were made again with the same arguments.";
    restarts: Counter<ConnectorLabels> = "jackfield_restarts_total", Count,
        "New instances after a failure.";
    rejected_records: Counter<ConnectorLabels> = "jackfield_rejected_records_total", Count,
        "Records, or events, that the component refused as bad.";
    dead_letters: Counter<ConnectorLabels> = "jackfield_dead_letters_total", Count,
        "Records written to a dead-letter topic.";
    state: Gauge<StateLabels> = "jackfield_connector_state", Count,
        "1 for the state that the connector is in, 0 for the others.";

    lag_records: Gauge<ConnectorLabels> = "jackfield_lag_records", Count,
        "Records in the log that the sink has not taken yet.";
    topic_lag_records: Gauge<TopicLabels> = "jackfield_topic_lag_records", Count,
        "The same by topic; topics beyond the limit of series are not shown.";
    event_time_lag: Gauge<ConnectorLabels> = "jackfield_event_time_lag_seconds", Seconds,
        "How old the newest record was when it was taken, by its event time; negative when the origin's clock is ahead.";
    duplicate_records: Counter<ConnectorLabels> = "jackfield_duplicate_records_total", Count,
        "Records dropped because they had been seen before.";
    missing_records: Counter<ConnectorLabels> = "jackfield_missing_records_total", Count,
        "Records known to be missing at the origin, not to be had any more.";
    recovered_records: Counter<ConnectorLabels> = "jackfield_recovered_records_total", Count,
        "Records fetched a second way after a loss.";

    inbox_events: Gauge<ConnectorLabels> = "jackfield_inbox_events", Count,
        "Events of a source's inbox that are not settled in the log yet.";
    inbox_bytes: Gauge<ConnectorLabels> = "jackfield_inbox_bytes", Bytes,
        "Bytes of these events; at its limit the inbox stops reading its connections.";
    behind_records: Gauge<ConnectorLabels> = "jackfield_behind_records", Count,
        "Records that a source knows to be at its origin and has not fetched yet.";
    append_duration: Histogram<ConnectorLabels> = "jackfield_append_duration_seconds", Seconds in APPENDS,
        "How long the log took to make an append durable.";
    settle_duration: Histogram<ConnectorLabels> = "jackfield_settle_duration_seconds", Seconds in APPENDS,
        "How long the oldest event of each append had waited, from its arrival until it was durable.";
    appends_in_flight: Gauge<ConnectorLabels> = "jackfield_appends_in_flight", Count,
        "Appends that the log has not acknowledged yet.";

    commit_duration: Histogram<ConnectorLabels> = "jackfield_commit_duration_seconds", Seconds in COMMITS,
        "How long commits of a sink's target took, from staging to visible.";
    committed_rows: Counter<ConnectorLabels> = "jackfield_committed_rows_total", Count,
        "Rows that commits made visible.";
    committed_files: Counter<ConnectorLabels> = "jackfield_committed_files_total", Count,
        "Files that commits made visible.";
    committed_bytes: Counter<ConnectorLabels> = "jackfield_committed_bytes_total", Bytes,
        "Bytes of these files.";
    last_commit: Gauge<ConnectorLabels> = "jackfield_last_commit_timestamp_seconds", Seconds,
        "When the last commit succeeded, since the epoch; absent before the first.";

    failed_targets: Gauge<ConnectorLabels> = "jackfield_failed_targets", Count,
        "Targets of a sink that get no more commits until it begins again, while the others go on.";
    uncommitted_rows: Gauge<ConnectorLabels> = "jackfield_uncommitted_rows", Count,
        "Rows that the sink has taken and that no commit has made visible yet.";

    swaps: Counter<SwapLabels> = "jackfield_swaps_total", Count,
        "Changes of a connector's version, by how they ended; one on probation is not counted yet.";
    swap_pause: Histogram<ConnectorLabels> = "jackfield_swap_pause_seconds", Seconds in PAUSES,
        "For how long a connector took nothing while its version was changed.";

    component_memory: Level<ConnectorLabels> = "jackfield_component_memory_bytes", Bytes,
        "Linear memory of the connector's instances.";
    component_cpu: Seconds<ConnectorLabels> = "jackfield_component_cpu_seconds_total", Seconds,
        "CPU time inside calls into the component.";
    component_deaths: Counter<ConnectorLabels> = "jackfield_component_deaths_total", Count,
        "Instances that died in a call: a trap, a deadline, a limit.";
    host_calls: Counter<ConnectorLabels> = "jackfield_host_calls_total", Count,
        "Calls from the component to the host.";
    denials: Counter<ConnectorLabels> = "jackfield_denials_total", Count,
        "Host calls that reached for what is not granted.";
    dropped_log_lines: Counter<ConnectorLabels> = "jackfield_dropped_log_lines_total", Count,
        "Log lines of the component over its rate limit.";
    held_back: Seconds<ConnectorLabels> = "jackfield_component_held_back_seconds_total", Seconds,
        "Time that the component was held back for, since it called the host more often than it may.";
    websocket_connections: Counter<ConnectorLabels> = "jackfield_websocket_connections_total", Count,
        "WebSocket connections opened.";
    websocket_reconnects: Counter<ConnectorLabels> = "jackfield_websocket_reconnects_total", Count,
        "WebSocket connections opened again under a name that had been open before.";
    websocket_frames: Counter<ConnectorLabels> = "jackfield_websocket_frames_total", Count,
        "WebSocket frames received.";
    websocket_bytes: Counter<ConnectorLabels> = "jackfield_websocket_received_bytes_total", Bytes,
        "Bytes of these frames.";
    http_requests: Counter<ConnectorLabels> = "jackfield_http_requests_total", Count,
        "HTTP requests sent for the component.";
    http_failures: Counter<ConnectorLabels> = "jackfield_http_request_failures_total", Count,
        "HTTP requests that brought no response.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::MetricKind;

    #[test]
    fn names_end_as_their_kind_and_unit_ask() {
        for entry in Catalogue::ENTRIES {
            let name = entry.name;
            assert!(name.starts_with("jackfield_"), "{name}");
            assert_eq!(
                name.ends_with("_total"),
                entry.kind == MetricKind::Counter,
                "{name}"
            );
            let unit = match entry.unit {
                Unit::Count => continue,
                Unit::Bytes => "_bytes",
                Unit::Seconds => "_seconds",
            };
            assert!(name.trim_end_matches("_total").ends_with(unit), "{name}");
        }
    }

    #[test]
    fn histograms_and_only_they_have_buckets_in_order() {
        for entry in Catalogue::ENTRIES {
            let histogram = entry.kind == MetricKind::Histogram;
            assert_eq!(histogram, !entry.buckets.is_empty(), "{}", entry.name);
            assert!(entry.buckets.is_sorted(), "{}", entry.name);
        }
    }

    #[test]
    fn names_are_unique_and_helps_are_sentences() {
        let names: std::collections::BTreeSet<_> =
            Catalogue::ENTRIES.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), Catalogue::ENTRIES.len());
        for entry in Catalogue::ENTRIES {
            assert!(
                entry.help.ends_with('.') && entry.help.len() > 15,
                "{}: {}",
                entry.name,
                entry.help
            );
            assert!(
                !entry.help.contains('|'),
                "{}: breaks the table of the docs",
                entry.name
            );
        }
    }
}
