//! The exchange's side of the wire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jackfield_sdk::batch::event::RequestError;
use jackfield_sdk::source::testing::{FakeHost, FakeRequest};
use jackfield_sdk::source::{ConnectionState, Imports};
use serde_json::{Value, json};

use super::Taped;

/// The steps of its clock.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// From a connection's opening, or a message, or a request, to what follows.
const ROUND_TRIP: Duration = Duration::from_millis(30);

/// How the next requests fare.
#[derive(Debug, Clone)]
pub(crate) enum RestFault {
    Status(u16, Vec<(&'static str, String)>, &'static str),
    Failed(RequestError),
    /// Neither answered nor failed, ever.
    Lost,
}

#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) subscribed: BTreeSet<String>,
    /// Messages of the client that were read.
    read: usize,
    /// Frames on their way to the client.
    on_the_way: VecDeque<(Duration, String)>,
    /// Nothing comes any more, not even a closing.
    pub(crate) half_open: bool,
    /// Streams whose trades are no longer sent.
    pub(crate) silent: BTreeSet<String>,
    /// So many trades are not sent.
    pub(crate) skip: u32,
    /// So many trades are sent twice.
    pub(crate) duplicate: u32,
    /// So many trades are collected and then sent backwards.
    pub(crate) reverse: u32,
    reversed: Vec<String>,
    opened: bool,
    opens_at: Duration,
    /// Trades come so much later than REST knows them.
    pub(crate) lag: Duration,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    tape: Vec<Taped>,
    /// Trades that were made.
    made: usize,
    started_at: Option<Duration>,
    pub(crate) wires: BTreeMap<u64, Wire>,
    answers: Vec<(Duration, u64)>,
    seen_requests: BTreeSet<u64>,
    /// For the next requests, in order.
    pub(crate) rest_faults: VecDeque<RestFault>,
    /// Ids that nobody has: neither sent nor known to REST.
    pub(crate) holes: Vec<(String, i64, i64)>,
    /// Streams that a SUBSCRIBE does not take, though it says so.
    pub(crate) deaf_to: BTreeSet<String>,
    /// No connection can be opened.
    pub(crate) refuse: bool,
    /// A client that reads slowly: at most so many frames of a connection in a tick.
    pub(crate) frames_per_tick: usize,
    /// The market stands still, though the clock goes on.
    pub(crate) frozen: bool,
    random: u64,
    /// Connections that will be closed: when, which, with what code.
    closing: Vec<(Duration, u64, u16)>,
    /// Every frame that a client was given.
    delivered: BTreeSet<String>,
}

impl Exchange {
    pub(crate) fn new(tape: Vec<Taped>, seed: u64) -> Self {
        Self {
            tape,
            made: 0,
            started_at: None,
            wires: BTreeMap::new(),
            answers: Vec::new(),
            seen_requests: BTreeSet::new(),
            rest_faults: VecDeque::new(),
            holes: Vec::new(),
            deaf_to: BTreeSet::new(),
            refuse: false,
            frames_per_tick: usize::MAX,
            frozen: false,
            random: seed,
            closing: Vec::new(),
            delivered: BTreeSet::new(),
        }
    }

    pub(crate) fn tape(&self) -> &[Taped] {
        &self.tape
    }

    /// Whether all trades were made.
    pub(crate) fn played(&self) -> bool {
        self.made == self.tape.len()
    }

    /// Trades that no connection has brought.
    pub(crate) fn never_live(&self) -> Vec<i64> {
        let never = |it: &&Taped| !self.delivered.contains(&it.frame);
        self.tape.iter().filter(never).map(|it| it.id).collect()
    }

