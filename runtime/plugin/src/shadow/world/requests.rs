//! The requests of both, paired by what was asked for.

use super::{Answered, MATCH_WITHIN, Waiting, World};
use crate::shadow::calls::Side;
use crate::shadow::tap::Heard;
use bytes::Bytes;
use jackfield_batch::event::{Kind, RequestFailed, Response};
use std::time::Duration;

/// Requests of the running version that the new one may still ask for.
const ANSWERS_MAX: usize = 256;
/// Bytes of their answers: more than the largest one, so that each is kept for a while.
pub(super) const ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;

impl World {
    pub(super) fn hear_answer(&mut self, heard: Heard) {
        if let Some((own, note)) = self.asked_of.remove(&heard.id) {
            self.ready.push_back(readdressed(heard, own, &note));
        } else if let Some(asked) = self.answers.iter_mut().find(|it| it.id == heard.id) {
            asked.answer = Some(heard);
            while self.answers_bytes() > ANSWERS_BYTES_MAX {
                self.answers.pop_front();
            }
        } else {
            // Asked for before the shadow began: as in a swap, its successor gets the answer.
            self.ready.push_back(heard);
        }
    }

    pub(super) fn answers_bytes(&self) -> usize {
        let answers = self.answers.iter().filter_map(|it| it.answer.as_ref());
        answers.map(Heard::cost).sum()
    }

    pub(super) fn running_asked(&mut self, id: u64, request: String, now: Duration) {
        self.calls
            .made(Side::Running, now, format!("requests {request}"));
        let same = self.waiting.iter().position(|it| it.request == request);
        if let Some(waiting) = same.and_then(|at| self.waiting.remove(at)) {
            self.asked_of.insert(id, (waiting.id, waiting.note));
            return;
        }
        if self.answers.len() == ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(Answered {
            id,
            request,
            until: now + MATCH_WITHIN,
            answer: None,
        });
    }

    /// Its requests that are under way.
    pub(in crate::shadow) fn under_way(&self) -> usize {
        self.waiting.len() + self.asked_of.len()
    }

    /// The new version starts a request.
    pub(in crate::shadow) fn ask(
        &mut self,
        request: String,
        timeout: Duration,
        note: Vec<u8>,
        now: Duration,
    ) -> u64 {
        self.calls
            .made(Side::New, now, format!("requests {request}"));
        let id = self.own_id();
        let same = self.answers.iter().position(|it| it.request == request);
        match same.and_then(|at| self.answers.remove(at)) {
            Some(Answered {
                answer: Some(heard),
                ..
            }) => self.ready.push_back(readdressed(heard, id, &note)),
            Some(asked) => drop(self.asked_of.insert(asked.id, (id, note))),
            None => self.waiting.push_back(Waiting {
                id,
                request,
                note,
                until: now + timeout,
            }),
        }
        id
    }
}

/// The answer to the running version's request as one to the new version's.
fn readdressed(heard: Heard, id: u64, note: &[u8]) -> Heard {
    let body = match heard.kind {
        Kind::Response => Response::parse(&heard.body)
            .ok()
            .map(|answer| Response { note, ..answer }.encode()),
        Kind::RequestFailed => RequestFailed::parse(&heard.body)
            .ok()
            .map(|failed| RequestFailed { note, ..failed }.encode()),
        Kind::Opened | Kind::Text | Kind::Binary | Kind::Closed => None,
    };
    Heard {
        id,
        // What the host packed it can read; whatever it is, it goes on as it is.
        body: body.map_or(heard.body, Bytes::from),
        ..heard
    }
}
