//! The YAML file → validated types.
//!
//! Purely: text, variables and secret files come in through a [`ParseContext`], and either a
//! [`Config`] comes out, in which nothing needs to be checked again, or every [`Finding`] at once,
//! each with its path, line, value and mend.
//!
//! ```
//! use jackfield_config::{Config, ParseContext};
//! let context = ParseContext {
//!     file: "connectors.yaml",
//!     base_dir: "/etc/jackfield".as_ref(),
//!     env: &|_| None,
//!     read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
//! };
//! let refused = Config::parse("pipelines: { trades: { sinks: { lake: { comit: {} } } } }", &context).unwrap_err();
//! assert!(refused.to_string().contains("did you mean `commit`?"));
//! ```
//!
//! The way through: `yaml` makes a tree in which each value knows its place, `variables` replaces
//! `${…}`, `validate` reads the tree by the `catalogue` of all keys, from which [`whole_file`] and
//! [`settings_page`] come too. A plugin's settings stay as they are until the plugin is loaded:
//! then [`Settings::check`] compares them with its schema.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod catalogue;
mod context;
mod docs;
mod fields;
mod finding;
mod leaf;
mod names;
mod placed;
mod places;
mod quantity;
mod scalar;
mod schema;
mod secret;
mod settings;
mod tree;
mod types;
mod validate;
mod variables;
mod yaml;

pub use context::{LoadError, ParseContext};
pub use docs::settings_page;
pub use finding::{FINDINGS_MAX, Finding, Findings, Kind, Pos, Severity};
pub use placed::Placed;
pub use quantity::{parse_bytes, parse_duration, show_bytes, show_duration};
pub use schema::{PluginSchema, whole_file};
pub use secret::{MASK, Secret};
pub use settings::Settings;
pub use types::*;
pub use variables::SECRET_BYTES_MAX;
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
