//! A recording: what an exchange sent, in the order in which it was received.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::trade::{Payload, Trade};

const SPOT_TRADES: &[u8] = include_bytes!("../recordings/spot-trades-20240808.jsonl.gz");
const SPOT_DEPTH: [(&str, &[u8]); 2] = [
    (
        "BTCUSDT",
        include_bytes!("../recordings/spot-depth-btcusdt-20240808.json.gz"),
    ),
    (
        "ETHUSDT",
        include_bytes!("../recordings/spot-depth-ethusdt-20240808.json.gz"),
    ),
];

/// A recording is refused when unpacked it is larger than this: four hundred
/// times the embedded one, and still fits a small machine.
pub const RECORDING_BYTES_MAX: u64 = 1 << 30;

/// Why a recording can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file can't be read or unpacked.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line isn't `<ns> <combined-stream JSON of a trade>`.
    #[error("line {line}: {reason}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no trade in it.
    #[error("the recording holds no trade")]
    Empty,
}

/// Recorded trades in receive order, and the depth snapshots beside them.
pub struct Recording {
    text: String,
    frames: Vec<Range<usize>>,
    trades: Vec<Trade>,
    symbols: Vec<Arc<str>>,
    depth: BTreeMap<String, Depth>,
}

/// A depth snapshot as REST gives it; sides are JSON arrays of `[price, quantity]`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Depth {
    /// The book's last update id.
    pub last_update_id: i64,
    /// Best first.
    pub bids: Vec<[String; 2]>,
    /// Best first.
    pub asks: Vec<[String; 2]>,
}

#[derive(Deserialize)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: Payload<'a>,
}

impl Recording {
    /// The recording this crate ships: 15,863 spot trades of BTCUSDT and ETHUSDT.
    ///
    /// # Errors
    /// None for the bytes that are compiled in; a test reads them.
    pub fn spot() -> Result<Recording, RecordingError> {
        let mut recording = Recording::parse(unpack("spot-trades", SPOT_TRADES)?)?;
        for (symbol, packed) in SPOT_DEPTH {
            let text = unpack("spot-depth", packed)?;
            let depth = serde_json::from_str(&text).map_err(|error| RecordingError::Malformed {
                line: 1,
                reason: error.to_string(),
            })?;
            recording.depth.insert(symbol.to_owned(), depth);
        }
        Ok(recording)
    }

    /// Reads a file of such lines, gzipped when its name ends in `.gz`.
    ///
    /// # Errors
    /// When it can't be read, or a line isn't a recorded trade.
    pub fn open(path: &Path) -> Result<Recording, RecordingError> {
        let name = path.display().to_string();
        let unreadable = |source| RecordingError::Unreadable {
            path: name.clone(),
            source,
        };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let text = if path.extension().is_some_and(|ext| ext == "gz") {
            unpack(&name, &bytes)?
        } else {
            String::from_utf8(bytes)
                .map_err(|error| unreadable(std::io::Error::other(error.utf8_error())))?
        };
        Recording::parse(text)
    }

    /// Reads lines of `<receive time in ns> <combined-stream JSON>`.
    ///
    /// # Errors
    /// When a line isn't a recorded trade, or there is none.
    pub fn parse(text: String) -> Result<Recording, RecordingError> {
        let mut frames = Vec::new();
        let mut trades = Vec::new();
        let mut symbols: Vec<Arc<str>> = Vec::new();
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let start = at;
            at += line.len();
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                continue;
            }
            let malformed = |reason: String| RecordingError::Malformed {
                line: number + 1,
                reason,
            };
            let (received, json) = line
                .split_once(' ')
                .ok_or_else(|| malformed("no space after the receive time".into()))?;
            let received_ns = received
                .parse()
                .map_err(|error| malformed(format!("receive time `{received}`: {error}")))?;
            let combined: Combined<'_> =
                serde_json::from_str(json).map_err(|error| malformed(error.to_string()))?;
            let trade = typed(&combined, received_ns, &mut symbols).map_err(malformed)?;
            let json_start = start + received.len() + 1;
            frames.push(json_start..json_start + json.len());
            trades.push(trade);
        }
        if trades.is_empty() {
            return Err(RecordingError::Empty);
        }
        Ok(Recording {
            text,
            frames,
            trades,
            symbols,
            depth: BTreeMap::new(),
        })
    }

    /// The first `count` trades only (at least one), with the same snapshots.
    #[must_use]
    pub fn first(mut self, count: usize) -> Recording {
        let count = count.max(1);
        self.frames.truncate(count);
        self.trades.truncate(count);
        self
    }

    /// Every trade, in receive order.
    #[must_use]
    pub fn trades(&self) -> &[Trade] {
        &self.trades
    }

    /// The frame of trade `index` as it was received.
    #[must_use]
    pub fn frame(&self, index: usize) -> &str {
        &self.text[self.frames[index].clone()]
    }

    /// Upper-case symbols in the order of their first trade.
    #[must_use]
    pub fn symbols(&self) -> &[Arc<str>] {
        &self.symbols
    }

    /// The snapshot of a symbol's book, where one was recorded.
    #[must_use]
    pub fn depth(&self, symbol: &str) -> Option<&Depth> {
        self.depth.get(symbol)
    }
}

fn typed(
    combined: &Combined<'_>,
    received_ns: i64,
    symbols: &mut Vec<Arc<str>>,
) -> Result<Trade, String> {
    let data = &combined.data;
    let expected = format!("{}@trade", data.symbol.to_lowercase());
    if combined.stream != expected {
        return Err(format!("stream `{}` is not `{expected}`", combined.stream));
    }
    let symbol = match symbols.iter().find(|known| ***known == *data.symbol) {
        Some(known) => known.clone(),
        None => {
            let new: Arc<str> = data.symbol.into();
            symbols.push(new.clone());
            new
        }
    };
    Ok(Trade {
        symbol,
        trade_id: data.trade_id,
        price: data.price.parse().map_err(|e| format!("price {e}"))?,
        quantity: data.quantity.parse().map_err(|e| format!("quantity {e}"))?,
        trade_time_ms: data.trade_time,
        event_time_ms: data.event_time,
        is_buyer_maker: data.is_buyer_maker,
        received_ns,
    })
}

fn unpack(name: &str, packed: &[u8]) -> Result<String, RecordingError> {
    let mut text = String::new();
    GzDecoder::new(packed)
        .take(RECORDING_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|source| RecordingError::Unreadable {
            path: name.to_owned(),
            source,
        })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recording_is_whole() {
        let recording = Recording::spot().unwrap();
        let trades = recording.trades();
        assert_eq!(trades.len(), 15_863);
        assert_eq!(recording.symbols().len(), 2);
        for symbol in recording.symbols() {
            let ids: Vec<i64> = trades
                .iter()
                .filter(|t| t.symbol == *symbol)
                .map(|t| t.trade_id)
                .collect();
            assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
            assert_eq!(recording.depth(symbol).unwrap().bids.len(), 1000);
        }
        assert!(
            trades
                .windows(2)
                .all(|p| p[0].received_ns <= p[1].received_ns)
        );
        assert_eq!(trades[0].price.to_string(), "61837.63000000");
        assert!(
            recording
                .frame(0)
                .starts_with("{\"stream\":\"btcusdt@trade\"")
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        let Err(error) = Recording::parse("1 {}\n".into()) else {
            panic!("accepted");
        };
        assert!(error.to_string().starts_with("line 1:"), "{error}");
        assert!(matches!(
            Recording::parse(String::new()),
            Err(RecordingError::Empty)
        ));
    }
}
