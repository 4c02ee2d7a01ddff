//! `/metrics`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jackfield_telemetry::Telemetry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Those who ask within so long of each other get the same page: a storm of scrapes costs no more
/// than ten a second, and no scraper sees the difference.
const PAGE_FOR: Duration = Duration::from_millis(100);

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page of metrics, made at most once at a time.
#[derive(Clone)]
pub(crate) struct Metrics {
    telemetry: Telemetry,
    last: Arc<Mutex<Option<Page>>>,
}

struct Page {
    made: Instant,
    text: Arc<str>,
}

impl Metrics {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            last: Arc::new(Mutex::new(None)),
        }
    }

    pub(crate) async fn page(&self) -> Response {
        match self.text().await {
            Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text.to_string()).into_response(),
            Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
        }
    }

    async fn text(&self) -> Result<Arc<str>, String> {
        let mut last = self.last.lock().await;
        if let Some(page) = &*last
            && page.made.elapsed() < PAGE_FOR
        {
            return Ok(Arc::clone(&page.text));
        }
        let telemetry = self.telemetry.clone();
        // A page of a thousand connectors takes a while: health is answered meanwhile.
        let rendered = tokio::task::spawn_blocking(move || telemetry.render()).await;
        let text: Arc<str> = rendered
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?
            .into();
        *last = Some(Page {
            made: Instant::now(),
            text: Arc::clone(&text),
        });
        Ok(text)
    }
}
