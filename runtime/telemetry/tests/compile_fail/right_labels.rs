//! The cases beside this one fail for their labels and nothing else.
use jackfield_telemetry::{Call, CallLabels, Catalogue, ConnectorLabels, Kind};

fn record(catalogue: &Catalogue) {
    let connector = ConnectorLabels { pipeline: "p".into(), connector: "c".into(), kind: Kind::Source };
    catalogue.records.of(&connector).add(1);
    catalogue.call_duration.of(&CallLabels { connector, call: Call::Poll }).record(std::time::Duration::ZERO);
}

fn main() {
    let _ = record;
}
