//! What landed against what was sent: as sets, each value.

use std::collections::BTreeMap;
use std::fmt;

use jackfield_exchange::Trade;
use serde_json::{Map, Value};

/// A trade's columns as a reader gives them; the receive time is not among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Decimal text with eight places.
    pub price: String,
    /// Decimal text with eight places.
    pub quantity: String,
    /// µs since the epoch.
    pub trade_time: i64,
    /// µs since the epoch; none for a trade that was fetched by REST, which does not say it.
    pub event_time: Option<i64>,
    /// Whether the buyer was the maker.
    pub is_buyer_maker: bool,
}

/// Symbol and trade id.
pub type Key = (String, i64);

/// Rows of a table by their key, with all that share it.
pub fn rows(table: &[Map<String, Value>]) -> BTreeMap<Key, Vec<Row>> {
    let mut rows: BTreeMap<Key, Vec<Row>> = BTreeMap::new();
    for row in table {
        let text = |name: &str| {
            row[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {row:?}"))
                .to_owned()
        };
        let number = |name: &str| {
            row[name]
                .as_i64()
                .unwrap_or_else(|| panic!("{name}: {row:?}"))
        };
        let key = (text("symbol"), number("trade_id"));
        rows.entry(key).or_default().push(Row {
            price: text("price"),
            quantity: text("quantity"),
            trade_time: number("trade_time"),
            event_time: row["event_time"].as_i64(),
            is_buyer_maker: row["is_buyer_maker"].as_bool().unwrap(),
        });
    }
    rows
}

/// How what landed differs from what was sent.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Sent, but not there.
    pub missing: Vec<Key>,
    /// There more than once.
    pub doubled: Vec<Key>,
    /// There, but never sent.
    pub foreign: Vec<Key>,
    /// There once, with another value.
    pub wrong: Vec<String>,
    /// Landed without an event time, so by REST. No fault, but a test may ask.
    pub recovered: usize,
}

impl Difference {
    /// Whether exactly what was sent has landed.
    pub fn is_none(&self) -> bool {
        self.missing.is_empty()
            && self.doubled.is_empty()
            && self.foreign.is_empty()
            && self.wrong.is_empty()
    }
}

/// Compares a table's rows with the trades that were sent.
pub fn compare(sent: &[Trade], table: &[Map<String, Value>]) -> Difference {
    let mut landed = rows(table);
    let mut difference = Difference::default();
    for trade in sent {
        let key = (trade.symbol.to_string(), trade.trade_id);
        let Some(found) = landed.remove(&key) else {
            difference.missing.push(key);
            continue;
        };
        if found.len() > 1 {
            difference.doubled.push(key);
            continue;
        }
        let found = &found[0];
        let mut expected = Row {
            price: trade.price.to_string(),
            quantity: trade.quantity.to_string(),
            trade_time: trade.trade_time_ms * 1000,
            event_time: Some(trade.event_time_ms * 1000),
            is_buyer_maker: trade.is_buyer_maker,
        };
        if found.event_time.is_none() {
            difference.recovered += 1;
            expected.event_time = None;
        }
        if *found != expected {
            difference
                .wrong
                .push(format!("{key:?}: {found:?}, sent {expected:?}"));
        }
    }
    difference.foreign = landed.into_keys().collect();
    difference
}

/// Shown of each kind.
const SHOWN: usize = 5;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            missing,
            doubled,
            foreign,
            wrong,
            recovered,
        } = self;
        for (name, keys) in [
            ("missing", missing),
            ("doubled", doubled),
            ("foreign", foreign),
        ] {
            write!(f, "{name} {}", keys.len())?;
            let (first, last) = (keys.first(), keys.last());
            if let (Some(first), Some(last)) = (first, last) {
                write!(f, " ({first:?} to {last:?})")?;
            }
            write!(f, ", ")?;
        }
        write!(
            f,
            "wrong {} {:?}, ",
            wrong.len(),
            &wrong[..wrong.len().min(SHOWN)]
        )?;
        write!(f, "recovered {recovered}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_exchange::Recording;
    use serde_json::json;

    #[test]
    fn each_kind_of_difference_is_seen() {
        let recording = Recording::spot().unwrap().first(6);
        let sent = recording.trades();
        let row = |trade: &Trade| {
            let value = json!({
                "symbol": *trade.symbol, "trade_id": trade.trade_id,
                "price": trade.price.to_string(), "quantity": trade.quantity.to_string(),
                "trade_time": trade.trade_time_ms * 1000, "event_time": trade.event_time_ms * 1000,
                "is_buyer_maker": trade.is_buyer_maker,
            });
            value.as_object().unwrap().clone()
        };
        let all: Vec<_> = sent.iter().map(row).collect();
        assert!(compare(sent, &all).is_none());
        let mut table = all.clone();
        table.remove(0);
        table.push(all[1].clone());
        table[1].insert("price".into(), json!("1.00000000"));
        table[2].insert("event_time".into(), Value::Null);
        let mut foreign = all[5].clone();
        foreign.insert("trade_id".into(), json!(1));
        table.push(foreign);
        let difference = compare(sent, &table);
        assert_eq!(difference.missing.len(), 1);
        assert_eq!(difference.doubled.len(), 1);
        assert_eq!(difference.foreign.len(), 1);
        assert_eq!(difference.wrong.len(), 1);
        assert_eq!(difference.recovered, 1);
        assert!(!difference.is_none());
    }
}
