//! Google Cloud Storage's XML API, as far as it is S3's own: an S3 server behind a front that lets
//! in whoever brings a token of the service account, and nobody who signs as Amazon has it.

use crate::front::{Fault, Front, Seen};
use crate::s3::S3Server;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::process::Command;

/// The service account.
const EMAIL: &str = "jackfield@tests.iam.gserviceaccount.com";

/// A server with one bucket, `lake`.
pub struct GcsServer {
    s3: S3Server,
    front: Front,
    account: String,
}

impl GcsServer {
    /// Starts it, and waits until its bucket is there.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub async fn start() -> Self {
        let s3 = S3Server::start().await;
        let front = Front::before(s3.url()).await;
        front.decide(|seen| (!is_let_in(seen)).then(|| Fault::Status(401, "who?".to_owned())));
        let made = Command::new("openssl")
            .args(["genpkey", "-quiet", "-algorithm", "RSA"])
            .args(["-pkeyopt", "rsa_keygen_bits:2048"])
            .output()
            .expect("openssl is there: scripts/deps installs it");
        assert!(made.status.success(), "{made:?}");
        let key = String::from_utf8(made.stdout).expect("PEM is text");
        let key = key.replace('\n', "\\n");
        let account = format!(
            r#"{{"type":"service_account","client_email":"{EMAIL}","private_key_id":"1","private_key":"{key}"}}"#
        );
        Self { s3, front, account }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// The service account's key, as JSON.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.front.seen()
    }

    /// The S3 server below, for readers that know nothing of Google's.
    pub fn below(&self) -> String {
        self.s3.url()
    }
}

/// Whether a request brings a token that the service account made.
fn is_let_in(seen: &Seen) -> bool {
    let header = seen.headers.get("authorization");
    let token = header.and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    let claims = token.and_then(|it| it.split('.').nth(1));
    let claims = claims.and_then(|it| BASE64_URL_SAFE_NO_PAD.decode(it).ok());
    let claims = claims.and_then(|it| String::from_utf8(it).ok());
    claims.is_some_and(|it| it.contains(EMAIL))
        && !seen
            .headers
            .keys()
            .any(|it| it.as_str().starts_with("x-amz"))
}
