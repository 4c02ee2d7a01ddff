//! A label's value outside its closed list.
use jackfield_telemetry::{Catalogue, ConnectorLabels, ErrorLabels, Kind};

fn record(catalogue: &Catalogue) {
    let connector = ConnectorLabels { pipeline: "p".into(), connector: "c".into(), kind: Kind::Sink };
    catalogue.errors.of(&ErrorLabels { connector, consequence: "timeout" }).add(1);
}

fn main() {
    let _ = record;
}