    /// So many trades are in the past when the first client comes.
    pub(crate) fn make(&mut self, trades: usize) {
        self.made = trades;
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        // xorshift64*
        self.random = self.random.max(1);
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    /// The client's process is gone.
    pub(crate) fn forget_clients(&mut self) {
        self.wires.clear();
        self.answers.clear();
        self.seen_requests.clear();
        self.closing.clear();
    }

    /// The connections that trades are sent on, the newest last.
    pub(crate) fn live_wires(&self) -> Vec<u64> {
        self.wires
            .iter()
            .filter(|(_, wire)| wire.opened)
            .map(|(id, _)| *id)
            .collect()
    }

    /// The connection ends; what is on its way is lost.
    pub(crate) fn drop_wire(&mut self, host: &FakeHost, id: u64, code: u16) {
        if self.wires.remove(&id).is_some() {
            host.closed(id, code, "by the exchange");
        }
    }

    /// The exchange announces that it will close a connection.
    pub(crate) fn shut_down(&mut self, host: &FakeHost, id: u64, lead: Duration) {
        let now = host.now();
        let wire = self.wires.get_mut(&id).unwrap();
        let frame = json!({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}});
        wire.on_the_way.push_back((now, frame.to_string()));
        self.closing.push((now + lead, id, 1001));
    }

    /// A little time passes.
    pub(crate) fn tick(&mut self, host: &FakeHost) {
        self.tick_by(host, TICK);
    }

    /// So much time passes at once.
    pub(crate) fn tick_by(&mut self, host: &FakeHost, step: Duration) {
        host.advance(step);
        let now = host.now();
        self.meet_connections(host, now);
        self.read_messages(host, now);
        self.make_trades(now, step);
        self.deliver(host, now);
        let (due, later) = std::mem::take(&mut self.closing)
            .into_iter()
            .partition(|it| it.0 <= now);
        self.closing = later;
        let due: Vec<(Duration, u64, u16)> = due;
        for (_, id, code) in due {
            self.drop_wire(host, id, code);
        }
        self.answer_requests(host, now);
    }

    fn meet_connections(&mut self, host: &FakeHost, now: Duration) {
        for it in host.connections() {
            let known = self.wires.contains_key(&it.id);
            match it.state {
                ConnectionState::Closed => {
                    self.wires.remove(&it.id);
                }
                ConnectionState::Opening if !known => {
                    let lag = Duration::from_millis(self.random(30));
                    let wire = Wire {
                        opens_at: now + ROUND_TRIP,
                        lag,
                        ..Wire::default()
                    };
                    self.wires.insert(it.id, wire);
                }
                ConnectionState::Opening => {
                    let wire = self.wires.get_mut(&it.id).unwrap();
                    if now >= wire.opens_at {
                        if self.refuse {
                            self.wires.remove(&it.id);
                            host.closed(it.id, 0, "connection refused");
                        } else {
                            wire.opened = true;
                            host.opened(it.id);
                        }
                    }
                }
                ConnectionState::Live => {}
            }
        }
    }

    fn read_messages(&mut self, host: &FakeHost, now: Duration) {
        for it in host.connections() {
            let Some(wire) = self.wires.get_mut(&it.id) else {
                continue;
            };
            for (_, text) in &it.sent[wire.read..] {
                let message: Value = serde_json::from_str(text).unwrap();
                let params: Vec<String> = message
                    .get("params")
                    .map_or_else(Vec::new, |it| serde_json::from_value(it.clone()).unwrap());
                let result = match message["method"].as_str().unwrap() {
                    "SUBSCRIBE" => {
                        wire.subscribed
                            .extend(params.into_iter().filter(|it| !self.deaf_to.contains(it)));
                        Value::Null
                    }
                    "LIST_SUBSCRIPTIONS" => json!(wire.subscribed),
                    other => panic!("{other}"),
                };
                let reply = json!({"result": result, "id": message["id"]});
                wire.on_the_way
                    .push_back((now + ROUND_TRIP, reply.to_string()));
                self.started_at.get_or_insert(now);
            }
            wire.read = it.sent.len();
        }
    }

    fn is_hole(&self, it: &Taped) -> bool {
        self.holes
            .iter()
            .any(|(symbol, from, to)| *symbol == it.symbol && (*from..=*to).contains(&it.id))
    }

