//! The request weight of an address: used, refused, banned.

use std::time::Duration;

use tokio::time::Instant;

/// Binance counts by the minute.
const WINDOW: Duration = Duration::from_secs(60);

/// Requests after a 429 in one window that bring a ban.
const BREACHES_MAX: u32 = 10;

/// The shortest ban Binance gives.
const BAN: Duration = Duration::from_secs(120);

/// One window's account. All clients of a test exchange share one address.
pub(crate) struct Weight {
    limit: u32,
    used: u32,
    breaches: u32,
    window: Instant,
    banned_until: Option<Instant>,
}

/// What to do with a request.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Fine,
    /// 429: wait so many seconds.
    TooMuch(u64),
    /// 418: wait so many seconds.
    Banned(u64),
}

impl Weight {
    pub(crate) fn new(limit: u32, now: Instant) -> Weight {
        Weight {
            limit,
            used: 0,
            breaches: 0,
            window: now,
            banned_until: None,
        }
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn spend(&mut self, cost: u32, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.window) >= WINDOW {
            *self = Weight {
                banned_until: self.banned_until,
                ..Weight::new(self.limit, now)
            };
        }
        if let Some(until) = self.banned_until.filter(|until| now < *until) {
            return Verdict::Banned((until - now).as_secs() + 1);
        }
        self.used = self.used.saturating_add(cost);
        if self.used <= self.limit {
            return Verdict::Fine;
        }
        self.breaches += 1;
        if self.breaches > BREACHES_MAX {
            self.banned_until = Some(now + BAN);
            return Verdict::Banned(BAN.as_secs());
        }
        Verdict::TooMuch((self.window + WINDOW - now).as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn too_much_is_refused_then_banned_then_forgiven() {
        let now = Instant::now();
        let mut weight = Weight::new(100, now);
        for _ in 0..4 {
            assert_eq!(weight.spend(25, now), Verdict::Fine);
        }
        for _ in 0..BREACHES_MAX {
            assert_eq!(weight.spend(1, now), Verdict::TooMuch(61));
        }
        assert_eq!(weight.spend(1, now), Verdict::Banned(120));
        let later = now + Duration::from_secs(90);
        assert_eq!(weight.spend(1, later), Verdict::Banned(31));
        assert_eq!(
            weight.spend(1, now + Duration::from_secs(121)),
            Verdict::Fine
        );
    }
}
