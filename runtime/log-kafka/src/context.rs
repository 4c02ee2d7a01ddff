//! What librdkafka tells by itself: log lines, errors of connections, and that a token is needed.

use crate::oauth;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::KafkaError;
use std::error::Error;
use std::ops::Deref;
use std::path::PathBuf;

/// The context of every client of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    pub(crate) token_file: Option<PathBuf>,
}

impl Context {
    /// A line that librdkafka logged.
    pub(crate) fn told(level: Level, fac: &str, text: &str) {
        match level {
            // A connection that breaks is librdkafka's to mend, and what comes of it is told by the
            // call that needed it.
            _ if fac == "CONFWARN" => tracing::debug!(fac, text, "librdkafka"),
            Level::Emerg | Level::Alert | Level::Critical => {
                tracing::error!(fac, text, "librdkafka");
            }
            Level::Error | Level::Warning => tracing::warn!(fac, text, "librdkafka"),
            Level::Notice | Level::Info => tracing::info!(fac, text, "librdkafka"),
            Level::Debug => tracing::debug!(fac, text, "librdkafka"),
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: Level, fac: &str, text: &str) {
        Self::told(level, fac, text);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        match &self.token_file {
            Some(file) => Ok(oauth::read(file)?),
            None => Err("sasl.mechanism is OAUTHBEARER and no token file is set".into()),
        }
    }
}

/// The context of a client that tells of more, which `T` keeps.
pub(crate) struct Telling<T> {
    context: Context,
    kept: T,
}

impl<T> Telling<T> {
    pub(crate) fn new(context: Context, kept: T) -> Self {
        Self { context, kept }
    }
}

impl<T> Deref for Telling<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.kept
    }
}

impl<T: Send + Sync> ClientContext for Telling<T> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Context::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: Level, fac: &str, text: &str) {
        self.context.log(level, fac, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.context.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.context.generate_oauth_token(config)
    }
}
