//! Limits of the exchange over a sliding time.

use std::collections::VecDeque;
use std::time::Duration;

/// How much may be spent within any window of time.
#[derive(Debug)]
pub(crate) struct Budget {
    window: Duration,
    most: u32,
    spent: VecDeque<(Duration, u32)>,
    sum: u32,
}

impl Budget {
    /// At most `most` within any `window`.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self {
            window,
            most,
            spent: VecDeque::new(),
            sum: 0,
        }
    }

    /// Spends, if `amount` is within what is left of `share` percent of all; else says when to
    /// look again.
    pub(crate) fn spend(&mut self, now: Duration, amount: u32, share: u32) -> Result<(), Duration> {
        while let Some((at, freed)) = self.spent.front().copied() {
            if now < at + self.window {
                break;
            }
            self.sum -= freed;
            self.spent.pop_front();
        }
        // A share too small for even one spends it when nothing else is spent.
        let most =
            (u64::from(self.most) * u64::from(share) / 100).max(u64::from(amount.min(self.most)));
        if u64::from(self.sum) + u64::from(amount) > most {
            let oldest = self.spent.front().map_or(now, |(at, _)| *at);
            return Err(oldest + self.window);
        }
        self.sum += amount;
        self.spent.push_back((now, amount));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn no_window_holds_more_than_allowed() {
        let mut budget = Budget::new(100, S(60));
        for second in 0..4 {
            assert_eq!(budget.spend(S(second), 25, 100), Ok(()));
        }
        assert_eq!(budget.spend(S(10), 25, 100), Err(S(60)));
        assert_eq!(budget.spend(S(60), 25, 100), Ok(()));
        assert_eq!(budget.spend(S(60), 25, 100), Err(S(61)));
        assert_eq!(budget.spend(S(200), 100, 100), Ok(()));
    }

    #[test]
    fn a_share_leaves_the_rest_to_what_matters_more() {
        let mut budget = Budget::new(100, S(60));
        assert_eq!(budget.spend(S(0), 25, 50), Ok(()));
        assert_eq!(budget.spend(S(0), 25, 50), Ok(()));
        assert_eq!(budget.spend(S(0), 25, 50), Err(S(60)));
        assert_eq!(budget.spend(S(0), 25, 100), Ok(()));
        let mut small = Budget::new(25, S(60));
        assert_eq!(small.spend(S(0), 25, 50), Ok(()));
    }
}
