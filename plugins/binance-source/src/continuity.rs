//! One symbol's trades in the order of their ids, without a hole.
//!
//! Spot trade ids are consecutive, so the next id is always known: a live trade that is further on
//! means that something is missing, and waits until REST has told what. Nothing is passed over
//! unless REST itself says that it does not have it.

use std::collections::BTreeMap;

use crate::rest::Item;
use crate::trade::Trade;

/// A live trade that waits for those before it.
#[derive(Debug)]
struct Held {
    trade: Trade,
    event: u64,
}

/// What comes out, in the order of the ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A live trade, and the event that it came with.
    Live(Trade, u64),
    /// A trade that REST gave.
    Fetched(Trade),
    /// Ids that REST does not have, first and last.
    Missing(i64, i64),
    /// REST has it, but it can't become a record.
    Bad {
        /// The trade.
        id: i64,
        /// Why.
        reason: String,
        /// Its text.
        text: String,
    },
}

/// What became of a live trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was the next one.
    Taken,
    /// It had been taken before, or waits already.
    Seen,
    /// It waits for others.
    Held,
}

/// Where one symbol stands.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    /// The id that must come next; none before the first trade.
    next: Option<i64>,
    /// Before the first trade: the latest id that REST knew.
    latest: Option<i64>,
    held: BTreeMap<i64, Held>,
    /// The highest live id seen; trades up to here exist.
    seen_through: Option<i64>,
}

impl Continuity {
    /// Beginning with this id; none: with the first trade that is seen.
    pub(crate) fn new(next: Option<i64>) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// The id that must come next.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether trades are known to exist that have not come.
    pub(crate) fn behind(&self) -> bool {
        matches!((self.next, self.seen_through), (Some(next), Some(seen)) if next <= seen)
    }

    /// How many trades are known to exist that neither came nor wait here.
    pub(crate) fn missing(&self) -> u64 {
        match (self.next, self.seen_through) {
            (Some(next), Some(seen)) if next <= seen => seen
                .abs_diff(next)
                .saturating_add(1)
                .saturating_sub(self.held.len() as u64),
            (_, _) => 0,
        }
    }

    /// A live trade came with `event`.
    pub(crate) fn live(&mut self, trade: Trade, event: u64, out: &mut impl FnMut(Step)) -> Verdict {
        let id = trade.trade_id;
        let next = match self.next {
            Some(next) => next,
            None => self.begin(id),
        };
        if id < next || self.held.contains_key(&id) {
            return Verdict::Seen;
        }
        self.seen_through = self.seen_through.max(Some(id));
        if id > next {
            self.held.insert(id, Held { trade, event });
            return Verdict::Held;
        }
        out(Step::Live(trade, event));
        self.advance(id + 1, out);
        Verdict::Taken
    }

    /// The first live trade decides where to begin, but for those that REST knew to be earlier.
    fn begin(&mut self, id: i64) -> i64 {
        let next = self.latest.map_or(id, |latest| id.min(latest + 1));
        self.next = Some(next);
        next
    }

    /// REST's latest trade. Before the first live trade it is kept: if there is another contact
    /// and still no live trade, the beginning is after it. True when that begins now.
    pub(crate) fn latest(&mut self, id: Option<i64>) -> bool {
        if self.next.is_some() {
            return false;
        }
        match (self.latest, id) {
            (None, Some(_)) => self.latest = id,
            (Some(first), Some(now)) if now > first => {
                self.next = Some(first + 1);
                return true;
            }
            (_, _) => {}
        }
        false
    }

    /// REST gave a page that was asked for `from` on, in the order of the ids. Gives how many
    /// trades that were missing it brought; none when the page does not join what is there.
    pub(crate) fn fetched(
        &mut self,
        from: i64,
        page: Vec<Item<'_>>,
        out: &mut impl FnMut(Step),
    ) -> Option<u64> {
        let mut next = self.next?;
        if from > next {
            return None;
        }
        let mut brought = 0;
        for item in page {
            let id = match &item {
                Item::Trade(trade) => trade.trade_id,
                Item::Bad(Some(id), _, _) => *id,
                Item::Bad(None, _, _) => continue,
            };
            if id < next || id == i64::MAX {
                continue;
            }
            // REST lists what it has in order: ids that it passed over are nowhere, unless they
            // came live.
            self.pass_over(next, id, out);
            next = id + 1;
            // The live one says more.
            if let Some(Held { trade, event }) = self.held.remove(&id) {
                out(Step::Live(trade, event));
                continue;
            }
            brought += 1;
            out(match item {
                Item::Trade(trade) => Step::Fetched(trade),
                Item::Bad(_, reason, text) => Step::Bad {
                    id,
                    reason,
                    text: text.to_owned(),
                },
            });
        }
        self.advance(next, out);
        Some(brought)
    }

