//! Pushing metrics and traces by OTLP, if that is asked for.
//!
//! It has threads of its own: one for each signal, which wakes up now and then, and one for the
//! network. Whoever records never waits for any of them. What the receiver does not take within a
//! time is given up: metrics are sums, so the next push says it all again; spans are lost.

mod client;
mod counted;

use crate::catalogue::Catalogue;
use crate::labels::Signal;
use crate::telemetry::TelemetryError;
use crate::traces::Traces;
use client::Client;
use counted::Counted;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    MetricExporter, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::metadata::MetadataMap, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor};
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Longest wait for the receiver: slower than this it is as good as down.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Spans that wait to be sent; more are dropped. One is about 500 bytes.
const SPANS_MAX: usize = 2048;
/// Spans of one push.
const SPANS_PER_PUSH: usize = 512;

/// How it is said on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// Protocol buffers over HTTP, usually on port 4318.
    HttpProtobuf,
    /// JSON over HTTP, usually on port 4318.
    HttpJson,
}

/// Where to push, and how.
#[derive(Clone)]
pub struct Otlp {
    /// The receiver, such as `http://localhost:4318`; for HTTP the signals' paths are appended.
    pub endpoint: String,
    /// How it is said on the wire.
    pub protocol: Protocol,
    /// Headers of each request, which may be secrets.
    pub headers: Vec<(String, String)>,
    /// Between two pushes.
    pub interval: Duration,
    /// In each partition the record at every so many-th offset is traced. `None`: no traces.
    pub sample: Option<NonZeroU32>,
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("interval", &self.interval)
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}

/// What pushes, to be given to the provider of metrics.
pub(crate) struct Pushing {
    pub(crate) traces: Option<Traces>,
    pub(crate) running: Running,
    reader: PeriodicReader<Counted<MetricExporter>>,
    counts: [Arc<counted::Counts>; 2],
}

/// The network's thread; it ends when this is dropped.
pub(crate) struct Running(Option<Runtime>);

impl Drop for Running {
    fn drop(&mut self) {
        // A push that is under way may take its whole time.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Pushing {
    /// Starts the threads.
    ///
    /// # Errors
    /// The settings make no sense, or the system gives no thread.
    pub(crate) fn start(otlp: &Otlp) -> Result<Self, TelemetryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(|e| TelemetryError::new(&e))?;
        // gRPC's connection is kept by a task of the runtime that it is made in.
        let entered = runtime.enter();
        let answer_within = otlp.interval.min(ANSWER_MAX);
        let client = Client::new(runtime.handle(), answer_within)?;
        let counts = [Signal::Metrics, Signal::Traces].map(counted::Counts::new);
        let metrics = Counted::new(metrics(otlp, &client, answer_within)?, &counts[0]);
        let reader = PeriodicReader::builder(metrics)
            .with_interval(otlp.interval)
            .build();
        let traces = match otlp.sample {
            None => None,
            Some(every) => {
                let spans = Counted::new(spans(otlp, &client, answer_within)?, &counts[1]);
                let config = BatchConfigBuilder::default()
                    .with_max_queue_size(SPANS_MAX)
                    .with_max_export_batch_size(SPANS_PER_PUSH)
                    .with_scheduled_delay(otlp.interval)
                    .build();
                let mut processor = BatchSpanProcessor::builder(spans)
                    .with_batch_config(config)
                    .build();
                opentelemetry_sdk::trace::SpanProcessor::set_resource(&mut processor, &resource());
                Some(Traces::new(processor, every))
            }
        };
        drop(entered);
        Ok(Self {
            traces,
            running: Running(Some(runtime)),
            reader,
            counts,
        })
    }

    /// Adds what pushes to the provider. The counts of pushes begin with [`Counting::of`].
    pub(crate) fn read(
        self,
        provider: MeterProviderBuilder,
    ) -> (MeterProviderBuilder, Option<Traces>, Running, Counting) {
        let provider = provider.with_reader(self.reader).with_resource(resource());
        let counting = Counting(self.counts);
        (provider, self.traces, self.running, counting)
    }
}

