//! Decent work that a test can judge: every record that was put, as a line with its coordinates.
//!
//! A piece is the lines themselves. `commit` writes them into a file of their own and then puts the
//! document, which names the files that count and the positions that they reach, in one step.
//! Without a folder nothing is kept, for tests that look at single calls only.

use crate::bindings::exports::jackfield::connector::sink::{
    Committed, Failure, Holding, LogPosition, Piece, Span, Taken,
};
use crate::bindings::jackfield::connector::store;
use crate::bindings::jackfield::connector::types::{Counts, Rejection, Retry};
use jackfield_batch::{Batch, Limits};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// The only target.
const TARGET: &str = "lines";
/// Below the limit of a `stage`.
const STAGE_AT_BYTES: usize = 4 << 20;
/// What the store takes at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Longer than a stop tries to stage (20 s), and well below what a stage may take (120 s).
const SLOW_STAGE: Duration = Duration::from_secs(25);

thread_local! {
    static HELD: RefCell<BTreeMap<(String, i32), i64>> = const { RefCell::new(BTreeMap::new()) };
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
    /// A first call of `stage` has left a rest.
    static HALF: Cell<bool> = const { Cell::new(false) };
}

/// What the target holds.
#[derive(Serialize, Deserialize, Default)]
struct Document {
    /// The last commit.
    id: String,
    positions: Vec<Place>,
    /// The files that count, in order.
    files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    topic: String,
    topic_id: String,
    partition: i32,
    next: i64,
}

pub(crate) fn assigned(held: Vec<Holding>) {
    HELD.with_borrow_mut(|known| {
        known.clear();
        let own = held.into_iter().filter(|it| it.target == TARGET);
        for p in own.flat_map(|it| it.positions) {
            known.insert((p.topic, p.partition), p.next_offset);
        }
    });
}

/// Keeps a line of each record; `every`: or refuses one of so many.
pub(crate) fn put(at: &Span, records: &[u8], every: Option<i64>) -> Result<Taken, Failure> {
    let batch = Batch::parse(records, &Limits::default())
        .map_err(|error| Failure::Broken(error.to_string()))?;
    let offset = |index: u32| batch.offset(index).unwrap_or_default();
    let bad = |index: &u32| every.is_some_and(|every| offset(*index) % every == 0);
    let rejections: Vec<Rejection> = (0..batch.len())
        .filter(bad)
        .map(|index| Rejection {
            index,
            reason: "as told".into(),
        })
        .collect();
    if !rejections.is_empty() {
        return Err(Failure::Rejected(rejections));
    }
    let place = (at.topic.clone(), at.partition);
    let held = HELD.with_borrow(|held| held.get(&place).copied().unwrap_or_default());
    let mut taken = 0;
    let bytes = LINES.with_borrow_mut(|lines| {
        for (index, record) in (0..).zip(batch.iter()) {
            if offset(index) < held {
                continue;
            }
            taken += 1;
            let _infallible = write!(lines, "{} {} {} ", at.topic, at.partition, offset(index));
            for byte in record.value.unwrap_or_default() {
                let _infallible = write!(lines, "{byte:02x}");
            }
            lines.push('\n');
        }
        lines.len()
    });
    Ok(Taken {
        counts: Counts {
            records: taken,
            duplicates: u64::from(batch.len()) - taken,
            missing: 0,
            recovered: 0,
            event_time_max_ms: None,
        },
        stage_now: bytes > STAGE_AT_BYTES,
    })
}

/// Has room for one batch between two stages.
pub(crate) fn room() -> Result<(), Failure> {
    if LINES.with_borrow(String::is_empty) {
        return Ok(());
    }
    Err(Failure::Retry(Retry {
        after_ms: 0,
        reason: "there is no room before the next stage".into(),
    }))
}

/// Is shut until there is an object of that name beside the document.
pub(crate) fn gate(root: &str) -> Result<(), Failure> {
    match store::get(&format!("{root}/open"), None) {
        Ok(_) => Ok(()),
        Err(error) => Err(later(error)),
    }
}

/// Stages in two calls: the first asks for another one without a wait.
pub(crate) fn half(slowly: bool) -> Result<(), Failure> {
    if LINES.with_borrow(String::is_empty) || HALF.take() {
        return Ok(());
    }
    HALF.set(true);
    if slowly {
        #[allow(clippy::disallowed_methods, reason = "to sleep is the deed")]
        std::thread::sleep(SLOW_STAGE);
    }
    Err(Failure::Retry(Retry {
        after_ms: 0,
        reason: "more is left".into(),
    }))
}

