//! The YAML file → validated types.
//!
//! Purely: text, variables and secret files come in through a [`ParseContext`], and either a
//! [`Config`] comes out, in which nothing needs to be checked again, or every [`Finding`] at once,
//! each with its path, line, value and mend.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod finding;
mod secret;
mod settings;
mod tree;
mod types;
mod yaml;

pub use finding::{FINDINGS_MAX, Finding, Findings, Kind, Pos, Severity};
pub use secret::{MASK, Secret};
pub use settings::Settings;
pub use types::*;
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
