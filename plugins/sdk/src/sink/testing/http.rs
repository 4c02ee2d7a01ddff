//! HTTP as the test answers it.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::held;
use crate::sink::{Http, HttpError, HttpRequest, HttpResponse};

/// Gives the answers that the test has prepared, in order; without one nothing is granted.
#[derive(Debug, Default)]
pub struct FakeHttp {
    answers: Mutex<VecDeque<Result<HttpResponse, HttpError>>>,
    requests: Mutex<Vec<HttpRequest>>,
}

impl FakeHttp {
    /// The next request without an answer is answered with this status and no body.
    pub fn answer(&self, status: u16) {
        self.prepare(Ok(HttpResponse {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }));
    }

    /// The next request without an answer is answered so.
    pub fn prepare(&self, answer: Result<HttpResponse, HttpError>) {
        held(&self.answers).push_back(answer);
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        held(&self.requests).clone()
    }
}

impl Http for FakeHttp {
    fn fetch(&self, request: &HttpRequest, _timeout_ms: u32) -> Result<HttpResponse, HttpError> {
        held(&self.requests).push(request.clone());
        held(&self.answers)
            .pop_front()
            .unwrap_or_else(|| Err(HttpError::Denied(request.url.clone())))
    }
}
