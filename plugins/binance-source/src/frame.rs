//! Frames of a connection, read in place.

use std::borrow::Cow;

use jackfield_sdk::avro::parse_decimal;
use serde::Deserialize;
use serde_json::Value;

use crate::settings::TimeUnit;
use crate::trade::{PRECISION, SCALE, Trade};

/// What a text frame is.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame<'a> {
    /// A trade of a symbol.
    Trade(Cow<'a, str>, Trade),
    /// The answer to a control message.
    Reply {
        /// As given with the message; none when the exchange could not read even that.
        id: Option<i64>,
        /// The result, or what the exchange objects to.
        result: Result<Value, String>,
    },
    /// The exchange will close this connection.
    ServerShutdown,
    /// An event that this version does not take; its type.
    Other(String),
    /// Nothing that can be taken, and why.
    Unreadable(String),
}

#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    data: Payload<'a>,
}

/// Fields of a trade; others may appear and are passed over.
#[derive(Deserialize)]
struct Payload<'a> {
    e: &'a str,
    #[serde(rename = "E")]
    event_time: i64,
    s: &'a str,
    t: i64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    trade_time: i64,
    m: bool,
}

/// Reads a frame. `received_us` is the host's stamp.
pub(crate) fn read(bytes: &[u8], unit: TimeUnit, received_us: i64) -> Frame<'_> {
    match serde_json::from_slice::<Combined<'_>>(bytes) {
        Ok(Combined { data }) if data.e == "trade" => match trade(&data, unit, received_us) {
            Ok(trade) => Frame::Trade(Cow::Borrowed(data.s), trade),
            Err(reason) => Frame::Unreadable(reason),
        },
        // Not a trade as it should be: rare, so it may cost a second reading.
        Ok(_) | Err(_) => read_other(bytes, unit, received_us),
    }
}

fn trade(data: &Payload<'_>, unit: TimeUnit, received_us: i64) -> Result<Trade, String> {
    if data.t < 0 || data.t == i64::MAX {
        return Err(format!("trade id {} is out of range", data.t));
    }
    Ok(Trade {
        trade_id: data.t,
        price: decimal("price", data.p)?,
        quantity: decimal("quantity", data.q)?,
        trade_time_us: time("trade time", data.trade_time, unit)?,
        event_time_us: Some(time("event time", data.event_time, unit)?),
        is_buyer_maker: data.m,
        received_us,
    })
}

/// A decimal of the record's type, exactly.
pub(crate) fn decimal(what: &str, text: &str) -> Result<i128, String> {
    parse_decimal(text, PRECISION, SCALE)
        .map_err(|error| format!("{what} `{}`: {error}", cut(text)))
}

/// A time field as µs.
pub(crate) fn time(what: &str, value: i64, unit: TimeUnit) -> Result<i64, String> {
    unit.to_us(value)
        .ok_or_else(|| format!("{what} {value} is out of range"))
}

/// Longest part of foreign text that goes into a reason.
const QUOTE_CHARS_MAX: usize = 60;

fn cut(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).collect()
}

fn read_other(bytes: &[u8], unit: TimeUnit, received_us: i64) -> Frame<'static> {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Frame::Unreadable(format!("not JSON: {error}")),
    };
    let Value::Object(fields) = &value else {
        return Frame::Unreadable("neither an event nor a reply".to_owned());
    };
    let stream = fields.get("stream").and_then(Value::as_str);
    let event = fields.get("data").unwrap_or(&value);
    let kind = event.get("e").and_then(Value::as_str);
    if stream == Some("!serverShutdown") || kind == Some("serverShutdown") {
        return Frame::ServerShutdown;
    }
    match (stream, kind) {
        (_, Some("trade")) => match Payload::deserialize(event) {
            Ok(data) => match trade(&data, unit, received_us) {
                Ok(trade) => Frame::Trade(Cow::Owned(data.s.to_owned()), trade),
                Err(reason) => Frame::Unreadable(reason),
            },
            Err(error) => Frame::Unreadable(format!("not a trade: {error}")),
        },
        (_, Some(kind)) => Frame::Other(cut(kind)),
        (Some(stream), None) => Frame::Other(cut(stream)),
        (None, None) => reply(fields),
    }
}

