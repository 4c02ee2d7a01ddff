//! `/livez` and `/readyz`.

use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long the states may take to be told: probes give up after a second or so.
const STATES_WITHIN: Duration = Duration::from_secs(1);

/// What a connector is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectorState {
    /// Its name.
    pub connector: String,
    /// The pipeline that it belongs to.
    pub pipeline: String,
    /// Its state, in Kafka Connect's words.
    pub state: String,
    /// Whether that is as it should be: it runs, rests because somebody asked for that, has come to
    /// its end, or waits for another worker that has it.
    pub ready: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    connectors: Vec<ConnectorState>,
}

/// Asks for the states, one question at a time.
#[derive(Clone)]
pub(crate) struct Health {
    states: Arc<dyn Fn() -> Vec<ConnectorState> + Send + Sync>,
    asking: Arc<Semaphore>,
}

impl Health {
    pub(crate) fn new(states: impl Fn() -> Vec<ConnectorState> + Send + Sync + 'static) -> Self {
        Self {
            states: Arc::new(states),
            asking: Arc::new(Semaphore::new(1)),
        }
    }

    /// Whether all connectors are as they should be.
    pub(crate) async fn ready(&self) -> (StatusCode, Json<Readiness>) {
        let readiness = match self.ask().await {
            Ok(connectors) => {
                let ready = connectors.iter().all(|connector| connector.ready);
                Readiness {
                    ready,
                    reason: None,
                    connectors,
                }
            }
            Err(reason) => Readiness {
                ready: false,
                reason: Some(reason),
                connectors: Vec::new(),
            },
        };
        let status = if readiness.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(readiness))
    }

    /// The states, or why they are not known. One that never answers holds one thread, and no more
    /// are asked meanwhile.
    async fn ask(&self) -> Result<Vec<ConnectorState>, &'static str> {
        const SLOW: &str = "the connectors' states are not told in time";
        let told = tokio::time::timeout(STATES_WITHIN, async {
            let permit = Arc::clone(&self.asking).acquire_owned().await;
            let states = Arc::clone(&self.states);
            let asked = tokio::task::spawn_blocking(move || {
                let told = states();
                drop(permit);
                told
            });
            asked.await
        });
        match told.await {
            Ok(Ok(states)) => Ok(states),
            Ok(Err(_panicked)) => Err("telling the connectors' states failed"),
            Err(_elapsed) => Err(SLOW),
        }
    }
}
