//! A receiver of OTLP for tests: keeps what it is sent, or is ill in some way.
#![allow(clippy::unwrap_used)]

mod grpc;
mod http;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How the receiver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It keeps what it is sent.
    #[default]
    Well,
    /// It answers every request with this status.
    Status(u16),
    /// It takes requests and never answers.
    Stalls,
    /// It answers with what no protocol knows.
    Rubbish,
    /// Its answer never ends.
    Endless,
    /// It lets go in the middle of the answer.
    Breaks,
}

/// A span as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace's id.
    pub trace: Vec<u8>,
    /// Its own id.
    pub id: Vec<u8>,
    /// Its parent's id; empty if it has none.
    pub parent: Vec<u8>,
    /// Its name.
    pub name: String,
    /// When it began, ns since the epoch.
    pub began_ns: u64,
    /// When it ended, ns since the epoch.
    pub ended_ns: u64,
    /// Its attributes; numbers as text.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Kept {
    health: Health,
    requests: u64,
    metrics: BTreeSet<String>,
    spans: Vec<Span>,
    headers: BTreeMap<String, String>,
    services: BTreeSet<String>,
}

/// What a receiver knows, shared with its server.
#[derive(Debug, Clone, Default)]
struct State(Arc<Mutex<Kept>>);

impl State {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request came with these headers. How the receiver does.
    fn asked(&self, headers: impl Iterator<Item = (String, String)>) -> Health {
        let mut kept = self.kept();
        kept.requests += 1;
        kept.headers = headers.collect();
        kept.health
    }

    fn metrics(&self, request: ExportMetricsServiceRequest) {
        let mut kept = self.kept();
        for resource in request.resource_metrics {
            let about = resource.resource.unwrap_or_default();
            kept.services
                .extend(texts(about.attributes).remove("service.name"));
            let scopes = resource.scope_metrics.into_iter();
            let names = scopes.flat_map(|scope| scope.metrics).map(|it| it.name);
            kept.metrics.extend(names);
        }
    }

    fn traces(&self, request: ExportTraceServiceRequest) {
        let mut kept = self.kept();
        for resource in request.resource_spans {
            let about = resource.resource.unwrap_or_default();
            kept.services
                .extend(texts(about.attributes).remove("service.name"));
            let scopes = resource.scope_spans.into_iter();
            kept.spans
                .extend(scopes.flat_map(|scope| scope.spans).map(|span| Span {
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                    name: span.name,
                    began_ns: span.start_time_unix_nano,
                    ended_ns: span.end_time_unix_nano,
                    attributes: texts(span.attributes),
                }));
        }
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |pair: KeyValue| {
        let value = match pair.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (pair.key, value)
    };
    attributes.into_iter().map(text).collect()
}

/// A receiver; it stops when it is dropped.
pub struct Receiver {
    address: SocketAddr,
    state: State,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// One that speaks HTTP, protocol buffers and JSON.
    pub async fn http() -> Receiver {
        let (listener, address) = listen().await;
        let state = State::default();
        let serving = tokio::spawn(http::serve(listener, state.clone()));
        Receiver {
            address,
            state,
            serving,
        }
    }

    /// One that speaks gRPC; ill, it stalls or answers with an error.
    pub async fn grpc() -> Receiver {
        let (listener, address) = listen().await;
        let state = State::default();
        let serving = tokio::spawn(grpc::serve(listener, state.clone()));
        Receiver {
            address,
            state,
            serving,
        }
    }

    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does so.
    pub fn is(&self, health: Health) {
        self.state.kept().health = health;
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.state.kept().requests
    }

    /// Names of the metrics that came.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.state.kept().metrics.clone()
    }

    /// All spans that came.
    pub fn spans(&self) -> Vec<Span> {
        self.state.kept().spans.clone()
    }

    /// Headers of the last request, names in lower case.
    pub fn headers(&self) -> BTreeMap<String, String> {
        self.state.kept().headers.clone()
    }

    /// Who sent anything.
    pub fn services(&self) -> BTreeSet<String> {
        self.state.kept().services.clone()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