    /// Everything from `next` up to, not including, `id` comes from what is held, or is missing.
    fn pass_over(&mut self, mut next: i64, id: i64, out: &mut impl FnMut(Step)) {
        while next < id {
            match self.held.first_entry() {
                Some(first) if *first.key() == next => {
                    let Held { trade, event } = first.remove();
                    out(Step::Live(trade, event));
                    next += 1;
                }
                first => {
                    let end = first.map_or(id, |it| id.min(*it.key()));
                    out(Step::Missing(next, end - 1));
                    next = end;
                }
            }
        }
    }

    /// The next id is known; what waited for it comes out.
    fn advance(&mut self, mut next: i64, out: &mut impl FnMut(Step)) {
        while let Some(first) = self.held.first_entry() {
            if *first.key() != next {
                break;
            }
            let Held { trade, event } = first.remove();
            out(Step::Live(trade, event));
            next += 1;
        }
        self.next = Some(next);
    }

    /// Gives up holding a trade: REST will bring it. False when it is not held by that event.
    pub(crate) fn release(&mut self, id: i64, event: u64) -> bool {
        let ours = self.held.get(&id).is_some_and(|held| held.event == event);
        if ours {
            self.held.remove(&id);
        }
        ours
    }

    /// Gives up on trades that were announced and that REST has never heard of. What waits is
    /// dropped: if it is real, it is missed again, and asked for again. Gives the events that are
    /// no longer held, and the highest id.
    pub(crate) fn disbelieve(&mut self) -> (Vec<u64>, Option<i64>) {
        let events = std::mem::take(&mut self.held)
            .into_values()
            .map(|held| held.event)
            .collect();
        (events, self.seen_through.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn trade(trade_id: i64) -> Trade {
        Trade {
            trade_id,
            price: 1,
            quantity: 1,
            trade_time_us: trade_id,
            event_time_us: None,
            is_buyer_maker: false,
            received_us: 0,
        }
    }

    fn page(ids: &[i64]) -> Vec<Item<'static>> {
        ids.iter().map(|id| Item::Trade(trade(*id))).collect()
    }

    #[derive(Default)]
    struct Out(Vec<String>);

    impl Out {
        fn step(&mut self) -> impl FnMut(Step) + '_ {
            |step| {
                self.0.push(match step {
                    Step::Live(trade, event) => format!("{}@{event}", trade.trade_id),
                    Step::Fetched(trade) => format!("{}r", trade.trade_id),
                    Step::Missing(from, to) => format!("-{from}..{to}"),
                    Step::Bad { id, .. } => format!("{id}bad"),
                });
            }
        }
        fn take(&mut self) -> String {
            std::mem::take(&mut self.0).join(" ")
        }
    }

    #[test]
    fn a_jump_waits_for_rest_and_the_live_trade_wins() {
        let (mut it, mut out) = (Continuity::default(), Out::default());
        assert_eq!(it.live(trade(10), 1, &mut out.step()), Verdict::Taken);
        assert_eq!(it.live(trade(13), 2, &mut out.step()), Verdict::Held);
        assert_eq!(it.live(trade(14), 3, &mut out.step()), Verdict::Held);
        assert_eq!(it.live(trade(13), 4, &mut out.step()), Verdict::Seen);
        assert_eq!(it.live(trade(10), 5, &mut out.step()), Verdict::Seen);
        assert_eq!(out.take(), "10@1");
        assert!(it.behind());
        assert_eq!(
            it.fetched(11, page(&[11, 12, 13]), &mut out.step()),
            Some(2)
        );
        assert_eq!(out.take(), "11r 12r 13@2 14@3");
        assert!(!it.behind());
        assert_eq!(it.next(), Some(15));
    }

    #[test]
    fn what_arrives_late_needs_no_rest() {
        let (mut it, mut out) = (Continuity::new(Some(5)), Out::default());
        it.live(trade(6), 1, &mut out.step());
        it.live(trade(5), 2, &mut out.step());
        assert_eq!(out.take(), "5@2 6@1");
    }

