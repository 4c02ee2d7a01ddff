//! What a person writes under `settings:`.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_sdk::{Finding, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The only stream of this version.
pub(crate) const TRADE_STREAM: &str = "trade";

/// Streams of one connection: what the exchange allows.
pub(crate) const STREAMS_PER_CONNECTION_MAX: u32 = 1024;

/// What a request for trades costs of the exchange's weight.
pub(crate) const FETCH_WEIGHT: u32 = 25;

/// What the exchange allows an IP address.
const WEIGHT_PER_MINUTE_MAX: u32 = 6000;

/// The exchange ends a connection after 24 hours.
const CONNECTION_AGE_MAX: HumanDuration = HumanDuration::from_secs(24 * 3600);

/// Trades of Binance, spot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Which of the exchange's markets.
    #[serde(default)]
    pub market: Market,
    /// The symbols, such as BTCUSDT.
    pub symbols: Vec<String>,
    /// The streams of each symbol. This version has `trade`.
    #[serde(default = "trade_only")]
    pub streams: Vec<String>,
    /// Where the exchange is.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// For a symbol without a stored position: the first trade id that is wanted. What is past is
    /// fetched over REST. Symbols that are not named begin with the first trade that is seen.
    #[serde(default)]
    pub start_at: BTreeMap<String, i64>,
    /// After so long without a trade of a symbol the exchange is asked whether one was missed, and
    /// a connection that is silent for half as long whether it is still there.
    #[serde(default = "thirty_seconds")]
    pub silence_after: HumanDuration,
    /// The unit of the exchange's time fields.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// Streams of one connection, at most.
    #[serde(default = "default_streams_per_connection")]
    #[schemars(range(min = 1, max = 1024))]
    pub streams_per_connection: u32,
    /// A connection of this age is replaced: the new one is subscribed before the old one is
    /// closed. The exchange ends a connection after 24 hours.
    #[serde(default = "twenty_three_hours")]
    pub reconnect_after: HumanDuration,
    /// Weight that requests may cost in any minute. The exchange allows an IP address 6000; a
    /// request for up to 1000 trades costs 25.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 25, max = 6000))]
    pub weight_per_minute: u32,
    /// Longest time to wait for the answer to a request.
    #[serde(default = "ten_seconds")]
    pub request_timeout: HumanDuration,
}

/// A market of the exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spot.
    #[default]
    Spot,
}

/// Addresses without path.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Endpoints {
    /// Of the streams: ws:// or wss://.
    #[serde(default = "default_websocket")]
    pub websocket: String,
    /// Of the REST interface: http:// or https://.
    #[serde(default = "default_rest")]
    pub rest: String,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            websocket: default_websocket(),
            rest: default_rest(),
        }
    }
}

/// The unit of a time field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// What the exchange sends unless asked.
    #[default]
    Millisecond,
    /// Asked for with each connection and request.
    Microsecond,
}

impl TimeUnit {
    /// A time field as µs since the epoch; none when it does not fit.
    pub fn to_us(self, value: i64) -> Option<i64> {
        match self {
            Self::Millisecond => value.checked_mul(1000),
            Self::Microsecond => Some(value),
        }
    }
}

fn trade_only() -> Vec<String> {
    vec![TRADE_STREAM.to_owned()]
}
fn default_websocket() -> String {
    "wss://data-stream.binance.vision".to_owned()
}
fn default_rest() -> String {
    "https://data-api.binance.vision".to_owned()
}
fn thirty_seconds() -> HumanDuration {
    HumanDuration::from_secs(30)
}
fn ten_seconds() -> HumanDuration {
    HumanDuration::from_secs(10)
}
fn twenty_three_hours() -> HumanDuration {
    HumanDuration::from_secs(23 * 3600)
}
/// Half of what is allowed: losing a connection then costs half of the streams.
fn default_streams_per_connection() -> u32 {
    STREAMS_PER_CONNECTION_MAX / 2
}
/// Half of what is allowed: others may share the address.
fn default_weight() -> u32 {
    WEIGHT_PER_MINUTE_MAX / 2
}

