//! How the admin server of a process is reached, and by what it is known to be that process.

use jackfield_config::Config;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme, WantsVerifier,
};
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Whom a client believes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Nobody: it speaks plain HTTP. A machine need not have any authorities for that.
    Nobody,
    /// Whoever answers: nothing secret is sent, and what is asked is whether anyone does. A process
    /// whose certificate was renewed shows the older one until it is restarted.
    Anyone,
    /// Whoever has the certificate of this PEM file, and no one else. Its names don't matter: a
    /// process of this machine is asked by its address.
    Own(&'a Path),
    /// Whom the authorities of this PEM file have signed for.
    Authorities(&'a Path),
    /// Whom the authorities of this machine have signed for.
    Machine,
}

/// There is no client that believes so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    /// The certificates can't be read.
    #[error("cannot read certificates of {path}: {reason}")]
    Certificates {
        /// The PEM file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The client was not made.
    #[error("{0}")]
    Client(#[from] reqwest::Error),
}

/// Someone else answers, or the process with another certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has another certificate than {file}")]
pub(crate) struct OtherCertificate {
    /// The PEM file with the one that was expected.
    pub(crate) file: String,
}

/// Whether a request came to nothing for that.
pub(crate) fn other_certificate(error: &(dyn Error + 'static)) -> Option<OtherCertificate> {
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) =
        error.downcast_ref::<rustls::Error>()
    {
        return why.downcast_ref::<OtherCertificate>().cloned();
    }
    // What such an error was made of is not its source.
    let made_of = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match made_of {
        Some(made_of) => other_certificate(made_of),
        None => other_certificate(error.source()?),
    }
}

/// Where the process of this file is reached, and whom to believe there. `address` replaces the
/// file's.
pub(crate) fn of(config: &Config, address: Option<SocketAddr>) -> (Url, Trust<'_>) {
    let address = near(address.unwrap_or(config.admin.listen));
    let (scheme, trust) = match &config.admin.tls {
        Some(tls) => ("https", Trust::Own(&tls.cert)),
        None => ("http", Trust::Nobody),
    };
    let url = Url::parse(&format!("{scheme}://{address}"));
    (url.expect("an address makes a URL"), trust)
}

/// A process that listens everywhere is reached on this machine.
pub(crate) fn near(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// A client for it. No proxy lies between, and nobody sends it elsewhere.
pub(crate) fn client(trust: Trust<'_>) -> Result<Client, NoClient> {
    let builder = Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .no_proxy()
        .redirect(Policy::none());
    Ok(believing(builder, trust)?.build()?)
}

fn believing(builder: ClientBuilder, trust: Trust<'_>) -> Result<ClientBuilder, NoClient> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has them");
    let config = match trust {
        Trust::Machine => {
            // Asked for by the client itself; that there is one is as good.
            let _there = rustls::crypto::ring::default_provider().install_default();
            return Ok(builder);
        }
        Trust::Nobody => config.with_root_certificates(RootCertStore::empty()),
        Trust::Authorities(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                let added = roots.add(certificate);
                added.map_err(|e| unreadable(file, &e))?;
            }
            config.with_root_certificates(roots)
        }
        Trust::Own(file) => {
            let own = certificates(file)?.into_iter().next();
            let certificate = own.ok_or_else(|| unreadable(file, &"it has none"))?;
            let file = file.display().to_string();
            let own = Some(Own { certificate, file });
            pinned(config, Pinned { own, provider })
        }
        Trust::Anyone => pinned(
            config,
            Pinned {
                own: None,
                provider,
            },
        ),
    };
    Ok(builder.tls_backend_preconfigured(config.with_no_client_auth()))
}

fn pinned(
    config: ConfigBuilder<ClientConfig, WantsVerifier>,
    verifier: Pinned,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let config = config.dangerous();
    config.with_custom_certificate_verifier(Arc::new(verifier))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, NoClient> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|e| unreadable(file, &e))
}

fn unreadable(file: &Path, reason: &dyn std::fmt::Display) -> NoClient {
    NoClient::Certificates {
        path: file.display().to_string(),
        reason: reason.to_string(),
    }
}

/// The one certificate that is taken.
#[derive(Debug)]
struct Own {
    certificate: CertificateDer<'static>,
    file: String,
}

/// Takes one certificate, or without it any, from whoever proves to have its key.
#[derive(Debug)]
struct Pinned {
    own: Option<Own>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.own {
            Some(own) if *end_entity != own.certificate => {
                let file = own.file.clone();
                let why = OtherError(Arc::new(OtherCertificate { file }));
                Err(CertificateError::Other(why).into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        let near = |address: &str| near(address.parse().unwrap()).to_string();
        assert_eq!(near("0.0.0.0:8083"), "127.0.0.1:8083");
        assert_eq!(near("[::]:8083"), "[::1]:8083");
        assert_eq!(near("10.0.0.1:8083"), "10.0.0.1:8083");
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = client(Trust::Own(file.path())).unwrap_err().to_string();
        assert!(refused.contains("it has none"), "{refused}");
    }

    #[test]
    fn another_certificate_is_found_below_what_a_client_says() {
        let other = OtherCertificate {
            file: "cert.pem".to_owned(),
        };
        let why = CertificateError::Other(OtherError(Arc::new(other.clone())));
        let said = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(why)));
        assert_eq!(other_certificate(&said), Some(other));
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(other_certificate(&io::Error::other(expired)), None);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(other_certificate(&refused), None);
    }
}
