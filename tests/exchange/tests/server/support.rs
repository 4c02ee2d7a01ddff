//! A client, as the tests of the exchange need it.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use jackfield_exchange::{Exchange, Options, Running};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here takes, short enough to see a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn exchange(change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::spot().unwrap();
    options.seed = 7;
    change(&mut options);
    Exchange::start(options).await.unwrap()
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Close(u16, String),
    /// Without a close frame.
    Lost,
}

impl Client {
    pub(crate) async fn open(running: &Running, path: &str) -> Client {
        Client::try_open(running, path).await.unwrap()
    }

    pub(crate) async fn try_open(
        running: &Running,
        path: &str,
    ) -> Result<Client, tokio_tungstenite::tungstenite::Error> {
        let url = format!("{}{path}", running.ws_url());
        let (socket, _) = timeout(PATIENCE, connect_async(url))
            .await
            .expect("no hang")?;
        Ok(Client { socket })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message of any kind.
    pub(crate) async fn message(&mut self) -> Result<Message, Ended> {
        let next = timeout(PATIENCE, self.socket.next())
            .await
            .expect("no hang");
        match next {
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(Ended::Close(frame.code.into(), frame.reason.to_string()))
            }
            Some(Ok(Message::Close(None)) | Err(_)) | None => Err(Ended::Lost),
            Some(Ok(message)) => Ok(message),
        }
    }

    /// The next text, pings answered on the way.
    pub(crate) async fn text(&mut self) -> Result<String, Ended> {
        loop {
            if let Message::Text(text) = self.message().await? {
                return Ok(text.to_string());
            }
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap()
    }

    /// Texts until the connection ends.
    pub(crate) async fn rest(&mut self) -> (Vec<String>, Ended) {
        let mut texts = Vec::new();
        loop {
            match self.text().await {
                Ok(text) => texts.push(text),
                Err(ended) => return (texts, ended),
            }
        }
    }

    /// So many trades, in the combined form, as symbol and id.
    pub(crate) async fn trades(&mut self, count: usize) -> Vec<(String, i64)> {
        let mut trades = Vec::new();
        while trades.len() < count {
            trades.extend(trade(&self.text().await.unwrap()));
        }
        trades
    }
}

/// Symbol and id of a combined trade.
pub(crate) fn trade(text: &str) -> Option<(String, i64)> {
    let json: Value = serde_json::from_str(text).unwrap();
    let data = json.get("data")?;
    Some((data["s"].as_str()?.to_owned(), data["t"].as_i64()?))
}

/// Symbols and ids of a recording, in order.
pub(crate) fn ids(trades: &[jackfield_exchange::Trade]) -> Vec<(String, i64)> {
    trades
        .iter()
        .map(|trade| (trade.symbol.to_string(), trade.trade_id))
        .collect()
}

pub(crate) const BOTH: &str = "/stream?streams=btcusdt@trade/ethusdt@trade";

pub(crate) async fn get(running: &Running, path: &str) -> (u16, reqwest::header::HeaderMap, Value) {
    let url = format!("{}{path}", running.rest_url());
    let response = http().get(url).send().await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    (status, headers, response.json().await.unwrap())
}

pub(crate) fn http() -> reqwest::Client {
    // The provider is wanted to build a client at all, also for plain HTTP; a second
    // test of the process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
