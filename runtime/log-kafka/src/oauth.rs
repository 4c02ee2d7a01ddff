//! The token for OAUTHBEARER, from a file that something else keeps fresh.

use crate::consequence;
use crate::native::{self, Raw};
use jackfield_log::LogError;
use rdkafka::client::OAuthToken;
use serde_json::Value;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the file is looked at again for a client that nobody polls.
const FRESH: Duration = Duration::from_secs(30);

/// How long a token is used that does not say when it ends.
const LIFETIME_MS: i64 = 300_000;

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoToken {
    #[error("{file}: {error}")]
    Unreadable { file: String, error: std::io::Error },
    #[error("{0} holds no JWT")]
    NotAToken(String),
}

/// When a client that nobody polls was last given its token: before it is asked anything it gets a
/// fresh one here. librdkafka asks for tokens by an event, which only a poll would hear.
#[derive(Default)]
pub(crate) struct Given(Mutex<Option<Instant>>);

impl Given {
    pub(crate) fn refresh(&self, client: Raw<'_>, file: Option<&PathBuf>) -> Result<(), LogError> {
        let Some(file) = file else {
            return Ok(());
        };
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        // Whoever keeps the file fresh may be about to write it.
        let token = read(file).map_err(|e| LogError::Retriable(e.to_string()))?;
        let texts = (
            CString::new(token.token),
            CString::new(token.principal_name),
        );
        let (Ok(text), Ok(principal)) = texts else {
            return Err(LogError::Retriable(format!(
                "{}: a zero in a token",
                file.display()
            )));
        };
        native::set_token(client, &text, &principal, token.lifetime_ms)
            .map_err(|failure| consequence::failed("a token is not taken", &failure))?;
        *given = Some(Instant::now());
        Ok(())
    }
}

/// The token in a file: a JWT, whose `sub` is the principal and whose `exp` is its end.
pub(crate) fn read(file: &Path) -> Result<OAuthToken, NoToken> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| NoToken::Unreadable {
        file: name.clone(),
        error,
    })?;
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
    parse(text.trim(), now_ms).ok_or(NoToken::NotAToken(name))
}

fn parse(token: &str, now_ms: i64) -> Option<OAuthToken> {
    let claims = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&decoded(claims)?).ok()?;
    let principal = claims.get("sub").and_then(Value::as_str);
    let ends = claims.get("exp").and_then(Value::as_i64);
    Some(OAuthToken {
        token: token.to_owned(),
        principal_name: principal.unwrap_or_default().to_owned(),
        lifetime_ms: ends.map_or(now_ms + LIFETIME_MS, |seconds| seconds * 1000),
    })
}

/// Base64 with the alphabet for URLs, padded or not.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_principal_and_its_end() {
        // {"alg":"none"} . {"sub":"jackfield","exp":1700000000}
        let text = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJqYWNrZmllbGQiLCJleHAiOjE3MDAwMDAwMDB9.";
        let token = parse(text, 5).unwrap();
        assert_eq!(token.principal_name, "jackfield");
        assert_eq!(token.lifetime_ms, 1_700_000_000_000);
        assert_eq!(token.token, text);
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["", "abc", "a.b.c", "a.!!.c"] {
            assert!(parse(text, 0).is_none(), "{text}");
        }
    }
}
