//! OTLP over HTTP.

use crate::{Health, State};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use futures::{StreamExt, stream};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::io;
use tokio::net::TcpListener;

/// A piece of an answer that never ends.
const PIECE: &[u8] = &[b'x'; 64 * 1024];

pub(crate) async fn serve(listener: TcpListener, state: State) {
    let (metrics, traces) = (state.clone(), state);
    let app = Router::new()
        .route(
            "/v1/metrics",
            post(async move |headers: HeaderMap, body: Bytes| {
                answer(&metrics, &headers, || {
                    let request: ExportMetricsServiceRequest = match is_json(&headers) {
                        true => serde_json::from_slice(&body).map_err(|e| e.to_string())?,
                        false => Message::decode(body).map_err(|e| e.to_string())?,
                    };
                    metrics.metrics(request);
                    Ok(())
                })
                .await
            }),
        )
        .route(
            "/v1/traces",
            post(async move |headers: HeaderMap, body: Bytes| {
                answer(&traces, &headers, || {
                    let request: ExportTraceServiceRequest = match is_json(&headers) {
                        true => serde_json::from_slice(&body).map_err(|e| e.to_string())?,
                        false => Message::decode(body).map_err(|e| e.to_string())?,
                    };
                    traces.traces(request);
                    Ok(())
                })
                .await
            }),
        );
    axum::serve(listener, app).await.unwrap();
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

async fn answer(
    state: &State,
    headers: &HeaderMap,
    keep: impl FnOnce() -> Result<(), String>,
) -> Response {
    let headers = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    match state.asked(headers) {
        Health::Well => match keep() {
            Ok(()) => StatusCode::OK.into_response(),
            Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        },
        Health::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Health::Stalls => std::future::pending().await,
        Health::Rubbish => "\0\u{7f}no protocol at all".into_response(),
        Health::Endless => {
            let pieces = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(PIECE)));
            Body::from_stream(pieces).into_response()
        }
        Health::Breaks => {
            let first = stream::once(async { Ok(Bytes::from_static(b"half an ans")) });
            let broken = stream::once(async { Err(io::Error::other("broken on purpose")) });
            Body::from_stream(first.chain(broken)).into_response()
        }
    }
}
