//! "Incorrect label names": one is missing.
use jackfield_telemetry::{Catalogue, ConnectorLabels};

fn record(catalogue: &Catalogue) {
    catalogue.records.of(&ConnectorLabels { pipeline: "p".into(), connector: "c".into() }).add(1);
}

fn main() {
    let _ = record;
}