impl Settings {
    /// What is wrong beyond what the schema says.
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        self.check_symbols(&mut found);
        self.check_streams(&mut found);
        self.check_endpoints(&mut found);
        self.check_limits(&mut found);
        found
    }

    fn check_symbols(&self, found: &mut Vec<Finding>) {
        if self.symbols.is_empty() {
            found.push(Finding::error(
                "symbols",
                "no symbol is named",
                "name one, such as BTCUSDT",
            ));
        }
        let mut seen = BTreeSet::new();
        for (i, symbol) in self.symbols.iter().enumerate() {
            let path = format!("symbols[{i}]");
            if symbol.is_empty()
                || symbol
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || "@/\"\\".contains(c))
            {
                found.push(Finding::error(
                    path,
                    format!("`{symbol}` is no symbol"),
                    "write it as the exchange does, such as BTCUSDT",
                ));
            } else if *symbol != symbol.to_uppercase() {
                let mend = format!("write {}", symbol.to_uppercase());
                found.push(Finding::error(
                    path,
                    format!("`{symbol}` is not in upper case"),
                    mend,
                ));
            } else if !seen.insert(symbol) {
                found.push(Finding::error(
                    path,
                    format!("`{symbol}` is named twice"),
                    "remove one",
                ));
            }
        }
        for (symbol, id) in &self.start_at {
            let path = format!("start-at.{symbol}");
            if !self.symbols.contains(symbol) {
                found.push(Finding::error(
                    &*path,
                    format!("`{symbol}` is not among the symbols"),
                    "name it under symbols too",
                ));
            }
            if *id < 0 {
                found.push(Finding::error(
                    path,
                    format!("{id} is no trade id"),
                    "trade ids begin with 0",
                ));
            }
        }
    }

    fn check_streams(&self, found: &mut Vec<Finding>) {
        if self.streams.is_empty() {
            found.push(Finding::error(
                "streams",
                "no stream is named",
                "write [trade]",
            ));
        }
        for (i, stream) in self.streams.iter().enumerate() {
            let path = format!("streams[{i}]");
            if stream != TRADE_STREAM {
                let message = format!(
                    "the stream `{stream}` is not known to this version, which has: {TRADE_STREAM}"
                );
                found.push(Finding::error(path, message, "write [trade]"));
            } else if i > 0 && self.streams[..i].contains(stream) {
                found.push(Finding::error(
                    path,
                    format!("`{stream}` is named twice"),
                    "remove one",
                ));
            }
        }
    }

    fn check_endpoints(&self, found: &mut Vec<Finding>) {
        let endpoints = [
            (
                "endpoints.websocket",
                &self.endpoints.websocket,
                ["wss://", "ws://"],
            ),
            (
                "endpoints.rest",
                &self.endpoints.rest,
                ["https://", "http://"],
            ),
        ];
        for (path, url, schemes) in endpoints {
            let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
            match rest {
                None => found.push(Finding::error(
                    path,
                    format!(
                        "`{url}` does not begin with {} or {}",
                        schemes[0], schemes[1]
                    ),
                    format!("write {}HOST[:PORT]", schemes[0]),
                )),
                Some(host)
                    if host.is_empty()
                        || host.contains(['?', '#'])
                        || host.chars().any(char::is_whitespace) =>
                {
                    found.push(Finding::error(
                        path,
                        format!("`{url}` is no address"),
                        format!("write {}HOST[:PORT]", schemes[0]),
                    ));
                }
                Some(_) => {}
            }
        }
    }

    fn check_limits(&self, found: &mut Vec<Finding>) {
        if !(1..=STREAMS_PER_CONNECTION_MAX).contains(&self.streams_per_connection) {
            found.push(Finding::error(
                "streams-per-connection",
                format!(
                    "{} is outside of what the exchange allows",
                    self.streams_per_connection
                ),
                "write 1 to 1024",
            ));
        }
        if !(FETCH_WEIGHT..=WEIGHT_PER_MINUTE_MAX).contains(&self.weight_per_minute) {
            found.push(Finding::error(
                "weight-per-minute",
                format!(
                    "{} is outside of 25 (one request) and 6000 (what the exchange allows)",
                    self.weight_per_minute
                ),
                "write 3000",
            ));
        }
        let durations = [
            (
                "silence-after",
                self.silence_after,
                HumanDuration(std::time::Duration::from_millis(100)),
                CONNECTION_AGE_MAX,
            ),
            (
                "request-timeout",
                self.request_timeout,
                HumanDuration(std::time::Duration::from_millis(100)),
                HumanDuration::from_secs(60),
            ),
            (
                "reconnect-after",
                self.reconnect_after,
                HumanDuration::from_secs(1),
                CONNECTION_AGE_MAX,
            ),
        ];
        for (path, value, least, most) in durations {
            if value < least || value > most {
                found.push(Finding::error(
                    path,
                    format!("{value} is outside of {least} to {most}"),
                    format!("write {least} to {most}"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_sdk::{parse_settings, settings_schema};

    fn findings(json: &str) -> Vec<(String, String)> {
        let settings: Settings = parse_settings(json).unwrap();
        settings
            .check()
            .into_iter()
            .map(|it| (it.path, it.message))
            .collect()
    }

    #[test]
    fn the_shortest_settings_are_fine() {
        assert_eq!(findings(r#"{"symbols": ["BTCUSDT"]}"#), []);
        let settings: Settings = parse_settings(r#"{"symbols": ["BTCUSDT"]}"#).unwrap();
        assert_eq!(
            settings.endpoints.websocket,
            "wss://data-stream.binance.vision"
        );
        assert_eq!(settings.silence_after.to_string(), "30s");
        assert_eq!(
            findings(r#"{"symbols": ["币安人生USDT"]}"#),
            [],
            "symbols may be more than ASCII"
        );
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let found = findings(
            r#"{"symbols": ["btcusdt", "ETHUSDT", "ETHUSDT", "A B"], "streams": ["trade", "depth"],
                "endpoints": {"websocket": "https://x", "rest": "http://"}, "start-at": {"XRPUSDT": -1},
                "silence-after": "0s", "streams-per-connection": 2000, "weight-per-minute": 7, "reconnect-after": "25h"}"#,
        );
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "symbols[0]",
                "symbols[2]",
                "symbols[3]",
                "start-at.XRPUSDT",
                "start-at.XRPUSDT",
                "streams[1]",
                "endpoints.websocket",
                "endpoints.rest",
                "streams-per-connection",
                "weight-per-minute",
                "silence-after",
                "reconnect-after",
            ]
        );
        assert!(
            found[5].1.contains("`depth`") && found[5].1.contains("has: trade"),
            "{}",
            found[5].1
        );
    }

    #[test]
    fn the_schema_names_what_can_be_set() {
        let schema: serde_json::Value =
            serde_json::from_str(&settings_schema::<Settings>()).unwrap();
        assert_eq!(schema["required"], serde_json::json!(["symbols"]));
        assert_eq!(schema["properties"]["weight-per-minute"]["maximum"], 6000);
        assert_eq!(schema["properties"]["reconnect-after"]["default"], "23h");
        assert!(
            parse_settings::<Settings>(r#"{"symbols": [], "market": "usdm"}"#)
                .unwrap_err()
                .message
                .contains("spot")
        );
    }
}
