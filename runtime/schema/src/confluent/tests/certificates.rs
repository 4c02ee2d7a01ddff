//! TLS: whom we trust, and by which certificate we are known.

use super::fake::{Fake, told};
use super::{PATIENT, TRADE, avro, settings};
use crate::confluent::{ConfluentRegistry, ConfluentSettings, SettingsError, Tls};
use crate::{Registry, SchemaError};
use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name` with its key.
fn issued(by: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

fn identity(by: &Authority) -> (String, secrecy::SecretString) {
    let (certificate, key) = issued(by, "jackfield");
    (certificate.pem(), key.serialize_pem().into())
}

struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A registry for `name` whose certificate `by` issued, and that lets in whom `clients` knows.
async fn serve(by: &Authority, name: &str, clients: Option<&Authority>) -> Fake {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let (certificate, key) = issued(by, name);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)));
    Fake::on(listener, at, "https", |_, _| told(TRADE))
}

fn client(fake: &Fake, tls: Tls) -> Result<ConfluentRegistry, SettingsError> {
    let settings = ConfluentSettings {
        tls,
        ..settings(&format!("https://localhost:{}", fake.port()))
    };
    ConfluentRegistry::with(&settings, PATIENT)
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let (ours, other) = (authority(), authority());
    let fake = serve(&ours, "localhost", None).await;
    let trusting = |authorities: Option<String>| Tls {
        authorities,
        identity: None,
    };
    let both = other.pem() + &ours.pem();
    for authorities in [ours.pem(), both] {
        let registry = client(&fake, trusting(Some(authorities))).unwrap();
        assert_eq!(registry.get(7).await, Ok(avro(TRADE)));
    }
    for authorities in [Some(other.pem()), None] {
        let registry = client(&fake, trusting(authorities)).unwrap();
        let error = registry.get(7).await.unwrap_err();
        assert!(matches!(error, SchemaError::Transient(_)), "{error}");
        assert!(
            error.to_string().contains("TLS: invalid peer certificate"),
            "{error}"
        );
    }
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn the_servers_name_is_checked() {
    let ours = authority();
    let fake = serve(&ours, "elsewhere.example", None).await;
    let tls = Tls {
        authorities: Some(ours.pem()),
        identity: None,
    };
    let error = client(&fake, tls).unwrap().get(7).await.unwrap_err();
    assert!(
        error.to_string().contains("TLS: invalid peer certificate"),
        "{error}"
    );
    assert_eq!(fake.seen().len(), 0);
}

#[tokio::test]
async fn we_are_known_by_our_certificate() {
    let (ours, other) = (authority(), authority());
    let fake = serve(&ours, "localhost", Some(&ours)).await;
    let known_as = |identity| Tls {
        authorities: Some(ours.pem()),
        identity,
    };
    let registry = client(&fake, known_as(Some(identity(&ours)))).unwrap();
    assert_eq!(registry.get(7).await, Ok(avro(TRADE)));
    for identity in [None, Some(identity(&other))] {
        let registry = client(&fake, known_as(identity)).unwrap();
        let error = registry.get(7).await.unwrap_err();
        assert!(matches!(error, SchemaError::Transient(_)), "{error}");
        assert!(error.to_string().contains("TLS: "), "{error}");
    }
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_and_keys_not_shown() {
    let ours = authority();
    let fake = serve(&ours, "localhost", None).await;
    let (certificate, _) = identity(&ours);
    let (_, other_key) = identity(&ours);
    let tls = |authorities: Option<&str>, identity| Tls {
        authorities: authorities.map(str::to_owned),
        identity,
    };
    for tls in [
        tls(Some("opensesame"), None),
        tls(None, Some((certificate.clone(), "opensesame".into()))),
        tls(None, Some(("opensesame".to_owned(), other_key.clone()))),
        tls(None, Some((certificate, other_key))),
    ] {
        let error = client(&fake, tls).unwrap_err();
        assert!(matches!(error, SettingsError::Tls(_)), "{error}");
        assert!(!format!("{error:?}").contains("opensesame"), "{error}");
    }
}
