//! Tokens of OAuth2: used while they are good, and renewed before they expire.

use super::super::error::CatalogError;
use super::super::purse::ASKING_MAX;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A token of which the server does not say how long it lives is good for this long, a little
/// less than servers are set to by default.
const LIFE_DEFAULT: Duration = Duration::from_secs(45 * 60);
/// Longest life that is believed: who says more means that it lasts, and no sum overflows.
const LIFE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A token is renewed when so much of its life, in hundredths, is over.
const RENEWED_PERCENT: u32 = 75;
/// Longest wait for a new token where the old one is still good: whoever waits is in the middle of
/// a call, and the most of what there is to ask for credentials again is left for the answer.
const RENEWING_MAX: Duration = Duration::from_secs(3);
const _: () = assert!(2 * RENEWING_MAX.as_secs() < ASKING_MAX.as_secs());
/// A renewal that failed is tried again after this long, if the old token is still good then.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// A token, and how long it is good.
#[derive(Clone)]
pub(super) struct Token {
    secret: SecretString,
    renew_at: Instant,
    expires_at: Instant,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
}

impl Token {
    /// What a server answered at `now`; none if no token is in it.
    pub(super) fn parse(answer: &[u8], now: Instant) -> Option<Self> {
        let given: Given = serde_json::from_slice(answer).ok()?;
        let life = life(&given.expires_in);
        Some(Self {
            secret: given.access_token.into(),
            renew_at: now + life * RENEWED_PERCENT / 100,
            expires_at: now + life,
        })
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.renew_at
    }

    /// Whether a server would take it that refused `refused`.
    fn is_good(&self, now: Instant, refused: Option<&SecretString>) -> bool {
        let own = self.secret.expose_secret();
        now < self.expires_at && refused.is_none_or(|it| it.expose_secret() != own)
    }
}

/// Seconds, which some servers write as text or with a fraction. What can't be read must not cost
/// the token.
fn life(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match seconds.filter(|it: &f64| it.is_finite() && *it >= 0.0) {
        Some(seconds) => Duration::from_secs_f64(seconds.min(LIFE_MAX.as_secs_f64())),
        None => LIFE_DEFAULT,
    }
}

/// The token of a session.
#[derive(Default)]
pub(super) struct Tokens {
    held: Mutex<Option<Token>>,
    /// Of many that find the token due, one asks.
    asking: tokio::sync::Mutex<()>,
}

