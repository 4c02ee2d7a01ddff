//! The server's thread.

use crate::changes::{self, Limit};
use crate::connect::{self, Connect};
use crate::connections::{Connections, Peer};
use crate::connectors;
use crate::events::Events;
use crate::guard::{self, Guard};
use crate::guesses::Guesses;
use crate::health::{ConnectorState, Health};
use crate::metrics::Metrics;
use crate::operator::{Objection, Operator};
use crate::page;
use crate::tls::Tls;
use crate::topics;
use axum::Router;
use axum::middleware;
use axum::routing::get;
use jackfield_telemetry::Telemetry;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Threads for what may take long: one tells the states, one renders metrics, one looks at the
/// connectors for the page.
const BLOCKING_THREADS: usize = 3;
/// Answers that are on their way when the server stops have so long to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// Where to listen, and to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Address and port; port 0 takes a free one. For health and metrics nobody is asked who is
    /// there: anything but loopback shows them to whoever can reach it.
    pub listen: SocketAddr,
    /// The token of those who may see and change connectors. None: nobody is asked.
    pub token: Option<String>,
    /// Names that requests may call the server by, beside its addresses.
    pub hosts: Vec<String>,
    /// HTTPS, if there is one.
    pub certificate: Option<Certificate>,
}

/// What HTTPS needs, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, the server's own first.
    pub chain: Vec<u8>,
    /// The private key of the first.
    pub key: Vec<u8>,
}

impl AdminConfig {
    /// Plain HTTP at this address, for those who have the token.
    pub fn new(listen: SocketAddr, token: impl Into<String>) -> Self {
        Self {
            listen,
            token: Some(token.into()),
            hosts: Vec::new(),
            certificate: None,
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
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
    /// No HTTPS with what was given.
    #[error("the admin server's TLS can't be set up: {0}")]
    Tls(String),
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
        connect: Connect,
    ) -> Result<Self, AdminError> {
        let listen = |source| AdminError::Listen {
            address: config.listen,
            source,
        };
        let tls = match &config.certificate {
            None => None,
            Some(given) => Some(Tls::new(&given.chain, &given.key).map_err(AdminError::Tls)?),
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
        let guard = Guard {
            token: config.token.as_deref().map(Into::into),
            listen: address,
            hosts: config.hosts.into(),
            tls: tls.is_some(),
            guesses: Guesses::default(),
        };
        let stop = CancellationToken::new();
        let events = Events::new(Arc::clone(&operator), stop.clone());
        let asked = topics::routes(operator.topics())
            .merge(connectors::routes(operator))
            .merge(connect::routes(connect.clone()))
            .merge(events.routes());
        let open = app(Metrics::new(telemetry), Health::new(states))
            .merge(connect::open_routes(connect))
            .merge(page::routes())
            .route_layer(middleware::from_fn_with_state(
                guard.clone(),
                guard::check_open,
            ));
        let app = open
            .merge(guarded(asked, guard))
            .fallback(unknown)
            .method_not_allowed_fallback(not_allowed)
            .layer(middleware::from_fn(page::for_people));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::join!(serve(listener, tls, app, stopped), events.run());
                });
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

/// What only those get who are let in. The outermost layer sees a request first.
fn guarded(asked: Router, guard: Guard) -> Router {
    asked
        .route_layer(middleware::from_fn_with_state(Limit::new(), changes::limit))
        .route_layer(middleware::from_fn_with_state(guard, guard::check))
        .route_layer(middleware::from_fn(changes::audit))
}

async fn unknown() -> Objection {
    Objection {
        status: 404,
        code: "unknown-path",
        message: "HTTP 404 Not Found".to_owned(),
    }
}

async fn not_allowed() -> Objection {
    Objection {
        status: 405,
        code: "not-allowed",
        message: "HTTP 405 Method Not Allowed".to_owned(),
    }
}

async fn serve(listener: TcpListener, tls: Option<Tls>, app: Router, stop: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => Connections::new(listener, tls),
        Err(error) => {
            tracing::error!(%error, "the admin server can't listen");
            return;
        }
    };
    let app = app.into_make_service_with_connect_info::<Peer>();
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
