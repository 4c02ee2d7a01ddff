//! How long nothing has come of a partition though its log goes on.

use std::time::{Duration, Instant};

/// How long it lasts before it is told, and how long between two times: longer than brokers take by
/// default to end a transaction that its writer left (40 s).
const SILENT_MAX: Duration = Duration::from_secs(60);

/// Since when, if it does.
#[derive(Debug, Default)]
pub(crate) struct Silence(Option<Instant>);

impl Silence {
    /// Something came, or nothing is to come.
    pub(crate) fn broken(&mut self) {
        self.0 = None;
    }

    /// Nothing came. Whether that is to be told now.
    pub(crate) fn lasts(&mut self, now: Instant) -> bool {
        let since = *self.0.get_or_insert(now);
        let told = now.duration_since(since) >= SILENT_MAX;
        if told {
            self.0 = Some(now);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_now_and_then() {
        let mut silence = Silence::default();
        let at = Duration::from_secs;
        let begin = Instant::now();
        let told: Vec<u64> = (0..=150)
            .filter(|it| silence.lasts(begin + at(*it)))
            .collect();
        assert_eq!(told, [60, 120]);
        silence.broken();
        assert!(!silence.lasts(begin + at(1000)), "it begins anew");
    }
}