    fn make_trades(&mut self, now: Duration, step: Duration) {
        if self.frozen {
            self.started_at = self.started_at.map(|at| at + step);
        }
        let Some(started_at) = self.started_at else {
            return;
        };
        let first_ms = self.tape.first().map_or(0, |it| it.at_ms);
        while let Some(it) = self.tape.get(self.made) {
            if started_at + Duration::from_millis(it.at_ms - first_ms) > now {
                break;
            }
            let (frame, stream) = (
                it.frame.clone(),
                format!("{}@trade", it.symbol.to_lowercase()),
            );
            let hole = self.is_hole(it);
            self.made += 1;
            if hole {
                continue;
            }
            for wire in self.wires.values_mut() {
                if wire.subscribed.contains(&stream) && !wire.silent.contains(&stream) {
                    wire.send(now, frame.clone());
                }
            }
        }
    }

    fn deliver(&mut self, host: &FakeHost, now: Duration) {
        for (id, wire) in &mut self.wires {
            for _ in 0..self.frames_per_tick {
                let Some((due, _)) = wire.on_the_way.front() else {
                    break;
                };
                if *due > now || wire.half_open {
                    break;
                }
                let (_, text) = wire.on_the_way.pop_front().unwrap();
                host.text(*id, &text);
                self.delivered.insert(text);
            }
        }
    }

    fn answer_requests(&mut self, host: &FakeHost, now: Duration) {
        let open = host.open_requests();
        for it in &open {
            if self.seen_requests.insert(it.id) {
                self.answers.push((now + ROUND_TRIP, it.id));
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.answers)
            .into_iter()
            .partition(|it| it.0 <= now);
        self.answers = later;
        for (_, id) in due {
            let request = open.iter().find(|it| it.id == id).unwrap();
            self.answer(host, request);
        }
    }

    fn answer(&mut self, host: &FakeHost, request: &FakeRequest) {
        match self.rest_faults.pop_front() {
            Some(RestFault::Status(status, headers, body)) => {
                let headers: Vec<(&str, &str)> = headers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                host.respond(request.id, status, &headers, body.as_bytes());
            }
            Some(RestFault::Failed(error)) => {
                host.fail(request.id, error, "a fault");
            }
            Some(RestFault::Lost) => {}
            None => {
                let (status, body) = self.historical_trades(&request.request.url);
                host.respond(
                    request.id,
                    status,
                    &[("x-mbx-used-weight-1m", "25")],
                    body.as_bytes(),
                );
            }
        }
    }

    fn historical_trades(&self, url: &str) -> (u16, String) {
        let query = url
            .strip_prefix("https://rest.test/api/v3/historicalTrades?")
            .unwrap();
        let query: BTreeMap<&str, &str> = query
            .split('&')
            .map(|it| it.split_once('=').unwrap())
            .collect();
        let symbol = query["symbol"];
        let limit: usize = query["limit"].parse().unwrap();
        assert!(limit <= 1000);
        if !self.tape.iter().any(|it| it.symbol == symbol) {
            return (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned());
        }
        let past = self.tape[..self.made]
            .iter()
            .filter(|it| it.symbol == symbol && !self.is_hole(it));
        let page: Vec<&Taped> = match query.get("fromId") {
            Some(from) => {
                let from: i64 = from.parse().unwrap();
                past.filter(|it| it.id >= from).take(limit).collect()
            }
            None => {
                let all: Vec<&Taped> = past.collect();
                all[all.len().saturating_sub(limit)..].to_vec()
            }
        };
        let page: Vec<Value> = page
            .into_iter()
            .map(|it| {
                json!({"id": it.id, "price": it.price, "qty": it.quantity, "quoteQty": "0.00000000",
                       "time": it.trade_time_ms, "isBuyerMaker": it.is_buyer_maker, "isBestMatch": true})
            })
            .collect();
        (200, Value::Array(page).to_string())
    }
}

impl Wire {
    fn send(&mut self, now: Duration, frame: String) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let due = now + self.lag;
        if self.reverse > 0 {
            self.reverse -= 1;
            self.reversed.push(frame);
            if self.reverse == 0 {
                self.on_the_way
                    .extend(self.reversed.drain(..).rev().map(|frame| (due, frame)));
            }
            return;
        }
        if self.duplicate > 0 {
            self.duplicate -= 1;
            self.on_the_way.push_back((due, frame.clone()));
        }
        self.on_the_way.push_back((due, frame));
    }
}
