//! moto: an S3 server in memory.

use crate::START_MAX;
use jackfield_test_process::{Process, free_port, repository};
use std::net::{Ipv4Addr, TcpStream};
use tempfile::TempDir;

/// An S3 server with one bucket, `lake`. It takes any keys.
pub struct S3Server {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

impl S3Server {
    /// Starts it, and waits until its bucket is there.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub async fn start() -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder"));
        let arguments = ["-m", "moto.server", "-H", "127.0.0.1", "-p"].map(str::to_owned);
        let mut arguments = Vec::from(arguments);
        arguments.push(port.to_string());
        let python = repository().join("scripts/python");
        let mut process = Process::start(python, arguments, dir.path(), &dir.path().join("log"));
        process.until(START_MAX, |_| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        let server = Self {
            port,
            _process: process,
            _dir: dir,
        };
        server.make_bucket("lake").await;
        server
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// The server refuses.
    pub async fn make_bucket(&self, name: &str) {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(crate::front::no_tls())
            .build()
            .expect("a client");
        let made = http.put(format!("{}/{name}", self.url())).send().await;
        let made = made.expect("the S3 server answers");
        assert!(made.status().is_success(), "{made:?}");
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
