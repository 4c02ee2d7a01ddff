//! All connections of a slot: groups of symbols, each on a link, replaced without a hole.
//!
//! A link is replaced by opening another one and closing the old one only a while after the new
//! one is confirmed. Both deliver meanwhile; trades are told apart by their ids.

use std::time::Duration;

use jackfield_sdk::source::{Backoff, ConnectionState, Host, WebSocketError};
use jackfield_sdk::{Failure, Saved};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Budget;
use crate::link::{Link, Wish};
use crate::plan::stable_hash;
use crate::settings::{Settings, TRADE_STREAM, TimeUnit};

/// Openings in five minutes: the exchange allows an address 300.
const OPENINGS_MAX: u32 = 200;
const OPENINGS_WINDOW: Duration = Duration::from_secs(300);
/// First wait before opening again; a link that was fine is missed at once.
const REOPEN_FIRST: Duration = Duration::from_millis(250);
/// Longest wait: an outage that ends is noticed within it.
const REOPEN_LONGEST: Duration = Duration::from_secs(30);
/// A link that was live for so long was fine: the next opening does not wait as after a failure.
const FINE_AFTER: Duration = Duration::from_secs(10);
/// From a new link's confirmation to the closing of the old one: what is still on its way there
/// arrives.
const LINGER: Duration = Duration::from_secs(2);
/// Links are replaced at some moment of the last twentieth of their time, so that not all go at
/// once.
const AGE_SPREAD: f64 = 0.05;

/// What is noted beside a connection.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    group: usize,
    /// Of the streams that it is to be subscribed to.
    streams: u64,
    confirmed: bool,
}

const NOTE_VERSION: u32 = 1;

#[derive(Debug)]
struct Group {
    streams: Vec<String>,
    hash: u64,
    current: Option<Link>,
    next: Option<Link>,
    /// The current link is to be replaced.
    replace: bool,
    backoff: Backoff,
    open_at: Duration,
}

/// The connections of a slot.
#[derive(Debug)]
pub(crate) struct Lines {
    groups: Vec<Group>,
    group_size: usize,
    url: String,
    reconnect_after: Duration,
    probe_after: Duration,
    openings: Budget,
    /// Of an earlier instance, with other streams: closed once all groups are live.
    stale: Vec<u64>,
    retiring: Vec<(Duration, u64)>,
    /// Control messages of this instance have ids from here on.
    next_message: i64,
    /// Groups that were confirmed since the last tick.
    confirmed: Vec<usize>,
}

/// Ids that one link can use for its messages.
const MESSAGES_PER_LINK: i64 = 1_000_000;

impl Lines {
    /// Lines for these symbols, none of them open yet.
    pub(crate) fn new(host: &Host, settings: &Settings, symbols: &[String]) -> Self {
        let group_size = settings.streams_per_connection as usize;
        let groups = symbols.chunks(group_size).map(|some| {
            let streams: Vec<String> = some.iter().map(|it| stream_name(it)).collect();
            Group {
                hash: stable_hash(&streams.join("/")),
                streams,
                current: None,
                next: None,
                replace: false,
                backoff: Backoff::new(REOPEN_FIRST, REOPEN_LONGEST),
                open_at: Duration::ZERO,
            }
        });
        let base = settings.endpoints.websocket.trim_end_matches('/');
        let unit = match settings.time_unit {
            TimeUnit::Millisecond => "",
            TimeUnit::Microsecond => "?timeUnit=MICROSECOND",
        };
        Self {
            groups: groups.collect(),
            group_size,
            url: format!("{base}/stream{unit}"),
            reconnect_after: settings.reconnect_after.0,
            probe_after: settings.silence_after.0 / 2,
            openings: Budget::new(OPENINGS_MAX, OPENINGS_WINDOW),
            stale: Vec::new(),
            retiring: Vec::new(),
            // Within the numbers that a double holds: who reads JSON may read it as one.
            next_message: (host.random() >> 12).cast_signed(),
            confirmed: Vec::new(),
        }
    }

    fn link(&mut self, group: usize, id: u64, now: Duration) -> Link {
        self.next_message += MESSAGES_PER_LINK;
        let streams = self.groups[group].streams.clone();
        Link::opening(id, streams, now, self.probe_after, self.next_message)
    }

