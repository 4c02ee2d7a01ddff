//! The way to stores and catalogs on the network. It is the operator's own: these are the
//! addresses of the configuration, and no plugin names any.

use crate::network::CONNECT_TIMEOUT;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// Longest silence of a server. Catalogs answer within seconds; a part of 8 MiB takes as long on
/// a slow line.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that one request may take altogether: less than what a `stage` or `commit` has.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle connections kept for each host: as many as parts are sent at once, and a few.
const IDLE_PER_HOST_MAX: usize = 8;
/// Stores close theirs after a minute or less.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A client that trusts the machine's root certificates.
pub(crate) fn client() -> Result<reqwest::Client, String> {
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
        .read_timeout(READ_TIMEOUT)
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
