//! The suite that every log passes.
#![allow(clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use jackfield_log::Log;
use jackfield_log::suite::Fixture;
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::sync::{Arc, Mutex, Weak};
use tempfile::TempDir;

/// A folder of its own for each promise.
struct Folder {
    dir: TempDir,
    open: Mutex<Weak<EmbeddedLog>>,
}

impl Folder {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            open: Mutex::default(),
        }
    }
}

#[async_trait]
impl Fixture for Folder {
    async fn log(&self) -> Arc<dyn Log> {
        let mut open = self.open.lock().unwrap();
        if let Some(log) = open.upgrade() {
            return log;
        }
        let log = EmbeddedLog::open(EmbeddedConfig::new(self.dir.path())).unwrap();
        *open = Arc::downgrade(&log);
        log
    }

    async fn reopen(&self, log: Arc<dyn Log>) -> Option<Arc<dyn Log>> {
        drop(log);
        Some(self.log().await)
    }
}

jackfield_log::conformance!(Folder::new());
