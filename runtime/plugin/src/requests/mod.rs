//! HTTP requests of a source: the outcome arrives in the inbox, whichever instance is there then.

#[cfg(test)]
mod tests;

use crate::grants::HttpGrants;
use crate::http_client::{self, Checked, HttpError};
use crate::inbox::{Arrival, Inbox};
use crate::shadow::{Item, fingerprint};
use crate::types::{HttpRequest, HttpResponse};
use crate::usage::Usage;
use bytes::Bytes;
use jackfield_batch::event::{Kind, RequestError, RequestFailed, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Requests of a slot that are under way at once: a polite client has a few.
const UNDER_WAY_MAX: usize = 32;
/// Bytes of a note: what the asker needs to make sense of the response.
const NOTE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a failure's text.
const MESSAGE_BYTES_MAX: usize = 1024;

/// A slot's requests. Dropping them gives them up.
#[derive(Debug)]
pub struct Requests {
    inbox: Arc<Inbox>,
    grants: HttpGrants,
    usage: Arc<Usage>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Requests {
    /// None under way yet.
    pub fn new(inbox: Arc<Inbox>, grants: HttpGrants, usage: Arc<Usage>) -> Arc<Self> {
        Arc::new(Self {
            inbox,
            grants,
            usage,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Sends a request; the response arrives in the inbox under the returned id, with the note.
    ///
    /// # Errors
    /// Not granted, or too much; nothing was sent.
    pub fn start(
        &self,
        request: HttpRequest,
        timeout: Duration,
        note: Vec<u8>,
    ) -> Result<u64, HttpError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(HttpError::TooLarge(NOTE_BYTES_MAX as u64));
        }
        let asked = self.inbox.is_tapped().then(|| fingerprint(&request));
        let checked = http_client::check(&self.grants, request, timeout)
            .inspect_err(|error| self.count(error))?;
        if self.stop.is_cancelled() {
            return Err(HttpError::Interrupted);
        }
        if self.tasks.len() >= UNDER_WAY_MAX {
            return Err(HttpError::Unreachable(format!(
                "{UNDER_WAY_MAX} requests are under way: wait for one to be answered"
            )));
        }
        self.usage.request();
        let id = self.inbox.next_id();
        if let Some(request) = asked {
            self.inbox.tell(|| Item::Asked { id, request });
        }
        let exchange = exchange(
            Arc::clone(&self.inbox),
            self.grants.clone(),
            Arc::clone(&self.usage),
            id,
            checked,
            note,
        );
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { stop.run_until_cancelled(exchange).await });
        Ok(id)
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Gives up what is under way; nothing can be started any more.
    pub fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    fn count(&self, error: &HttpError) {
        if matches!(error, HttpError::Denied(_)) {
            self.usage.denied();
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn exchange(
    inbox: Arc<Inbox>,
    grants: HttpGrants,
    usage: Arc<Usage>,
    id: u64,
    checked: Checked,
    note: Vec<u8>,
) {
    let (kind, body) = match http_client::send(&grants, checked).await {
        Ok(response) => (Kind::Response, answered(&response, &note)),
        Err(error) => {
            usage.request_failed();
            if matches!(error, HttpError::Denied(_)) {
                usage.denied();
            }
            (Kind::RequestFailed, failed(&error, &note))
        }
    };
    if inbox
        .push(Arrival::now(kind, id, Bytes::from(body)))
        .await
        .is_err()
    {
        tracing::debug!(id, "a response came after its slot had stopped");
    }
}

fn answered(response: &HttpResponse, note: &[u8]) -> Vec<u8> {
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Response {
        status: response.status,
        note,
        headers,
        body: &response.body,
    }
    .encode()
}

fn failed(error: &HttpError, note: &[u8]) -> Vec<u8> {
    let kind = match error {
        HttpError::Denied(_) => RequestError::Denied,
        HttpError::Unreachable(_) => RequestError::Unreachable,
        HttpError::TooLarge(_) => RequestError::TooLarge,
        HttpError::Timeout => RequestError::Timeout,
        HttpError::Interrupted => RequestError::Interrupted,
    };
    let mut message = error.to_string();
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    RequestFailed {
        note,
        error: kind,
        message: &message,
    }
    .encode()
}
