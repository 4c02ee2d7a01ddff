//! The admin server as the file and the command line want it.

use super::token;
use crate::start_error::StartError;
use jackfield_admin::{AdminConfig, Certificate};
use jackfield_config::{AdminAuth, Config};
use std::net::SocketAddr;

/// `listen` is the command line's.
pub(crate) fn of(config: &Config, listen: Option<SocketAddr>) -> Result<AdminConfig, StartError> {
    let admin = &config.admin;
    let listen = listen.unwrap_or(admin.listen);
    // Of the file's own address it was found before.
    if !listen.ip().is_loopback() {
        let none = admin.auth == AdminAuth::None;
        if none || admin.token.is_none() && !admin.expose {
            let why = "other machines reach it: `admin` of the file needs a `token` (and no `auth: none`), or `expose: true`";
            return Err(StartError::Admin(format!(
                "can't listen on {listen}: {why}"
            )));
        }
    }
    let failed = |error: std::io::Error| StartError::Admin(error.to_string());
    let token = match admin.auth {
        AdminAuth::None => None,
        AdminAuth::Token => Some(token::of(config).map_err(failed)?),
    };
    let pem = |file: &std::path::Path| {
        let read = std::fs::read(file);
        read.map_err(|error| StartError::Admin(format!("{}: {error}", file.display())))
    };
    let certificate = match &admin.tls {
        None => None,
        Some(tls) => Some(Certificate {
            chain: pem(&tls.cert)?,
            key: pem(&tls.key)?,
        }),
    };
    Ok(AdminConfig {
        listen,
        token,
        hosts: admin.hosts.clone(),
        certificate,
    })
}
