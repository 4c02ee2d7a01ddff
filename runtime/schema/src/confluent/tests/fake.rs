//! A server that answers as the test says.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Largest body of a request that the fake reads.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// One request, as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) body: String,
}

/// What is answered.
pub(super) enum Answer {
    /// Status, headers, body.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// Nothing, for ever.
    Never,
}

pub(super) fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer::Whole(status, Vec::new(), body.into())
}

pub(super) fn refusal(status: u16, error_code: u32, message: &str) -> Answer {
    let body = serde_json::json!({"error_code": error_code, "message": message});
    answer(status, body.to_string())
}

pub(super) fn told(schema: &str) -> Answer {
    answer(200, serde_json::json!({ "schema": schema }).to_string())
}

/// The server; it stops when it is dropped.
pub(super) struct Fake {
    at: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    /// Answers the nth request, from 0.
    pub(super) async fn serve<F>(answers: F) -> Self
    where
        F: Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        Self::on(listener, at, "http", answers)
    }

    /// The same on any listener.
    pub(super) fn on<L, F>(listener: L, at: SocketAddr, scheme: &'static str, answers: F) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
        F: Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    {
        let (answers, seen) = (Arc::new(answers), Arc::new(Mutex::new(Vec::new())));
        let seen_there = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen_there));
            async move {
                let request = read(request).await;
                let nth = note(&seen, request.clone());
                match answers(nth, &request) {
                    Answer::Whole(status, headers, body) => {
                        let mut response = Response::builder().status(status);
                        for (name, value) in headers {
                            response = response.header(name, value);
                        }
                        response.body(Body::from(body)).unwrap()
                    }
                    Answer::Never => std::future::pending().await,
                }
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            at,
            scheme,
            seen,
            serving,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.at)
    }

    pub(super) fn port(&self) -> u16 {
        self.at.port()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Where nothing listens: connections are refused.
pub(super) async fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn read(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let authorization = parts.headers.get("authorization");
    Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn note(seen: &Mutex<Vec<Seen>>, request: Seen) -> usize {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.push(request);
    seen.len() - 1
}
