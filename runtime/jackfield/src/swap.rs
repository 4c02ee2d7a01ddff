//! `jackfield swap`: asks a running process to change a connector, and waits for what becomes of it.

use crate::cli::SwapArgs;
use crate::exit::Exit;
use crate::operate::token;
use crate::shadow;
use crate::start_error::StartError;
use jackfield_config::Config;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use url::Url;

/// Between two looks at a new version on probation.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for an answer: a component may have to be compiled there, on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// Asking the running process failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody answers there.
    #[error("no process answers at {url}: {reason}: does `jackfield run` run, with this file?")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The file has no token, and the state folder neither.
    #[error("the admin token can't be read: {0}: it is made when `jackfield run` starts")]
    Token(std::io::Error),
    /// The component or the settings can't be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What comes can't be kept.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The file is no recording, or can't be replayed.
    #[error("{path}: {reason}")]
    Recording {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The answer is none that this command knows.
    #[error("the process answered {status}: {body}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
}

pub(crate) struct Admin {
    url: Url,
    token: String,
    pub(crate) http: Client,
}

pub(crate) async fn swap(args: SwapArgs) -> Result<Exit, StartError> {
    let config = Config::load(&args.config)?;
    let admin = Admin::of(&config, args.address)?;
    let answer = admin.order(&args).await?;
    let (status, body) = read(answer).await?;
    if !(200..300).contains(&status) {
        return refused(status, &body, args.json);
    }
    if args.shadow.is_some() {
        return shadow::wait(&admin, &args, &body).await;
    }
    let report = if args.dry_run || args.no_wait {
        body
    } else {
        show(&body, args.json);
        admin.outcome(&args.connector, &body["number"]).await?
    };
    show(&report, args.json);
    Ok(match report["outcome"].as_str() {
        Some("rolled-back") => Exit::RolledBack,
        _ => Exit::Clean,
    })
}

impl Admin {
    pub(crate) fn of(config: &Config, address: Option<SocketAddr>) -> Result<Self, AskError> {
        let mut address = address.unwrap_or(config.admin.listen);
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let url = Url::parse(&format!("http://{address}")).expect("an address makes a URL");
        // The client asks for one though it speaks plain HTTP; that there is one is as good.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()
            .map_err(|error| unreachable(&url, &error))?;
        let token = token::known(config).map_err(AskError::Token)?;
        Ok(Self { url, token, http })
    }

    pub(crate) fn at(&self, connector: &str, what: &str) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .extend(["connectors", connector, what]);
        url
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, AskError> {
        let sent = request.bearer_auth(&self.token).send().await;
        sent.map_err(|error| unreachable(&self.url, &error))
    }

    async fn order(&self, args: &SwapArgs) -> Result<Response, AskError> {
        let unreadable =
            |path: &std::path::Path, reason: &dyn std::fmt::Display| AskError::Unreadable {
                path: path.display().to_string(),
                reason: reason.to_string(),
            };
        let mut url = self.at(&args.connector, "swap");
        let mut query = url.query_pairs_mut();
        if let Some(file) = &args.settings {
            let text = std::fs::read_to_string(file).map_err(|e| unreadable(file, &e))?;
            query.append_pair("settings", &text);
        }
        if let Some(sha256) = &args.sha256 {
            query.append_pair("sha256", sha256);
        }
        if let Some(probation) = args.probation {
            query.append_pair("probation-ms", &probation.as_millis().to_string());
        }
        if let Some(shadow) = args.shadow {
            query.append_pair("shadow-ms", &shadow.as_millis().to_string());
        }
        query.append_pair("dry-run", if args.dry_run { "true" } else { "false" });
        drop(query);
        let body = match &args.file {
            Some(file) => std::fs::read(file).map_err(|e| unreadable(file, &e))?,
            None => Vec::new(),
        };
        let request = self.http.post(url).body(body);
        self.send(request).await
    }

    /// Waits until the new version stays or is taken back.
    async fn outcome(&self, connector: &str, number: &Value) -> Result<Value, AskError> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let url = self.at(connector, "swaps");
            let (status, body) = read(self.send(self.http.get(url)).await?).await?;
            let reports = body.as_array().map(Vec::as_slice).unwrap_or_default();
            let report = reports.iter().find(|it| it["number"] == *number);
            match report {
                Some(report) if report["outcome"] != "on-probation" => return Ok(report.clone()),
                Some(_) => {}
                None => {
                    return Err(AskError::Answer {
                        status,
                        body: format!("swap {number} is not known there any more: {body}"),
                    });
                }
            }
        }
    }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> AskError {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        reason = deeper.to_string();
        source = deeper.source();
    }
    AskError::Unreachable {
        url: url.to_string(),
        reason,
    }
}

pub(crate) async fn read(response: Response) -> Result<(u16, Value), AskError> {
    let status = response.status().as_u16();
    let text = response.text().await.map_err(|error| AskError::Answer {
        status,
        body: error.to_string(),
    })?;
    let body = serde_json::from_str(&text);
    let body = body.map_err(|_| AskError::Answer { status, body: text })?;
    Ok((status, body))
}

pub(crate) fn refused(status: u16, body: &Value, json: bool) -> Result<Exit, StartError> {
    let (Some(code), Some(message)) = (body["code"].as_str(), body["message"].as_str()) else {
        return Err(StartError::Ask(AskError::Answer {
            status,
            body: body.to_string(),
        }));
    };
    if json {
        println!("{body}");
    } else {
        eprintln!("refused: {message}");
    }
    Ok(Exit::Refused(exit_code(code)))
}

/// The documented exit code of each refusal.
fn exit_code(code: &str) -> u8 {
    match code {
        "same" => 10,
        "busy" => 11,
        "not-running" => 12,
        "unknown-connector" => 13,
        "known-bad" => 14,
        "not-at-rest" => 15,
        "not-loadable" => 20,
        "wrong-digest" => 21,
        "wrong-world" => 22,
        "weaker-delivery" => 23,
        "state-version" => 24,
        "grant" => 25,
        "settings" => 26,
        "fails" => 27,
        _ => 1,
    }
}

/// What people call a version.
pub(crate) fn name(it: &Value) -> String {
    let digest = it["sha256"].as_str().and_then(|it| it.get(..12));
    let text = |key: &str| it[key].as_str().unwrap_or("?").to_owned();
    format!(
        "{} {} ({})",
        text("plugin"),
        text("version"),
        digest.unwrap_or("?")
    )
}

fn show(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    let connector = report["connector"].as_str().unwrap_or("?");
    let (from, to) = (name(&report["from"]), name(&report["to"]));
    match report["outcome"].as_str() {
        Some("prepared") => println!("{connector}: {to} can take over from {from}"),
        Some("on-probation") => println!(
            "{connector}: {to} took over from {from}, paused {} µs, {} in flight: on probation",
            report["pause_us"], report["in_flight"]
        ),
        Some("kept") => println!("{connector}: {to} stays"),
        Some("rolled-back") => println!(
            "{connector}: back to {from}: {}",
            report["reason"].as_str().unwrap_or("?")
        ),
        _ => println!("{report}"),
    }
}
