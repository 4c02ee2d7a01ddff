//! The exchange's `historicalTrades`: requests, and what their answers mean.

use std::time::Duration;

use jackfield_sdk::batch::event::{RequestError, RequestFailed, Response};
use jackfield_sdk::source::HttpRequest;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::frame::{decimal, time};
use crate::settings::{Settings, TimeUnit};
use crate::trade::Trade;

/// Trades of one answer, at most.
pub(crate) const PAGE_TRADES_MAX: u32 = 1000;

/// When a 429 does not say how long: until the minute that is counted is over.
const PAUSE_WHEN_LIMITED: Duration = Duration::from_secs(60);
/// When a 418 or a 403 does not say how long: the shortest ban there is.
const PAUSE_WHEN_BANNED: Duration = Duration::from_secs(120);

/// What a request asked for. It travels with the request, since another instance may be the one
/// to read the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Of this symbol.
    pub symbol: String,
    /// From this trade id on; none: the latest.
    pub from: Option<i64>,
    /// So many at most.
    pub limit: u32,
}

/// Notes of another version are not read.
const NOTE_VERSION: &str = "1";

impl Asked {
    /// The request's note.
    pub(crate) fn note(&self) -> Vec<u8> {
        let from = self
            .from
            .map_or_else(|| "-".to_owned(), |from| from.to_string());
        format!("{NOTE_VERSION} {from} {} {}", self.limit, self.symbol).into_bytes()
    }

    /// What a note says; none when it is of another version.
    pub(crate) fn of_note(note: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(note).ok()?.splitn(4, ' ');
        if parts.next()? != NOTE_VERSION {
            return None;
        }
        let from = match parts.next()? {
            "-" => None,
            id => Some(id.parse().ok()?),
        };
        let limit = parts.next()?.parse().ok()?;
        Some(Self {
            symbol: parts.next()?.to_owned(),
            from,
            limit,
        })
    }

    /// The request.
    pub(crate) fn request(&self, settings: &Settings) -> HttpRequest {
        let base = settings.endpoints.rest.trim_end_matches('/');
        let symbol = percent_encoded(&self.symbol);
        let mut url = format!(
            "{base}/api/v3/historicalTrades?symbol={symbol}&limit={}",
            self.limit
        );
        if let Some(from) = self.from {
            url.push_str(&format!("&fromId={from}"));
        }
        let headers = match settings.time_unit {
            TimeUnit::Millisecond => Vec::new(),
            TimeUnit::Microsecond => vec![("x-mbx-time-unit".to_owned(), "MICROSECOND".to_owned())],
        };
        HttpRequest {
            method: "GET".to_owned(),
            url,
            headers,
            body: Vec::new(),
        }
    }
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// Trades, or what could not be read as one.
    Page(Vec<Item<'a>>),
    /// Nothing more may be asked for so long, for whatever symbol.
    Pause(Duration, String),
    /// The same may work later.
    Again(String),
    /// The answer would be too large: ask for less.
    TooMuch,
    /// It will never work: a person must act.
    Never(String),
}

/// A trade of an answer, or the text of one that can't become a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A trade.
    Trade(Trade),
    /// Its id if that could be read, why it is bad, and its text.
    Bad(Option<i64>, String, &'a str),
}

/// Other fields are passed over.
#[derive(Deserialize)]
struct Listed<'a> {
    id: i64,
    price: &'a str,
    qty: &'a str,
    time: i64,
    #[serde(rename = "isBuyerMaker")]
    is_buyer_maker: bool,
}

#[derive(Deserialize)]
struct IdOnly {
    id: i64,
}

#[derive(Deserialize)]
struct Objection {
    code: i64,
    #[serde(default)]
    msg: String,
}

/// There is no such symbol.
const INVALID_SYMBOL: i64 = -1121;
/// The request itself is at fault: the same will never work.
const REQUEST_ISSUES: std::ops::RangeInclusive<i64> = -1199..=-1100;

