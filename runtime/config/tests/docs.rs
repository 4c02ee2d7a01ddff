//! docs/SETTINGS.md is what the catalogue says. `UPDATE_DOCS=1` rewrites it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

#[test]
fn the_page_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SETTINGS.md");
    let page = jackfield_config::settings_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "UPDATE_DOCS=1 cargo test -p jackfield-config --test docs rewrites {}",
        file.display()
    );
}

#[test]
fn every_link_leads_to_a_heading() {
    let page = jackfield_config::settings_page();
    let anchors: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars()
                .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
                .collect()
        })
        .collect();
    let mut links = page
        .split("](#")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    assert!(links.clone().count() > 10);
    assert!(
        links.all(|link| anchors.iter().any(|anchor| anchor == link)),
        "{anchors:?}"
    );
}
