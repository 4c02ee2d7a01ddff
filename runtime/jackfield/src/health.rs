//! `jackfield health`: for what watches a process by running a command, such as a container's
//! health check. It needs no shell and no token.

use crate::cli::HealthArgs;
use crate::exit::Exit;
use crate::start_error::StartError;
use jackfield_config::Config;
use reqwest::Client;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the answer: health checks give up after some seconds themselves.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Between two questions, while there is time.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The process is not well, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwell {
    #[error("no process answers at {url}: {reason}")]
    Silent { url: String, reason: String },
    #[error("{url} answers {status}: {body}")]
    Not {
        url: String,
        status: u16,
        body: String,
    },
}

pub(crate) async fn ask(args: HealthArgs) -> Result<Exit, StartError> {
    let address = match args.address {
        Some(address) => address,
        None => Config::load(&args.file)?.admin.listen,
    };
    let what = if args.ready { "readyz" } else { "livez" };
    let url = format!("http://{}/{what}", reachable(address));
    let deadline = Instant::now() + args.within.unwrap_or(Duration::ZERO);
    loop {
        match answer(&url).await {
            Ok(body) => {
                println!("{}", body.trim_end());
                return Ok(Exit::Clean);
            }
            Err(_) if Instant::now() < deadline => tokio::time::sleep(ASK_EVERY).await,
            Err(unwell) => return Err(unwell.into()),
        }
    }
}

async fn answer(url: &str) -> Result<String, Unwell> {
    let silent = |error: reqwest::Error| Unwell::Silent {
        url: url.to_owned(),
        reason: error.to_string(),
    };
    let client = Client::builder()
        .tls_backend_preconfigured(no_tls())
        .timeout(ANSWER_WITHIN)
        .no_proxy()
        .build()
        .map_err(silent)?;
    let answer = client.get(url).send().await.map_err(silent)?;
    let status = answer.status();
    let body = answer.text().await.map_err(silent)?;
    if status.is_success() {
        return Ok(body);
    }
    Err(Unwell::Not {
        url: url.to_owned(),
        status: status.as_u16(),
        body,
    })
}

/// The client wants to know whom it trusts though it speaks plain HTTP, and a machine may have no
/// authorities: so it trusts nobody.
fn no_tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

/// A process that listens everywhere is asked on this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
