//! `/events`: what the page shows, told once a second to everyone who listens.
//!
//! | event | data |
//! |---|---|
//! | `snapshot` | `at_ms`, `process`, and all `connectors` |
//! | `change` | `at_ms`, the `connectors` that are not as they were, and the names that are `gone` |
//!
//! Each second is looked at once and written down once, however many listen, and not at all while
//! nobody does. A stream has no queue: one that is too slow for a second goes on with a snapshot.

use crate::operator::{Operator, Snapshot};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two ticks: quick enough for people, nothing for the processor.
const EVERY: Duration = Duration::from_secs(1);
/// A stream that begins brings the next tick forward, but no nearer than this to the last one.
const SOONEST: Duration = Duration::from_millis(100);
/// Most streams at a time: a quarter of the connections that the server takes, so that those who
/// listen leave room for scrapes, probes and requests.
pub(crate) const STREAMS_MAX: usize = 64;

/// One look at the connectors.
struct Tick {
    number: u64,
    at_ms: i64,
    now: Snapshot,
    change: Bytes,
    whole: OnceLock<Bytes>,
}

impl Tick {
    /// All of it, written down when somebody needs it first.
    fn whole(&self) -> Bytes {
        let written = self.whole.get_or_init(|| {
            let connectors: Vec<&Value> = self.now.connectors.values().collect();
            let data = json!({
                "at_ms": self.at_ms, "process": self.now.process, "connectors": connectors
            });
            event("snapshot", &data)
        });
        written.clone()
    }

    fn after(before: Option<&Tick>, now: Snapshot) -> Self {
        let nothing = Snapshot::default();
        let was = before.map_or(&nothing, |tick| &tick.now);
        let changed = now
            .connectors
            .iter()
            .filter(|(name, it)| was.connectors.get(*name) != Some(*it));
        let changed: Vec<&Value> = changed.map(|(_, it)| it).collect();
        let names = was.connectors.keys();
        let gone: Vec<&String> = names
            .filter(|name| !now.connectors.contains_key(*name))
            .collect();
        let at_ms = now_ms();
        let data = json!({ "at_ms": at_ms, "connectors": changed, "gone": gone });
        let change = event("change", &data);
        Self {
            number: before.map_or(0, |tick| tick.number + 1),
            at_ms,
            change,
            whole: OnceLock::new(),
            now,
        }
    }
}

/// JSON has no line breaks of its own, so that it is one `data` line.
fn event(kind: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// The ticks, and those who listen to them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    operator: Arc<dyn Operator>,
    ticks: watch::Sender<Option<Arc<Tick>>>,
    wanted: Arc<Notify>,
    free: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Events {
    pub(crate) fn new(operator: Arc<dyn Operator>, stop: CancellationToken) -> Self {
        Self {
            operator,
            ticks: watch::Sender::new(None),
            wanted: Arc::new(Notify::new()),
            free: Arc::new(Semaphore::new(STREAMS_MAX)),
            stop,
        }
    }

    pub(crate) fn routes(&self) -> Router {
        let events = self.clone();
        Router::new().route("/events", get(async move || events.stream()))
    }

    /// Makes ticks until the server stops.
    pub(crate) async fn run(&self) {
        self.stop.run_until_cancelled(self.tick()).await;
    }

    async fn tick(&self) {
        let mut last = Instant::now();
        loop {
            if self.ticks.receiver_count() == 0 {
                // The next one who listens needs all of it anyway.
                self.ticks.send_replace(None);
                self.wanted.notified().await;
            } else {
                tokio::select! {
                    () = tokio::time::sleep_until(last + EVERY) => {}
                    () = self.wanted.notified() => {}
                }
            }
            tokio::time::sleep_until(last + SOONEST).await;
            last = Instant::now();
            let operator = Arc::clone(&self.operator);
            match tokio::task::spawn_blocking(move || operator.snapshot()).await {
                Ok(now) => {
                    let before = self.ticks.borrow().clone();
                    let tick = Tick::after(before.as_deref(), now);
                    self.ticks.send_replace(Some(Arc::new(tick)));
                }
                Err(error) => tracing::error!(%error, "the page is not told of the connectors"),
            }
        }
    }

    fn stream(&self) -> Response {
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let message = format!("{STREAMS_MAX} pages are open already: close one of them");
            let body = json!({ "error_code": status.as_u16(), "code": "too-many-streams", "message": message });
            return (status, Json(body)).into_response();
        };
        let listener = Listener {
            ticks: self.ticks.subscribe(),
            heard: None,
            stop: self.stop.clone(),
            _permit: permit,
        };
        self.wanted.notify_one();
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let events = futures::stream::unfold(listener, async |mut listener| {
            let bytes = listener.next().await?;
            Some((Ok::<_, Infallible>(bytes), listener))
        });
        (headers, Body::from_stream(events)).into_response()
    }
}

