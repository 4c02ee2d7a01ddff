//! A front before a server: passes requests on, or does what a bad day does to them.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Largest body that is passed on.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET` and so on.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body's size.
    pub bytes: usize,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answered so, and not passed on.
    Status(u16, String),
    /// Passed on after a wait.
    Late(Duration),
    /// Passed on when this is told.
    Held(Arc<Notify>),
    /// Passed on and done; the connection breaks before the answer.
    Unheard,
    /// The connection breaks before it is passed on.
    Lost,
    /// Passed on and done, which is told here; no answer ever comes.
    Withheld(Arc<Notify>),
}

type Decide = Box<dyn FnMut(&Seen) -> Option<Fault> + Send>;

struct Shared {
    target: String,
    http: reqwest::Client,
    decide: Mutex<Decide>,
    seen: Mutex<Vec<Seen>>,
}

/// A front; it stops when it is dropped.
pub struct Front {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Everything here is on loopback, in the clear.
pub(crate) fn no_tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

impl Front {
    /// Passes everything on to `target`.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn before(target: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(no_tls())
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let shared = Arc::new(Shared {
            target: target.into(),
            http,
            decide: Mutex::new(Box::new(|_| None)),
            seen: Mutex::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let passing = Arc::clone(&shared);
        let router = Router::new().fallback(move |request: Request| {
            let shared = Arc::clone(&passing);
            async move { shared.pass(request).await }
        });
        let serving = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            port,
            shared,
            serving,
        }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on each request meets what this decides.
    pub fn decide(&self, decide: impl FnMut(&Seen) -> Option<Fault> + Send + 'static) {
        let held = self.shared.decide.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = Box::new(decide);
    }

    /// From now on everything is passed on.
    pub fn mend(&self) {
        self.decide(|_| None);
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.shared.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn fate(&self, seen: Seen) -> Option<Fault> {
        let mut decide = self.decide.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = decide(&seen);
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
        fault
    }

    async fn pass(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
            return broken();
        };
        let seen = Seen {
            method: parts.method.to_string(),
            path: path.to_owned(),
            headers: parts.headers.clone(),
            bytes: body.len(),
        };
        let fault = self.fate(seen);
        match &fault {
            Some(Fault::Status(status, words)) => {
                let mut response = Response::new(Body::from(words.clone()));
                *response.status_mut() = StatusCode::from_u16(*status).expect("a status");
                return response;
            }
            Some(Fault::Late(wait)) => tokio::time::sleep(*wait).await,
            Some(Fault::Held(released)) => released.notified().await,
            Some(Fault::Lost) => return broken(),
            Some(Fault::Unheard | Fault::Withheld(_)) | None => {}
        }
        // The host stays the one that the client signed.
        let passed = self
            .http
            .request(parts.method, format!("{}{path}", self.target))
            .headers(parts.headers)
            .body(body)
            .send()
            .await;
        let Ok(answer) = passed else {
            return broken();
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let Ok(bytes) = answer.bytes().await else {
            return broken();
        };
        match &fault {
            Some(Fault::Unheard) => return broken(),
            Some(Fault::Withheld(done)) => {
                done.notify_one();
                return std::future::pending().await;
            }
            Some(Fault::Status(..) | Fault::Late(_) | Fault::Held(_) | Fault::Lost) | None => {}
        }
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove("transfer-encoding");
        response
    }
}

/// A body that promises more than it has: the connection breaks in its middle.
fn broken() -> Response {
    let failing = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    let mut response = Response::new(Body::from_stream(failing.boxed()));
    *response.status_mut() = StatusCode::OK;
    response
}
