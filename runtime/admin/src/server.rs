//! The server's thread.

use crate::connections::Connections;
use crate::connectors;
use crate::guard::{self, Guard};
use crate::health::{ConnectorState, Health};
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::topics;
use axum::Router;
use axum::routing::get;
use jackfield_telemetry::Telemetry;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Threads for what may take long: one tells the states, one renders metrics.
const BLOCKING_THREADS: usize = 2;
/// Answers that are on their way when the server stops have so long to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// Where to listen, and to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Address and port; port 0 takes a free one. For health and metrics nobody is asked who is
    /// there: anything but loopback shows them to whoever can reach it.
    pub listen: SocketAddr,
    /// The bearer token of those who may see and change connectors.
    pub token: String,
}

impl fmt::Debug for AdminConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminConfig")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// The server can't start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address can't be had.
    #[error("can't listen on {address} for health and metrics: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gives no thread or no event queue.
    #[error("the admin server can't be started: {0}")]
    Start(#[source] io::Error),
}

/// A server that runs. Stops when dropped.
pub struct AdminServer {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Starts it: it answers from now on. `states` is asked by `/readyz`, from a thread that may
    /// block.
    ///
    /// # Errors
    /// The address can't be had, or the system gives no thread.
    pub fn start(
        config: AdminConfig,
        telemetry: Telemetry,
        states: impl Fn() -> Vec<ConnectorState> + Send + Sync + 'static,
        operator: Arc<dyn Operator>,
    ) -> Result<Self, AdminError> {
        let listen = |source| AdminError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("admin-blocking")
            .build()
            .map_err(AdminError::Start)?;
        let guarded = topics::routes(operator.topics())
            .merge(connectors::routes(operator))
            .route_layer(axum::middleware::from_fn_with_state(
                Guard::new(&config.token, address),
                guard::check,
            ));
        let app = app(Metrics::new(telemetry), Health::new(states)).merge(guarded);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, app, stopped));
                // A function that tells no states may be stuck for good.
                runtime.shutdown_background();
            });
        Ok(Self {
            address,
            stop,
            thread: Some(thread.map_err(AdminError::Start)?),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; answers that are on their way have a second to arrive. Blocks for as long.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the admin server panicked");
        }
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn app(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || health.ready().await))
        .route("/metrics", get(async move || metrics.page().await))
}

async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => Connections::new(listener),
        Err(error) => {
            tracing::error!(%error, "the admin server can't listen");
            return;
        }
    };
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_WITHIN).await;
    };
    tokio::select! {
        result = serving => {
            if let Err(error) = result {
                tracing::error!(%error, "the admin server ended");
            }
        }
        () = late => {}
    }
}
