//! The way to stores and catalogs on the network. It is the operator's own: these are the
//! addresses of the configuration, and no plugin names any.

use crate::limits::USUAL;
use crate::network::CONNECT_TIMEOUT;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// Longest silence of a catalog: it answers within seconds, and a `put` has 30 s.
const CATALOG_SILENCE_MAX: Duration = Duration::from_secs(20);
const _: () = assert!(CATALOG_SILENCE_MAX.as_secs() < USUAL.as_secs());
/// Longest silence of a store, which begins with sending: a part of 5 MiB takes as long on a slow
/// line of 4 Mbit/s, and two tries fit into the 30 s of a `put`.
pub(crate) const STORE_SILENCE_MAX: Duration = Duration::from_secs(12);
const _: () = assert!(2 * STORE_SILENCE_MAX.as_secs() < USUAL.as_secs());
/// Longest that one request may take altogether: less than what a `stage` or `commit` has.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle connections kept for each host: as many as parts are sent at once, and a few.
const IDLE_PER_HOST_MAX: usize = 8;
/// Stores close theirs after a minute or less.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The way to catalogs.
pub(crate) fn client() -> Result<reqwest::Client, String> {
    with_silence(CATALOG_SILENCE_MAX)
}

/// The way to stores.
pub(crate) fn store_client() -> Result<reqwest::Client, String> {
    with_silence(STORE_SILENCE_MAX)
}

/// A client that trusts the machine's root certificates.
fn with_silence(silence_max: Duration) -> Result<reqwest::Client, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // A signed request, and a token, are for the host they were made for.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(silence_max)
        .timeout(REQUEST_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| e.to_string())
}

/// Gives every store the same client.
#[derive(Debug, Clone)]
pub(crate) struct Connector(pub(crate) reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}