pub(crate) fn stage() -> Vec<Piece> {
    let lines = LINES.take();
    if lines.is_empty() {
        return Vec::new();
    }
    vec![Piece {
        target: TARGET.into(),
        version: 1,
        bytes: lines.into_bytes(),
    }]
}

pub(crate) fn discard() {
    HALF.set(false);
    LINES.take();
}

pub(crate) fn stored(root: &str) -> Result<Vec<Holding>, Failure> {
    let document = read(root)?;
    if document.positions.is_empty() {
        return Ok(Vec::new());
    }
    let positions = document.positions.into_iter().map(|it| LogPosition {
        topic: it.topic,
        topic_id: it.topic_id,
        partition: it.partition,
        next_offset: it.next,
    });
    Ok(vec![Holding {
        target: TARGET.into(),
        positions: positions.collect(),
    }])
}

pub(crate) fn commit(
    root: &str,
    target: &str,
    pieces: &[Piece],
    spans: &[Span],
    id: &str,
) -> Result<Committed, Failure> {
    if let Some(foreign) = pieces
        .iter()
        .find(|it| it.target != target || it.version != 1)
    {
        let target = &foreign.target;
        return Err(Failure::Broken(format!(
            "a piece of {target} is none of mine"
        )));
    }
    let mut document = read(root)?;
    if document.id == id {
        return Ok(nothing_more());
    }
    for span in spans {
        advance(&mut document.positions, span)?;
    }
    let lines: Vec<u8> = pieces.iter().flat_map(|it| it.bytes.clone()).collect();
    document.id = id.to_owned();
    if !root.is_empty() {
        if !lines.is_empty() {
            upload(&format!("{root}/{id}"), &lines).map_err(later)?;
            document.files.push(id.to_owned());
        }
        let json = serde_json::to_vec(&document).expect("strings and numbers are JSON");
        store::put(&place_of(root), &json).map_err(later)?;
    }
    Ok(Committed {
        rows: lines.iter().filter(|it| **it == b'\n').count() as u64,
        files: 1,
        bytes: lines.len() as u64,
    })
}

fn nothing_more() -> Committed {
    Committed {
        rows: 0,
        files: 0,
        bytes: 0,
    }
}

/// Moves a partition's position from the span's beginning, and from nowhere else, to its end.
fn advance(positions: &mut Vec<Place>, span: &Span) -> Result<(), Failure> {
    let mut known = positions.iter_mut();
    let known = known.find(|it| it.topic == span.topic && it.partition == span.partition);
    match known {
        Some(it) if it.next != span.first_offset => Err(Failure::Fenced(format!(
            "{}-{} stands at {}, not at {}",
            it.topic, it.partition, it.next, span.first_offset
        ))),
        Some(it) => {
            it.next = span.next_offset;
            Ok(())
        }
        None => {
            positions.push(Place {
                topic: span.topic.clone(),
                topic_id: span.topic_id.clone(),
                partition: span.partition,
                next: span.next_offset,
            });
            Ok(())
        }
    }
}

fn place_of(root: &str) -> String {
    format!("{root}/document.json")
}

fn read(root: &str) -> Result<Document, Failure> {
    if root.is_empty() {
        return Ok(Document::default());
    }
    match store::get(&place_of(root), None) {
        Ok(json) => serde_json::from_slice(&json)
            .map_err(|error| Failure::Broken(format!("the document: {error}"))),
        Err(store::Error::Missing) => Ok(Document::default()),
        Err(error) => Err(later(error)),
    }
}

fn upload(uri: &str, bytes: &[u8]) -> Result<(), store::Error> {
    let upload = store::create(uri)?;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        upload.write(chunk)?;
    }
    upload.finish().map(drop)
}

fn later(error: store::Error) -> Failure {
    match error {
        store::Error::Denied(why) => Failure::Misconfigured(why),
        store::Error::Missing
        | store::Error::TooLarge(_)
        | store::Error::Transient(_)
        | store::Error::Interrupted
        | store::Error::Other(_) => Failure::Retry(Retry {
            after_ms: 50,
            reason: format!("{error:?}"),
        }),
    }
}
