//! What REST knows of the market at a position of the tape.

use serde::Serialize;
use serde_json::{Value, json};

use crate::schedule::Hole;
use crate::tape::Tape;
use crate::trade::Trade;

/// Quote assets, longest first, to take a symbol of a foreign recording apart.
const QUOTES: [&str; 8] = ["FDUSD", "USDT", "USDC", "TUSD", "BUSD", "BTC", "ETH", "BNB"];

/// A trade as `/api/v3/trades` and `/api/v3/historicalTrades` give it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestTrade {
    id: i64,
    price: String,
    qty: String,
    quote_qty: String,
    time: i64,
    is_buyer_maker: bool,
    is_best_match: bool,
}

/// An aggregate as `/api/v3/aggTrades` gives it.
#[derive(Serialize)]
pub(crate) struct RestAggregate {
    a: i64,
    p: String,
    q: String,
    f: i64,
    l: i64,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
    #[serde(rename = "M")]
    best: bool,
}

/// Which aggregates are asked for.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) from_id: Option<i64>,
    pub(crate) start_ms: Option<i64>,
    pub(crate) end_ms: Option<i64>,
}

/// A view of one symbol: all that has happened before `position`.
pub(crate) struct Market<'a> {
    pub(crate) tape: &'a Tape,
    pub(crate) symbol: usize,
    pub(crate) position: u64,
    pub(crate) holes: &'a [Hole],
}

impl Market<'_> {
    fn visible(&self) -> u64 {
        self.tape.count_before(self.symbol, self.position)
    }

    fn trades_from(&self, nth: u64) -> impl Iterator<Item = Trade> {
        (nth..self.visible())
            .map(|nth| self.tape.trade(self.tape.nth(self.symbol, nth)))
            .filter(|t| !self.holes.iter().any(|h| h.hides(&t.symbol, t.trade_id)))
    }

    /// Up to `limit` trades from an id on, or the newest.
    pub(crate) fn trades(&self, from_id: Option<i64>, limit: usize) -> Vec<RestTrade> {
        let list: Vec<Trade> = match from_id {
            Some(id) => {
                let nth = self.tape.count_below_id(self.symbol, id);
                self.trades_from(nth).take(limit).collect()
            }
            None => {
                let first = self.visible().saturating_sub(limit as u64);
                self.trades_from(first).collect()
            }
        };
        list.iter().map(rest_trade).collect()
    }

    /// Aggregates: consecutive trades of the same time, price and side, numbered
    /// from 1 in the recording (the exchange's own numbers are not in it).
    pub(crate) fn aggregates(&self, wanted: &Wanted, limit: usize) -> Vec<RestAggregate> {
        let mut all: Vec<(i64, Vec<Trade>)> = Vec::new();
        for trade in self.trades_from(0) {
            match all.last_mut() {
                Some((_, group)) if joins(&group[0], &trade) => group.push(trade),
                _ => all.push((all.len() as i64 + 1, vec![trade])),
            }
        }
        let mut list: Vec<RestAggregate> = all
            .iter()
            .filter(|(number, group)| {
                let time = group[0].trade_time_ms;
                wanted.from_id.is_none_or(|from| *number >= from)
                    && wanted.start_ms.is_none_or(|start| time >= start)
                    && wanted.end_ms.is_none_or(|end| time <= end)
            })
            .map(|(number, group)| rest_aggregate(*number, group))
            .collect();
        if wanted.from_id.is_none() && wanted.start_ms.is_none() {
            list.drain(..list.len().saturating_sub(limit));
        }
        list.truncate(limit);
        list
    }

    /// The recorded snapshot of the book, which does not move with the replay.
    pub(crate) fn depth(&self, limit: usize) -> Value {
        let name = &self.tape.recording().symbols()[self.symbol];
        match self.tape.recording().depth(name) {
            Some(depth) => json!({
                "lastUpdateId": depth.last_update_id,
                "bids": depth.bids.iter().take(limit).collect::<Vec<_>>(),
                "asks": depth.asks.iter().take(limit).collect::<Vec<_>>(),
            }),
            None => json!({ "lastUpdateId": 0, "bids": [], "asks": [] }),
        }
    }
}

fn joins(first: &Trade, next: &Trade) -> bool {
    first.trade_time_ms == next.trade_time_ms
        && first.price == next.price
        && first.is_buyer_maker == next.is_buyer_maker
}

fn rest_trade(trade: &Trade) -> RestTrade {
    RestTrade {
        id: trade.trade_id,
        price: trade.price.to_string(),
        qty: trade.quantity.to_string(),
        quote_qty: trade.price.times(trade.quantity).to_string(),
        time: trade.trade_time_ms,
        is_buyer_maker: trade.is_buyer_maker,
        is_best_match: true,
    }
}

fn rest_aggregate(number: i64, group: &[Trade]) -> RestAggregate {
    let first = &group[0];
    let last = &group[group.len() - 1];
    let quantity = group[1..]
        .iter()
        .fold(first.quantity, |sum, t| sum + t.quantity);
    RestAggregate {
        a: number,
        p: first.price.to_string(),
        q: quantity.to_string(),
        f: first.trade_id,
        l: last.trade_id,
        time: first.trade_time_ms,
        m: first.is_buyer_maker,
        best: true,
    }
}

impl RestTrade {
    pub(crate) fn use_micros(&mut self) {
        self.time *= 1000;
    }
}

impl RestAggregate {
    pub(crate) fn use_micros(&mut self) {
        self.time *= 1000;
    }
}

/// A symbol of `/api/v3/exchangeInfo`, as far as a reader of market data needs it.
pub(crate) fn symbol_info(symbol: &str) -> Value {
    let quote = QUOTES
        .into_iter()
        .find(|quote| symbol.ends_with(quote) && symbol.len() > quote.len())
        .unwrap_or("USDT");
    let base = symbol.strip_suffix(quote).unwrap_or(symbol);
    json!({
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": true,
        "isSpotTradingAllowed": true,
        "isMarginTradingAllowed": true,
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000" },
            { "filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000" }
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]]
    })
}
