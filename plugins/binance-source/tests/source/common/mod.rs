//! An exchange without a network: it speaks through a [`FakeHost`], on the test's clock.

mod exchange;
mod tape;

use std::collections::BTreeMap;
use std::time::Duration;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};
use binance_source::{BinanceSource, GapRecord, TradeRecord};
use jackfield_sdk::Failure;
use jackfield_sdk::avro::AvroRecord;
use jackfield_sdk::source::testing::{Bench, FakeHost, Landed};

pub(crate) use exchange::{Exchange, RestFault, TICK};
pub(crate) use tape::{Taped, tape};

/// A trade as it landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LandedTrade {
    pub(crate) symbol: String,
    pub(crate) trade_id: i64,
    pub(crate) price: i128,
    pub(crate) quantity: i128,
    pub(crate) trade_time_us: i64,
    pub(crate) event_time_us: Option<i64>,
    pub(crate) is_buyer_maker: bool,
    pub(crate) received_us: i64,
}

/// A source, an exchange, and the log between polls.
pub(crate) struct Run {
    pub(crate) bench: Bench<BinanceSource>,
    pub(crate) exchange: Exchange,
}

/// Settings for these symbols; `more` is JSON fields, with a comma in front.
pub(crate) fn settings(symbols: &[&str], more: &str) -> String {
    let symbols = serde_json::to_string(symbols).unwrap();
    format!(
        r#"{{"symbols": {symbols}, "endpoints": {{"websocket": "wss://ws.test", "rest": "https://rest.test"}}{more}}}"#
    )
}

/// `start-at` for the first trades of a tape.
pub(crate) fn from_the_beginning(tape: &[Taped]) -> String {
    let mut first = BTreeMap::new();
    for it in tape {
        first.entry(it.symbol.clone()).or_insert(it.id);
    }
    format!(
        r#", "start-at": {}"#,
        serde_json::to_string(&first).unwrap()
    )
}

impl Run {
    pub(crate) fn new(tape: Vec<Taped>, settings: &str) -> Self {
        Self::seeded(tape, settings, 1)
    }

    pub(crate) fn seeded(tape: Vec<Taped>, settings: &str, seed: u64) -> Self {
        let bench = Bench::open_on(FakeHost::new(seed), settings, BTreeMap::new()).unwrap();
        Self {
            bench,
            exchange: Exchange::new(tape, seed),
        }
    }

    /// A tick of time, and polls until what came is taken; nothing is settled.
    pub(crate) fn tick(&mut self) -> Result<(), Failure> {
        self.exchange.tick(&self.bench.host);
        self.poll_until_taken()
    }

    fn poll_until_taken(&mut self) -> Result<(), Failure> {
        loop {
            let outputs = self.bench.poll()?.outputs.len();
            if outputs == 0 && self.bench.host.drained() {
                return Ok(());
            }
        }
    }

