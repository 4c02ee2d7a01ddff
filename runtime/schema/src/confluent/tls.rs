//! The TLS side of the client.

use super::settings::{SettingsError, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

pub(super) fn client_config(tls: &Tls) -> Result<ClientConfig, SettingsError> {
    let refused =
        |what: &str, e: &dyn std::fmt::Display| SettingsError::Tls(format!("{what}: {e}"));
    let roots = match &tls.authorities {
        Some(pem) => given(pem)?,
        None => machines(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| refused("TLS", &e))?
        .with_root_certificates(roots);
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificates, key)) => builder
            .with_client_auth_cert(
                chain("the client's certificate", certificates)?,
                private(key)?,
            )
            .map_err(|e| refused("the client's certificate and key", &e)),
    }
}

fn given(pem: &str) -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain("the authorities", pem)? {
        roots
            .add(certificate)
            .map_err(|e| SettingsError::Tls(format!("the authorities: {e}")))?;
    }
    Ok(roots)
}

fn machines() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // With none the handshake fails, and says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn chain(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| SettingsError::Tls(format!("{what}: {e}")))?;
    if found.is_empty() {
        return Err(SettingsError::Tls(format!(
            "{what}: no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        )));
    }
    Ok(found)
}

/// The parser's own errors are not repeated: they may quote the text.
fn private(key: &SecretString) -> Result<PrivateKeyDer<'static>, SettingsError> {
    PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| {
        SettingsError::Tls(
            "the client's key: no unencrypted private key in PEM (-----BEGIN PRIVATE KEY-----)"
                .to_owned(),
        )
    })
}
