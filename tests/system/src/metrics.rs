//! Figures of a metrics page.

/// The sum of a metric's series of a connector.
pub fn metric(page: &str, name: &str, connector: &str) -> f64 {
    let label = format!("connector=\"{connector}\"");
    let series = page
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(&label));
    series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