    /// Ticks, all settled, until the condition holds.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..600_000 {
            self.tick().unwrap();
            self.bench.settle_all();
            if done(self) {
                return;
            }
        }
        panic!("never: {what}; log: {:#?}", self.bench.host.lines());
    }

    /// Ticks until every trade of the tape has landed.
    pub(crate) fn until_all_landed(&mut self) {
        let expected = self.exchange.tape().len();
        self.until("all landed", |run| {
            run.exchange.played() && run.bench.landed("trade").len() >= expected
        });
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        self.run_in_steps(ms, TICK);
    }

    /// Hours in steps of a second.
    pub(crate) fn run_for_hours(&mut self, hours: u64) {
        self.run_in_steps(hours * 3_600_000, Duration::from_secs(1));
    }

    fn run_in_steps(&mut self, ms: u64, step: Duration) {
        for _ in 0..ms / u64::try_from(step.as_millis()).unwrap() {
            self.exchange.tick_by(&self.bench.host, step);
            self.poll_until_taken().unwrap();
            self.bench.settle_all();
        }
    }

    /// The process dies and comes back.
    pub(crate) fn kill(&mut self) {
        self.bench.kill().unwrap();
        self.exchange.forget_clients();
    }

    pub(crate) fn landed(&self) -> Vec<LandedTrade> {
        self.bench
            .landed("trade")
            .into_iter()
            .map(decode_trade)
            .collect()
    }

    pub(crate) fn gaps(&self) -> Vec<(String, i64, i64, String)> {
        self.bench
            .landed("gap")
            .into_iter()
            .map(decode_gap)
            .collect()
    }

    /// Each symbol's trades landed once, in order, as they were recorded.
    pub(crate) fn assert_landed_is_the_tape(&self) {
        self.assert_landed(|_| true);
    }

    pub(crate) fn assert_landed(&self, expected: impl Fn(&Taped) -> bool) {
        let landed = self.landed();
        let mut by_symbol: BTreeMap<&str, Vec<&LandedTrade>> = BTreeMap::new();
        for it in &landed {
            by_symbol.entry(&it.symbol).or_default().push(it);
        }
        let mut taped: BTreeMap<&str, Vec<&Taped>> = BTreeMap::new();
        for it in self.exchange.tape().iter().filter(|it| expected(it)) {
            taped.entry(&it.symbol).or_default().push(it);
        }
        assert_eq!(
            by_symbol.keys().collect::<Vec<_>>(),
            taped.keys().collect::<Vec<_>>()
        );
        for (symbol, landed) in by_symbol {
            let ids: Vec<i64> = landed.iter().map(|it| it.trade_id).collect();
            let wanted: Vec<i64> = taped[symbol].iter().map(|it| it.id).collect();
            assert_eq!(ids, wanted, "{symbol}");
            for (landed, taped) in landed.iter().zip(&taped[symbol]) {
                taped.assert_is(landed);
            }
        }
    }
}

fn fields(schema: &str, value: &[u8]) -> BTreeMap<String, Value> {
    let schema = Schema::parse_str(schema).unwrap();
    let mut rest = value;
    let Value::Record(fields) = from_avro_datum(&schema, &mut rest, None).unwrap() else {
        panic!("a record")
    };
    assert!(rest.is_empty());
    fields.into_iter().collect()
}

pub(crate) fn decode_trade(it: &Landed) -> LandedTrade {
    let fields = fields(TradeRecord::SCHEMA, &it.value);
    let text = |name: &str| match &fields[name] {
        Value::String(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let long = |value: &Value| match value {
        Value::Long(value) | Value::TimestampMicros(value) => *value,
        other => panic!("{other:?}"),
    };
    let decimal = |name: &str| match &fields[name] {
        Value::Decimal(decimal) => {
            let bytes = <Vec<u8>>::try_from(decimal.clone()).unwrap();
            let negative = bytes[0] & 0x80 != 0;
            bytes
                .iter()
                .fold(if negative { -1 } else { 0 }, |all, byte| {
                    (all << 8) | i128::from(*byte)
                })
        }
        other => panic!("{other:?}"),
    };
    let trade = LandedTrade {
        symbol: text("symbol"),
        trade_id: long(&fields["trade_id"]),
        price: decimal("price"),
        quantity: decimal("quantity"),
        trade_time_us: long(&fields["trade_time"]),
        event_time_us: match &fields["event_time"] {
            Value::Union(0, _) => None,
            Value::Union(1, value) => Some(long(value)),
            other => panic!("{other:?}"),
        },
        is_buyer_maker: fields["is_buyer_maker"] == Value::Boolean(true),
        received_us: long(&fields["received_at"]),
    };
    assert_eq!(
        it.key.as_deref(),
        Some(trade.symbol.as_bytes()),
        "the key is the symbol"
    );
    assert_eq!(
        it.timestamp_ms,
        trade.received_us / 1000,
        "a record's time is when it was received"
    );
    trade
}

pub(crate) fn decode_gap(it: &Landed) -> (String, i64, i64, String) {
    let fields = fields(GapRecord::SCHEMA, &it.value);
    match (
        &fields["symbol"],
        &fields["from_id"],
        &fields["to_id"],
        &fields["reason"],
    ) {
        (Value::String(symbol), Value::Long(from), Value::Long(to), Value::String(reason)) => {
            (symbol.clone(), *from, *to, reason.clone())
        }
        other => panic!("{other:?}"),
    }
}