fn reply(fields: &serde_json::Map<String, Value>) -> Frame<'static> {
    let id = fields.get("id").and_then(Value::as_i64);
    // Objections are flat; a market that wraps them in `error` is understood too.
    let objection = fields
        .get("error")
        .and_then(Value::as_object)
        .unwrap_or(fields);
    if let Some(code) = objection.get("code") {
        let message = objection.get("msg").and_then(Value::as_str).unwrap_or("");
        return Frame::Reply {
            id,
            result: Err(format!("code {code}: {}", cut(message))),
        };
    }
    match fields.get("result") {
        Some(result) => Frame::Reply {
            id,
            result: Ok(result.clone()),
        },
        None => Frame::Unreadable("neither an event nor a reply".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#;

    fn read_ms(text: &str) -> Frame<'_> {
        read(text.as_bytes(), TimeUnit::Millisecond, 7)
    }

    fn expected() -> Trade {
        Trade {
            trade_id: 3_735_683_259,
            price: 6_183_763_000_000,
            quantity: 2_000_000,
            trade_time_us: 1_723_161_255_342_000,
            event_time_us: Some(1_723_161_255_343_000),
            is_buyer_maker: true,
            received_us: 7,
        }
    }

    #[test]
    fn a_trade_is_read_in_place() {
        assert_eq!(read_ms(TRADE), Frame::Trade("BTCUSDT".into(), expected()));
    }

    #[test]
    fn fields_may_appear_and_disappear() {
        let more = TRADE.replace(
            "\"m\":true",
            "\"b\":88,\"a\":{\"x\":[1]},\"m\":true,\"zz\":null",
        );
        assert_eq!(read_ms(&more), Frame::Trade("BTCUSDT".into(), expected()));
        let less = TRADE.replace(",\"M\":true", "");
        assert_eq!(read_ms(&less), Frame::Trade("BTCUSDT".into(), expected()));
        let raw = TRADE
            .strip_prefix(r#"{"stream":"btcusdt@trade","data":"#)
            .unwrap();
        let raw = raw.strip_suffix('}').unwrap();
        assert_eq!(read_ms(raw), Frame::Trade("BTCUSDT".into(), expected()));
    }

    #[test]
    fn a_symbol_may_be_more_than_ascii() {
        let plain = TRADE.replace("BTCUSDT", "币安人生USDT");
        assert_eq!(
            read_ms(&plain),
            Frame::Trade("币安人生USDT".into(), expected())
        );
        let escaped = TRADE.replace("BTCUSDT", "\\u5e01\\u5b89USDT");
        assert_eq!(
            read_ms(&escaped),
            Frame::Trade("币安USDT".into(), expected())
        );
    }

    #[test]
    fn the_unit_is_what_was_agreed_and_never_guessed() {
        let micros = TRADE
            .replace("1723161255342", "1723161255342999")
            .replace("1723161255343", "1723161255343001");
        let Frame::Trade(_, trade) = read(micros.as_bytes(), TimeUnit::Microsecond, 7) else {
            panic!("a trade")
        };
        assert_eq!(
            (trade.trade_time_us, trade.event_time_us),
            (1_723_161_255_342_999, Some(1_723_161_255_343_001))
        );
        let Frame::Trade(_, trade) = read(TRADE.as_bytes(), TimeUnit::Microsecond, 7) else {
            panic!("a trade")
        };
        assert_eq!(trade.trade_time_us, 1_723_161_255_342);
    }

    #[test]
    fn replies_objections_and_shutdown() {
        assert_eq!(
            read_ms(r#"{"result":null,"id":3}"#),
            Frame::Reply {
                id: Some(3),
                result: Ok(Value::Null)
            }
        );
        let list = serde_json::json!(["btcusdt@trade"]);
        assert_eq!(
            read_ms(r#"{"result":["btcusdt@trade"],"id":4}"#),
            Frame::Reply {
                id: Some(4),
                result: Ok(list)
            }
        );
        assert_eq!(
            read_ms(r#"{"code":2,"msg":"Invalid request: unknown","id":5}"#),
            Frame::Reply {
                id: Some(5),
                result: Err("code 2: Invalid request: unknown".to_owned())
            }
        );
        assert_eq!(
            read_ms(r#"{"code":3,"msg":"Invalid JSON: eof"}"#),
            Frame::Reply {
                id: None,
                result: Err("code 3: Invalid JSON: eof".to_owned())
            }
        );
        assert_eq!(
            read_ms(r#"{"e":"serverShutdown","E":1}"#),
            Frame::ServerShutdown
        );
        assert_eq!(
            read_ms(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#),
            Frame::ServerShutdown
        );
    }

    #[test]
    fn other_events_are_told_apart() {
        assert_eq!(
            read_ms(r#"{"stream":"btcusdt@depth","data":{"e":"depthUpdate","s":"BTCUSDT"}}"#),
            Frame::Other("depthUpdate".to_owned())
        );
        // A book ticker and a partial depth have no `e`; some streams are arrays.
        assert_eq!(
            read_ms(r#"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT"}}"#),
            Frame::Other("btcusdt@bookTicker".to_owned())
        );
        assert_eq!(
            read_ms(r#"{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker"}]}"#),
            Frame::Other("!miniTicker@arr".to_owned())
        );
    }

    #[test]
    fn what_can_not_be_read_says_why() {
        let cases = [
            ("", "not JSON"),
            ("nonsense", "not JSON"),
            ("[1,2]", "neither"),
            ("{}", "neither"),
            (
                r#"{"stream":"x@trade","data":{"e":"trade","s":"X"}}"#,
                "not a trade",
            ),
            (&TRADE.replace("61837.63000000", "6e4"), "not a decimal"),
            (
                &TRADE.replace("61837.63000000", "0.123456789"),
                "more digits behind the point than 8",
            ),
            (
                &TRADE.replace("61837.63000000", &"9".repeat(31)),
                "more digits than 38",
            ),
            (
                &TRADE.replace("\"61837.63000000\"", "61837.63"),
                "not a trade",
            ),
            (&TRADE.replace("3735683259", "-1"), "out of range"),
            (
                &TRADE.replace("3735683259", "9223372036854775807"),
                "out of range",
            ),
            (
                &TRADE.replace("\"T\":1723161255342", "\"T\":9223372036854775"),
                "",
            ),
            (
                &TRADE.replace("\"T\":1723161255342", "\"T\":9223372036854776"),
                "trade time",
            ),
        ];
        for (text, reason) in cases {
            match read_ms(text) {
                Frame::Unreadable(why) => {
                    assert!(why.contains(reason) && !reason.is_empty(), "{text}: {why}")
                }
                other => assert!(reason.is_empty(), "{text}: {other:?}"),
            }
        }
    }
}
