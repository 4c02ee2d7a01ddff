//! The bearer token of the admin API.

use jackfield_config::{AdminAuth, Config};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use uuid::Uuid;

/// Where the token is that nobody chose.
fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("admin-token")
}

/// The file's token, or the one that this state folder has; it is made when there is none.
pub(crate) fn of(config: &Config) -> io::Result<String> {
    if let Some(token) = &config.admin.token {
        return Ok(token.expose().to_owned());
    }
    fs::create_dir_all(&config.state_dir)?;
    let path = path(&config.state_dir);
    // Two random UUIDs: 244 bits. In a file that only this user can read, and whole when it appears.
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut file = NamedTempFile::new_in(&config.state_dir)?;
    file.write_all(token.as_bytes())?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(token),
        Err(there) if there.error.kind() == io::ErrorKind::AlreadyExists => read(&path),
        Err(other) => Err(other.error),
    }
}

/// The token of a process that runs with this configuration.
pub(crate) fn known(config: &Config) -> io::Result<String> {
    match (&config.admin.token, config.admin.auth) {
        // Nobody asks for it.
        (_, AdminAuth::None) => Ok(String::new()),
        (Some(token), AdminAuth::Token) => Ok(token.expose().to_owned()),
        (None, AdminAuth::Token) => read(&path(&config.state_dir)),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let token = fs::read_to_string(path)?.trim().to_owned();
    if token.is_empty() {
        let why = format!("{} is empty: remove it and restart", path.display());
        return Err(io::Error::other(why));
    }
    Ok(token)
}
