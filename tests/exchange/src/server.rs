//! The exchange: two listeners over one tape, one clock and one schedule of faults.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Speed};
use crate::fault::Scheduled;
use crate::recording::{Recording, RecordingError};
use crate::rest;
use crate::schedule::Schedule;
use crate::session::{Session, fresh_seed};
use crate::subscriptions::Subscriptions;
use crate::tape::Tape;
use crate::trade::Trade;
use crate::weight::Weight;

/// A client that connects has so long to ask for the upgrade.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Connection attempts are counted over this window.
const CONNECTION_WINDOW: Duration = Duration::from_secs(300);

/// Between two looks at the position, where a test waits for one.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The limits that the exchange sets its clients.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A ping each.
    pub ping_every: Duration,
    /// A pong with the same payload must come within.
    pub pong_within: Duration,
    /// Incoming messages a second; pings and pongs count.
    pub messages_per_second: usize,
    /// Streams a connection.
    pub streams_per_connection: usize,
    /// A connection's life.
    pub connection_age: Duration,
    /// Connection attempts in five minutes.
    pub connections_per_window: usize,
    /// Request weight a minute.
    pub weight_per_minute: u32,
}

impl Default for Limits {
    /// As Binance documents them for spot.
    fn default() -> Limits {
        Limits {
            ping_every: Duration::from_secs(20),
            pong_within: Duration::from_secs(60),
            messages_per_second: 5,
            streams_per_connection: 1024,
            connection_age: Duration::from_secs(86_400),
            connections_per_window: 300,
            weight_per_minute: 6000,
        }
    }
}

/// What to replay, how, and what goes wrong meanwhile.
#[derive(Clone)]
pub struct Options {
    /// Where the WebSocket listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where REST listens; port 0 takes a free one.
    pub listen_rest: SocketAddr,
    /// What is replayed.
    pub recording: Arc<Recording>,
    /// How often; from the second lap on ids and times are moved on. For benchmarks.
    pub laps: u32,
    /// How fast.
    pub speed: Speed,
    /// Whether to wait for [`Running::start`]; else the first subscription starts it.
    pub hold: bool,
    /// For all that is random.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Vec<Scheduled>,
    /// What clients must keep to.
    pub limits: Limits,
}

impl Options {
    /// The embedded recording once, at real time, without faults, on free ports.
    ///
    /// # Errors
    /// See [`Recording::spot`].
    pub fn spot() -> Result<Options, RecordingError> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Options {
            listen: anywhere,
            listen_rest: anywhere,
            recording: Arc::new(Recording::spot()?),
            laps: 1,
            speed: Speed::Realtime(1.0),
            hold: false,
            seed: fresh_seed(),
            faults: Vec::new(),
            limits: Limits::default(),
        })
    }
}

/// Figures since the start.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) requests: AtomicU64,
}

/// What all connections and requests share.
pub(crate) struct Shared {
    pub(crate) tape: Tape,
    pub(crate) clock: Clock,
    pub(crate) schedule: Schedule,
    pub(crate) limits: Limits,
    pub(crate) hold: bool,
    pub(crate) seed: u64,
    pub(crate) counts: Counts,
    pub(crate) stop: CancellationToken,
    weight: Mutex<Weight>,
    attempts: Mutex<Vec<Instant>>,
}

impl Shared {
    pub(crate) fn position(&self) -> u64 {
        self.clock.position(&self.tape, Instant::now())
    }

    /// The exchange's clock: that of the last trade that happened.
    pub(crate) fn exchange_time_ms(&self) -> i64 {
        self.tape
            .trade(self.position().saturating_sub(1))
            .event_time_ms
    }

    pub(crate) fn weight(&self) -> MutexGuard<'_, Weight> {
        self.weight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more connection keeps to the limit of attempts.
    fn attempt(&self, now: Instant) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|then| now.saturating_duration_since(*then) < CONNECTION_WINDOW);
        if attempts.len() >= self.limits.connections_per_window {
            return false;
        }
        attempts.push(now);
        true
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            position: self.position(),
            total: self.tape.total(),
            connections: self.counts.connections.load(Ordering::Acquire),
            open: self.counts.open.load(Ordering::Acquire),
            refused: self.counts.refused.load(Ordering::Acquire),
            frames: self.counts.frames.load(Ordering::Acquire),
            requests: self.counts.requests.load(Ordering::Acquire),
            struck: self.schedule.struck(),
        }
    }
}

/// How far the exchange is, and what it has done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Trades that have happened.
    pub position: u64,
    /// Trades of the recording, all laps.
    pub total: u64,
    /// Connections opened so far.
    pub connections: u64,
    /// Connections open now; half-open ones count.
    pub open: u64,
    /// Connections refused so far.
    pub refused: u64,
    /// Trades sent, to all connections together.
    pub frames: u64,
    /// REST requests so far.
    pub requests: u64,
    /// The faults that have struck, as text, in order.
    pub struck: Vec<String>,
}

impl Status {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "position": self.position,
            "total": self.total,
            "connections": self.connections,
            "open": self.open,
            "refused": self.refused,
            "frames": self.frames,
            "requests": self.requests,
            "struck": self.struck,
        })
    }
}

/// The exchange can't listen where it was told.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct StartError {
    address: SocketAddr,
    source: io::Error,
}

/// The exchange.
pub struct Exchange;

