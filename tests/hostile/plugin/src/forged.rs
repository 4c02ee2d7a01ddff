//! Answers of `poll` that break the contract.

use crate::bindings::exports::jackfield::connector::source::{
    Failure, Feed, Limits, Output, Polled, Position, RejectedEvent,
};
use crate::bindings::jackfield::connector::http_types::{Error as HttpError, Request};
use crate::bindings::jackfield::connector::types::{Rejection, Retry, Schema, SchemaKind};
use crate::bindings::jackfield::connector::websocket::Error as WebSocketError;
use crate::bindings::jackfield::connector::{inbox, requests, websocket};
use crate::no_counts;
use hostile_deeds::forged;
use jackfield_batch::event::{Events, Kind};
use jackfield_batch::{BatchWriter, Limits as BatchLimits, Record};

/// The answer to a poll.
pub(crate) fn polled(
    deed: &str,
    url: &str,
    number: u64,
    limits: &Limits,
) -> Result<Polled, Failure> {
    let mut polled = Polled {
        feeds: Vec::new(),
        outputs: vec![output(0, batch(&number.to_string()))],
        rejected: Vec::new(),
        positions: Vec::new(),
        done_through: 0,
        counts: no_counts(),
        behind: 0,
        replan: false,
        ended: false,
    };
    match deed {
        "giant-list" => polled.outputs = vec![output(0, vec![7; 200 << 20])],
        "forged-list" => polled.outputs = aliases(100_000),
        "out-of-bounds" => polled.outputs = vec![output(0, forged(16, 0xffff_fff0))],
        "malformed" => polled.outputs = vec![output(0, b"JFRB, or so it says".to_vec())],
        "cut-off" => {
            let mut cut = batch("cut");
            cut.truncate(cut.len() - 1);
            polled.outputs = vec![output(0, cut)];
        }
        "oversized" => polled.outputs = vec![output(0, oversized(limits))],
        "too-many-records" => polled.outputs = vec![output(0, many(limits))],
        "unknown-version" => {
            let mut later = batch("later");
            later[4] = 0xfe;
            polled.outputs = vec![output(0, later)];
        }
        "coordinates" => polled.outputs = vec![output(0, with_coordinates())],
        "unknown-feed" => polled.outputs = vec![output(9, batch("x"))],
        "too-many-outputs" => polled.outputs = (0..1000).map(|_| output(0, batch("x"))).collect(),
        "too-many-feeds" => polled.feeds = (0..2000).map(|i| feed(format!("f{i}"))).collect(),
        "done-too-far" => polled.done_through = 1_000_000,
        "rejects-unknown-event" => {
            polled.rejected = vec![RejectedEvent {
                event: 77,
                reason: "x".into(),
                excerpt: Vec::new(),
            }];
        }
        "position-no-json" => polled.positions = vec![position("symbol=BTC", Some("{}"))],
        "position-no-object" => polled.positions = vec![position("{}", Some("[1]"))],
        "position-too-large" => {
            polled.positions = vec![position(
                "{}",
                Some(&format!("{{\"x\":\"{}\"}}", "x".repeat(100_000))),
            )];
        }
        "absurd-counts" => polled.counts.missing = u64::MAX,
        "rejects-records" => {
            return Err(Failure::Rejected(vec![Rejection {
                index: 0,
                reason: "x".into(),
            }]));
        }
        "rewind" => return Err(Failure::Rewind("as told".into())),
        "retry-for-ever" => {
            return Err(Failure::Retry(Retry {
                after_ms: u32::MAX,
                reason: "as told".into(),
            }));
        }
        "broken" => return Err(Failure::Broken("as told".into())),
        "misconfigured" => return Err(Failure::Misconfigured("x".repeat(1 << 20))),
        "reach" => reach(url, &mut polled),
        "hammer" => hammer(url, &mut polled),
        "silent" => {
            polled.outputs.clear();
            inbox::receive(1 << 10, limits.wait_ms);
        }
        "echo" | "echo-less" | "echo-more" | "echo-other" | "echo-panic" => {
            echo(deed, url, limits.wait_ms, &mut polled);
        }
        "take" => take(limits.wait_ms, &mut polled),
        "take-and-panic" => {
            take(limits.wait_ms, &mut polled);
            panic!("with events in hand");
        }
        _ => {}
    }
    Ok(polled)
}

/// Bytes of frames that one poll makes into records, which have to fit into one batch.
const ECHO_BYTES_MAX: u32 = 64 * 1024;
/// Of so many events in a row, those that leave a rest of 4 are left out, doubled or changed.
const ECHO_EVERY: u64 = 10;
/// The event at which it panics.
const ECHO_PANICS_AT: u64 = 500;

