//! Wrong tokens: how many an address may try.
//!
//! Counted are different ones. A program with an old token sends the same again and again: it
//! guesses nothing, and keeps nobody on its machine out.
//!
//! The bound is one of each address. Who has many addresses has as many times so many guesses: a
//! token has to be too long to be guessed.

use crate::operator::Objection;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jackfield_telemetry::logging::Levels;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Different wrong tokens that an address may try in a [`WINDOW`]: a person mistypes a few. Who
/// chose a weak token has 28,800 guesses a day of each address against it, and not millions.
const WRONG_MAX: usize = 20;
/// Begins with the first that an address is counted for: a wrong token, or a change that it may not
/// make. Then its count begins anew.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are counted by themselves: 300 kB. While all places are taken, all others share
/// one count: whoever takes them can have newcomers held off, and nobody who has a place.
const PEERS_MAX: usize = 1024;

/// Who is counted: an address, for IPv6 the network of 48 bits that one site has for itself, with
/// 65,536 networks in it. None: all for whom there is no room.
type Who = Option<IpAddr>;

/// What came from one address.
struct Count {
    since: Instant,
    /// Hashes of the wrong tokens.
    wrong: Vec<u64>,
    /// Whether a change without the token was written down.
    written: bool,
}

impl Count {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            wrong: Vec::new(),
            written: false,
        }
    }

    fn left(&self) -> Duration {
        WINDOW.saturating_sub(self.since.elapsed())
    }
}

/// What was tried by whom. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Guesses {
    counts: Arc<Mutex<BTreeMap<Who, Count>>>,
    /// Keyed at random: nobody can make two tokens count as one, and the hash tells nothing of one.
    hashing: RandomState,
}

impl Guesses {
    /// How much longer no token of this address is looked at, not even the right one: the answer
    /// would tell a guess from another.
    pub(crate) fn held_off(&self, from: IpAddr) -> Option<Duration> {
        let mut counts = self.counts();
        let who = place(&mut counts, from);
        let count = counts.get(&who)?;
        let left = count.left();
        (count.wrong.len() >= WRONG_MAX && !left.is_zero()).then_some(left)
    }

    /// This address tried a wrong token.
    pub(crate) fn wrong(&self, from: IpAddr, token: &str) {
        let hash = self.hashing.hash_one(token);
        let mut counts = self.counts();
        let count = count(&mut counts, from);
        // Of those that came at once, before the last of them counted.
        if count.wrong.len() >= WRONG_MAX || count.wrong.contains(&hash) {
            return;
        }
        count.wrong.push(hash);
        if count.wrong.len() == WRONG_MAX {
            tracing::info!(
                target: Levels::AUDIT,
                who = %from,
                wrong = WRONG_MAX,
                wait_s = count.left().as_secs(),
                outcome = "denied",
                "too many wrong tokens: none of this address is looked at for a while"
            );
        }
    }

    /// Whether a change that this address may not make is to be written down: one in a window is.
    pub(crate) fn is_news(&self, from: IpAddr) -> bool {
        let mut counts = self.counts();
        let count = count(&mut counts, from);
        !std::mem::replace(&mut count.written, true)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Who, Count>> {
        // Every change leaves the map consistent, also in a panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The count of an address, begun anew when its window has ended.
fn count(counts: &mut BTreeMap<Who, Count>, from: IpAddr) -> &mut Count {
    let who = place(counts, from);
    let count = counts.entry(who).or_insert_with(Count::new);
    if count.left().is_zero() {
        *count = Count::new();
    }
    count
}

/// Where an address is counted.
fn place(counts: &mut BTreeMap<Who, Count>, from: IpAddr) -> Who {
    let who = Some(site(from));
    if counts.contains_key(&who) {
        return who;
    }
    if counts.len() >= PEERS_MAX {
        counts.retain(|_, count| !count.left().is_zero());
    }
    if counts.len() < PEERS_MAX { who } else { None }
}

fn site(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The answer while tokens of an address are not looked at.
pub(crate) fn refusal(left: Duration) -> Response {
    let seconds = left.as_secs() + 1;
    let refused = Objection {
        status: 429,
        code: "too-many-wrong-tokens",
        message: format!(
            "{WRONG_MAX} wrong tokens came from your address: try again in {seconds} s"
        ),
    };
    let mut response = refused.into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guess(guesses: &Guesses, from: IpAddr, tokens: usize) {
        for token in 0..tokens {
            guesses.wrong(from, &token.to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_waits_until_its_window_ends_and_no_other_does() {
        let guesses = Guesses::default();
        let (one, other) = (address("127.0.0.1"), address("10.0.0.7"));
        guess(&guesses, one, WRONG_MAX - 1);
        assert_eq!(guesses.held_off(one), None);
        tokio::time::advance(WINDOW / 4).await;
        guess(&guesses, one, WRONG_MAX);
        assert_eq!(guesses.held_off(one), Some(WINDOW * 3 / 4));
        assert_eq!(
            guesses.held_off(address("::ffff:127.0.0.1")),
            Some(WINDOW * 3 / 4)
        );
        assert_eq!(guesses.held_off(other), None);
        // Who goes on guessing waits no longer for it.
        guess(&guesses, one, WRONG_MAX * 2);
        tokio::time::advance(WINDOW * 3 / 4).await;
        assert_eq!(guesses.held_off(one), None);
        guess(&guesses, one, 1);
        assert_eq!(guesses.held_off(one), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_wrong_token_is_no_guess() {
        let guesses = Guesses::default();
        let one = address("127.0.0.1");
        for _ in 0..WRONG_MAX * 10 {
            guesses.wrong(one, "of last year");
        }
        assert_eq!(guesses.held_off(one), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_change_of_an_address_in_a_window_is_news() {
        let guesses = Guesses::default();
        let one = address("127.0.0.1");
        assert!(guesses.is_news(one));
        assert!(!guesses.is_news(one));
        assert!(guesses.is_news(address("10.0.0.7")));
        tokio::time::advance(WINDOW).await;
        assert!(guesses.is_news(one));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_so_many_and_the_others_share_a_count() {
        let guesses = Guesses::default();
        for number in 0..PEERS_MAX as u16 {
            let [high, low] = number.to_be_bytes();
            guesses.wrong(address(&format!("10.0.{high}.{low}")), "x");
        }
        // Each guesses once.
        for number in 0..WRONG_MAX {
            guesses.wrong(
                address(&format!("2001:db8:{number}::1")),
                &number.to_string(),
            );
        }
        assert_eq!(guesses.counts().len(), PEERS_MAX + 1);
        assert!(guesses.held_off(address("192.0.2.1")).is_some());
        assert_eq!(guesses.held_off(address("10.0.0.1")), None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(guesses.held_off(address("192.0.2.1")), None);
        guess(&guesses, address("192.0.2.1"), WRONG_MAX);
        assert_eq!(guesses.counts().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_networks_of_a_site_of_ipv6_are_counted_as_one() {
        let guesses = Guesses::default();
        for number in 0..WRONG_MAX {
            let from = address(&format!("2001:db8:0:{number}::1"));
            guesses.wrong(from, &number.to_string());
        }
        assert!(guesses.held_off(address("2001:db8:0:ffff::1")).is_some());
        assert_eq!(guesses.held_off(address("2001:db8:1::1")), None);
    }
}