impl Exchange {
    /// Starts on the current runtime.
    ///
    /// # Errors
    /// When an address can't be listened on.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        let (listener, ws) = bind(options.listen).await?;
        let (rest_listener, rest) = bind(options.listen_rest).await?;
        let now = Instant::now();
        let shared = Arc::new(Shared {
            tape: Tape::new(options.recording, options.laps),
            clock: Clock::new(options.speed),
            schedule: Schedule::new(),
            weight: Mutex::new(Weight::new(options.limits.weight_per_minute, now)),
            limits: options.limits,
            hold: options.hold,
            seed: options.seed,
            counts: Counts::default(),
            stop: CancellationToken::new(),
            attempts: Mutex::default(),
        });
        shared.schedule.add(options.faults, 0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(shared.clone(), listener));
        let router = rest::router(shared.clone());
        let stop = shared.stop.clone().cancelled_owned();
        tasks.spawn(async move {
            let serve = axum::serve(rest_listener, router).with_graceful_shutdown(stop);
            if let Err(error) = serve.await {
                tracing::error!(%error, "REST ended");
            }
        });
        Ok(Running {
            shared,
            ws,
            rest,
            tasks,
        })
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(welcome(shared.clone(), stream));
                }
                Err(error) => {
                    // Out of files, most likely: wait for some to be closed.
                    tracing::warn!(%error, "accept failed");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    while sessions.join_next().await.is_some() {}
}

/// The path and query a client asked for.
struct Asked {
    streams: Vec<String>,
    combined: bool,
    micros: bool,
}

async fn welcome(shared: Arc<Shared>, stream: TcpStream) {
    // Small frames at once: a latency figure must not measure Nagle's algorithm.
    let _ = stream.set_nodelay(true);
    let mut asked = None;
    let look = shared.clone();
    let handshake = tokio_tungstenite::accept_hdr_async(
        stream,
        #[expect(clippy::result_large_err, reason = "the callback's type is given")]
        |request: &Request, response: Response| {
            admit(&look, request.uri()).map(|fine| {
                asked = Some(fine);
                response
            })
        },
    );
    let accepted = tokio::select! {
        () = shared.stop.cancelled() => return,
        accepted = timeout(HANDSHAKE_WITHIN, handshake) => accepted,
    };
    let (Ok(Ok(socket)), Some(asked)) = (accepted, asked) else {
        shared.counts.refused.fetch_add(1, Ordering::AcqRel);
        return;
    };
    let number = shared.counts.connections.fetch_add(1, Ordering::AcqRel);
    shared.counts.open.fetch_add(1, Ordering::AcqRel);
    let subscriptions = Subscriptions::new(asked.streams, asked.combined);
    // A client may not send before the upgrade is answered: nothing is lost with
    // the handshake's buffer.
    Session::new(
        shared,
        number,
        socket.into_inner(),
        subscriptions,
        asked.micros,
    )
    .run()
    .await;
}

#[expect(clippy::result_large_err, reason = "the callback's type is given")]
fn admit(shared: &Shared, uri: &axum::http::Uri) -> Result<Asked, ErrorResponse> {
    let refuse = |status: u16| {
        let mut response = ErrorResponse::new(None);
        *response.status_mut() =
            axum::http::StatusCode::from_u16(status).expect("the statuses below are valid");
        response
    };
    let now = Instant::now();
    if shared.schedule.refuses(shared.position(), now) {
        return Err(refuse(503));
    }
    if !shared.attempt(now) {
        return Err(refuse(429));
    }
    let mut streams = Vec::new();
    let mut micros = false;
    for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
        match &*key {
            "streams" => streams.extend(names(&value)),
            "timeUnit" => micros = value.eq_ignore_ascii_case("MICROSECOND"),
            _ => {}
        }
    }
    let path = uri.path();
    if path == "/stream" {
        return Ok(Asked {
            streams,
            combined: true,
            micros,
        });
    }
    let list = match path.strip_prefix("/ws") {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => rest,
        _ => return Err(refuse(404)),
    };
    Ok(Asked {
        streams: names(list).collect(),
        combined: false,
        micros,
    })
}

fn names(list: &str) -> impl Iterator<Item = String> {
    list.split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// A running exchange; it stops when this is dropped.
pub struct Running {
    shared: Arc<Shared>,
    ws: SocketAddr,
    rest: SocketAddr,
    tasks: JoinSet<()>,
}

impl Running {
    /// `ws://…`, without a path.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.ws)
    }

    /// `http://…`, without a path.
    #[must_use]
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.rest)
    }

    /// The seed of all that is random here.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Starts the replay, where it was held.
    pub fn start(&self) {
        self.shared.clock.start(Instant::now());
    }

    /// Adds faults to the schedule.
    pub fn inject(&self, faults: impl IntoIterator<Item = Scheduled>) {
        self.shared.schedule.add(faults, self.shared.position());
    }

    /// How far it is, and what it has done.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Every trade that a client may come to know, in receive order: those of
    /// the recording, all laps, without the holes.
    #[must_use]
    pub fn trades(&self) -> Vec<Trade> {
        let holes = self.shared.schedule.holes();
        let tape = &self.shared.tape;
        (0..tape.total())
            .map(|number| tape.trade(number))
            .filter(|t| !holes.iter().any(|hole| hole.hides(&t.symbol, t.trade_id)))
            .collect()
    }

    /// Returns once `number` trades have happened.
    pub async fn reached(&self, number: u64) {
        while self.shared.position() < number {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns once every trade has happened; the exchange stays up.
    pub async fn finished(&self) {
        self.reached(self.shared.tape.total()).await;
    }

    /// Stops and waits until every connection is gone.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Runs until told otherwise from outside, as the binary does.
    pub async fn forever(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
