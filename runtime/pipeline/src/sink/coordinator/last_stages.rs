//! How long, and how often, what was put before a stop is tried to be staged.

use std::time::Duration;
use tokio::time::Instant;

/// How long it is tried. With the catching up before it (5 s at most) this is less than the 30 s that
/// a stop may take unless someone says otherwise: a sink that can't stage says so itself. A stop with
/// less time is forced before that. A stage that leaves a rest gets on, and is gone on with beyond it:
/// that ends with what a task has, with the calls it may take, or with the stop's own time.
const LAST_STAGE_MAX: Duration = Duration::from_secs(20);
/// How often it is tried however long that takes: one stage may be slower than all of that time, and
/// leave a rest that the next one stages.
const LAST_STAGES_MIN: u32 = 3;

/// The tries of a last interval.
pub(super) struct LastStages {
    until: Instant,
    tries: u32,
}

impl LastStages {
    /// The first try begins.
    pub(super) fn begin() -> Self {
        Self {
            until: Instant::now() + LAST_STAGE_MAX,
            tries: 0,
        }
    }

    /// Whether to try once more, after a try that did not stage all: of which only a rest is left, or
    /// which could not stage.
    pub(super) fn once_more(&mut self, more_left: bool) -> bool {
        self.tries = self.tries.saturating_add(1);
        more_left || self.tries < LAST_STAGES_MIN || Instant::now() < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_stage_is_followed_by_others() {
        let mut stages = LastStages::begin();
        tokio::time::advance(LAST_STAGE_MAX * 2).await;
        for _ in 1..LAST_STAGES_MIN {
            assert!(stages.once_more(false));
        }
        assert!(!stages.once_more(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_staged_however_long_the_parts_before_it_took() {
        let mut stages = LastStages::begin();
        for _ in 0..10 * LAST_STAGES_MIN {
            tokio::time::advance(LAST_STAGE_MAX).await;
            assert!(stages.once_more(true));
        }
        assert!(!stages.once_more(false));
    }

    #[tokio::test(start_paused = true)]
    async fn quick_ones_are_tried_until_time_is_over() {
        let mut stages = LastStages::begin();
        for _ in 0..10 * LAST_STAGES_MIN {
            assert!(stages.once_more(false));
        }
        tokio::time::advance(LAST_STAGE_MAX).await;
        assert!(!stages.once_more(false));
    }
}
