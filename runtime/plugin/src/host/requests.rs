//! The import `requests`.

use crate::bindings::source::jackfield::connector::{http_types as wit, requests};
use crate::http_client::HttpError;
use crate::state::{Given, State};
use crate::types::HttpRequest;
use std::time::Duration;

impl requests::Host for State {
    fn start(
        &mut self,
        request: wit::Request,
        timeout_ms: u32,
        note: Vec<u8>,
    ) -> Result<u64, wit::Error> {
        self.called(1);
        let timeout = Duration::from_millis(u64::from(timeout_ms));
        let request = from_request(request);
        let started = match &self.given {
            Given::Source(source) => source.requests.start(request, timeout, note),
            Given::Staged(staged) => staged.stage.start(request, timeout, note),
            Given::Nothing | Given::Sink(_) => {
                self.usage.denied();
                Err(HttpError::Denied(
                    "no requests while describing or checking".to_owned(),
                ))
            }
        };
        started.map_err(into_http_error)
    }
}

pub(crate) fn from_request(request: wit::Request) -> HttpRequest {
    HttpRequest {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body,
    }
}

pub(crate) fn into_http_error(error: HttpError) -> wit::Error {
    match error {
        HttpError::Denied(reason) => wit::Error::Denied(reason),
        HttpError::Unreachable(reason) => wit::Error::Unreachable(reason),
        HttpError::TooLarge(max) => wit::Error::TooLarge(max),
        HttpError::Timeout => wit::Error::Timeout,
        HttpError::Interrupted => wit::Error::Interrupted,
    }
}
