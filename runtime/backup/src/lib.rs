//! Backups of the folders of a process that does not run.
//!
//! A backup is a folder: a manifest, and a copy of each part. It appears under its name only when
//! it is whole and durable. Putting it back checks every digest before anything is touched, and
//! overwrites nothing.
//!
//! ```text
//! backup/
//!   backup.json            format, who made it and when, every file with its size and SHA-256
//!   parts/log/…            a copy of each part
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod copy;
mod error;
mod manifest;
mod restore;
mod save;

pub use error::BackupError;
pub use manifest::{FORMAT, FileEntry, Manifest, PartEntry};
pub use restore::{Place, restore};
pub use save::{Part, save};