    /// Takes over what an earlier instance has opened. Gives the groups that are live as they are.
    pub(crate) fn adopt(&mut self, host: &Host, now: Duration) -> Vec<usize> {
        let mut connections = host.connections();
        connections.retain(|it| it.state != ConnectionState::Closed);
        connections.sort_by_key(|it| it.id);
        for it in connections {
            let note = it.note.filter(|note| note.version == NOTE_VERSION);
            let note = note.and_then(|note| serde_json::from_slice::<Note>(&note.bytes).ok());
            let fits = note.filter(|note| {
                it.url == self.url
                    && self
                        .groups
                        .get(note.group)
                        .is_some_and(|group| group.hash == note.streams)
            });
            let Some(note) = fits else {
                self.stale.push(it.id);
                continue;
            };
            let mut link = self.link(note.group, it.id, now);
            link.replace_at = now + self.reconnect_after.saturating_sub(it.age);
            link = match it.state {
                ConnectionState::Live if note.confirmed => link.confirmed(now),
                ConnectionState::Live => link.unconfirmed(now),
                ConnectionState::Opening | ConnectionState::Closed => link,
            };
            let group = &mut self.groups[note.group];
            let place = if link.is_live() {
                &mut group.current
            } else {
                &mut group.next
            };
            if let Some(older) = place.replace(link) {
                self.retiring.push((now + LINGER, older.id));
            }
        }
        self.retire_stale(now);
        let live = |group: &Group| group.current.is_some();
        (0..self.groups.len())
            .filter(|it| live(&self.groups[*it]))
            .collect()
    }

    /// The group of a symbol.
    pub(crate) fn group_of(&self, symbol: usize) -> usize {
        symbol / self.group_size
    }

    /// The symbols of a group.
    pub(crate) fn symbols_of(&self, group: usize) -> std::ops::Range<usize> {
        let first = group * self.group_size;
        first..first + self.groups[group].streams.len()
    }

    /// The connection that a group's trades come by, while there is one.
    pub(crate) fn connection_of(&self, group: usize) -> Option<u64> {
        self.groups[group].current.as_ref().map(|link| link.id)
    }

    fn find(&mut self, id: u64) -> Option<(usize, &mut Link)> {
        self.groups.iter_mut().enumerate().find_map(|(at, group)| {
            let mut links = group.current.iter_mut().chain(group.next.iter_mut());
            links.find(|it| it.id == id).map(|link| (at, link))
        })
    }

    /// A connection is live.
    pub(crate) fn opened(&mut self, id: u64, now: Duration) {
        if let Some((_, link)) = self.find(id) {
            link.opened(now);
        }
    }

    /// Something came on a connection.
    pub(crate) fn heard(&mut self, id: u64, now: Duration) {
        if let Some((_, link)) = self.find(id) {
            link.heard(now);
        }
    }

    /// A connection is closed.
    pub(crate) fn closed(&mut self, host: &Host, id: u64, why: &str, now: Duration) {
        self.retiring.retain(|(_, it)| *it != id);
        self.stale.retain(|it| *it != id);
        if let Some((group, _)) = self.find(id) {
            self.lost(host, group, id, why, now);
        }
    }

    /// A reply to a control message came.
    pub(crate) fn reply(
        &mut self,
        host: &Host,
        id: u64,
        message: Option<i64>,
        result: &Result<Value, String>,
        now: Duration,
    ) {
        let Some((group, link)) = self.find(id) else {
            return;
        };
        match link.reply(message, result, now) {
            Some(Wish::Confirmed) => self.confirm(host, group, id, now),
            Some(Wish::Dead(why)) => {
                host.close(id);
                self.lost(host, group, id, &why, now);
            }
            Some(Wish::Send(_)) | None => {}
        }
    }

    /// A connection is to be replaced: the exchange will close it, or it is no longer trusted.
    pub(crate) fn replace_connection(&mut self, id: u64) {
        if let Some((group, _)) = self.find(id) {
            self.replace(group);
        }
    }

    /// A group's connection is to be replaced.
    pub(crate) fn replace(&mut self, group: usize) {
        let group = &mut self.groups[group];
        group.replace = group.current.is_some();
    }

    fn confirm(&mut self, host: &Host, group: usize, id: u64, now: Duration) {
        self.confirmed.push(group);
        let at = &mut self.groups[group];
        if at.next.as_ref().is_some_and(|it| it.id == id) {
            let old = std::mem::replace(&mut at.current, at.next.take());
            at.replace = false;
            self.retiring.extend(old.map(|old| (now + LINGER, old.id)));
        }
        note(host, id, group, self.groups[group].hash, true);
        self.retire_stale(now);
    }

    /// Connections with other streams are no longer needed once all groups are live.
    fn retire_stale(&mut self, now: Duration) {
        if self
            .groups
            .iter()
            .all(|it| it.current.as_ref().is_some_and(Link::is_live))
        {
            self.retiring
                .extend(self.stale.drain(..).map(|id| (now + LINGER, id)));
        }
    }

