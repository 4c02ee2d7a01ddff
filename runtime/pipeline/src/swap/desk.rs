//! Where swaps of one connector are ordered, and what became of them.

mod absent;

use super::{Outcome, Refused, SwapReport, Version, VersionName};
use crate::clock::now_ms;
use crate::shadow::{Shadows, WatchOrder};
use crate::status::{State, Status};
use jackfield_telemetry::SwapOutcome;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Orders that may wait: a second one is told that the first is being made.
const ORDERS_MAX: usize = 4;
/// Reports that are kept.
const HISTORY_MAX: usize = 32;
/// Versions that were taken back and are remembered; the oldest is forgotten first.
const BAD_MAX: usize = 64;
/// Longest wait for a connector to answer an order: longer than the parts of a swap may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How a swap is to be made.
#[derive(Debug, Clone)]
pub struct SwapOptions {
    /// How long the old version stays ready to take over again.
    pub probation: Duration,
    /// Only prepare, and say what would happen.
    pub dry_run: bool,
    /// Who asks, for the report.
    pub by: String,
}

/// What is asked of whoever runs the connector.
pub(crate) enum Order {
    /// Another version is to run.
    Swap(SwapOrder),
    /// Someone is to listen.
    Watch(WatchOrder),
}

/// A swap to make.
pub(crate) struct SwapOrder {
    pub(crate) to: Arc<Version>,
    pub(crate) options: SwapOptions,
    pub(crate) claim: Claim,
    pub(crate) reply: oneshot::Sender<Result<SwapReport, Refused>>,
}

/// Settles which comes first: that whoever gave an order waits no longer, or that the change is
/// made. What was told to be refused never happens afterwards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim(Arc<OnceLock<Claimed>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    GivenUp,
    Begun,
}

impl Claim {
    /// From here on the change is made.
    ///
    /// # Errors
    /// Nobody waits for it any more.
    pub(crate) fn begin(&self) -> Result<(), Refused> {
        match self.0.get_or_init(|| Claimed::Begun) {
            Claimed::Begun => Ok(()),
            Claimed::GivenUp => Err(Refused::NotAtRest {
                within: ANSWER_WITHIN,
                reason: "nobody waits for it any more".to_owned(),
            }),
        }
    }

    /// Nobody waits any more; false: the change is being made.
    fn give_up(&self) -> bool {
        *self.0.get_or_init(|| Claimed::GivenUp) == Claimed::GivenUp
    }
}

#[derive(Default)]
struct Kept {
    current: Option<Arc<Version>>,
    history: VecDeque<SwapReport>,
    swaps: u64,
    /// By digest and settings: why.
    bad: VecDeque<((String, String), String)>,
    /// Another worker has the connector.
    waits: bool,
}

/// One connector's desk: it outlives the connector's lives.
pub(crate) struct Desk {
    connector: String,
    status: Arc<Status>,
    sender: mpsc::Sender<Order>,
    /// Taken by whoever runs the connector now.
    pub(crate) orders: tokio::sync::Mutex<mpsc::Receiver<Order>>,
    kept: Mutex<Kept>,
    /// What became of its shadows.
    pub(crate) shadows: Shadows,
}

