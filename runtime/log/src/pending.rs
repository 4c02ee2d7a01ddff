//! The outcome of an append, once it is known.

use crate::{Appended, LogError};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Resolves when an append is durable, or can't be.
///
/// May be dropped: the append goes on.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Appended, LogError>>);

/// The other end of a [`Pending`], held by the log.
///
/// One that is dropped without an answer resolves to [`LogError::Unknown`].
#[derive(Debug)]
pub struct Resolver(oneshot::Sender<Result<Appended, LogError>>);

impl Pending {
    /// Both ends of one outcome.
    pub fn channel() -> (Resolver, Pending) {
        let (sender, receiver) = oneshot::channel();
        (Resolver(sender), Pending(receiver))
    }
}

impl Resolver {
    /// Says how the append ended.
    pub fn resolve(self, outcome: Result<Appended, LogError>) {
        // Nobody waits for an outcome whose `Pending` was dropped.
        self.0.send(outcome).ok();
    }
}

impl Future for Pending {
    type Output = Result<Appended, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| match answer {
                Ok(outcome) => outcome,
                Err(_) => Err(LogError::Unknown(
                    "the log stopped before it said how the append ended".into(),
                )),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_resolved_outcome_is_given_as_it_is() {
        let (resolver, pending) = Pending::channel();
        resolver.resolve(Ok(Appended {
            first_offsets: vec![7],
        }));
        assert_eq!(
            pending.await,
            Ok(Appended {
                first_offsets: vec![7]
            })
        );
    }

    #[tokio::test]
    async fn an_outcome_never_given_is_unknown() {
        let (resolver, pending) = Pending::channel();
        drop(resolver);
        assert!(matches!(pending.await, Err(LogError::Unknown(_))));
    }
}
