//! The public part of `/api/v3`, and the control endpoint beside it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fault;
use crate::market::{Market, Wanted, symbol_info};
use crate::schedule::Answer;
use crate::server::Shared;
use crate::weight::Verdict;

/// Trades a call, unless told, and at most; a larger limit is cut, not refused.
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1000;

/// Levels of a book a call, unless told, and at most.
const DEPTH_DEFAULT: usize = 100;
const DEPTH_MAX: usize = 5000;

const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight");
const USED_WEIGHT_1M: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");

type Params = Query<HashMap<String, String>>;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/ping", get(async || Json(json!({}))))
        .route("/time", get(time))
        .route("/exchangeInfo", get(exchange_info))
        .route("/trades", get(trades))
        .route("/historicalTrades", get(historical_trades))
        .route("/aggTrades", get(agg_trades))
        .route("/depth", get(depth))
        .route_layer(from_fn_with_state(shared.clone(), meet));
    Router::new()
        .nest("/api/v3", api)
        .route("/control/faults", post(add_faults))
        .route("/control/start", post(start))
        .route("/control/status", get(status))
        .with_state(shared)
}

/// The exchange's error body.
struct Refusal {
    status: StatusCode,
    code: i32,
    msg: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.code, "msg": self.msg });
        (self.status, Json(body)).into_response()
    }
}

fn bad(code: i32, msg: impl Into<String>) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code,
        msg: msg.into(),
    }
}

fn retry_after(status: StatusCode, msg: &str, seconds: u64) -> Response {
    let refusal = Refusal {
        status,
        code: -1003,
        msg: msg.to_owned(),
    };
    let headers = [(header::RETRY_AFTER, HeaderValue::from(seconds))];
    (headers, refusal).into_response()
}

fn too_many(seconds: u64) -> Response {
    let msg = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. \
               Please use WebSocket Streams for live updates to avoid polling the API.";
    retry_after(StatusCode::TOO_MANY_REQUESTS, msg, seconds)
}

fn banned(seconds: u64) -> Response {
    let msg = format!(
        "Way too much request weight used; IP banned for {seconds} s. \
         Please use WebSocket Streams for live updates to avoid bans."
    );
    retry_after(StatusCode::IM_A_TEAPOT, &msg, seconds)
}

/// Before each API call: its weight, and the faults that wait for a request.
async fn meet(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    shared.counts.requests.fetch_add(1, Ordering::Relaxed);
    let now = Instant::now();
    let met = shared.schedule.meet(shared.position(), now);
    if !met.delay.is_zero() {
        sleep(met.delay).await;
    }
    let cost = cost(request.uri().path(), request.uri().query().unwrap_or(""));
    let (verdict, used) = {
        let mut weight = shared.weight();
        (weight.spend(cost, now), weight.used())
    };
    let mut response = match (met.answer, verdict) {
        (Some(Answer::Banned { retry_after_s }), _) => banned(retry_after_s),
        (Some(Answer::RateLimited { retry_after_s }), _) => too_many(retry_after_s),
        (Some(Answer::ServerError { status }), _) => Refusal {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: -1000,
            msg: "An unknown error occurred while processing the request.".into(),
        }
        .into_response(),
        (None, Verdict::Banned(seconds)) => banned(seconds),
        (None, Verdict::TooMuch(seconds)) => too_many(seconds),
        (None, Verdict::Fine) => next.run(request).await,
    };
    for name in [USED_WEIGHT, USED_WEIGHT_1M] {
        response.headers_mut().insert(name, HeaderValue::from(used));
    }
    response
}

/// The weight of a call, as documented.
fn cost(path: &str, query: &str) -> u32 {
    match path.rsplit('/').next() {
        Some("exchangeInfo") => 20,
        Some("trades" | "historicalTrades") => 25,
        Some("aggTrades") => 4,
        Some("depth") => {
            let limit = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("limit="))
                .and_then(|text| text.parse().ok())
                .unwrap_or(DEPTH_DEFAULT);
            match limit {
                0..=100 => 5,
                101..=500 => 25,
                501..=1000 => 50,
                _ => 250,
            }
        }
        _ => 1,
    }
}

fn number<T: std::str::FromStr>(params: &Params, name: &str) -> Result<Option<T>, Refusal> {
    let illegal = || {
        bad(
            -1100,
            format!(
                "Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            ),
        )
    };
    match params.get(name) {
        None => Ok(None),
        Some(text) if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) => {
            Err(illegal())
        }
        Some(text) => text.parse().map(Some).map_err(|_| illegal()),
    }
}

