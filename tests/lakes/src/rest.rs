//! Iceberg's own REST catalog server, over its JDBC catalog.

use crate::START_MAX;
use jackfield_test_process::{Process, free_port, repository};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use tempfile::TempDir;

/// A REST catalog whose tables are on this machine's disk.
pub struct RestServer {
    port: u16,
    dir: TempDir,
    _process: Process,
}

impl RestServer {
    /// Starts it, and waits until it listens.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn start() -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder"));
        let folder = dir.path().canonicalize().expect("the folder is there");
        let java = repository().join("scripts/iceberg-java");
        let arguments = [
            format!("TMPDIR={}", folder.display()),
            java.display().to_string(),
            "RestCatalog".to_owned(),
            port.to_string(),
            "type=jdbc".to_owned(),
            "jdbc.schema-version=V1".to_owned(),
            // Else it takes tables of namespaces that are not there.
            "jdbc.strict-mode=true".to_owned(),
            format!("uri=jdbc:sqlite:{}", folder.join("catalog.db").display()),
            format!("warehouse=file://{}", folder.join("w").display()),
        ];
        let mut process = Process::start("env", arguments, &folder, &folder.join("log"));
        process.until(START_MAX, |_| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self {
            port,
            dir,
            _process: process,
        }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder that its tables are in.
    ///
    /// # Panics
    /// The folder is gone.
    pub fn warehouse(&self) -> PathBuf {
        let folder = self.dir.path().canonicalize().expect("the folder is there");
        folder.join("w")
    }
}
