//! One connection, from its opening to its end: what it is subscribed to, and whether it lives.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

/// Messages a second: the exchange allows 5, and the host's pongs count too.
const CONTROL_PER_SECOND_MAX: usize = 4;
/// Streams of one SUBSCRIBE: keeps a message at some kilobytes.
const STREAMS_PER_MESSAGE_MAX: usize = 100;
/// From the opening to the handshake's end.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// From a control message to its reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often what an audit finds missing is subscribed again.
const AUDITS_MAX: u32 = 3;

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Not live yet.
    Opening { until: Duration },
    /// SUBSCRIBE messages are on their way: the ids that are not answered yet.
    Subscribing { unanswered: BTreeSet<i64> },
    /// LIST_SUBSCRIPTIONS is on its way.
    Auditing { id: i64 },
    /// All is confirmed.
    Live,
}

/// What a link wants of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Send this.
    Send(String),
    /// It has just been confirmed that every stream is subscribed.
    Confirmed,
    /// It is of no use any more, and why.
    Dead(String),
}

/// A connection as the source sees it.
#[derive(Debug)]
pub(crate) struct Link {
    /// The host's id.
    pub id: u64,
    /// When it is to be replaced because of its age.
    pub replace_at: Duration,
    /// Since when it is confirmed.
    pub live_since: Option<Duration>,
    streams: Vec<String>,
    phase: Phase,
    last_heard: Duration,
    probe_after: Duration,
    outbox: VecDeque<String>,
    /// When the last messages were sent, at most [`CONTROL_PER_SECOND_MAX`].
    sent: VecDeque<Duration>,
    /// Until when the oldest unanswered message must be answered.
    reply_until: Option<Duration>,
    next_message: i64,
    audits: u32,
}

impl Link {
    /// A link that was asked for just now. `first_message`: ids from here on are this
    /// instance's, so that replies to an earlier one's messages are not taken for its own.
    pub(crate) fn opening(
        id: u64,
        streams: Vec<String>,
        now: Duration,
        probe_after: Duration,
        first_message: i64,
    ) -> Self {
        Self {
            id,
            replace_at: Duration::MAX,
            live_since: None,
            streams,
            phase: Phase::Opening {
                until: now + OPEN_TIMEOUT,
            },
            last_heard: now,
            probe_after,
            outbox: VecDeque::new(),
            sent: VecDeque::new(),
            reply_until: None,
            next_message: first_message,
            audits: 0,
        }
    }

    /// An earlier instance's, live and not known to be subscribed: subscribes once more, which
    /// does no harm, and no sooner than the exchange allows after whatever was sent before.
    pub(crate) fn unconfirmed(mut self, now: Duration) -> Self {
        self.sent = std::iter::repeat_n(now, CONTROL_PER_SECOND_MAX).collect();
        self.opened(now);
        self
    }

    /// An earlier instance's that is known to be subscribed to all.
    pub(crate) fn confirmed(mut self, now: Duration) -> Self {
        self.sent = std::iter::repeat_n(now, CONTROL_PER_SECOND_MAX).collect();
        self.phase = Phase::Live;
        self.live_since = Some(now);
        self
    }

    /// Whether every stream is confirmed to be subscribed.
    pub(crate) fn is_live(&self) -> bool {
        self.live_since.is_some()
    }

    /// The handshake is done.
    pub(crate) fn opened(&mut self, now: Duration) {
        self.last_heard = now;
        if matches!(self.phase, Phase::Opening { .. }) {
            self.subscribe(self.streams.clone());
        }
    }

