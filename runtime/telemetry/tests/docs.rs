//! docs/METRICS.md is the catalogue.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_telemetry::catalogue_markdown;

#[test]
fn the_page_of_metrics_is_the_catalogue() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
    let made = catalogue_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page, &made).unwrap();
    }
    let kept = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        kept == made,
        "docs/METRICS.md is not the catalogue: UPDATE_DOCS=1 cargo test -p jackfield-telemetry"
    );
}
