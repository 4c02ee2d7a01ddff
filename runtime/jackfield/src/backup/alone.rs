//! That nobody writes what is copied, where that can be known.

use crate::client::door;
use crate::start_error::StartError;
use jackfield_backup::BackupError;
use jackfield_config::{Config, LogConfig};
use jackfield_log_embedded::Held;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// How the files begin that hold the names of workers. Each is under the lock of the process that
/// has its name.
const WORKER: &str = "worker-";
/// Longest wait for a connection: this machine answers at once, unless a firewall drops what is
/// asked, and an address that can't be reached is nobody's.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Makes sure of it; with an embedded log for as long as the answer is kept.
pub(super) fn alone(config: &Config) -> Result<Option<Held>, StartError> {
    match &config.log {
        LogConfig::Embedded(log) => Ok(jackfield_log_embedded::hold(&log.dir)?),
        // The log is elsewhere and has no lock, but the catalog and the warehouse may be here. A
        // process either has a name of the state folder, or one of the file's own.
        LogConfig::Kafka(_) => {
            without_workers(&config.state_dir)?;
            silent(config.admin.listen)?;
            Ok(None)
        }
    }
}

/// Refuses when a process has one of the names that the state folder keeps.
fn without_workers(state_dir: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(state_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(state_dir, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(state_dir, error))?;
        if !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(WORKER.as_bytes())
        {
            continue;
        }
        let path = entry.path();
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(BackupError::InUse {
                    found: format!("a process runs under the name in {}", path.display()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(unreadable(&path, error)),
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Refuses when somebody listens where the process would.
fn silent(listen: SocketAddr) -> Result<(), BackupError> {
    let address = door::near(listen);
    // Port 0 is another one each time: nobody is found there.
    match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
        Ok(_) => Err(BackupError::InUse {
            found: format!("somebody listens at {address}, `admin.listen` of the file"),
        }),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_process_that_has_a_name_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(without_workers(&dir.path().join("nowhere")).is_ok());
        fs::write(dir.path().join("worker-7"), "the-one-before").unwrap();
        assert!(without_workers(dir.path()).is_ok(), "it has ended");
        crate::worker::name(dir.path()).unwrap();
        let refused = without_workers(dir.path()).unwrap_err().to_string();
        assert!(
            refused.contains("worker-0") && refused.contains("stop the process"),
            "{refused}"
        );
    }

    #[test]
    fn who_listens_at_the_admin_address_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let everywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
        for listen in [address, everywhere] {
            let refused = silent(listen).unwrap_err().to_string();
            assert!(refused.contains(&address.to_string()), "{refused}");
        }
        drop(listener);
        assert!(silent(address).is_ok());
        assert!(silent("127.0.0.1:0".parse().unwrap()).is_ok());
    }
}