/// Reads an answer. `received_us` is the host's stamp.
pub(crate) fn outcome<'a>(
    asked: &Asked,
    response: &Response<'a>,
    unit: TimeUnit,
    received_us: i64,
) -> Outcome<'a> {
    let objection = || serde_json::from_slice::<Objection>(response.body).ok();
    let said =
        || objection().map_or_else(String::new, |it| format!(": {} (code {})", it.msg, it.code));
    match response.status {
        200 => match page(response.body, unit, received_us) {
            Ok(items) => Outcome::Page(items),
            Err(reason) => Outcome::Again(format!("the answer is no list of trades: {reason}")),
        },
        429 => Outcome::Pause(
            retry_after(response, PAUSE_WHEN_LIMITED),
            format!("too many requests{}", said()),
        ),
        418 => Outcome::Pause(
            retry_after(response, PAUSE_WHEN_BANNED),
            format!("this address is banned{}", said()),
        ),
        403 => Outcome::Pause(
            retry_after(response, PAUSE_WHEN_BANNED),
            format!("refused{}", said()),
        ),
        400 => match objection() {
            Some(it) if it.code == INVALID_SYMBOL => {
                Outcome::Never(format!("the exchange has no symbol `{}`", asked.symbol))
            }
            Some(it) if REQUEST_ISSUES.contains(&it.code) => {
                Outcome::Never(format!("the exchange refuses the request{}", said()))
            }
            Some(_) | None => Outcome::Again(format!("status 400{}", said())),
        },
        status @ (401 | 451) => Outcome::Never(format!(
            "the exchange does not serve this client: status {status}{}",
            said()
        )),
        status => Outcome::Again(format!("status {status}{}", said())),
    }
}

/// What it means that there is no answer.
pub(crate) fn no_answer(failed: &RequestFailed<'_>) -> Outcome<'static> {
    let message = failed.message;
    match failed.error {
        RequestError::Denied => Outcome::Never(format!("not granted: {message}")),
        RequestError::TooLarge => Outcome::TooMuch,
        RequestError::Unreachable => Outcome::Again(format!("unreachable: {message}")),
        RequestError::Timeout => Outcome::Again("timed out".to_owned()),
        RequestError::Interrupted => Outcome::Again("interrupted".to_owned()),
    }
}

fn retry_after(response: &Response<'_>, unless_told: Duration) -> Duration {
    let header = response
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    header
        .and_then(|(_, value)| value.trim().parse().ok())
        .map_or(unless_told, Duration::from_secs)
}

fn page(body: &[u8], unit: TimeUnit, received_us: i64) -> Result<Vec<Item<'_>>, serde_json::Error> {
    let texts: Vec<&RawValue> = serde_json::from_slice(body)?;
    Ok(texts
        .into_iter()
        .map(|text| item(text.get(), unit, received_us))
        .collect())
}

