//! How all slots change to another version: at rest together, and handed over together.

use super::preparing::{Made, Prepared};
use super::{Fleet, REST_WITHIN, Trial};
use crate::source::turn::{Command, Go, Rested, Successor};
use crate::swap::{
    Claim, Outcome, Probation, Refused, SwapOptions, SwapOrder, SwapReport, Version,
};
use jackfield_plugin::SourceInstance;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl Fleet<'_, '_> {
    /// Changes to the version that was prepared, or says why not.
    pub(super) async fn change(&mut self, prepared: Prepared) {
        let Prepared { order, made } = prepared;
        let SwapOrder {
            to,
            options,
            claim,
            reply,
        } = order;
        let answer = match made {
            Ok(made) => self.swap(to, options, &claim, made).await,
            Err(refused) => Err(refused),
        };
        self.answer(reply, answer);
    }

    async fn swap(
        &mut self,
        to: Arc<Version>,
        options: SwapOptions,
        claim: &Claim,
        made: Made,
    ) -> Result<SwapReport, Refused> {
        self.may_swap()?;
        let from = Arc::clone(&self.standing.version);
        let desk = self.standing.desk;
        if options.dry_run {
            return Ok(desk.report(&from, &to, &options.by, Outcome::Prepared));
        }
        claim.begin()?;
        let (rested, goes) = self.bring_to_rest().await?;
        let mut report = desk.report(&from, &to, &options.by, Outcome::OnProbation);
        report.in_flight = rested.iter().map(|it| it.in_flight).sum();
        let (replanned, pause) = match made {
            Made::OtherSlots => {
                // One that dies on its way out must find that all end, and not begin another life.
                self.ends.replan();
                self.stop_slots.cancel();
                for go in goes.into_iter().flatten() {
                    // A slot that ended meanwhile is at its end already.
                    let _ended = go.send(Go::End);
                }
                // Nobody knows yet when the new slots take something.
                (true, None)
            }
            Made::Instances(instances) => {
                let pause = self.hand_over(&to, instances, goes).await?;
                (false, Some(pause))
            }
        };
        report.pause_us = pause.map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX));
        let now = self.host.clock.now();
        let work = self.status.work();
        let probation = Probation::begin(now, options.probation, work, &self.standing.pace);
        desk.cut_over(&report, &to);
        self.standing.version = Arc::clone(&to);
        self.standing.trial = Some(Trial {
            number: report.number,
            from,
            to,
            probation,
            replanned,
        });
        Ok(report)
    }

    /// Brings all slots to rest; they go on as they were when this fails. Beside what was taken:
    /// what each slot goes on with, none for one that has come to its end.
    async fn bring_to_rest(
        &self,
    ) -> Result<(Vec<Rested>, Vec<Option<oneshot::Sender<Go>>>), Refused> {
        let mut goes = Vec::with_capacity(self.crews.len());
        let mut resting = Vec::with_capacity(self.crews.len());
        for crew in &self.crews {
            if crew.has_ended() {
                goes.push(None);
                continue;
            }
            let (rested, at_rest) = oneshot::channel();
            let (go, gone) = oneshot::channel();
            let command = Command::Rest { rested, go: gone };
            crew.commands
                .try_send(command)
                .map_err(|_| Refused::NotAtRest {
                    within: Duration::ZERO,
                    reason: "a slot has ended, or still has to obey earlier commands".to_owned(),
                })?;
            goes.push(Some(go));
            resting.push(at_rest);
        }
        let all = async {
            let mut rested = Vec::with_capacity(resting.len());
            for at_rest in resting {
                rested.push(at_rest.await.ok()?);
            }
            Some(rested)
        };
        let not_at_rest = |reason: &str| Refused::NotAtRest {
            within: REST_WITHIN,
            reason: reason.to_owned(),
        };
        tokio::select! {
            () = self.stop.cancelled() => Err(Refused::NotRunning(self.spec.connector.clone())),
            all = tokio::time::timeout(REST_WITHIN, all) => match all {
                Ok(Some(rested)) => Ok((rested, goes)),
                Ok(None) => Err(not_at_rest("a slot failed meanwhile")),
                Err(_) => Err(not_at_rest("what it took does not become durable: is the log up?")),
            },
        }
    }

    /// Lets the new instances go on. Gives the longest pause of a slot.
    async fn hand_over(
        &self,
        to: &Arc<Version>,
        instances: Vec<SourceInstance>,
        goes: Vec<Option<oneshot::Sender<Go>>>,
    ) -> Result<Duration, Refused> {
        let mut outcomes = Vec::with_capacity(goes.len());
        for (go, instance) in goes.into_iter().zip(instances) {
            let Some(go) = go else { continue };
            let (done, outcome) = oneshot::channel();
            let successor = Successor {
                version: Arc::clone(to),
                instance,
                done,
            };
            // A slot that ended meanwhile drops it, which is told below.
            let _ended = go.send(Go::Swap(Box::new(successor)));
            outcomes.push(outcome);
        }
        let mut longest = Duration::ZERO;
        let mut failure = None;
        for outcome in outcomes {
            match outcome.await {
                Ok(Ok(pause)) => longest = longest.max(pause),
                Ok(Err(failed)) => failure = Some(failed.to_string()),
                Err(_) => failure = Some("a slot ended meanwhile".to_owned()),
            }
        }
        let Some(failure) = failure else {
            return Ok(longest);
        };
        for crew in &self.crews {
            let back = Command::FallBack(failure.clone());
            // A slot that ended has nothing to go back from.
            let _ended = crew.commands.send(back).await;
        }
        Err(Refused::Fails(failure))
    }
}