impl Desk {
    pub(crate) fn new(status: &Arc<Status>) -> Arc<Self> {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        Arc::new(Self {
            connector: status.connector().to_owned(),
            status: Arc::clone(status),
            sender,
            orders: tokio::sync::Mutex::new(orders),
            kept: Mutex::default(),
            shadows: Shadows::default(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below leaves the lists consistent, also in a panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that runs, or that the connector begins with when it is to run again; none before
    /// it has begun for the first time, where the file's is meant.
    pub(crate) fn current(&self) -> Option<Arc<Version>> {
        self.kept().current.clone()
    }

    /// Whether there is anybody to give an order to. Who waits for another worker turns it away.
    pub(crate) fn at_work(&self) -> Result<(), Refused> {
        match self.status.report().state {
            State::Failed { .. } | State::Stopped | State::Paused => {
                Err(Refused::NotRunning(self.connector.clone()))
            }
            State::Unassigned | State::Running | State::Restarting { .. } => Ok(()),
        }
    }

    /// Gives an order to whoever runs the connector, and waits for the answer: to the end, once what
    /// `claim` stands for has begun.
    pub(crate) async fn order<T>(
        &self,
        order: Order,
        claim: &Claim,
        mut answer: oneshot::Receiver<Result<T, Refused>>,
    ) -> Result<T, Refused> {
        self.sender.try_send(order).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => Refused::Busy("being made"),
            mpsc::error::TrySendError::Closed(_) => Refused::NotRunning(self.connector.clone()),
        })?;
        let answered = match tokio::time::timeout(ANSWER_WITHIN, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if claim.give_up() => {
                return Err(Refused::NotAtRest {
                    within: ANSWER_WITHIN,
                    reason: "it is busy starting, restarting or preparing".to_owned(),
                });
            }
            Err(_) => answer.await,
        };
        // Else the life that had the order has ended.
        answered.unwrap_or_else(|_| {
            Err(Refused::NotAtRest {
                within: Duration::ZERO,
                reason: "it has begun again meanwhile, or ended".to_owned(),
            })
        })
    }

    /// What runs from now on.
    pub(crate) fn runs(&self, version: &Arc<Version>) {
        self.kept().current = Some(Arc::clone(version));
    }

    /// Why this version was taken back, if it was.
    pub(crate) fn known_bad(&self, version: &Version) -> Option<String> {
        let (digest, settings) = version.fingerprint();
        let kept = self.kept();
        let known = kept
            .bad
            .iter()
            .find(|((d, s), _)| d == digest && s == settings);
        known.map(|(_, why)| why.clone())
    }

    /// A swap as it would be, or as it was cut over.
    pub(crate) fn report(
        &self,
        from: &Version,
        to: &Version,
        by: &str,
        outcome: Outcome,
    ) -> SwapReport {
        SwapReport {
            number: self.kept().swaps + 1,
            connector: self.connector.clone(),
            from: from.name(),
            to: to.name(),
            by: by.to_owned(),
            at_ms: now_ms(),
            pause_us: None,
            in_flight: 0,
            outcome,
        }
    }

    /// The swap was cut over.
    pub(crate) fn cut_over(&self, report: &SwapReport, to: &Arc<Version>) {
        tracing::info!(
            connector = %report.connector, from = %report.from, to = %report.to, by = %report.by,
            pause_us = report.pause_us, in_flight = report.in_flight, "swapped: on probation"
        );
        if let Some(pause_us) = report.pause_us {
            let pause = Duration::from_micros(pause_us);
            self.status.metrics().swap_pause(pause);
        }
        let mut kept = self.kept();
        kept.swaps = report.number;
        kept.current = Some(Arc::clone(to));
        if kept.history.len() == HISTORY_MAX {
            kept.history.pop_front();
        }
        kept.history.push_back(report.clone());
    }

    /// The new version stays.
    pub(crate) fn keep(&self, number: u64) {
        tracing::info!(connector = %self.connector, swap = number, "the new version stays");
        self.status.metrics().swap(SwapOutcome::Kept);
        self.close(number, Outcome::Kept);
    }

    /// The old version runs again; the new one is remembered.
    pub(crate) fn roll_back(&self, number: u64, from: &Arc<Version>, to: &Version, reason: &str) {
        tracing::error!(connector = %self.connector, swap = number, back_to = %from.name(), %reason, "swap rolled back");
        self.status.metrics().swap(SwapOutcome::RolledBack);
        let outcome = Outcome::RolledBack {
            reason: reason.to_owned(),
        };
        self.close(number, outcome);
        let (digest, settings) = to.fingerprint();
        let mut kept = self.kept();
        kept.current = Some(Arc::clone(from));
        if kept.bad.len() == BAD_MAX {
            kept.bad.pop_front();
        }
        kept.bad
            .push_back(((digest.to_owned(), settings.to_owned()), reason.to_owned()));
    }

    fn close(&self, number: u64, outcome: Outcome) {
        let mut kept = self.kept();
        if let Some(report) = kept.history.iter_mut().find(|it| it.number == number) {
            report.outcome = outcome;
        }
    }
}

/// Finds a connector's desk by its name.
type Find = dyn Fn(&str) -> Option<Arc<Desk>> + Send + Sync;

/// Orders swaps of the connectors of a process. Cheap to clone.
#[derive(Clone)]
pub struct Controls {
    find: Arc<Find>,
}

impl Controls {
    pub(crate) fn new(find: impl Fn(&str) -> Option<Arc<Desk>> + Send + Sync + 'static) -> Self {
        Self {
            find: Arc::new(find),
        }
    }

    pub(crate) fn desk(&self, connector: &str) -> Result<Arc<Desk>, Refused> {
        (self.find)(connector).ok_or_else(|| Refused::Unknown(connector.to_owned()))
    }

    /// Changes a connector. Returns when the new version runs on probation, or, where it is a dry
    /// run, when all is checked.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn swap(
        &self,
        connector: &str,
        to: Version,
        options: SwapOptions,
    ) -> Result<SwapReport, Refused> {
        let dry_run = options.dry_run;
        let answer = self.order(connector, to, options).await;
        if answer.is_err() && !dry_run {
            self.refused(connector);
        }
        answer
    }

    /// Counts a swap that was refused before it came here.
    pub fn refused(&self, connector: &str) {
        if let Ok(desk) = self.desk(connector) {
            desk.status.metrics().swap(SwapOutcome::Refused);
        }
    }

    async fn order(
        &self,
        connector: &str,
        to: Version,
        options: SwapOptions,
    ) -> Result<SwapReport, Refused> {
        let desk = self.desk(connector)?;
        if let Some(why) = desk.known_bad(&to) {
            return Err(Refused::KnownBad(why));
        }
        desk.at_work()?;
        let (reply, answer) = oneshot::channel();
        let claim = Claim::default();
        let order = Order::Swap(SwapOrder {
            to: Arc::new(to),
            options,
            claim: claim.clone(),
            reply,
        });
        desk.order(order, &claim, answer).await
    }

    /// Has a connector that does not run here, since it rests, has FAILED, or another worker has it,
    /// begin with this version when it is to run: as after a restart of the process, there is nothing
    /// to swap and no probation.
    ///
    /// # Errors
    /// It begins with that already, this version was taken back before, or the connector runs here.
    pub fn begins_with(&self, connector: &str, version: Version) -> Result<(), Refused> {
        self.desk(connector)?.begins_with(version)
    }

    /// The swaps of a connector since the process started, the oldest first; the last few only.
    ///
    /// # Errors
    /// There is no such connector.
    pub fn history(&self, connector: &str) -> Result<Vec<SwapReport>, Refused> {
        Ok(self
            .desk(connector)?
            .kept()
            .history
            .iter()
            .cloned()
            .collect())
    }

    /// The last swap of a connector since the process started.
    ///
    /// # Errors
    /// There is no such connector.
    pub fn last(&self, connector: &str) -> Result<Option<SwapReport>, Refused> {
        Ok(self.desk(connector)?.kept().history.back().cloned())
    }

    /// The version of a connector that runs, once it has begun.
    ///
    /// # Errors
    /// There is no such connector.
    pub fn version(&self, connector: &str) -> Result<Option<Arc<Version>>, Refused> {
        Ok(self.desk(connector)?.current())
    }

    /// What people call that version.
    ///
    /// # Errors
    /// There is no such connector.
    pub fn running(&self, connector: &str) -> Result<Option<VersionName>, Refused> {
        Ok(self.version(connector)?.map(|it| it.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_never_begins_and_what_has_begun_is_not_given_up() {
        let claim = Claim::default();
        assert!(claim.clone().give_up());
        assert!(claim.begin().is_err());
        let claim = Claim::default();
        assert!(claim.clone().begin().is_ok() && claim.begin().is_ok());
        assert!(!claim.give_up());
    }
}