    #[test]
    fn only_what_rest_passes_over_is_missing() {
        let (mut it, mut out) = (Continuity::new(Some(10)), Out::default());
        it.live(trade(14), 1, &mut out.step());
        it.live(trade(20), 2, &mut out.step());
        assert_eq!(it.fetched(10, page(&[]), &mut out.step()), Some(0));
        assert_eq!(
            it.fetched(11, page(&[12]), &mut out.step()),
            None,
            "asked for too late an id"
        );
        assert_eq!(out.take(), "");
        assert_eq!(it.fetched(9, page(&[9, 12, 17]), &mut out.step()), Some(2));
        assert_eq!(out.take(), "-10..11 12r -13..13 14@1 -15..16 17r");
        assert!(it.behind(), "20 waits for 18 and 19");
        assert_eq!(it.fetched(18, page(&[21]), &mut out.step()), Some(1));
        assert_eq!(out.take(), "-18..19 20@2 21r");
    }

    #[test]
    fn the_beginning_is_the_first_live_trade_or_what_rest_knew_before() {
        let (mut it, mut out) = (Continuity::default(), Out::default());
        assert!(!it.latest(Some(7)));
        it.live(trade(5), 1, &mut out.step());
        assert_eq!(
            out.take(),
            "5@1",
            "sent before the answer was made, read after it"
        );

        let mut it = Continuity::default();
        it.latest(Some(7));
        it.live(trade(10), 1, &mut out.step());
        assert_eq!((out.take().as_str(), it.next()), ("", Some(8)));

        let mut it = Continuity::default();
        assert!(!it.latest(None));
        assert!(!it.latest(Some(7)));
        assert!(!it.latest(Some(7)));
        assert!(it.latest(Some(9)));
        assert_eq!(it.next(), Some(8));
    }

    #[test]
    fn a_bad_trade_of_rest_is_told_and_passed() {
        let (mut it, mut out) = (Continuity::new(Some(1)), Out::default());
        let items = vec![
            Item::Bad(Some(1), "x".to_owned(), "{}"),
            Item::Bad(None, "y".to_owned(), "?"),
            Item::Trade(trade(2)),
        ];
        it.fetched(1, items, &mut out.step());
        assert_eq!(out.take(), "1bad 2r");
    }

    #[test]
    fn what_is_released_or_disbelieved_is_missed_again() {
        let (mut it, mut out) = (Continuity::new(Some(1)), Out::default());
        it.live(trade(3), 1, &mut out.step());
        assert!(!it.release(3, 2));
        assert!(it.release(3, 1));
        assert!(it.behind());
        it.live(trade(900), 4, &mut out.step());
        assert_eq!(it.disbelieve(), (vec![4], Some(900)));
        assert!(!it.behind());
        it.live(trade(1), 5, &mut out.step());
        assert_eq!(out.take(), "1@5");
    }

    proptest! {
        /// Whatever comes in whatever order, what comes out is each id once, rising, and only
        /// what neither REST nor a connection had is missing.
        #[test]
        fn out_comes_each_id_once(
            absent in proptest::collection::btree_set(1i64..60, 0..20),
            ops in proptest::collection::vec((0u8..3, 0i64..60), 0..120),
        ) {
            let (mut it, mut event) = (Continuity::new(Some(0)), 0);
            let mut seen = Vec::new();
            let mut missing = BTreeSet::new();
            let known = |id: &i64| !absent.contains(id);
            let mut live_ids = BTreeSet::new();
            for (op, id) in ops.into_iter().chain((0..60).map(|id| (1, id))) {
                let mut out = |step: Step| match step {
                    Step::Live(t, _) | Step::Fetched(t) => seen.push(t.trade_id),
                    Step::Missing(a, b) => { missing.extend(a..=b); seen.extend(a..=b); }
                    Step::Bad { .. } => unreachable!("none is given"),
                };
                if op == 0 && known(&id) {
                    event += 1;
                    live_ids.insert(id);
                    it.live(trade(id), event, &mut out);
                } else if op == 1 {
                    let from = it.next().unwrap_or(0);
                    let ids: Vec<i64> = (from..60).filter(known).take(3).collect();
                    it.fetched(from, page(&ids), &mut out);
                } else if op == 2 {
                    it.release(id, event);
                }
            }
            let expected: Vec<i64> = (0..60).take(seen.len()).collect();
            prop_assert_eq!(&seen, &expected);
            prop_assert!(missing.iter().all(|id| absent.contains(id)));
            let last = (0..60).rev().find(known).unwrap_or(-1);
            prop_assert_eq!(it.next(), Some(last + 1));
        }
    }
}
