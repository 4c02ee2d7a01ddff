//! Every metric there is.

use crate::entry::{Entry, Unit};
use crate::labels::{
    BuildLabels, CallLabels, ConnectorLabels, ErrorLabels, Labels, ProcessLabels, StateLabels,
};
use crate::metric::{Counter, Gauge, Histogram, Level, Metric, Seconds};
use opentelemetry::metrics::Meter;

/// Makes of each line a field of [`Catalogue`], typed by its labels, and an [`Entry`].
macro_rules! catalogue {
    ($($field:ident: $Metric:ident<$Labels:ident> = $name:literal, $unit:ident, $help:literal;)+) => {
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
                buckets: <$Metric<$Labels> as Metric>::BUCKETS,
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

    records: Counter<ConnectorLabels> = "jackfield_records_total", Count,
        "Records that a source has had appended to the log, or that a sink has taken from it.";
    record_bytes: Counter<ConnectorLabels> = "jackfield_record_bytes_total", Bytes,
        "Bytes of the batches that these records came in.";
    batches: Counter<ConnectorLabels> = "jackfield_batches_total", Count,
        "Batches that these records came in.";
    call_duration: Histogram<CallLabels> = "jackfield_call_duration_seconds", Seconds,
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
    append_duration: Histogram<ConnectorLabels> = "jackfield_append_duration_seconds", Seconds,
        "How long the log took to make an append durable.";
    settle_duration: Histogram<ConnectorLabels> = "jackfield_settle_duration_seconds", Seconds,
        "How long the oldest event of each append had waited, from its arrival until it was durable.";
    appends_in_flight: Gauge<ConnectorLabels> = "jackfield_appends_in_flight", Count,
        "Appends that the log has not acknowledged yet.";

    commit_duration: Histogram<ConnectorLabels> = "jackfield_commit_duration_seconds", Seconds,
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