impl Tokens {
    /// A token that is good, and another one than was refused; `ask` gets a new one where it is
    /// time. While the held one is good, a server that gives out none holds up nobody for long.
    pub(super) async fn get(
        &self,
        refused: Option<&SecretString>,
        ask: impl Future<Output = Result<Token, CatalogError>>,
    ) -> Result<SecretString, CatalogError> {
        let fresh = |it: &Token| !it.is_due(Instant::now());
        if let Some(held) = self.good(refused).filter(fresh) {
            return Ok(held.secret);
        }
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            // Another one asks, and what is held is good for a while.
            Err(_) => match self.good(refused) {
                Some(held) => return Ok(held.secret),
                None => self.asking.lock().await,
            },
        };
        let held = self.good(refused);
        if let Some(held) = held.clone().filter(fresh) {
            return Ok(held.secret);
        }
        let asked = match held {
            Some(_) => tokio::time::timeout(RENEWING_MAX, ask)
                .await
                .unwrap_or_else(|_| {
                    let why = format!("no token within {RENEWING_MAX:?}");
                    Err(CatalogError::Transient(why))
                }),
            None => ask.await,
        };
        match asked {
            Ok(token) => {
                let secret = token.secret.clone();
                *self.held() = Some(token);
                Ok(secret)
            }
            Err(CatalogError::Transient(why)) => match self.postponed(refused) {
                Some(secret) => {
                    tracing::debug!(%why, "a token could not be renewed yet");
                    Ok(secret)
                }
                None => Err(CatalogError::Transient(why)),
            },
            Err(error) => Err(error),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Token>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn good(&self, refused: Option<&SecretString>) -> Option<Token> {
        let held = self.held().clone();
        held.filter(|it| it.is_good(Instant::now(), refused))
    }

    /// The held token, if it is good still: for a while nobody asks for another.
    fn postponed(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let now = Instant::now();
        let mut held = self.held();
        let token = held.as_mut().filter(|it| it.is_good(now, refused))?;
        token.renew_at = now + RENEWAL_PAUSE;
        Some(token.secret.clone())
    }

    /// As if so much time had gone by.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        if let Some(token) = self.held().as_mut() {
            token.renew_at -= by;
            token.expires_at -= by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::Poll;

    const HOUR: Duration = Duration::from_secs(3600);

    fn token(secret: &str) -> Token {
        let answer = json!({"access_token": secret, "expires_in": 3600});
        Token::parse(answer.to_string().as_bytes(), Instant::now()).unwrap()
    }

    /// Holds `t1`, of whose hour so much is over.
    fn aged(by: Duration) -> Tokens {
        let tokens = Tokens::default();
        *tokens.held() = Some(token("t1"));
        tokens.age(by);
        tokens
    }

    #[test]
    fn a_life_is_read_however_it_is_written() {
        let seconds = Duration::from_secs;
        for (said, expected) in [
            (json!(3600), HOUR),
            (json!(3599.5), Duration::from_millis(3_599_500)),
            (json!("3600"), HOUR),
            (json!(" 60 "), seconds(60)),
            (json!(0), seconds(0)),
            (json!(u64::MAX), LIFE_MAX),
            (json!("1e300"), LIFE_MAX),
            (json!(-1), LIFE_DEFAULT),
            (json!("soon"), LIFE_DEFAULT),
            (json!("NaN"), LIFE_DEFAULT),
            (json!("inf"), LIFE_DEFAULT),
            (json!(true), LIFE_DEFAULT),
            (json!([60]), LIFE_DEFAULT),
            (json!({}), LIFE_DEFAULT),
            (Value::Null, LIFE_DEFAULT),
        ] {
            assert_eq!(life(&said), expected, "{said}");
            let now = Instant::now();
            let answer = json!({"access_token": "t", "expires_in": said}).to_string();
            let token = Token::parse(answer.as_bytes(), now).unwrap();
            assert_eq!(token.expires_at, now + expected, "{said}");
        }
        let now = Instant::now();
        let silent = Token::parse(br#"{"access_token": "t"}"#, now).unwrap();
        assert_eq!(silent.expires_at, now + LIFE_DEFAULT);
        assert!(Token::parse(br#"{"expires_in": 3600}"#, now).is_none());
    }

    #[tokio::test]
    async fn while_one_asks_the_others_go_on_with_what_is_good() {
        let tokens = aged(HOUR * 9 / 10);
        let mut asking = pin!(tokens.get(None, pending()));
        assert!(futures::poll!(asking.as_mut()).is_pending());
        let mut other = pin!(tokens.get(None, pending()));
        let Poll::Ready(Ok(secret)) = futures::poll!(other.as_mut()) else {
            panic!("it waits")
        };
        assert_eq!(secret.expose_secret(), "t1");
        // What has been refused is not good, so there is nothing but to wait.
        let mut refused = pin!(tokens.get(Some(&secret), pending()));
        assert!(futures::poll!(refused.as_mut()).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_holds_up_nobody_for_long_who_has_a_good_one() {
        let tokens = aged(HOUR * 9 / 10);
        let before = Instant::now();
        // Whoever asks for credentials again has time left for their answer.
        let got = tokio::time::timeout(ASKING_MAX / 2, tokens.get(None, pending())).await;
        let got = got.expect("it is given up before").unwrap();
        assert_eq!(got.expose_secret(), "t1");
        let held = tokens.held().clone().unwrap();
        assert!(!held.is_due(before + RENEWAL_PAUSE - Duration::from_nanos(1)));
        // After the pause it is asked again.
        tokens.age(RENEWAL_PAUSE);
        let got = tokens.get(None, ready(Ok(token("t2")))).await.unwrap();
        assert_eq!(got.expose_secret(), "t2");
    }

    #[tokio::test]
    async fn only_what_may_pass_is_passed_over_and_only_while_the_held_one_is_good() {
        let down = || ready(Err(CatalogError::Transient("down".to_owned())));
        let tokens = aged(HOUR * 9 / 10);
        let refused = ready(Err(CatalogError::Other("no such client".to_owned())));
        assert!(matches!(
            tokens.get(None, refused).await,
            Err(CatalogError::Other(_))
        ));
        let got = tokens.get(None, down()).await.unwrap();
        assert_eq!(got.expose_secret(), "t1");
        tokens.age(HOUR);
        assert!(matches!(
            tokens.get(None, down()).await,
            Err(CatalogError::Transient(_))
        ));
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once_for_all() {
        let tokens = aged(Duration::ZERO);
        let old = tokens.get(None, pending()).await.unwrap();
        assert_eq!(old.expose_secret(), "t1");
        let new = tokens.get(Some(&old), ready(Ok(token("t2")))).await;
        assert_eq!(new.unwrap().expose_secret(), "t2");
        // Another one that was refused it takes what has come meanwhile.
        let mut other = pin!(tokens.get(Some(&old), pending()));
        let Poll::Ready(Ok(secret)) = futures::poll!(other.as_mut()) else {
            panic!("it asks")
        };
        assert_eq!(secret.expose_secret(), "t2");
    }
}
