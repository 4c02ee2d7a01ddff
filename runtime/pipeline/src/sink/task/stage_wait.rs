//! How long a task waits before it stages again. A component that leaves a rest and asks for no wait
//! gets on: that is no failure, however long each call takes, but it must come to an end.

use super::unstaged::asks_for_no_wait;
use crate::failures::Failed;
use crate::retries::Retries;
use std::time::Duration;

/// Stages that must have failed in a row before a task gives up. Each is asked for with an interval,
/// and that may be longer than the connector's patience.
pub(super) const STAGES_FAILED_MIN: u32 = 3;

/// Calls that leave a rest, one after another, before they count as failures: far more than a
/// component with full memory needs, and an end for one that gets nowhere.
const MORE_LEFT_MAX: u32 = 100;

/// Pause before the rest is staged: not so short that a component which does little in each call
/// spins, and has the tasks beside it stage with it all the time.
pub(super) const MORE_LEFT_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait after a stage that did not stage all. `None`: for [`MORE_LEFT_PAUSE`] only, since
/// more is left.
///
/// # Errors
/// As for [`Retries::wait`].
pub(super) fn stage_wait(
    retries: &mut Retries,
    more_left: &mut u32,
    failed: &Failed,
) -> Result<Option<Duration>, Failed> {
    if asks_for_no_wait(failed) && *more_left < MORE_LEFT_MAX {
        *more_left += 1;
        // A component that stages in parts answers: what failed before that is over.
        retries.progressed();
        return Ok(None);
    }
    retries.wait(failed).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use jackfield_core::{Consequence, Patience};

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_secs(300),
    };
    /// Of one call: five of them are longer than patience.
    const CALL: Duration = Duration::from_secs(72);

    fn retries() -> Retries {
        Retries::new(PATIENCE, Clock::start()).after_failures(STAGES_FAILED_MIN)
    }

    /// What a component answers that asks for no wait.
    fn more() -> Failed {
        Failed::new("stage", Consequence::Retry, "more is left")
    }

    #[tokio::test(start_paused = true)]
    async fn slow_calls_that_each_stage_a_part_are_not_given_up() {
        let (mut retries, mut more_left) = (retries(), 0);
        for _ in 0..10 {
            let wait = stage_wait(&mut retries, &mut more_left, &more());
            assert_eq!(wait.unwrap(), None);
            tokio::time::advance(CALL).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_without_an_end_is_given_up_with_patience() {
        let (mut retries, mut more_left) = (retries(), 0);
        for _ in 0..MORE_LEFT_MAX {
            let wait = stage_wait(&mut retries, &mut more_left, &more());
            assert_eq!(wait.unwrap(), None);
        }
        for _ in 1..STAGES_FAILED_MIN {
            let wait = stage_wait(&mut retries, &mut more_left, &more());
            assert!(wait.unwrap().is_some());
            tokio::time::advance(PATIENCE.deadline).await;
        }
        let given_up = stage_wait(&mut retries, &mut more_left, &more()).unwrap_err();
        assert_eq!(given_up.consequence, Consequence::Fail);
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_that_asks_for_a_wait_has_the_patience_of_any_failure() {
        let (mut retries, mut more_left) = (retries(), 0);
        let asked = Duration::from_secs(60);
        let away = Failed {
            not_before: asked,
            ..more()
        };
        for _ in 1..STAGES_FAILED_MIN {
            let wait = stage_wait(&mut retries, &mut more_left, &away);
            assert!(wait.unwrap() >= Some(asked));
            tokio::time::advance(PATIENCE.deadline).await;
        }
        assert!(stage_wait(&mut retries, &mut more_left, &away).is_err());
        assert_eq!(more_left, 0);
    }
}
