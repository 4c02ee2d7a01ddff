//! Posts topics to a URL as JSON lines, at least once. docs/PLUGINS.md walks through it.

mod line;

use std::collections::{HashMap, VecDeque};

use jackfield_sdk::batch::Batch;
use jackfield_sdk::sink::{
    Committed, Holding, HttpError, HttpRequest, Piece, Ports, Sink, Span, Taken,
};
use jackfield_sdk::{Context, Counts, Delivery, Description, Failure, Rejection, Saved};
use line::Format;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the host takes as one request's body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bodies that may wait; a `put` that finds so many posts some first.
const BODIES_MAX: usize = 8;
/// A `put` posts a few bodies within its 30 s, a `stage` all of them within its 120 s.
const POST_WITHIN_MS: u32 = 5000;
/// The one target: what was posted.
const TARGET: &str = "posted";
/// Of a piece's bytes: the count of rows, u64, little-endian.
const STAGED_VERSION: u32 = 1;

/// What a person writes under `settings:`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Takes a POST of JSON lines: topic, partition, offset and value of a record each.
    url: String,
}

/// The sink.
#[derive(Debug)]
pub struct Post {
    ports: Ports,
    url: String,
    /// By schema id; a topic has few.
    formats: HashMap<u32, Format>,
    bodies: VecDeque<Vec<u8>>,
    /// Put since the last stage.
    rows: u64,
}

impl Sink for Post {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Posts topics to a URL as JSON lines, at least once.".to_owned(),
            delivery: Delivery::AtLeastOnce,
            saved_version: 1,
            saved_version_min: 1,
            staged_version: STAGED_VERSION,
            staged_version_min: STAGED_VERSION,
        }
    }

    fn open(
        ports: Ports,
        _: Context,
        settings: Settings,
        _: Option<Saved>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            ports,
            url: settings.url,
            formats: HashMap::new(),
            bodies: VecDeque::new(),
            rows: 0,
        })
    }

    /// Nothing to drop: the target itself holds no positions.
    fn assigned(&mut self, _: Vec<Holding>) -> Result<(), Failure> {
        Ok(())
    }

    fn put(&mut self, at: &Span, records: &Batch<'_>) -> Result<Taken, Failure> {
        while self.bodies.len() >= BODIES_MAX {
            self.post_first()?;
        }
        let (mut lines, mut bad) = (Vec::new(), Vec::new());
        for (index, record) in (0u32..).zip(records.iter()) {
            let format = line::format(&mut self.formats, &self.ports, record.schemas.value)?;
            match line::of(at, records.offset(index), format, record.value) {
                Ok(line) if line.len() <= BODY_BYTES_MAX => lines.push(line),
                Ok(line) => bad.push(Rejection {
                    index,
                    reason: format!("a line of {} bytes", line.len()),
                }),
                Err(reason) => bad.push(Rejection { index, reason }),
            }
        }
        if !bad.is_empty() {
            return Err(Failure::Rejected(bad)); // All of them, and nothing was taken.
        }
        lines.iter().for_each(|line| self.gather(line));
        self.rows += u64::from(records.len());
        Ok(Taken {
            counts: Counts {
                records: records.len().into(),
                ..Counts::default()
            },
            stage_now: self.bodies.len() >= BODIES_MAX / 2,
        })
    }

    fn stage(&mut self) -> Result<Vec<Piece>, Failure> {
        while !self.bodies.is_empty() {
            self.post_first()?;
        }
        let rows = std::mem::take(&mut self.rows);
        let piece = Piece {
            target: TARGET.to_owned(),
            version: STAGED_VERSION,
            bytes: rows.to_le_bytes().to_vec(),
        };
        Ok(if rows > 0 { vec![piece] } else { Vec::new() })
    }

    fn discard(&mut self) {
        self.bodies.clear();
        self.rows = 0;
    }

    /// The URL can't say: the offsets that the log keeps for this connector decide.
    fn stored(&mut self, _: &[String]) -> Result<Vec<Holding>, Failure> {
        Ok(Vec::new())
    }

    /// All is posted: the host stores the spans' ends.
    fn commit(
        &mut self,
        _: &str,
        pieces: &[Piece],
        _: &[Span],
        _: &str,
    ) -> Result<Committed, Failure> {
        let mut rows = 0;
        for piece in pieces {
            let bytes = piece.bytes.as_slice().try_into();
            rows += bytes
                .map(u64::from_le_bytes)
                .map_err(|_| Failure::Broken("no piece of this sink".to_owned()))?;
        }
        Ok(Committed {
            rows,
            ..Committed::default()
        })
    }
}

impl Post {
    fn gather(&mut self, line: &[u8]) {
        match self.bodies.back_mut() {
            Some(last) if last.len() + line.len() <= BODY_BYTES_MAX => last.extend_from_slice(line),
            Some(_) | None => self.bodies.push_back(line.to_vec()),
        }
    }

    /// Posts the first body, and forgets it once it is taken.
    fn post_first(&mut self) -> Result<(), Failure> {
        let Some(body) = self.bodies.front() else {
            return Ok(());
        };
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: self.url.clone(),
            headers: vec![("content-type".to_owned(), "application/x-ndjson".to_owned())],
            body: body.clone(),
        };
        let later = |reason| Failure::Retry {
            after_ms: 1000,
            reason,
        };
        match self.ports.http.fetch(&request, POST_WITHIN_MS) {
            Ok(answer) => match answer.status {
                200..300 => {
                    self.bodies.pop_front();
                    Ok(())
                }
                status @ (408 | 429 | 500..) => {
                    Err(later(format!("answered with status {status}")))
                }
                status => Err(Failure::Misconfigured(format!(
                    "answered with status {status}"
                ))),
            },
            Err(HttpError::Denied(why)) => Err(Failure::Misconfigured(why)),
            Err(
                error @ (HttpError::Unreachable(_)
                | HttpError::TooLarge(_)
                | HttpError::Timeout
                | HttpError::Interrupted),
            ) => Err(later(error.to_string())),
        }
    }
}

jackfield_sdk::export_sink!(Post);
