//! Kafka Connect's flat configs and its REST entities ↔ our settings. Purely: nothing here asks
//! anyone anything.
//!
//! A connector's config is a map of strings there: `connector.class`, `tasks.max`, `topics`, and
//! the connector's own keys. Here a connector is an end of a pipeline with a plugin whose settings
//! are JSON, described by a JSON Schema. [`Wanted::read`] makes the one of the other, through the
//! same validation as the file's ([`jackfield_config::Config::parse`]); [`config_of`] shows one of
//! the file's connectors as Connect would. [`key_infos`] and [`config_infos`] are what its clients
//! draw forms from.
//!
//! A plugin's setting is named by its way, with dots: `endpoints.websocket`. A list is written with
//! commas or as JSON. What a text means follows from the schema, so that a text, a number and a
//! truth value come back as what they were.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connector;
pub mod entities;
mod errors;
mod key_info;
mod key_table;
mod keys;
mod masking;
mod name;
mod nest;
mod paths;
mod pipeline;
mod refused;
mod schema;
mod shown;
mod stored;
mod text;

pub use connector::{Described, Wanted};
pub use errors::KeyErrors;
pub use key_info::{config_infos, key_infos};
pub use masking::{is_of_runtime, masked, unmasked};
pub use name::{NAME_CHARS_MAX, check_name};
pub use nest::{flatten, nest};
pub use shown::config_of;
pub use stored::{
    ConfigRecord, TargetState, config_key, logger_key, parse_entry, target_state_key,
};

use std::collections::BTreeMap;

/// A connector's config as Kafka Connect has it.
pub type FlatConfig = BTreeMap<String, String>;
