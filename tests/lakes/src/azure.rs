//! Azurite: Microsoft's own emulator of Azure's blobs, in memory.

use crate::START_MAX;
use jackfield_test_process::{Process, fetched, free_port, repository};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use tempfile::TempDir;

/// The emulator's only account, the same everywhere.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A storage account with one container, `lake`.
pub struct AzureServer {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

impl AzureServer {
    /// Starts it, and waits until its container is there.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn start() -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder"));
        let azurite = fetched("azurite-fetch").join("node_modules/.bin/azurite-blob");
        let arguments = [
            azurite.display().to_string(),
            "--blobHost".to_owned(),
            "127.0.0.1".to_owned(),
            "--blobPort".to_owned(),
            port.to_string(),
            "--inMemoryPersistence".to_owned(),
            "--disableTelemetry".to_owned(),
            // Which versions of the API it knows is behind what clients send; it serves them.
            "--skipApiVersionCheck".to_owned(),
        ];
        let log = dir.path().join("log");
        let mut process = Process::start("node", arguments, dir.path(), &log);
        process.until(START_MAX, |_| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        let server = Self {
            port,
            _process: process,
            _dir: dir,
        };
        server.make_container("lake");
        server
    }

    fn make_container(&self, name: &str) {
        let made = Command::new(repository().join("scripts/python"))
            .arg(repository().join("tests/python/make_container.py"))
            .args(["--endpoint", &self.url(), "--account", ACCOUNT])
            .args(["--key", KEY, "--container", name])
            .output()
            .expect("scripts/python is there");
        let errors = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{errors}");
    }

    /// Where it answers, with the account as its path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// Its host and port.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The account's name.
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// The account's key.
    pub fn key(&self) -> &'static str {
        KEY
    }
}
