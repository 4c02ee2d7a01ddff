//! Another version that is being prepared, beside the slots of the running one: they are watched and
//! can end meanwhile, for a plan may take minutes.

use super::{Fleet, given};
use crate::failures::Failed;
use crate::source::plan;
use crate::source::slot::Shared;
use crate::spec::SourceSpec;
use crate::status::Status;
use crate::swap::{Refused, SwapOrder, Version, prepare};
use jackfield_plugin::SourceInstance;
use std::sync::Arc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What is made for a version before anything is touched.
pub(super) enum Made {
    /// An instance for each slot.
    Instances(Vec<SourceInstance>),
    /// Nothing: it splits the work in another way.
    OtherSlots,
}

/// A preparation. Dropping it ends it, and whoever ordered it is told that the connector has begun
/// again, or ended.
pub(super) struct Preparing {
    order: SwapOrder,
    /// One task.
    task: JoinSet<Result<Made, Refused>>,
}

/// What became of a preparation.
pub(super) struct Prepared {
    pub(super) order: SwapOrder,
    pub(super) made: Result<Made, Refused>,
}

/// The preparation's end; never, where nothing is being prepared. May be dropped while it waits.
pub(super) async fn prepared(preparing: &mut Option<Preparing>) -> Prepared {
    let joined = match preparing {
        Some(preparing) => preparing.task.join_next().await,
        None => std::future::pending().await,
    };
    match (preparing.take(), joined) {
        (Some(Preparing { order, .. }), Some(joined)) => Prepared {
            order,
            made: joined.unwrap_or_else(|panic| Err(panicked(&panic))),
        },
        // There is one task, which is waited for once.
        (None, _) | (_, None) => std::future::pending().await,
    }
}

fn panicked(panic: &JoinError) -> Refused {
    Refused::Fails(format!("its preparation panicked: {panic}"))
}

fn fails(failed: Failed) -> Refused {
    Refused::Fails(failed.to_string())
}

/// Everything that can be said against a version, its plan, and an instance of it for each slot.
async fn make(
    spec: Arc<SourceSpec>,
    status: Arc<Status>,
    slots: Vec<Arc<Shared>>,
    from: Arc<Version>,
    to: Arc<Version>,
) -> Result<Made, Refused> {
    prepare(given(&spec), &from, &to).await?;
    // It ends with its task, which nobody waits for.
    let never = CancellationToken::new();
    let planned = plan(&spec, &to, &status, &never).await.map_err(fails)?;
    let Some(planned) = planned else {
        return Err(Refused::NotRunning(spec.connector.clone()));
    };
    if !planned.iter().eq(slots.iter().map(|it| &it.slot)) {
        return Ok(Made::OtherSlots);
    }
    let mut instances = Vec::with_capacity(slots.len());
    for slot in &slots {
        let made = slot.instance(&to).await;
        instances.push(made.map_err(|e| fails(Failed::call("instantiate", e)))?);
    }
    Ok(Made::Instances(instances))
}

impl Fleet<'_, '_> {
    /// Begins to prepare another version.
    pub(super) fn prepare(&mut self, order: SwapOrder) {
        if order.reply.is_closed() {
            return;
        }
        if let Err(refused) = self.may_swap() {
            return self.answer(order.reply, Err(refused));
        }
        let slots = self.crews.iter().map(|crew| Arc::clone(&crew.shared));
        let mut task = JoinSet::new();
        let made = make(
            Arc::clone(self.spec),
            Arc::clone(self.status),
            slots.collect(),
            Arc::clone(&self.standing.version),
            Arc::clone(&order.to),
        );
        task.spawn(made.in_current_span());
        self.preparing = Some(Preparing { order, task });
    }

    /// Whether another version may be prepared, or may take over once it is.
    pub(super) fn may_swap(&self) -> Result<(), Refused> {
        if self.standing.trial.is_some() {
            return Err(Refused::Busy("on probation"));
        }
        if self.preparing.is_some() {
            return Err(Refused::Busy("being made"));
        }
        if self.stop_slots.is_cancelled() {
            return Err(Refused::NotRunning(self.spec.connector.clone()));
        }
        Ok(())
    }
}