    /// Something came from the exchange.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.last_heard = now;
    }

    fn subscribe(&mut self, streams: Vec<String>) {
        let mut unanswered = BTreeSet::new();
        for some in streams.chunks(STREAMS_PER_MESSAGE_MAX) {
            let id = self.queue("SUBSCRIBE", Some(some));
            unanswered.insert(id);
        }
        self.phase = Phase::Subscribing { unanswered };
    }

    fn audit(&mut self) {
        let id = self.queue("LIST_SUBSCRIPTIONS", None);
        self.phase = Phase::Auditing { id };
    }

    fn queue(&mut self, method: &str, params: Option<&[String]>) -> i64 {
        let id = self.next_message;
        self.next_message += 1;
        let mut message = json!({ "method": method, "id": id });
        if let Some(params) = params {
            message["params"] = json!(params);
        }
        self.outbox.push_back(message.to_string());
        id
    }

    /// A reply came. One that answers nothing of ours is passed over.
    pub(crate) fn reply(
        &mut self,
        id: Option<i64>,
        result: &Result<Value, String>,
        now: Duration,
    ) -> Option<Wish> {
        match &mut self.phase {
            Phase::Subscribing { unanswered } => {
                let ours = id.is_some_and(|id| unanswered.contains(&id));
                match result {
                    // An objection without an id can only be about a message of this link.
                    Err(why) if ours || id.is_none() => {
                        Some(Wish::Dead(format!("SUBSCRIBE refused: {why}")))
                    }
                    Ok(_) if ours => {
                        unanswered.retain(|it| Some(*it) != id);
                        let all = unanswered.is_empty();
                        self.reply_until = (!all).then_some(now + REPLY_TIMEOUT);
                        if all {
                            self.audit();
                        }
                        None
                    }
                    Ok(_) | Err(_) => None,
                }
            }
            Phase::Auditing { id: ours } => {
                let ours = id == Some(*ours);
                match result {
                    Err(why) if ours || id.is_none() => {
                        Some(Wish::Dead(format!("LIST_SUBSCRIPTIONS refused: {why}")))
                    }
                    Ok(list) if ours => self.audited(list, now),
                    Ok(_) | Err(_) => None,
                }
            }
            Phase::Opening { .. } | Phase::Live => None,
        }
    }

    fn audited(&mut self, list: &Value, now: Duration) -> Option<Wish> {
        self.reply_until = None;
        let have: BTreeSet<&str> = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let missing: Vec<String> = self
            .streams
            .iter()
            .filter(|it| !have.contains(it.as_str()))
            .cloned()
            .collect();
        if missing.is_empty() {
            self.audits = 0;
            self.phase = Phase::Live;
            // An audit of a link that is live is only a sign of life.
            let first = self.live_since.is_none();
            self.live_since.get_or_insert(now);
            return first.then_some(Wish::Confirmed);
        }
        self.audits += 1;
        if self.audits > AUDITS_MAX {
            return Some(Wish::Dead(format!(
                "{} streams are not subscribed, such as {}",
                missing.len(),
                missing[0]
            )));
        }
        // What was confirmed before is not: trades of these streams may be missing.
        self.live_since = None;
        self.subscribe(missing);
        None
    }

    /// What is to be done now; call again until there is nothing.
    pub(crate) fn wish(&mut self, now: Duration) -> Option<Wish> {
        if let Phase::Opening { until } = self.phase
            && now >= until
        {
            return Some(Wish::Dead("not open in time".to_owned()));
        }
        if self.reply_until.is_some_and(|until| now >= until) {
            return Some(Wish::Dead(
                "a control message was not answered in time".to_owned(),
            ));
        }
        if self.phase == Phase::Live && now >= self.last_heard + self.probe_after {
            self.audit();
        }
        if now >= self.may_send_at()
            && let Some(text) = self.outbox.pop_front()
        {
            if self.sent.len() == CONTROL_PER_SECOND_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back(now);
            self.reply_until.get_or_insert(now + REPLY_TIMEOUT);
            return Some(Wish::Send(text));
        }
        None
    }

    /// The host would not take a message now: again in a second.
    pub(crate) fn put_back(&mut self, text: String, now: Duration) {
        self.sent = std::iter::repeat_n(now, CONTROL_PER_SECOND_MAX).collect();
        self.outbox.push_front(text);
    }

    /// When the next message may be sent.
    fn may_send_at(&self) -> Duration {
        match self.sent.front() {
            Some(first) if self.sent.len() == CONTROL_PER_SECOND_MAX => {
                *first + Duration::from_secs(1)
            }
            _ => Duration::ZERO,
        }
    }

    /// When to ask for wishes again, if nothing comes before.
    pub(crate) fn due(&self) -> Duration {
        let mut due = self
            .reply_until
            .unwrap_or(Duration::MAX)
            .min(self.replace_at);
        match &self.phase {
            Phase::Opening { until } => due = due.min(*until),
            Phase::Live => due = due.min(self.last_heard + self.probe_after),
            Phase::Subscribing { .. } | Phase::Auditing { .. } => {}
        }
        if self.outbox.is_empty() {
            due
        } else {
            due.min(self.may_send_at())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn streams(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("s{i}@trade")).collect()
    }

    fn link(count: usize) -> Link {
        Link::opening(1, streams(count), S(0), S(15), 100)
    }

    fn sends(link: &mut Link, now: Duration) -> Vec<Value> {
        std::iter::from_fn(|| link.wish(now))
            .map(|wish| match wish {
                Wish::Send(text) => serde_json::from_str(&text).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn done(link: &mut Link, message: &Value, now: Duration) -> Option<Wish> {
        link.reply(message["id"].as_i64(), &Ok(Value::Null), now)
    }

    fn live(link: &mut Link, count: usize) {
        link.opened(S(0));
        for message in sends(link, S(0)) {
            assert_eq!(done(link, &message, S(0)), None);
        }
        let audit = sends(link, S(0)).remove(0);
        assert_eq!(audit["method"], "LIST_SUBSCRIPTIONS");
        let wish = link.reply(audit["id"].as_i64(), &Ok(json!(streams(count))), S(0));
        assert_eq!(wish, Some(Wish::Confirmed));
        assert!(link.is_live());
    }

    #[test]
    fn a_thousand_streams_are_subscribed_within_the_exchanges_limits() {
        let mut link = link(1024);
        link.opened(S(0));
        let (mut now, mut all, mut at) = (S(0), Vec::new(), Vec::new());
        while all.len() < 1024 {
            for message in sends(&mut link, now) {
                assert_eq!(message["method"], "SUBSCRIBE");
                all.extend(
                    message["params"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|it| it.as_str().unwrap().to_owned()),
                );
                at.push(now);
                assert_eq!(done(&mut link, &message, now), None);
            }
            now += Duration::from_millis(100);
        }
        assert_eq!(all, streams(1024));
        assert!(
            at.windows(5).all(|five| five[4] - five[0] >= S(1)),
            "{at:?}"
        );
        now += S(1);
        let audit = sends(&mut link, now).remove(0);
        assert_eq!(
            link.reply(audit["id"].as_i64(), &Ok(json!(all)), now),
            Some(Wish::Confirmed)
        );
    }

    #[test]
    fn what_the_audit_misses_is_subscribed_again_and_not_for_ever() {
        let mut link = link(3);
        link.opened(S(0));
        let mut now = S(0);
        for round in 0..=AUDITS_MAX {
            let subscribe = sends(&mut link, now).remove(0);
            let expected = if round == 0 {
                json!(streams(3))
            } else {
                json!(["s1@trade"])
            };
            assert_eq!(subscribe["params"], expected);
            done(&mut link, &subscribe, now);
            let audit = sends(&mut link, now).remove(0);
            let list = Ok(json!(["s0@trade", "s2@trade", "other"]));
            let wish = link.reply(audit["id"].as_i64(), &list, now);
            assert_eq!(wish.is_some(), round == AUDITS_MAX, "{wish:?}");
            assert!(!link.is_live());
            now += S(1);
        }
    }

    #[test]
    fn objections_and_silence_are_the_end() {
        let mut refused = link(1);
        refused.opened(S(0));
        let message = sends(&mut refused, S(0)).remove(0);
        assert_eq!(
            refused.reply(Some(7), &Err("other".to_owned()), S(0)),
            None,
            "not ours"
        );
        let wish = refused.reply(message["id"].as_i64(), &Err("code 2: x".to_owned()), S(0));
        assert!(matches!(wish, Some(Wish::Dead(why)) if why.contains("code 2: x")));

        let mut silent = link(1);
        silent.opened(S(0));
        sends(&mut silent, S(0));
        assert_eq!(silent.due(), REPLY_TIMEOUT);
        assert!(matches!(silent.wish(REPLY_TIMEOUT), Some(Wish::Dead(_))));

        let mut unopened = link(1);
        assert_eq!(unopened.wish(S(19)), None);
        assert!(matches!(unopened.wish(S(20)), Some(Wish::Dead(_))));
    }

    #[test]
    fn a_quiet_link_is_asked_for_a_sign_of_life() {
        let mut link = link(1);
        live(&mut link, 1);
        link.heard(S(10));
        assert_eq!(link.due(), S(25));
        assert_eq!(link.wish(S(24)), None);
        let probe = sends(&mut link, S(25)).remove(0);
        assert_eq!(probe["method"], "LIST_SUBSCRIPTIONS");
        link.heard(S(26));
        assert_eq!(
            link.reply(probe["id"].as_i64(), &Ok(json!(streams(1))), S(26)),
            None
        );
        assert!(link.is_live());
        sends(&mut link, S(41));
        assert!(matches!(link.wish(S(51)), Some(Wish::Dead(_))), "half open");
    }

    #[test]
    fn a_stream_that_was_lost_makes_the_link_unconfirmed() {
        let mut link = link(2);
        live(&mut link, 2);
        let probe = sends(&mut link, S(15)).remove(0);
        assert_eq!(
            link.reply(probe["id"].as_i64(), &Ok(json!(["s0@trade"])), S(15)),
            None
        );
        assert!(!link.is_live());
        let again = sends(&mut link, S(17)).remove(0);
        done(&mut link, &again, S(17));
        let audit = sends(&mut link, S(18)).remove(0);
        assert_eq!(
            link.reply(audit["id"].as_i64(), &Ok(json!(streams(2))), S(18)),
            Some(Wish::Confirmed)
        );
    }

    #[test]
    fn an_adopted_link_waits_before_it_sends() {
        let mut link = link(1).unconfirmed(S(5));
        assert_eq!(link.wish(S(5)), None);
        assert_eq!(link.due(), S(6));
        assert_eq!(sends(&mut link, S(6)).len(), 1);
        link.opened(S(6));
        assert_eq!(link.wish(S(6)), None, "its opening may be told once more");
    }
}
