//! Recorded trades.

use std::io::Read;

use serde_json::Value;

use super::LandedTrade;

/// A trade as it was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Taped {
    pub(crate) symbol: String,
    pub(crate) id: i64,
    pub(crate) price: String,
    pub(crate) quantity: String,
    pub(crate) trade_time_ms: i64,
    pub(crate) event_time_ms: i64,
    pub(crate) is_buyer_maker: bool,
    /// Since the first trade of the tape.
    pub(crate) at_ms: u64,
    /// The frame, byte for byte.
    pub(crate) frame: String,
}

/// The first trades of the recording that the replaying exchange ships.
pub(crate) fn tape(trades: usize) -> Vec<Taped> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/exchange/recordings/spot-trades-20240808.jsonl.gz"
    );
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let mut first_ns = None;
    let tape: Vec<Taped> = text
        .lines()
        .take(trades)
        .map(|line| {
            let (received, frame) = line.split_once(' ').unwrap();
            let received: u64 = received.parse().unwrap();
            let first = *first_ns.get_or_insert(received);
            let value: Value = serde_json::from_str(frame).unwrap();
            let data = &value["data"];
            Taped {
                symbol: data["s"].as_str().unwrap().to_owned(),
                id: data["t"].as_i64().unwrap(),
                price: data["p"].as_str().unwrap().to_owned(),
                quantity: data["q"].as_str().unwrap().to_owned(),
                trade_time_ms: data["T"].as_i64().unwrap(),
                event_time_ms: data["E"].as_i64().unwrap(),
                is_buyer_maker: data["m"].as_bool().unwrap(),
                at_ms: (received - first) / 1_000_000,
                frame: frame.to_owned(),
            }
        })
        .collect();
    assert_eq!(tape.len(), trades);
    tape
}

/// All recorded texts have eight places.
fn unscaled(text: &str) -> i128 {
    let (_, places) = text.split_once('.').unwrap();
    assert_eq!(places.len(), 8);
    text.replace('.', "").parse().unwrap()
}

impl Taped {
    pub(crate) fn assert_is(&self, landed: &LandedTrade) {
        assert_eq!(landed.price, unscaled(&self.price));
        assert_eq!(landed.quantity, unscaled(&self.quantity));
        assert_eq!(landed.trade_time_us, self.trade_time_ms * 1000);
        assert_eq!(landed.is_buyer_maker, self.is_buyer_maker);
        if let Some(event_time) = landed.event_time_us {
            assert_eq!(event_time, self.event_time_ms * 1000);
        }
    }
}