/// One stream: asked for more only when its client has taken what it was given.
struct Listener {
    ticks: watch::Receiver<Option<Arc<Tick>>>,
    heard: Option<u64>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let changed = self.stop.run_until_cancelled(self.ticks.changed());
            changed.await?.ok()?;
            let Some(tick) = self.ticks.borrow_and_update().clone() else {
                continue;
            };
            let follows = self.heard.is_some_and(|heard| heard + 1 == tick.number);
            self.heard = Some(tick.number);
            return Some(if follows {
                tick.change.clone()
            } else {
                tick.whole()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(connectors: &[(&str, u64)]) -> Snapshot {
        Snapshot {
            process: json!({ "version": "1" }),
            connectors: connectors
                .iter()
                .map(|(name, records)| {
                    (
                        (*name).to_owned(),
                        json!({ "name": name, "records": records }),
                    )
                })
                .collect(),
        }
    }

    fn data(event: &Bytes, kind: &str) -> Value {
        let text = std::str::from_utf8(event).unwrap();
        let data = text
            .strip_prefix(&format!("event: {kind}\ndata: "))
            .unwrap();
        serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
    }

    #[test]
    fn a_tick_tells_what_is_not_as_it_was() {
        let first = Tick::after(None, snapshot(&[("a", 1), ("b", 1), ("c", 1)]));
        assert_eq!(
            data(&first.change, "change")["connectors"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
        let next = Tick::after(Some(&first), snapshot(&[("a", 1), ("b", 2), ("d", 1)]));
        let change = data(&next.change, "change");
        let names: Vec<_> = change["connectors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["name"])
            .collect();
        assert_eq!(names, ["b", "d"]);
        assert_eq!(change["gone"], json!(["c"]));
        let whole = data(&next.whole(), "snapshot");
        assert_eq!(whole["connectors"].as_array().unwrap().len(), 3);
        assert_eq!(whole["process"]["version"], "1");
        assert_eq!(next.number, first.number + 1);
    }

    #[tokio::test]
    async fn a_slow_listener_goes_on_with_a_snapshot() {
        let ticks = watch::Sender::new(None);
        let permits = Arc::new(Semaphore::new(1));
        let mut listener = Listener {
            ticks: ticks.subscribe(),
            heard: None,
            stop: CancellationToken::new(),
            _permit: permits.try_acquire_owned().unwrap(),
        };
        let mut last: Option<Arc<Tick>> = None;
        let mut tick = |records| {
            let tick = Arc::new(Tick::after(last.as_deref(), snapshot(&[("a", records)])));
            last = Some(Arc::clone(&tick));
            ticks.send_replace(Some(tick));
        };
        tick(1);
        data(&listener.next().await.unwrap(), "snapshot");
        tick(2);
        assert_eq!(
            data(&listener.next().await.unwrap(), "change")["connectors"][0]["records"],
            2
        );
        tick(3);
        tick(4);
        assert_eq!(
            data(&listener.next().await.unwrap(), "snapshot")["connectors"][0]["records"],
            4
        );
        listener.stop.cancel();
        assert!(listener.next().await.is_none());
    }
}
