//! The way out: TLS, name resolution and the HTTP client that all connectors share.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a TCP or TLS handshake: slower than this an endpoint is as good as down.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections kept for each host: a back-fill asks one host again and again.
const IDLE_PER_HOST_MAX: usize = 4;
/// An idle connection is kept for so long; most servers close theirs after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// No way out can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the network cannot be used: {0}")]
pub struct NetworkError(String);

/// TLS settings and the HTTP client, made once in a process. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    tls: Arc<ClientConfig>,
    http: reqwest::Client,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// Trusts the machine's own root certificates.
    ///
    /// # Errors
    /// The TLS library refuses its settings.
    pub fn new() -> Result<Self, NetworkError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!(
                ignored,
                errors = found.errors.len(),
                "no root certificates found: TLS connections will fail"
            );
        }
        Self::with_roots(roots)
    }

    /// Trusts these root certificates only.
    ///
    /// # Errors
    /// The TLS library refuses its settings.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, NetworkError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| NetworkError(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(Arc::new(GuardedResolver))
            // Redirects are followed by hand, each one checked against the grants.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself, past the check of the address.
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| NetworkError(e.to_string()))?;
        Ok(Self {
            tls: Arc::new(tls),
            http,
        })
    }

    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

/// Whether a granted *name* may lead to this address. A name on the public internet that
/// suddenly points to this machine or to a cloud's metadata service is an attack; private
/// networks are where granted services of one's own live. Who means an address grants the
/// address.
fn may_lead_to(host: &str, address: IpAddr) -> bool {
    let address = address.to_canonical();
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
        return address.is_loopback();
    }
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local)
}

/// The addresses that a granted host may be reached at.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let denied = found.first().copied();
    let allowed: Vec<SocketAddr> = found
        .into_iter()
        .filter(|a| may_lead_to(host, a.ip()))
        .collect();
    match (allowed.is_empty(), denied) {
        (true, Some(address)) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "the name {host} leads to {}: grant the address itself if that is meant",
                address.ip()
            ),
        )),
        _ => Ok(allowed),
    }
}

#[derive(Debug)]
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = resolve(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_name_does_not_lead_inside_this_machine() {
        for inside in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "224.0.0.1",
        ] {
            assert!(
                !may_lead_to("api.example", inside.parse().unwrap()),
                "{inside}"
            );
        }
        for outside in ["93.184.216.34", "10.0.0.7", "2606:2800::1"] {
            assert!(
                may_lead_to("api.example", outside.parse().unwrap()),
                "{outside}"
            );
        }
        assert!(may_lead_to("localhost", "127.0.0.1".parse().unwrap()));
        assert!(!may_lead_to("localhost", "93.184.216.34".parse().unwrap()));
    }
}
