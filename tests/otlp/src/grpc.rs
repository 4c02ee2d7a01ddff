//! OTLP over gRPC.

use crate::{Health, State};
use async_trait::async_trait;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

pub(crate) async fn serve(listener: TcpListener, state: State) {
    tonic::transport::Server::builder()
        .add_service(MetricsServiceServer::new(Service(state.clone())))
        .add_service(TraceServiceServer::new(Service(state)))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
        .unwrap();
}

struct Service(State);

impl Service {
    async fn well<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let headers = request.metadata().clone().into_headers();
        let headers = headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        let health = self.0.asked(headers.collect::<Vec<_>>().into_iter());
        match health {
            Health::Well => Ok(()),
            Health::Stalls => std::future::pending().await,
            Health::Status(_) | Health::Rubbish | Health::Endless | Health::Breaks => {
                Err(Status::internal("ill on purpose"))
            }
        }
    }
}

#[async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.well(&request).await?;
        self.0.metrics(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.well(&request).await?;
        self.0.traces(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