/// One record a frame of its one connection, and exactly these, unless it is told to differ.
fn echo(deed: &str, url: &str, wait_ms: u32, polled: &mut Polled) {
    if websocket::list().is_empty() {
        websocket::open("echo", url).expect("it is granted");
    }
    let packed = inbox::receive(ECHO_BYTES_MAX, wait_ms);
    let events = Events::parse(&packed).expect("the host packs them");
    let mut writer = BatchWriter::new();
    for event in events.iter() {
        polled.done_through = event.number;
        if event.kind != Kind::Text {
            continue;
        }
        if deed == "echo-panic" && event.number >= ECHO_PANICS_AT {
            panic!("at event {}", event.number);
        }
        let odd = event.number % ECHO_EVERY == 4;
        let other = [event.body, b"!"].concat();
        let (times, value) = match (deed, odd) {
            ("echo-less", true) => (0, event.body),
            ("echo-more", true) => (2, event.body),
            ("echo-other", true) => (1, other.as_slice()),
            _ => (1, event.body),
        };
        for _ in 0..times {
            let record = Record {
                timestamp_ms: event.received_ns / 1_000_000,
                value: Some(value),
                ..Record::default()
            };
            writer.push(&record).expect("so many bytes fit");
        }
    }
    polled.outputs = vec![output(0, writer.finish())];
}

/// Takes events decently: one record with their numbers, done through the last.
fn take(wait_ms: u32, polled: &mut Polled) {
    let packed = inbox::receive(1 << 20, wait_ms);
    let events = Events::parse(&packed).expect("the host packs them");
    let numbers: Vec<String> = events
        .iter()
        .map(|event| event.number.to_string())
        .collect();
    polled.outputs = vec![output(0, batch(&numbers.join(" ")))];
    polled.done_through = events.iter().last().map_or(0, |event| event.number);
}

/// Asks for what is not granted; every refusal must be of the kind `denied`.
fn reach(url: &str, polled: &mut Polled) {
    let denied = matches!(websocket::open("x", url), Err(WebSocketError::Denied(_)));
    let request = Request {
        method: "GET".into(),
        url: url.replace("ws", "http"),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let refused = matches!(
        requests::start(&request, 1000, &[]),
        Err(HttpError::Denied(_))
    );
    assert!(
        denied && refused,
        "reached what was not granted: {denied} {refused}"
    );
    polled.counts.missing = 2;
}

/// Opens what is granted, again and again.
fn hammer(url: &str, polled: &mut Polled) {
    let mut opened = 0;
    while opened < 100_000 {
        match websocket::open("x", url) {
            Ok(id) => {
                opened += 1;
                websocket::close(id);
            }
            Err(WebSocketError::Limit(_)) => break,
            Err(_) => panic!("it is granted"),
        }
    }
    polled.counts.missing = opened;
}

pub(crate) fn output(feed: u32, records: Vec<u8>) -> Output {
    Output { feed, records }
}

fn feed(name: String) -> Feed {
    Feed {
        name,
        value: Schema {
            kind: SchemaKind::None,
            text: String::new(),
        },
        key: None,
    }
}

fn position(partition: &str, offset: Option<&str>) -> Position {
    Position {
        partition: partition.into(),
        offset: offset.map(str::to_owned),
    }
}

fn batch(value: &str) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    let record = Record {
        value: Some(value.as_bytes()),
        ..Record::default()
    };
    writer.push(&record).expect("one small record fits");
    writer.finish()
}

fn oversized(limits: &Limits) -> Vec<u8> {
    let mut writer = BatchWriter::with_limits(BatchLimits {
        records_max: 10,
        bytes_max: 1 << 30,
    });
    let value = vec![7; limits.batch_bytes_max as usize + 1];
    let record = Record {
        value: Some(&value),
        ..Record::default()
    };
    writer.push(&record).expect("the limits were raised");
    writer.finish()
}

fn many(limits: &Limits) -> Vec<u8> {
    let records_max = limits.batch_records_max + 1;
    let mut writer = BatchWriter::with_limits(BatchLimits {
        records_max,
        bytes_max: 1 << 30,
    });
    for _ in 0..records_max {
        writer
            .push(&Record::default())
            .expect("the limits were raised");
    }
    writer.finish()
}

fn with_coordinates() -> Vec<u8> {
    let mut writer = BatchWriter::new();
    writer
        .push_at(7, &Record::default())
        .expect("one small record fits");
    writer.finish()
}

/// So many lists that are all the same mebibyte: gigabytes for a host that copies them.
fn aliases(count: usize) -> Vec<Output> {
    let shared = vec![7u8; 1 << 20].leak();
    (0..count)
        .map(|_| output(0, forged(shared.as_ptr() as usize, shared.len())))
        .collect()
}
