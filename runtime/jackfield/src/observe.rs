//! What the process measures of itself, and to whom it tells it.

use crate::start_error::StartError;
use jackfield_config::{Config, OtlpProtocol};
use jackfield_log_embedded::EmbeddedLog;
use jackfield_telemetry::{LogDisk, Otlp, Protocol, Telemetry};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the log's disk is looked at: often enough for any scrape, and a look costs little.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The metrics of the process, pushed where the file says so.
pub(crate) fn telemetry(config: &Config) -> Result<Telemetry, StartError> {
    let made = match &config.telemetry.otlp {
        None => Telemetry::new(),
        Some(otlp) => Telemetry::pushing(&Otlp {
            endpoint: otlp.endpoint.to_string(),
            protocol: match otlp.protocol {
                OtlpProtocol::Http => Protocol::HttpProtobuf,
                OtlpProtocol::HttpJson => Protocol::HttpJson,
                OtlpProtocol::Grpc => Protocol::Grpc,
            },
            headers: otlp
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            interval: otlp.interval,
            sample: otlp.sample,
        }),
    };
    made.map_err(|e| StartError::Telemetry(e.to_string()))
}

/// Shows what the log takes of its disk, until `stop`.
pub(crate) async fn log_disk(log: Arc<EmbeddedLog>, telemetry: Telemetry, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let looked_at = Arc::clone(&log);
        let looking = tokio::task::spawn_blocking(move || looked_at.disk());
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = looking => looked,
        };
        let error = match looked {
            Ok(Ok(disk)) => {
                failing = false;
                telemetry.log_disk(LogDisk {
                    used: disk.used_bytes,
                    free: disk.free_bytes,
                    size: disk.size_bytes,
                });
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        // Said once, until it works again.
        if !failing {
            failing = true;
            tracing::warn!(%error, "the log's disk can't be looked at for now");
        }
    }
}
