//! "Incorrect label names": a set made up elsewhere.
use jackfield_telemetry::{Catalogue, Labels};

struct Symbol(&'static str);

fn record(catalogue: &Catalogue) {
    catalogue.records.of(&Symbol("BTCUSDT")).add(1);
}

fn any_labels<L: Labels>(_: &L) {}

fn main() {
    let _ = record;
    any_labels(&Symbol("BTCUSDT"));
}
