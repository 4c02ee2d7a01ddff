//! "Incorrect label names": one too many.
use jackfield_telemetry::{Catalogue, ConnectorLabels, Kind};

fn record(catalogue: &Catalogue) {
    let labels = ConnectorLabels { pipeline: "p".into(), connector: "c".into(), kind: Kind::Source, symbol: "BTCUSDT" };
    catalogue.records.of(&labels).add(1);
}

fn main() {
    let _ = record;
}
