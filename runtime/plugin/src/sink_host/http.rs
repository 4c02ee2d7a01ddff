//! The import `http`: a request whose response is waited for.

use super::unless;
use crate::bindings::sink::jackfield::connector::http as wit;
use crate::grants::HttpGrants;
use crate::host::{from_request, into_http_error};
use crate::http_client::{self, HttpError};
use crate::state::State;
use crate::types::{HttpRequest, HttpResponse};
use crate::usage::Usage;
use std::time::Duration;

impl wit::Host for State {
    async fn fetch(
        &mut self,
        request: wit::Request,
        timeout_ms: u32,
    ) -> Result<wit::Response, wit::Error> {
        let sink = self.sink().map_err(wit::Error::Denied)?;
        let (grants, interrupt) = (sink.http.clone(), sink.interrupt.clone());
        let timeout = Duration::from_millis(u64::from(timeout_ms));
        let fetching = fetch(&grants, &self.usage, from_request(request), timeout);
        let fetched = unless(&interrupt, fetching).await;
        match fetched.unwrap_or(Err(HttpError::Interrupted)) {
            Ok(response) => Ok(wit::Response {
                status: response.status,
                headers: response.headers,
                body: response.body,
            }),
            Err(error) => {
                if matches!(error, HttpError::Denied(_)) {
                    self.usage.denied();
                }
                Err(into_http_error(error))
            }
        }
    }
}

/// One exchange, counted.
async fn fetch(
    grants: &HttpGrants,
    usage: &Usage,
    request: HttpRequest,
    timeout: Duration,
) -> Result<HttpResponse, HttpError> {
    let checked = http_client::check(grants, request, timeout)?;
    usage.request();
    http_client::send(grants, checked)
        .await
        .inspect_err(|_| usage.request_failed())
}
