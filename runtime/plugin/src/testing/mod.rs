//! What the tests of connections and requests share.

use crate::inbox::Inbox;
use crate::interrupt::Interrupt;
use crate::network::Network;
use jackfield_batch::event::{Events, Kind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

/// Nothing here takes so long, unless it never comes.
const PATIENT: Duration = Duration::from_secs(30);

/// For `localhost` and 127.0.0.1; trusted by nobody but these tests.
fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("certificate.pem")).unwrap()
}

/// A network that trusts the tests' own certificate.
pub(crate) fn trusting() -> Network {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    Network::with_roots(roots).unwrap()
}

/// A network that trusts nobody.
pub(crate) fn distrusting() -> Network {
    Network::with_roots(RootCertStore::empty()).unwrap()
}

/// A server's side of TLS.
pub(crate) fn acceptor() -> tokio_rustls::TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .unwrap();
    Arc::new(config).into()
}

/// An event, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.kind, Kind::Text, "{self:?}");
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Code and reason of a closing.
    pub(crate) fn closed(&self) -> (u16, String) {
        assert_eq!(self.kind, Kind::Closed, "{self:?}");
        let closed = jackfield_batch::event::Closed::parse(&self.body).unwrap();
        (closed.code, closed.reason.to_owned())
    }
}

/// The events after the last ones received; waits for the first.
pub(crate) async fn receive(inbox: &Inbox) -> Vec<Seen> {
    let packed = inbox.receive(1 << 20, PATIENT, &Interrupt::default()).await;
    let seen: Vec<Seen> = Events::parse(&packed)
        .unwrap()
        .iter()
        .map(|e| Seen {
            number: e.number,
            kind: e.kind,
            id: e.id,
            body: e.body.to_vec(),
        })
        .collect();
    assert!(!seen.is_empty(), "nothing arrived in {PATIENT:?}");
    seen
}

/// Receives until there are so many.
pub(crate) async fn receive_all(inbox: &Inbox, count: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(receive(inbox).await);
    }
    assert_eq!(seen.len(), count, "{seen:?}");
    seen
}

/// Waits for a condition that nothing announces.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = tokio::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENT, "{what} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