    fn lost(&mut self, host: &Host, group: usize, id: u64, why: &str, now: Duration) {
        let group = &mut self.groups[group];
        let link = if group.current.as_ref().is_some_and(|it| it.id == id) {
            &mut group.current
        } else {
            &mut group.next
        };
        let Some(link) = link.take() else { return };
        if link
            .live_since
            .is_some_and(|since| now >= since + FINE_AFTER)
        {
            group.backoff.reset();
        }
        let wait = group.backoff.next(host);
        group.open_at = group.open_at.max(now + wait);
        host.warn(format!(
            "connection {id} lost: {why}; the next one after {} ms",
            wait.as_millis()
        ));
    }

    /// Does what is due: sends, opens, closes. Gives the groups whose subscription was confirmed
    /// since the last call: trades before that may be missing.
    ///
    /// # Errors
    /// The grant or the address is wrong.
    pub(crate) fn tick(&mut self, host: &Host, now: Duration) -> Result<Vec<usize>, Failure> {
        for group in 0..self.groups.len() {
            for id in self.groups[group].ids() {
                self.fulfil(host, group, id, now)?;
            }
            let it = &mut self.groups[group];
            it.replace |= it
                .current
                .as_ref()
                .is_some_and(|link| now >= link.replace_at);
            let wanted = it.next.is_none() && (it.current.is_none() || it.replace);
            if wanted && now >= it.open_at {
                self.open(host, group, now)?;
            }
        }
        self.retiring.retain(|(at, id)| {
            let over = now >= *at;
            if over {
                host.close(*id);
            }
            !over
        });
        Ok(std::mem::take(&mut self.confirmed))
    }

    fn fulfil(&mut self, host: &Host, group: usize, id: u64, now: Duration) -> Result<(), Failure> {
        while let Some((_, link)) = self.find(id) {
            match link.wish(now) {
                None => return Ok(()),
                Some(Wish::Send(text)) => match host.send(id, &text) {
                    Ok(()) => {}
                    Err(WebSocketError::Limit(_)) => {
                        link.put_back(text, now);
                        return Ok(());
                    }
                    Err(WebSocketError::Denied(why)) => return Err(Failure::Misconfigured(why)),
                    // Its closing is on the way, or was never told.
                    Err(WebSocketError::Invalid(why)) => self.lost(host, group, id, &why, now),
                },
                Some(Wish::Dead(why)) => {
                    host.close(id);
                    self.lost(host, group, id, &why, now);
                }
                Some(Wish::Confirmed) => self.confirm(host, group, id, now),
            }
        }
        Ok(())
    }

    fn open(&mut self, host: &Host, group: usize, now: Duration) -> Result<(), Failure> {
        if let Err(later) = self.openings.spend(now, 1, 100) {
            self.groups[group].open_at = later;
            return Ok(());
        }
        match host.open(&format!("{TRADE_STREAM}-{group}"), &self.url) {
            Ok(id) => {
                note(host, id, group, self.groups[group].hash, false);
                let mut link = self.link(group, id, now);
                link.replace_at = now
                    + self
                        .reconnect_after
                        .mul_f64(1.0 - AGE_SPREAD * host.fraction());
                self.groups[group].next = Some(link);
                Ok(())
            }
            Err(WebSocketError::Limit(why)) => {
                let wait = self.groups[group].backoff.next(host);
                self.groups[group].open_at = now + wait;
                host.warn(format!("no connection can be opened for now: {why}"));
                Ok(())
            }
            Err(error) => Err(Failure::Misconfigured(format!("{}: {error}", self.url))),
        }
    }

    /// When to tick again, if nothing comes before.
    pub(crate) fn due(&self) -> Duration {
        let groups = self.groups.iter().map(|it| {
            let links = it.current.iter().chain(&it.next).map(Link::due);
            let opening = it.next.is_none() && (it.current.is_none() || it.replace);
            links
                .chain(opening.then_some(it.open_at))
                .min()
                .unwrap_or(Duration::MAX)
        });
        groups
            .chain(self.retiring.iter().map(|(at, _)| *at))
            .min()
            .unwrap_or(Duration::MAX)
    }
}

impl Group {
    fn ids(&self) -> Vec<u64> {
        self.current
            .iter()
            .chain(&self.next)
            .map(|it| it.id)
            .collect()
    }
}

/// The stream of a symbol: names are in lower case there.
fn stream_name(symbol: &str) -> String {
    format!("{}@{TRADE_STREAM}", symbol.to_lowercase())
}

fn note(host: &Host, id: u64, group: usize, streams: u64, confirmed: bool) {
    let bytes = serde_json::to_vec(&Note {
        group,
        streams,
        confirmed,
    })
    .expect("numbers are JSON");
    // Without its note a connection is not taken over, but replaced: nothing is lost.
    if let Err(error) = host.note(
        id,
        &Saved {
            version: NOTE_VERSION,
            bytes,
        },
    ) {
        host.warn(format!("connection {id} has no note: {error}"));
    }
}
