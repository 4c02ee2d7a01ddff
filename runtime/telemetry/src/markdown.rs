//! The catalogue as a page.

use crate::catalogue::Catalogue;
use std::fmt::Write;

const HEAD: &str = "# Metrics

Generated from the catalogue in `runtime/telemetry`; `UPDATE_DOCS=1 cargo test -p jackfield-telemetry` writes it anew.

Served at `/metrics` in Prometheus' text format, and pushed by OTLP where asked for ([TELEMETRY.md](TELEMETRY.md)). Label values come from names in the configuration and from closed
lists. A metric that runs out of series records the surplus under `otel_metric_overflow=\"true\"`.

| metric | kind | unit | labels | series at most | what it shows |
|---|---|---|---|---|---|
";

/// The page `docs/METRICS.md`.
pub fn catalogue_markdown() -> String {
    let mut page = HEAD.to_owned();
    for entry in Catalogue::ENTRIES {
        let labels = if entry.labels.is_empty() {
            "–".to_owned()
        } else {
            entry.labels.join(", ")
        };
        writeln!(
            page,
            "| `{}` | {} | {} | {labels} | {} | {} |",
            entry.name, entry.kind, entry.unit, entry.series_max, entry.help
        )
        .expect("a String takes any text");
    }
    page.push_str("\n## Buckets\n\nUpper bounds, seconds.\n\n| histogram | buckets |\n|---|---|\n");
    for entry in Catalogue::ENTRIES
        .iter()
        .filter(|it| !it.buckets.is_empty())
    {
        let bounds: Vec<String> = entry.buckets.iter().map(ToString::to_string).collect();
        writeln!(page, "| `{}` | {} |", entry.name, bounds.join(", "))
            .expect("a String takes any text");
    }
    page
}
