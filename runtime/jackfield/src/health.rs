//! `jackfield health`: for what watches a process by running a command, such as a container's
//! health check. It needs no shell and no token, and believes any certificate: it sends nothing that
//! is secret.

use crate::cli::HealthArgs;
use crate::client::door::{self, Trust};
use crate::client::url_of;
use crate::exit::Exit;
use crate::start_error::StartError;
use jackfield_config::Config;
use reqwest::Client;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

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
    let path = if args.ready { "readyz" } else { "livez" };
    let url = whom(&args)?;
    let url = format!("{}/{path}", url.as_str().trim_end_matches('/'));
    let client = door::client(Trust::Anyone).map_err(|error| Unwell::Silent {
        url: url.clone(),
        reason: error.to_string(),
    })?;
    let deadline = Instant::now() + args.within.unwrap_or(Duration::ZERO);
    loop {
        match answer(&client, &url).await {
            Ok(body) => {
                println!("{}", body.trim_end());
                return Ok(Exit::Clean);
            }
            Err(_) if Instant::now() < deadline => tokio::time::sleep(ASK_EVERY).await,
            Err(unwell) => return Err(unwell.into()),
        }
    }
}

/// Where it is asked.
fn whom(args: &HealthArgs) -> Result<Url, StartError> {
    if let Some(given) = &args.url {
        return Ok(url_of(given)?);
    }
    if let Some(address) = args.address {
        let address = door::near(address);
        return Ok(url_of(&format!("http://{address}"))?);
    }
    let config = Config::load(&args.file)?;
    let (url, _) = door::of(&config, None);
    Ok(url)
}

async fn answer(client: &Client, url: &str) -> Result<String, Unwell> {
    let silent = |error: reqwest::Error| Unwell::Silent {
        url: url.to_owned(),
        reason: error.to_string(),
    };
    let asked = client.get(url).timeout(ANSWER_WITHIN).send().await;
    let answer = asked.map_err(silent)?;
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