fn limit(params: &Params, default: usize, max: usize) -> Result<usize, Refusal> {
    Ok(number(params, "limit")?.unwrap_or(default).min(max))
}

fn symbol_index(shared: &Shared, name: &str) -> Result<usize, Refusal> {
    shared
        .tape
        .recording()
        .symbols()
        .iter()
        .position(|symbol| **symbol == *name)
        .ok_or_else(|| bad(-1121, "Invalid symbol."))
}

fn symbol(shared: &Shared, params: &Params) -> Result<usize, Refusal> {
    let name = params.get("symbol").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        bad(
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        )
    })?;
    symbol_index(shared, name)
}

fn wants_micros(headers: &HeaderMap) -> bool {
    headers
        .get("x-mbx-time-unit")
        .is_some_and(|unit| unit.as_bytes().eq_ignore_ascii_case(b"MICROSECOND"))
}

async fn time(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Json<Value> {
    let unit = if wants_micros(&headers) { 1000 } else { 1 };
    Json(json!({ "serverTime": shared.exchange_time_ms() * unit }))
}

async fn exchange_info(
    State(shared): State<Arc<Shared>>,
    params: Params,
) -> Result<Json<Value>, Refusal> {
    let all = shared.tape.recording().symbols();
    let names: Vec<String> = if let Some(name) = params.get("symbol") {
        vec![name.clone()]
    } else if let Some(list) = params.get("symbols") {
        serde_json::from_str(list)
            .map_err(|_| bad(-1100, "Illegal characters found in parameter 'symbols'."))?
    } else {
        all.iter().map(ToString::to_string).collect()
    };
    let mut symbols = Vec::new();
    for name in &names {
        symbol_index(&shared, name)?;
        symbols.push(symbol_info(name));
    }
    Ok(Json(json!({
        "timezone": "UTC",
        "serverTime": shared.exchange_time_ms(),
        "rateLimits": [{
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": shared.limits.weight_per_minute
        }],
        "exchangeFilters": [],
        "symbols": symbols
    })))
}

async fn trades(
    state: State<Arc<Shared>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    list_trades(&state, &params, &headers, None)
}

async fn historical_trades(
    state: State<Arc<Shared>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let from_id = number(&params, "fromId")?;
    list_trades(&state, &params, &headers, from_id)
}

fn list_trades(
    shared: &Shared,
    params: &Params,
    headers: &HeaderMap,
    from_id: Option<i64>,
) -> Result<Response, Refusal> {
    let market = Market {
        tape: &shared.tape,
        symbol: symbol(shared, params)?,
        position: shared.position(),
        holes: &shared.schedule.holes(),
    };
    let mut list = market.trades(from_id, limit(params, LIMIT_DEFAULT, LIMIT_MAX)?);
    if wants_micros(headers) {
        list.iter_mut().for_each(|trade| trade.use_micros());
    }
    Ok(Json(list).into_response())
}

async fn agg_trades(
    State(shared): State<Arc<Shared>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let market = Market {
        tape: &shared.tape,
        symbol: symbol(&shared, &params)?,
        position: shared.position(),
        holes: &shared.schedule.holes(),
    };
    let wanted = Wanted {
        from_id: number(&params, "fromId")?,
        start_ms: number(&params, "startTime")?,
        end_ms: number(&params, "endTime")?,
    };
    let mut list = market.aggregates(&wanted, limit(&params, LIMIT_DEFAULT, LIMIT_MAX)?);
    if wants_micros(&headers) {
        list.iter_mut().for_each(|aggregate| aggregate.use_micros());
    }
    Ok(Json(list).into_response())
}

async fn depth(State(shared): State<Arc<Shared>>, params: Params) -> Result<Json<Value>, Refusal> {
    let market = Market {
        tape: &shared.tape,
        symbol: symbol(&shared, &params)?,
        position: shared.position(),
        holes: &[],
    };
    Ok(Json(market.depth(limit(
        &params,
        DEPTH_DEFAULT,
        DEPTH_MAX,
    )?)))
}

/// The body is a list of faults as the command line takes them.
async fn add_faults(State(shared): State<Arc<Shared>>, body: String) -> Response {
    match fault::read_list(&body, shared.seed, shared.tape.total()) {
        Ok(list) => {
            let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
            shared.schedule.add(list, shared.position());
            Json(json!({ "added": texts })).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn start(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.clock.start(Instant::now());
    Json(shared.status().to_json())
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.status().to_json())
}
