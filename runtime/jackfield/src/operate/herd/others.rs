//! States that other workers tell of their connectors, when this one has none to tell.

use crate::failing::Failing;
use jackfield_admin::Objection;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

/// How long a look at what other workers say may take: whoever asks for a state waits no longer for
/// a log that is away.
const OTHERS_WITHIN: Duration = Duration::from_secs(2);

/// A state, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) state: String,
    pub(super) trace: Option<String>,
    pub(super) worker: String,
}

/// What was found in the topic of states; none: nobody told anything.
pub(super) type Looked = Result<Option<Said>, Objection>;

/// Whether the topic of states could be read when it was last looked at.
#[derive(Default)]
pub(super) struct Others(Mutex<Failing>);

impl Others {
    /// For those who are shown a state: what can't be looked up now is not known here.
    pub(super) async fn shown(&self, own: Said, looked: impl Future<Output = Looked>) -> Said {
        let (other, tried) = match tokio::time::timeout(OTHERS_WITHIN, looked).await {
            Ok(Ok(other)) => (other, Ok(())),
            Ok(Err(objection)) => (None, Err(objection.message)),
            Err(_elapsed) => (None, Err("the log does not answer".to_owned())),
        };
        let failed = super::lock(&self.0).first(tried);
        if let Some(why) = failed {
            tracing::warn!(why, "states that other workers tell are not known for now");
        }
        of_both(own, other)
    }
}

/// For those who decide by a state, and so must know it.
pub(super) async fn certain(
    own: Said,
    looked: impl Future<Output = Looked>,
) -> Result<Said, Objection> {
    Ok(of_both(own, looked.await?))
}

/// What this worker told before is no news to it.
fn of_both(own: Said, other: Option<Said>) -> Said {
    other.filter(|it| it.worker != own.worker).unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::Instant;

    fn said(state: &str, worker: &str) -> Said {
        Said {
            state: state.to_owned(),
            trace: None,
            worker: worker.to_owned(),
        }
    }

    fn own() -> Said {
        said("UNASSIGNED", "here")
    }

    fn away() -> Looked {
        Err(Objection {
            status: 500,
            code: "log",
            message: "the broker is away".to_owned(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_shown_a_state_waits_for_no_log() {
        let others = Others::default();
        let begun = Instant::now();
        assert_eq!(others.shown(own(), pending()).await, own());
        let waited = begun.elapsed();
        assert!(waited >= OTHERS_WITHIN && waited < OTHERS_WITHIN * 2);
        assert_eq!(others.shown(own(), ready(away())).await, own());
    }

    #[tokio::test]
    async fn who_decides_by_a_state_hears_that_it_is_not_known() {
        let told = certain(own(), ready(away())).await;
        assert_eq!(told, away().map(|_| own()));
    }

    #[tokio::test]
    async fn another_worker_s_word_counts_and_this_one_s_of_before_does_not() {
        let others = Others::default();
        let stopped = said("STOPPED", "there");
        let told = [
            (None, own()),
            (Some(said("RUNNING", "here")), own()),
            (Some(stopped.clone()), stopped),
        ];
        for (other, expected) in told {
            let looked = || ready(Ok(other.clone()));
            assert_eq!(others.shown(own(), looked()).await, expected);
            assert_eq!(certain(own(), looked()).await, Ok(expected));
        }
    }
}
