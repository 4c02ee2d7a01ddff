//! Asking until there is an answer: URL after URL, and again after a wait.

use super::exchange::{Failure, Refusal, Request, exchange};
use super::settings::{Auth, ConfluentSettings, SettingsError};
use super::tls;
use crate::registry::SchemaError;
use jackfield_core::{Backoff, Jitter, Patience, Wait};
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// How long is waited for what. Tests are less patient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
    pub(super) whole: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            // Longer than one lost packet, and the next URL may be up.
            connect: Duration::from_secs(3),
            // A registry answers from memory; registering waits for its own log.
            answer: Duration::from_secs(5),
            // Less than a call of a connector may take: its own retries follow.
            whole: Duration::from_secs(20),
        }
    }
}

/// Idle connections kept for each URL: schemas are asked for now and then, one at a time.
const IDLE_PER_HOST_MAX: usize = 1;
/// An idle connection is kept for so long; most servers close theirs after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The registry says no.
    Refused(Refusal),
    /// It does not know us, or does not let us.
    Denied(String),
    /// It does not serve us, for this reason.
    Unavailable(String),
}

impl Unanswered {
    /// Why a question was not answered that the registry itself can't refuse, or whose refusal is
    /// dealt with.
    pub(super) fn or_refused(self, refused: impl FnOnce(Refusal) -> SchemaError) -> SchemaError {
        match self {
            Self::Refused(refusal) => refused(refusal),
            Self::Denied(reason) => SchemaError::Denied(reason),
            Self::Unavailable(reason) => SchemaError::Transient(reason),
        }
    }
}

/// The URLs of one registry.
pub(super) struct Asker {
    http: reqwest::Client,
    ends: Vec<(Url, Auth)>,
    /// The one that answered last: it is asked first.
    first: AtomicUsize,
    pace: Pace,
}

struct OsJitter;

impl Jitter for OsJitter {
    fn fraction(&mut self) -> f64 {
        rand::random()
    }
}

impl Asker {
    pub(super) fn new(settings: &ConfluentSettings, pace: Pace) -> Result<Self, SettingsError> {
        let mut ends = Vec::new();
        for address in settings.addresses.all() {
            let auth = match (&settings.auth, &address.user) {
                (auth, None) => auth.clone(),
                (Auth::None, Some((user, password))) => Auth::Basic {
                    user: user.clone(),
                    password: password.clone(),
                },
                (Auth::Basic { .. } | Auth::Bearer(_), Some(_)) => {
                    return Err(SettingsError::Auth(
                        "both a URL and the settings name some: keep one".to_owned(),
                    ));
                }
            };
            auth.check()?;
            ends.push((address.url.clone(), auth));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&settings.tls)?)
            // Credentials are for the named URLs alone.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(pace.connect)
            .timeout(pace.answer)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| SettingsError::Tls(e.to_string()))?;
        Ok(Self {
            http,
            ends,
            first: AtomicUsize::new(0),
            pace,
        })
    }

    /// Asks until there is an answer, until asking again will not do, or until time is up.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
    ) -> Result<T, Unanswered> {
        let start = Instant::now();
        let mut backoff = Backoff::new(Patience {
            deadline: self.pace.whole,
        });
        loop {
            let (reason, not_before) = match self.round(request, start).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(refusal)) => return Err(Unanswered::Refused(refusal)),
                Err(Failure::Later(reason)) => return Err(Unanswered::Unavailable(reason)),
                Err(Failure::Denied(reason)) => return Err(Unanswered::Denied(reason)),
                Err(Failure::Again(reason, not_before)) => (reason, not_before),
            };
            let wait = match backoff.failed(start.elapsed(), &mut OsJitter) {
                Wait::For(wait) => wait.max(not_before),
                Wait::GiveUp => return Err(Unanswered::Unavailable(reason)),
            };
            if start.elapsed() + wait >= self.pace.whole {
                return Err(Unanswered::Unavailable(reason));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks each URL once, until one answers. Of several failures the one counts that a further
    /// round may mend, and the shortest wait that one of them asks for.
    async fn round<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        start: Instant,
    ) -> Result<T, Failure> {
        let first = self.first.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        let mut again: Option<Duration> = None;
        let mut denied = true;
        for step in 0..self.ends.len() {
            let at = (first + step) % self.ends.len();
            let Some((url, auth)) = self.ends.get(at) else {
                continue;
            };
            if step > 0 && start.elapsed() >= self.pace.whole {
                break;
            }
            let sent = request.prepare(&self.http, request.url(url), auth);
            match exchange(sent, auth).await {
                Ok(answer) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Failure::Refused(refusal)) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Err(Failure::Refused(refusal));
                }
                Err(Failure::Denied(reason)) => reasons.push(format!("{url}: {reason}")),
                Err(Failure::Later(reason)) => {
                    denied = false;
                    reasons.push(format!("{url}: {reason}"));
                }
                Err(Failure::Again(reason, not_before)) => {
                    again = Some(again.map_or(not_before, |other| other.min(not_before)));
                    reasons.push(format!("{url}: {reason}"));
                }
            }
        }
        let reasons = reasons.join("; ");
        Err(match again {
            Some(not_before) => Failure::Again(reasons, not_before),
            None if denied => Failure::Denied(reasons),
            None => Failure::Later(reasons),
        })
    }
}
