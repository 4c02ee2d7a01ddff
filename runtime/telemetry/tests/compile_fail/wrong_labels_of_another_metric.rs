//! "Incorrect label names": the labels of another metric.
use jackfield_telemetry::{Call, CallLabels, Catalogue, ConnectorLabels, Kind};

fn record(catalogue: &Catalogue) {
    let connector = ConnectorLabels { pipeline: "p".into(), connector: "c".into(), kind: Kind::Source };
    catalogue.records.of(&CallLabels { connector, call: Call::Poll }).add(1);
}

fn main() {
    let _ = record;
}