/// Pushes are counted once there is a catalogue.
pub(crate) struct Counting([Arc<counted::Counts>; 2]);

impl Counting {
    pub(crate) fn of(self, catalogue: &Catalogue) {
        for counts in self.0 {
            counts.bind(catalogue);
        }
    }
}

fn resource() -> Resource {
    Resource::builder()
        .with_service_name("jackfield")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn metrics(
    otlp: &Otlp,
    client: &Client,
    answer_within: Duration,
) -> Result<MetricExporter, TelemetryError> {
    let builder = MetricExporter::builder();
    let built = match http(otlp.protocol) {
        Some(protocol) => over_http(builder.with_http(), otlp, "v1/metrics", client)
            .with_protocol(protocol)
            .with_timeout(answer_within)
            .build(),
        None => over_grpc(builder.with_tonic(), otlp)?
            .with_timeout(answer_within)
            .build(),
    };
    built.map_err(|e| TelemetryError::new(&e))
}

fn spans(
    otlp: &Otlp,
    client: &Client,
    answer_within: Duration,
) -> Result<SpanExporter, TelemetryError> {
    let builder = SpanExporter::builder();
    let built = match http(otlp.protocol) {
        Some(protocol) => over_http(builder.with_http(), otlp, "v1/traces", client)
            .with_protocol(protocol)
            .with_timeout(answer_within)
            .build(),
        None => over_grpc(builder.with_tonic(), otlp)?
            .with_timeout(answer_within)
            .build(),
    };
    built.map_err(|e| TelemetryError::new(&e))
}

/// What every signal over HTTP has. A push that failed is not repeated: the next one says more.
fn over_http<B: WithExportConfig + WithHttpConfig>(
    builder: B,
    otlp: &Otlp,
    path: &str,
    client: &Client,
) -> B {
    builder
        .with_endpoint(endpoint(otlp, path))
        .with_http_client(client.clone())
        .with_headers(headers(otlp))
        .with_retry_policy(RetryPolicy::disabled())
}

/// What every signal over gRPC has.
fn over_grpc<B: WithExportConfig + WithTonicConfig>(
    builder: B,
    otlp: &Otlp,
) -> Result<B, TelemetryError> {
    let builder = builder
        .with_endpoint(&otlp.endpoint)
        .with_metadata(metadata(otlp)?)
        .with_retry_policy(RetryPolicy::disabled());
    Ok(match otlp.endpoint.starts_with("https:") {
        true => builder.with_tls_config(tls()),
        false => builder,
    })
}

/// None: it is gRPC.
fn http(protocol: Protocol) -> Option<opentelemetry_otlp::Protocol> {
    match protocol {
        Protocol::Grpc => None,
        Protocol::HttpProtobuf => Some(opentelemetry_otlp::Protocol::HttpBinary),
        Protocol::HttpJson => Some(opentelemetry_otlp::Protocol::HttpJson),
    }
}

fn tls() -> ClientTlsConfig {
    ClientTlsConfig::new().with_native_roots()
}

fn endpoint(otlp: &Otlp, path: &str) -> String {
    format!("{}/{path}", otlp.endpoint.trim_end_matches('/'))
}

fn headers(otlp: &Otlp) -> HashMap<String, String> {
    otlp.headers.iter().cloned().collect()
}

fn metadata(otlp: &Otlp) -> Result<MetadataMap, TelemetryError> {
    let mut headers = http::HeaderMap::with_capacity(otlp.headers.len());
    for (name, value) in &otlp.headers {
        let name = http::HeaderName::try_from(name).map_err(|e| TelemetryError::new(&e))?;
        let value = http::HeaderValue::try_from(value).map_err(|e| TelemetryError::new(&e))?;
        headers.append(name, value);
    }
    Ok(MetadataMap::from_headers(headers))
}
