//! One live line a connector on a terminal, a log line now and then elsewhere.

use crate::show::thousands;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jackfield_pipeline::{Clock, Pipelines, Report, State};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the live lines change: quick enough for the eye, nothing for the processor.
const LIVE_EVERY: Duration = Duration::from_millis(250);
/// How often progress is logged where nobody looks at a terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// A rate is taken over so many looks, so that it does not flicker.
const RATE_LOOKS: u32 = 4;

/// Shows progress until `stop`.
pub(crate) async fn show(
    pipelines: Pipelines,
    clock: Clock,
    live: Option<MultiProgress>,
    stop: CancellationToken,
) {
    match live {
        Some(lines) => show_lines(&pipelines, clock, &lines, &stop).await,
        None => log_lines(&pipelines, clock, &stop).await,
    }
}

async fn show_lines(
    pipelines: &Pipelines,
    clock: Clock,
    lines: &MultiProgress,
    stop: &CancellationToken,
) {
    let style = ProgressStyle::with_template("{spinner} {prefix:<24} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let mut bars: BTreeMap<String, ProgressBar> = BTreeMap::new();
    let mut rates = Rates::default();
    let mut tick = tokio::time::interval(LIVE_EVERY);
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            _ = tick.tick() => false,
        };
        let reports: Vec<Report> = pipelines.statuses().iter().map(|it| it.report()).collect();
        bars.retain(|name, bar| {
            let stays = reports.iter().any(|report| report.connector == *name);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
        for report in &reports {
            let bar = bars.entry(report.connector.clone()).or_insert_with(|| {
                let bar = lines.add(ProgressBar::new_spinner());
                bar.set_style(style.clone());
                bar.set_prefix(report.connector.clone());
                bar
            });
            let rate = rates.of(report, clock.now());
            bar.set_message(line(report, rate, clock.now()));
            bar.tick();
        }
        if stopped {
            bars.values().for_each(ProgressBar::abandon);
            return;
        }
    }
}

async fn log_lines(pipelines: &Pipelines, clock: Clock, stop: &CancellationToken) {
    let mut rates = Rates::default();
    let mut tick = tokio::time::interval(LOG_EVERY);
    tick.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        for status in pipelines.statuses() {
            let report = status.report();
            let rate = rates.of(&report, clock.now()) as u64;
            tracing::info!(
                connector = %report.connector, state = word(&report.state), records = report.records, rate,
                lag = report.lag, open = report.open, committed = report.committed, "progress"
            );
        }
    }
}

fn line(report: &Report, rate: f64, now: Duration) -> String {
    let records = thousands(report.records);
    let rate = thousands(rate as u64);
    let mut line = format!(
        "{:<10} {records:>14} records {rate:>10}/s",
        word(&report.state)
    );
    if !report.source {
        let last = match report.last_commit {
            Some(at) => format!("{}s ago", now.saturating_sub(at).as_secs()),
            None => "none yet".to_owned(),
        };
        line += &format!(
            "  lag {:>8}  committed {:>12}  last commit {last}",
            thousands(report.lag.max(0) as u64),
            thousands(report.committed)
        );
    }
    if let Some(trace) = report.state.trace() {
        line += "  ";
        line += trace.lines().next().unwrap_or_default();
    }
    line
}

pub(crate) fn word(state: &State) -> &'static str {
    match state {
        State::Unassigned => "UNASSIGNED",
        State::Running => "RUNNING",
        State::Restarting { .. } => "RESTARTING",
        State::Failed { .. } => "FAILED",
        State::Paused => "PAUSED",
        State::Stopped => "STOPPED",
    }
}

/// Records a second of each connector, smoothed.
#[derive(Debug, Default)]
struct Rates {
    last: BTreeMap<String, (u64, Duration, f64)>,
}

impl Rates {
    fn of(&mut self, report: &Report, now: Duration) -> f64 {
        let (records, at, smooth) =
            self.last
                .get(&report.connector)
                .copied()
                .unwrap_or((0, Duration::ZERO, 0.0));
        let seconds = now.saturating_sub(at).as_secs_f64().max(f64::EPSILON);
        let rate = report.records.saturating_sub(records) as f64 / seconds;
        let smooth = smooth + (rate - smooth) / f64::from(RATE_LOOKS);
        self.last
            .insert(report.connector.clone(), (report.records, now, smooth));
        smooth
    }
}
