//! Iceberg's own REST catalog server, over its JDBC catalog.

use crate::process::{Process, free_port};
use crate::repository;
use std::path::{Path, PathBuf};
use std::process::Command;
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
        let settings = [
            format!(
                "CATALOG_URI=jdbc:sqlite:{}",
                folder.join("catalog.db").display()
            ),
            format!("CATALOG_WAREHOUSE=file://{}", folder.join("w").display()),
            format!("CATALOG_REST_PORT={port}"),
        ];
        let mut arguments = Vec::from(settings);
        let java = [
            "java",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ];
        arguments.extend(java.map(str::to_owned));
        arguments.push(format!("{}/*", libraries().display()));
        arguments.push("org.apache.iceberg.rest.RESTCatalogServer".to_owned());
        let process = Process::start(Path::new("env"), &arguments, &folder.join("log"), port);
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

/// Iceberg's jars, fetched once.
fn libraries() -> PathBuf {
    let fetched = Command::new(repository().join("scripts/iceberg-fetch"))
        .output()
        .expect("the script runs");
    assert!(
        fetched.status.success(),
        "{}",
        String::from_utf8_lossy(&fetched.stderr)
    );
    PathBuf::from(String::from_utf8_lossy(&fetched.stdout).trim())
}
