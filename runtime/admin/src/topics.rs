//! `/topics`: what the log holds, and its records for people.
//!
//! | path | answer |
//! |---|---|
//! | `/topics` | a list: name, partitions, records, bytes |
//! | `/topics/{t}` | the same of one, with where each partition begins and ends |
//! | `/topics/{t}/records` | its records, a line of JSON each |
//!
//! Records take `?from=` (see [`Begin`]; the last ten unless said), `partition=` (as often as
//! wanted), `number=` and `follow=true`. An empty line now and then says that the connection is
//! alive. Where it can't go on, the last line is `{"error": "…"}`.

use crate::connectors::answer;
use crate::operator::{Answer, Objection};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where to begin in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// `beginning`: at the oldest record that is kept.
    Beginning,
    /// `end`: at what is written from now on.
    End,
    /// `1200`: at this offset, or the partition's nearer end.
    Offset(i64),
    /// `-20`: so many records before the end.
    Last(u64),
    /// `2026-11-26T22:00:00Z`: at the first record of this time, ms since the epoch, or later.
    Time(i64),
}

impl Default for Begin {
    /// What `tail` shows of a file.
    fn default() -> Self {
        Self::Last(10)
    }
}

impl Begin {
    /// At the first record of this time or later.
    pub fn time(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A place to begin that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither `beginning`, `end`, an offset, `-20` for the last 20 records, nor a time such as 2026-11-26T22:00:00Z"
)]
pub struct BadBegin(String);

impl FromStr for Begin {
    type Err = BadBegin;

    fn from_str(text: &str) -> Result<Self, BadBegin> {
        let bad = || BadBegin(text.to_owned());
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Some(last) = text.strip_prefix('-') {
            return last.parse().map(Self::Last).map_err(|_| bad());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Offset).map_err(|_| bad());
        }
        let time: Timestamp = text.parse().map_err(|_| bad())?;
        Ok(Self::Time(time.as_millisecond()))
    }
}

impl fmt::Display for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("beginning"),
            Self::End => f.write_str("end"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Last(count) => write!(f, "-{count}"),
            Self::Time(ms) => match Timestamp::from_millisecond(*ms) {
                Ok(time) => write!(f, "{time}"),
                // Later than any year that can be written.
                Err(_) => write!(f, "{}", Timestamp::MAX),
            },
        }
    }
}

/// Records that someone wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordsCall {
    /// The topic.
    pub topic: String,
    /// Where to begin.
    pub from: Begin,
    /// Only these partitions; empty: all.
    pub partitions: Vec<i32>,
    /// At most so many.
    pub number: Option<u64>,
    /// Goes on with what is written later, until nobody listens any more. Else it ends where the
    /// topic ended when it was asked.
    pub follow: bool,
}

/// Lines, each with its end; whoever gives them stops when this is dropped.
pub type Lines = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// Lines that come later.
pub type LinesAnswer = Pin<Box<dyn Future<Output = Result<Lines, Objection>> + Send>>;

/// Knows the log. Called on the server's own runtime: what takes long or blocks belongs elsewhere.
pub trait Topics: Send + Sync + 'static {
    /// All topics, as a JSON list.
    fn list(&self) -> Answer;

    /// One topic, as a JSON object.
    fn describe(&self, topic: String) -> Answer;

    /// Records of a topic, a JSON object a line. Must hold up nobody: what is not taken in time is
    /// not read.
    fn records(&self, call: RecordsCall) -> LinesAnswer;
}

type Asked = State<Arc<dyn Topics>>;

pub(crate) fn routes(topics: Arc<dyn Topics>) -> Router {
    Router::new()
        .route("/topics", get(list))
        .route("/topics/{topic}", get(describe))
        .route("/topics/{topic}/records", get(records))
        .with_state(topics)
}

async fn list(State(topics): Asked) -> Response {
    answer(topics.list().await)
}

async fn describe(State(topics): Asked, Path(topic): Path<String>) -> Response {
    answer(topics.describe(topic).await)
}

async fn records(
    State(topics): Asked,
    Path(topic): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let call = match call(topic, query.as_deref().unwrap_or_default()) {
        Ok(call) => call,
        Err(message) => {
            return answer(Err(Objection {
                status: 400,
                code: "bad-request",
                message,
            }));
        }
    };
    match topics.records(call).await {
        Ok(lines) => {
            let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
            ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(objection) => answer(Err(objection)),
    }
}

/// Most partitions that can be named: further ones are all.
const PARTITIONS_MAX: usize = 1000;

fn call(topic: String, query: &str) -> Result<RecordsCall, String> {
    let mut call = RecordsCall {
        topic,
        ..RecordsCall::default()
    };
    let number = |name: &str, value: &str| format!("`{name}={value}` is no number");
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "from" => call.from = value.parse().map_err(|e: BadBegin| e.to_string())?,
            "partition" if call.partitions.len() < PARTITIONS_MAX => {
                let partition = value.parse().map_err(|_| number(&name, &value))?;
                call.partitions.push(partition);
            }
            "partition" => return Err(format!("at most {PARTITIONS_MAX} partitions can be named")),
            "number" => call.number = Some(value.parse().map_err(|_| number(&name, &value))?),
            "follow" => {
                let yes = value.parse();
                call.follow =
                    yes.map_err(|_| format!("`follow={value}` is neither true nor false"))?;
            }
            _ => return Err(format!("`{name}` means nothing here")),
        }
    }
    call.partitions.sort_unstable();
    call.partitions.dedup();
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_begin_are_read_as_they_are_written() {
        for (text, begin) in [
            ("beginning", Begin::Beginning),
            ("end", Begin::End),
            ("1200", Begin::Offset(1200)),
            ("-20", Begin::Last(20)),
            ("2026-11-26T22:00:00.5Z", Begin::Time(1_795_730_400_500)),
        ] {
            assert_eq!(text.parse(), Ok(begin));
            assert_eq!(begin.to_string(), text);
        }
        let east: Begin = "2026-11-26T23:00:00.500+01:00".parse().unwrap();
        assert_eq!(east, Begin::Time(1_795_730_400_500));
        for bad in [
            "",
            "-",
            "start",
            "--1",
            "1.5",
            "99999999999999999999",
            "2026-11-26",
        ] {
            assert!(bad.parse::<Begin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read_or_refused() {
        let asked = |query: &str| call("t".to_owned(), query);
        assert_eq!(
            asked("from=-3&partition=2&partition=0&partition=2&number=7&follow=true"),
            Ok(RecordsCall {
                topic: "t".to_owned(),
                from: Begin::Last(3),
                partitions: vec![0, 2],
                number: Some(7),
                follow: true,
            })
        );
        assert_eq!(asked("").unwrap().from, Begin::Last(10));
        for bad in ["form=end", "from=x", "partition=a", "number=-1", "follow=1"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
