//! The records: a trade, and a range of trades that is not to be had.

use jackfield_sdk::avro::{self, AvroRecord};

/// Digits of a price or quantity, in all and behind the point.
pub(crate) const PRECISION: u32 = 38;
/// Binance gives eight places at most.
pub(crate) const SCALE: u32 = 8;

/// A trade but for its symbol, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Consecutive within the symbol.
    pub trade_id: i64,
    /// In units of 1e-8 of the quote asset.
    pub price: i128,
    /// In units of 1e-8 of the base asset.
    pub quantity: i128,
    /// When it was made, by the exchange's clock; µs since the epoch.
    pub trade_time_us: i64,
    /// When the exchange sent it; REST does not tell.
    pub event_time_us: Option<i64>,
    /// Whether the buyer was the maker.
    pub is_buyer_maker: bool,
    /// When the host received it, by the host's clock: may be before the trade.
    pub received_us: i64,
}

/// A record of the feed `trade`.
#[derive(Debug, Clone, Copy)]
pub struct TradeRecord<'a> {
    /// Such as BTCUSDT.
    pub symbol: &'a str,
    /// The rest.
    pub trade: &'a Trade,
}

impl AvroRecord for TradeRecord<'_> {
    const SCHEMA: &'static str = r#"{
  "type": "record", "name": "Trade", "namespace": "binance.spot",
  "doc": "A trade on Binance's spot market. Trade ids are consecutive within a symbol.",
  "fields": [
    {"name": "symbol", "type": "string", "doc": "As the exchange writes it, such as BTCUSDT."},
    {"name": "trade_id", "type": "long", "doc": "Consecutive within the symbol."},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 8}, "doc": "In the quote asset."},
    {"name": "quantity", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 8}, "doc": "In the base asset."},
    {"name": "trade_time", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When the trade was made, by the exchange's clock."},
    {"name": "event_time", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null, "doc": "When the exchange sent it; null when it was fetched over REST."},
    {"name": "is_buyer_maker", "type": "boolean", "doc": "Whether the buyer was the maker."},
    {"name": "received_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When it was received, by the receiving host's clock, which may be behind the exchange's."}
  ]
}"#;

    fn encode(&self, out: &mut Vec<u8>) {
        let it = self.trade;
        avro::string(out, self.symbol);
        avro::long(out, it.trade_id);
        avro::decimal(out, it.price);
        avro::decimal(out, it.quantity);
        avro::long(out, it.trade_time_us);
        avro::optional(out, it.event_time_us, avro::long);
        avro::boolean(out, it.is_buyer_maker);
        avro::long(out, it.received_us);
    }
}

/// A record of the feed `gap`: trades that the exchange made and that are not to be had.
#[derive(Debug, Clone, Copy)]
pub struct GapRecord<'a> {
    /// Such as BTCUSDT.
    pub symbol: &'a str,
    /// The first id that is missing.
    pub from_id: i64,
    /// The last id that is missing.
    pub to_id: i64,
    /// Why it is taken as missing.
    pub reason: &'a str,
    /// When that was found; µs since the epoch.
    pub detected_us: i64,
}

impl AvroRecord for GapRecord<'_> {
    const SCHEMA: &'static str = r#"{
  "type": "record", "name": "Gap", "namespace": "binance.spot",
  "doc": "Trades that are missing from the feed `trade` and are not to be had any more.",
  "fields": [
    {"name": "symbol", "type": "string", "doc": "As the exchange writes it, such as BTCUSDT."},
    {"name": "from_id", "type": "long", "doc": "The first trade id that is missing."},
    {"name": "to_id", "type": "long", "doc": "The last trade id that is missing."},
    {"name": "reason", "type": "string", "doc": "Why it is taken as missing."},
    {"name": "detected_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When that was found, by the receiving host's clock."}
  ]
}"#;

    fn encode(&self, out: &mut Vec<u8>) {
        avro::string(out, self.symbol);
        avro::long(out, self.from_id);
        avro::long(out, self.to_id);
        avro::string(out, self.reason);
        avro::long(out, self.detected_us);
    }
}
