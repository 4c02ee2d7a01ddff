//! Whether a new version does what the old one did.

use std::collections::VecDeque;
use std::time::Duration;

/// Records of the old version in the probation's span from which on silence of the new one is
/// taken for a fault: fewer may be chance.
const EXPECTED_MIN: u64 = 10;
/// A shorter silence may be chance, however much came before.
const SILENCE_MIN: Duration = Duration::from_secs(5);
/// Records from which on the share of rejected ones is judged.
const JUDGED_FROM: u64 = 100;
/// A share of rejected records below this is never worse, whatever it was before.
const REJECTED_SHARE_MIN: f64 = 0.01;
/// How many times the old version's share of rejected records is worse.
const REJECTED_FACTOR: f64 = 2.0;
/// Samples that are kept: a minute of one a second.
const SAMPLES_MAX: usize = 61;

/// What a connector did since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Work {
    /// Records appended by a source, or put by a sink.
    pub(crate) records: u64,
    /// Records or events rejected.
    pub(crate) rejected: u64,
    /// Rows made visible by a sink.
    pub(crate) committed: u64,
}

impl Work {
    fn since(self, before: Self) -> Self {
        Self {
            records: self.records.saturating_sub(before.records),
            rejected: self.rejected.saturating_sub(before.rejected),
            committed: self.committed.saturating_sub(before.committed),
        }
    }

    /// Rejected records of all.
    fn rejected_share(self) -> f64 {
        let all = self.records.saturating_add(self.rejected);
        if all == 0 {
            return 0.0;
        }
        self.rejected as f64 / all as f64
    }
}

/// What a connector did lately, sampled now and then.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    samples: VecDeque<(Duration, Work)>,
}

impl Pace {
    /// What was done until `now`.
    pub(crate) fn sample(&mut self, now: Duration, work: Work) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now, work));
    }

    /// What was done in the last `span` before `now`, as far as is known.
    fn last(&self, span: Duration, now: Duration, work: Work) -> Work {
        let from = now.saturating_sub(span);
        let within = self.samples.iter().find(|(at, _)| *at >= from);
        let oldest = within.or(self.samples.back());
        work.since(oldest.map_or(work, |(_, work)| *work))
    }
}

/// One new version's probation.
#[derive(Debug)]
pub(crate) struct Probation {
    until: Duration,
    span: Duration,
    before: Work,
    old: Work,
}

impl Probation {
    /// Begins `now` and lasts `span`; `pace` is the old version's.
    pub(crate) fn begin(now: Duration, span: Duration, work: Work, pace: &Pace) -> Self {
        Self {
            until: now + span,
            span,
            before: work,
            old: pace.last(span, now, work),
        }
    }

    /// When it ends.
    pub(crate) fn until(&self) -> Duration {
        self.until
    }

    /// Why the new version is worse, if it is, while it is still watched.
    pub(crate) fn worse(&self, work: Work) -> Option<String> {
        let new = work.since(self.before);
        if new.records.saturating_add(new.rejected) < JUDGED_FROM {
            return None;
        }
        let (share, before) = (new.rejected_share(), self.old.rejected_share());
        let worse = share > REJECTED_SHARE_MIN && share > before * REJECTED_FACTOR;
        worse.then(|| {
            format!(
                "it rejects {:.1} % of the records, the version before {:.1} %",
                share * 100.0,
                before * 100.0
            )
        })
    }

    /// Why the new version can't stay, if it can't, now that its time is over.
    pub(crate) fn verdict(&self, work: Work) -> Option<String> {
        let new = work.since(self.before);
        if self.span < SILENCE_MIN {
            return self.worse(work);
        }
        if new.records == 0 && self.old.records >= EXPECTED_MIN {
            return Some(format!(
                "it is silent, where the version before took {} records in the same time",
                self.old.records
            ));
        }
        let makes_nothing = new.committed == 0 && new.records >= EXPECTED_MIN;
        if makes_nothing && self.old.committed >= EXPECTED_MIN {
            return Some(format!(
                "it made no row visible, where the version before made {} in the same time",
                self.old.committed
            ));
        }
        self.worse(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    fn work(records: u64, rejected: u64, committed: u64) -> Work {
        Work {
            records,
            rejected,
            committed,
        }
    }

    /// An old version that did `a_second` each second for a minute.
    fn pace(a_second: Work) -> (Pace, Work) {
        let mut pace = Pace::default();
        let mut total = Work::default();
        for second in 0..100 {
            pace.sample(Duration::from_secs(second), total);
            total.records += a_second.records;
            total.rejected += a_second.rejected;
            total.committed += a_second.committed;
        }
        (pace, total)
    }

    fn begin(a_second: Work) -> (Probation, Work) {
        let (pace, total) = pace(a_second);
        let probation = Probation::begin(Duration::from_secs(100), SPAN, total, &pace);
        (probation, total)
    }

    fn plus(a: Work, b: Work) -> Work {
        work(
            a.records + b.records,
            a.rejected + b.rejected,
            a.committed + b.committed,
        )
    }

    #[test]
    fn silence_is_worse_only_where_there_was_none() {
        let (probation, total) = begin(work(5, 0, 0));
        assert!(probation.verdict(total).unwrap().contains("50 records"));
        assert_eq!(probation.verdict(plus(total, work(1, 0, 0))), None);
        let (quiet, total) = begin(work(0, 0, 0));
        assert_eq!(quiet.verdict(total), None);
        let (pace, total) = pace(work(500, 0, 0));
        let now = Duration::from_secs(100);
        let short = Probation::begin(now, Duration::from_secs(1), total, &pace);
        assert_eq!(short.verdict(total), None);
    }

    #[test]
    fn what_the_old_one_did_in_its_first_moments_counts() {
        let mut pace = Pace::default();
        pace.sample(Duration::ZERO, Work::default());
        let total = work(400, 0, 0);
        let young = Probation::begin(Duration::from_millis(800), SPAN, total, &pace);
        assert!(young.verdict(total).unwrap().contains("400 records"));
        let rare = Probation::begin(Duration::from_secs(600), SPAN, total, &pace);
        assert!(rare.verdict(total).is_some(), "nothing newer is known");
    }

    #[test]
    fn rejections_are_worse_where_they_rise() {
        let (probation, total) = begin(work(100, 0, 0));
        assert_eq!(probation.worse(plus(total, work(5, 5, 0))), None, "too few");
        assert!(probation.worse(plus(total, work(90, 10, 0))).is_some());
        assert_eq!(probation.worse(plus(total, work(995, 5, 0))), None);
        let (used_to_it, total) = begin(work(90, 10, 0));
        assert_eq!(used_to_it.worse(plus(total, work(85, 15, 0))), None);
        assert!(used_to_it.worse(plus(total, work(50, 50, 0))).is_some());
    }

    #[test]
    fn a_sink_that_takes_and_shows_nothing_is_worse() {
        let (probation, total) = begin(work(100, 0, 100));
        let why = probation.verdict(plus(total, work(1000, 0, 0))).unwrap();
        assert!(why.contains("no row visible"), "{why}");
        assert_eq!(probation.verdict(plus(total, work(1000, 0, 900))), None);
    }
}
