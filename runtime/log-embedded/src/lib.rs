//! The log in a folder of one process.
//!
//! A thin layer over a key-value engine ([fjall](https://docs.rs/fjall)): each packed batch is one
//! value, keyed by topic, partition and the offset of its first record; an append is one atomic
//! write of the engine. One thread, the committer, makes all writes and flushes many appends to
//! the disk at once. Nothing is acknowledged, and nothing is read, before it is flushed.
//!
//! | module | what lives there |
//! |---|---|
//! | `log` | the log itself: opening, topics, the port |
//! | `committer` | the one thread that writes |
//! | `writer`, `reader`, `keyed` | the port's handles |
//! | `browse` | records for people, without a group |
//! | `groups`, `assignment` | who reads which partition, and what groups committed |
//! | `topics`, `tail` | where partitions begin and end, and their newest batches |
//! | `retention` | what becomes of old records |
//! | `engine`, `keys`, `space` | what is on the disk |
//! | `folder` | whose the folder is, and its format |
//!
//! One process owns the folder, by a lock on a file in it; so fencing needs no more than memory.
//!
//! A disk that is nearly full refuses appends ([`LogError::Retriable`]) while there is room left
//! for what the engine does by itself, so that what was acknowledged stays readable and appends go
//! on once there is space. A write that the disk fails all the same ends the log for this process
//! ([`LogError::Fatal`]): whether that write is there is known after the next start.
//!
//! [`LogError::Retriable`]: jackfield_log::LogError::Retriable
//! [`LogError::Fatal`]: jackfield_log::LogError::Fatal
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

mod assignment;
mod browse;
mod by_hand;
mod command;
mod committer;
mod config;
mod engine;
mod error;
mod folder;
mod groups;
mod keyed;
mod keys;
mod log;
mod prepare;
mod reader;
mod retention;
mod space;
mod tail;
mod topics;
mod writer;

pub use config::EmbeddedConfig;
pub use folder::{Held, hold};
pub use log::EmbeddedLog;
pub use space::Disk;
