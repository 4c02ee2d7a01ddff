//! Kafka Connect's API of a server that asks nobody who is there.

use super::{Fake, connect, nobody};
use jackfield_admin::{AdminConfig, AdminServer};
use jackfield_telemetry::Telemetry;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) struct Site {
    pub(crate) fake: Arc<Fake>,
    server: AdminServer,
    http: Client,
    _lines: tracing::Dispatch,
}

pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) location: Option<String>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let fake = Fake::new();
        let (connect, lines) = connect(&fake);
        let config = AdminConfig {
            token: None,
            ..AdminConfig::new("127.0.0.1:0".parse().unwrap(), "")
        };
        let telemetry = Telemetry::new().unwrap();
        let server = AdminServer::start(config, telemetry, Vec::new, nobody(), connect).unwrap();
        // The client asks for a provider though it speaks plain HTTP.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build().unwrap();
        Self {
            fake,
            server,
            http,
            _lines: lines,
        }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Answered {
        let url = format!("http://{}{path}", self.server.local_addr());
        let mut request = self
            .http
            .request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let location = answer.headers().get("location");
        let location = location.map(|it| it.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Answered {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            location,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answered = self.ask("GET", path, Value::Null).await;
        assert_eq!(answered.status, 200, "{path}: {}", answered.body);
        answered.body
    }

    pub(crate) async fn make(&self, name: &str) {
        let body =
            json!({ "name": name, "config": { "connector.class": "a-sink", "topics": "t" } });
        assert_eq!(self.ask("POST", "/connectors", body).await.status, 201);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.fake.calls.lock().unwrap().clone()
    }
}