fn item(text: &str, unit: TimeUnit, received_us: i64) -> Item<'_> {
    let bad = |reason| {
        Item::Bad(
            serde_json::from_str::<IdOnly>(text).ok().map(|it| it.id),
            reason,
            text,
        )
    };
    let listed: Listed<'_> = match serde_json::from_str(text) {
        Ok(listed) => listed,
        Err(error) => return bad(format!("not a trade: {error}")),
    };
    let read = || -> Result<Trade, String> {
        Ok(Trade {
            trade_id: listed.id,
            price: decimal("price", listed.price)?,
            quantity: decimal("quantity", listed.qty)?,
            trade_time_us: time("trade time", listed.time, unit)?,
            event_time_us: None,
            is_buyer_maker: listed.is_buyer_maker,
            received_us,
        })
    };
    match read() {
        Ok(trade) => Item::Trade(trade),
        Err(reason) => bad(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            symbol: "BTCUSDT".to_owned(),
            from: Some(28_457),
            limit: 1000,
        }
    }

    fn answered<'a>(status: u16, headers: &[(&'a str, &'a str)], body: &'a str) -> Outcome<'a> {
        let response = Response {
            status,
            note: b"",
            headers: headers.to_vec(),
            body: body.as_bytes(),
        };
        outcome(&asked(), &response, TimeUnit::Millisecond, 7)
    }

    #[test]
    fn what_is_asked_survives_its_note() {
        for asked in [
            asked(),
            Asked {
                symbol: "币 安".to_owned(),
                from: None,
                limit: 1,
            },
        ] {
            assert_eq!(Asked::of_note(&asked.note()), Some(asked));
        }
        for note in [&b"2 1 1 X"[..], b"", b"1 x 1 X", b"1 1", b"\xff"] {
            assert_eq!(Asked::of_note(note), None);
        }
    }

    #[test]
    fn requests_name_symbol_id_limit_and_unit() {
        let mut settings: Settings = serde_json::from_str(r#"{"symbols": []}"#).unwrap();
        settings.endpoints.rest = "http://localhost:1/".to_owned();
        let request = asked().request(&settings);
        assert_eq!(
            request.url,
            "http://localhost:1/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=28457"
        );
        assert!(request.headers.is_empty());
        settings.time_unit = TimeUnit::Microsecond;
        let request = Asked {
            symbol: "币".to_owned(),
            from: None,
            limit: 1,
        }
        .request(&settings);
        assert_eq!(
            request.url,
            "http://localhost:1/api/v3/historicalTrades?symbol=%E5%B8%81&limit=1"
        );
        assert_eq!(
            request.headers,
            [("x-mbx-time-unit".to_owned(), "MICROSECOND".to_owned())]
        );
    }

    #[test]
    fn a_page_is_read_and_a_bad_trade_does_not_spoil_it() {
        let body = r#"[
            {"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true},
            {"id":28458,"price":"1e5","qty":"1","time":1499865549590,"isBuyerMaker":false},
            {"nothing":1}]"#;
        let Outcome::Page(items) = answered(200, &[], body) else {
            panic!("a page")
        };
        let Item::Trade(first) = &items[0] else {
            panic!("a trade")
        };
        assert_eq!(
            (first.trade_id, first.price, first.quantity),
            (28_457, 400_000_100, 1_200_000_000)
        );
        assert_eq!(
            (first.trade_time_us, first.event_time_us, first.received_us),
            (1_499_865_549_590_000, None, 7)
        );
        assert!(
            matches!(&items[1], Item::Bad(Some(28_458), reason, text) if reason.contains("price `1e5`") && text.contains("28458"))
        );
        assert!(matches!(&items[2], Item::Bad(None, _, _)));
        assert_eq!(answered(200, &[], "[]"), Outcome::Page(Vec::new()));
        assert!(matches!(answered(200, &[], "<html>"), Outcome::Again(_)));
    }

    #[test]
    fn limits_and_bans_say_how_long() {
        let pause = |outcome| match outcome {
            Outcome::Pause(time, _) => time.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(answered(429, &[("retry-after", "7")], "")), 7);
        assert_eq!(
            pause(answered(418, &[("Retry-After", "259200")], "")),
            259_200
        );
        assert_eq!(pause(answered(429, &[], "")), 60);
        assert_eq!(pause(answered(418, &[("retry-after", "soon")], "")), 120);
        assert_eq!(pause(answered(403, &[], "")), 120);
    }

    #[test]
    fn certain_mistakes_are_told_from_passing_ones() {
        let never = |outcome: Outcome<'_>| matches!(outcome, Outcome::Never(_));
        assert!(never(answered(
            400,
            &[],
            r#"{"code":-1121,"msg":"Invalid symbol."}"#
        )));
        assert!(never(answered(
            400,
            &[],
            r#"{"code":-1100,"msg":"Illegal characters"}"#
        )));
        assert!(never(answered(451, &[], "")));
        for status in [500, 502, 503, 504, 404, 408] {
            assert!(
                matches!(answered(status, &[], ""), Outcome::Again(_)),
                "{status}"
            );
        }
        assert!(matches!(
            answered(400, &[], r#"{"code":-1007,"msg":"Timeout"}"#),
            Outcome::Again(_)
        ));
        let failed = |error| {
            no_answer(&RequestFailed {
                note: b"",
                error,
                message: "x",
            })
        };
        assert!(never(failed(RequestError::Denied)));
        assert_eq!(failed(RequestError::TooLarge), Outcome::TooMuch);
        for error in [
            RequestError::Timeout,
            RequestError::Unreachable,
            RequestError::Interrupted,
        ] {
            assert!(matches!(failed(error), Outcome::Again(_)));
        }
    }
}
