//! Beginning a shadow, and keeping what it found.

use super::compare::Compared;
use super::report::{CallsCompared, Figures, ShadowEnd, ShadowReport, ShadowState, SinkCompared};
use super::scratch::Scratch;
use super::sink;
use super::source::{self, SourceFound};
use super::watch::{WatchOrder, Watched};
use crate::clock::now_ms;
use crate::swap::{Claim, Controls, Desk, Order, Refused, Version, VersionName, suits};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How a shadow is to be run.
#[derive(Debug, Clone)]
pub struct ShadowOptions {
    /// For how long.
    pub span: Duration,
    /// Who asks, for the report.
    pub by: String,
    /// For what a sink's shadow writes, until it is thrown away.
    pub scratch: PathBuf,
}

/// The place of a connector's one shadow; free again when this is dropped.
struct Place {
    desk: Arc<Desk>,
    number: u64,
}

impl Place {
    fn take(desk: &Arc<Desk>) -> Result<Self, Refused> {
        let number = desk.shadows.take_place();
        Ok(Self {
            desk: Arc::clone(desk),
            number: number.ok_or(Refused::Busy("run as a shadow"))?,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.desk.shadows.give_place_back();
    }
}

impl Controls {
    /// Runs a version beside the one that runs, on a copy of its input, and throws it away.
    /// Returns when it has begun; see [`Controls::shadows`] for what becomes of it.
    ///
    /// # Errors
    /// Nothing was begun.
    pub async fn shadow(
        &self,
        connector: &str,
        to: Version,
        options: ShadowOptions,
    ) -> Result<ShadowReport, Refused> {
        let desk = self.desk(connector)?;
        let place = Place::take(&desk)?;
        let watched = listen(&desk, true).await?;
        let (given, running) = match &watched {
            Watched::Source(watch) => (watch.given, &watch.version),
            Watched::Sink(watch) => (watch.given, &watch.version),
        };
        suits(given, running, &to).await?;
        let report = begun(connector, place.number, running.name(), to.name(), &options);
        tracing::info!(%connector, to = %report.to, span_ms = report.asked_ms, by = %report.by, "a shadow begins");
        desk.shadows.put(report.clone());
        let shadow = run(watched, Arc::new(to), options, report.clone());
        // It ends by itself: when its time is over, or the running version ends.
        tokio::spawn(keep(place, shadow, report.clone()));
        Ok(report)
    }

    /// The shadows of a connector since the process started, the oldest first; the last few only.
    ///
    /// # Errors
    /// There is no such connector.
    pub fn shadows(&self, connector: &str) -> Result<Vec<ShadowReport>, Refused> {
        Ok(self.desk(connector)?.shadows.history())
    }
}

/// Asks whoever runs the connector to let us listen.
pub(super) async fn listen(desk: &Desk, outputs: bool) -> Result<Watched, Refused> {
    desk.at_work()?;
    let (reply, answer) = oneshot::channel();
    let order = Order::Watch(WatchOrder { outputs, reply });
    desk.order(order, &Claim::default(), answer).await
}

fn begun(
    connector: &str,
    number: u64,
    from: VersionName,
    to: VersionName,
    options: &ShadowOptions,
) -> ShadowReport {
    ShadowReport {
        number,
        connector: connector.to_owned(),
        from,
        to,
        by: options.by.clone(),
        at_ms: now_ms(),
        asked_ms: ms(options.span),
        lasted_ms: 0,
        state: ShadowState::Shadowing,
        differs: false,
        given: 0,
        cpu_ms: 0,
        running: Figures::default(),
        new: Figures::default(),
        records: Compared::default(),
        calls: CallsCompared::default(),
        sink: SinkCompared::default(),
    }
}

/// Keeps what the shadow found, and gives its place back. One that panics has ended too.
async fn keep(
    place: Place,
    shadow: impl Future<Output = (ShadowEnd, ShadowReport)> + Send + 'static,
    begun: ShadowReport,
) {
    let began = Instant::now();
    let joined = tokio::spawn(shadow).await;
    let (end, mut report) = joined.unwrap_or_else(|panic| {
        let reason = format!("panicked: {panic}");
        (ShadowEnd::Failed { reason }, begun)
    });
    report.lasted_ms = ms(began.elapsed());
    tracing::info!(
        connector = %report.connector, to = %report.to, differs = report.differs,
        given = report.given, ?end, "a shadow has ended"
    );
    report.state = ShadowState::Ended(end);
    place.desk.shadows.put(report);
}

async fn run(
    watched: Watched,
    to: Arc<Version>,
    options: ShadowOptions,
    mut report: ShadowReport,
) -> (ShadowEnd, ShadowReport) {
    let until = Instant::now() + options.span;
    let end = match watched {
        Watched::Source(watch) => {
            let (end, found) = source::run(*watch, to, until).await;
            took(&mut report, found);
            end
        }
        Watched::Sink(watch) => match Scratch::below(&options.scratch).await {
            Ok(scratch) => {
                let (end, found) = sink::run(*watch, &to, until, scratch.path()).await;
                report.differs = found.differs();
                report.given = found.given;
                report.cpu_ms = ms(found.cpu);
                report.running = found.running;
                report.new = found.new;
                report.sink = found.sink;
                end
            }
            Err(error) => ShadowEnd::Failed {
                reason: format!(
                    "no scratch folder below {}: {error}",
                    options.scratch.display()
                ),
            },
        },
    };
    (end, report)
}

fn took(report: &mut ShadowReport, found: SourceFound) {
    report.differs = found.records.differs();
    report.given = found.given;
    report.cpu_ms = ms(found.cpu);
    report.running = found.running;
    report.new = found.new;
    report.records = found.records;
    report.calls = found.calls;
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use jackfield_telemetry::{ConnectorLabels, Kind, Telemetry};
    use serde_json::json;

    fn report(number: u64) -> ShadowReport {
        let version = || VersionName {
            plugin: "p".into(),
            version: "1".into(),
            sha256: "00".into(),
        };
        let options = ShadowOptions {
            span: Duration::from_secs(5),
            by: "a test".into(),
            scratch: PathBuf::new(),
        };
        begun("c", number, version(), version(), &options)
    }

    fn desk() -> Arc<Desk> {
        let labels = ConnectorLabels {
            pipeline: "p".into(),
            connector: "c".into(),
            kind: Kind::Source,
        };
        let metrics = Telemetry::new().unwrap().connector(&labels);
        Desk::new(&Status::new("p", "c", true, metrics))
    }

    async fn panics() -> (ShadowEnd, ShadowReport) {
        panic!("at the first batch")
    }

    #[tokio::test]
    async fn a_shadow_that_panics_has_ended_and_says_so() {
        let desk = desk();
        let place = Place::take(&desk).unwrap();
        let report = report(place.number);
        desk.shadows.put(report.clone());
        keep(place, panics(), report).await;
        let history = desk.shadows.history();
        let [kept] = &history[..] else {
            panic!("there was one shadow");
        };
        let ShadowState::Ended(ShadowEnd::Failed { reason }) = &kept.state else {
            panic!("{:?}", kept.state);
        };
        assert!(reason.starts_with("panicked: "), "{reason}");
        assert!(reason.contains("at the first batch"), "{reason}");
        assert!(Place::take(&desk).is_ok(), "there is room for the next one");
    }

    #[test]
    fn a_report_says_in_one_object_how_it_stands() {
        let mut report = report(1);
        let shown = serde_json::to_value(&report).unwrap();
        assert_eq!(shown["state"], "shadowing");
        assert_eq!(shown["asked-ms"], 5000);
        assert!(!report.has_ended());
        report.state = ShadowState::Ended(ShadowEnd::Over);
        let shown = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&shown["state"], &shown["end"]),
            (&json!("ended"), &json!("over"))
        );
        report.state = ShadowState::Ended(ShadowEnd::Failed {
            reason: "why".into(),
        });
        let shown = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&shown["end"], &shown["reason"]),
            (&json!("failed"), &json!("why"))
        );
        assert!(report.has_ended());
    }
}
