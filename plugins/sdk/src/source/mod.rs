//! Sources: from wherever records come to the log.
//!
//! An author implements [`Source`] for a struct, writes `jackfield_sdk::export_source!(Struct);`
//! and builds for `wasm32-wasip2` with the feature `source`. A whole source:
//!
//! ```
//! use jackfield_sdk::avro::{self, AvroRecord};
//! use jackfield_sdk::batch::event::Kind;
//! use jackfield_sdk::source::*;
//! use jackfield_sdk::{Delivery, Description, Failure};
//!
//! /// What a person writes under `settings:`.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields)]
//! struct Settings {
//!     /// The WebSocket to listen to.
//!     url: String,
//! }
//!
//! struct Line<'a>(&'a str);
//!
//! impl AvroRecord for Line<'_> {
//!     const SCHEMA: &'static str =
//!         r#"{"type": "record", "name": "Line", "fields": [{"name": "text", "type": "string"}]}"#;
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         avro::string(out, self.0);
//!     }
//! }
//!
//! struct Lines { host: Host, url: String, inbox: Inbox, feeds: Feeds }
//!
//! impl Source for Lines {
//!     type Settings = Settings;
//!
//!     fn describe() -> Description {
//!         describe("lines", env!("CARGO_PKG_VERSION"), "One record for each frame.", Delivery::ExactlyOnce)
//!     }
//!
//!     fn open(host: Host, opening: Opening<Settings>) -> Result<Self, Failure> {
//!         let url = opening.settings.url;
//!         if host.connections().iter().all(|it| it.state == ConnectionState::Closed) {
//!             connect(&host, &url)?;
//!         }
//!         Ok(Self { host, url, inbox: Inbox::new(), feeds: Feeds::new(vec![Feed::avro::<Line<'_>>("line")]) })
//!     }
//!
//!     fn feeds(&self) -> Vec<Feed> {
//!         self.feeds.all()
//!     }
//!
//!     fn poll(&mut self, limits: &PollLimits) -> Result<Polled, Failure> {
//!         self.feeds.begin(limits);
//!         self.inbox.refill(&self.host, limits.wait_ms)?;
//!         let (mut taken, mut polled) = (0, Polled::default());
//!         for event in self.inbox.events() {
//!             match (event.kind, std::str::from_utf8(event.body)) {
//!                 (Kind::Text, Ok(text)) => {
//!                     if self.feeds.push(0, event.received_ns / 1_000_000, None, &Line(text)).is_err() {
//!                         break; // The batch is full: the next poll goes on with this event.
//!                     }
//!                 }
//!                 (Kind::Closed, _) => connect(&self.host, &self.url)?,
//!                 _ => {}
//!             }
//!             taken += 1;
//!         }
//!         self.inbox.take(taken);
//!         polled.done_through = self.inbox.done_through();
//!         polled.counts.records = self.feeds.len();
//!         polled.outputs = self.feeds.finish();
//!         Ok(polled)
//!     }
//! }
//!
//! fn connect(host: &Host, url: &str) -> Result<(), Failure> {
//!     match host.open("lines", url) {
//!         Ok(_) => Ok(()),
//!         Err(WebSocketError::Limit(reason)) => Err(Failure::Retry { after_ms: 1000, reason }),
//!         Err(error) => Err(Failure::Misconfigured(error.to_string())),
//!     }
//! }
//!
//! jackfield_sdk::export_source!(Lines);
//!
//! // And a test of it, without wasm:
//! use jackfield_sdk::source::testing::Bench;
//! let mut bench = Bench::<Lines>::open(r#"{"url": "wss://example.org"}"#)?;
//! let connection = bench.host.connections()[0].id;
//! bench.host.opened(connection);
//! bench.host.text(connection, "hello");
//! bench.poll_until_idle()?;
//! bench.settle_all();
//! assert_eq!(bench.landed("line").len(), 1);
//! # Ok::<(), Failure>(())
//! ```

mod backoff;
mod feeds;
mod host;
mod inbox;
mod types;

#[cfg(all(target_arch = "wasm32", feature = "source"))]
pub mod glue;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use backoff::Backoff;
pub use feeds::Feeds;
pub use host::{
    Connection, ConnectionState, Host, HttpError, HttpRequest, Imports, LogLevel, WebSocketError,
};
pub use inbox::Inbox;
pub use jackfield_batch::Full;
pub use types::{Feed, Opening, Output, PollLimits, Polled, Position, RejectedEvent, Slot};

use crate::{Delivery, Description, Failure, Finding, Saved};

/// A source connector. Calls into one instance never overlap.
pub trait Source: Sized + 'static {
    /// What a person writes under `settings:`.
    type Settings: DeserializeOwned + JsonSchema;

    /// What this connector is; see [`describe`].
    fn describe() -> Description;

    /// What is wrong with settings beyond what their schema says. No capability is granted here.
    fn check(settings: &Self::Settings) -> Vec<Finding> {
        let _ = settings;
        Vec::new()
    }

    /// Divides the work into at most `slots_max` shares. On an instance of its own, with an inbox
    /// that is dropped afterwards.
    ///
    /// # Errors
    /// What the host must do next.
    fn plan(host: &Host, settings: &Self::Settings, slots_max: u32) -> Result<Vec<Slot>, Failure> {
        let _ = (host, settings, slots_max);
        Ok(vec![Slot::only()])
    }

    /// Begins, where the positions say.
    ///
    /// # Errors
    /// What the host must do next.
    fn open(host: Host, opening: Opening<Self::Settings>) -> Result<Self, Failure>;

    /// The feeds, once `open` has returned.
    fn feeds(&self) -> Vec<Feed>;

    /// Takes events from the inbox and gives records. Waits at most as long as the limits say.
    ///
    /// # Errors
    /// What the host must do next.
    fn poll(&mut self, limits: &PollLimits) -> Result<Polled, Failure>;

    /// The records up to here are durable: what the origin keeps may be released.
    ///
    /// # Errors
    /// What the host must do next.
    fn settled(&mut self, positions: &[Position]) -> Result<(), Failure> {
        let _ = positions;
        Ok(())
    }

    /// A cache for the next version, as of the last `done_through`.
    ///
    /// # Errors
    /// What the host must do next.
    fn save(&mut self) -> Result<Saved, Failure> {
        Ok(Saved {
            version: Self::describe().saved_version,
            bytes: Vec::new(),
        })
    }

    /// Ends. Connections stay open for the next instance.
    fn close(self) {}
}

/// The description of a source that saves and reads version 1.
pub fn describe(name: &str, version: &str, summary: &str, delivery: Delivery) -> Description {
    Description {
        name: name.to_owned(),
        version: version.to_owned(),
        summary: summary.to_owned(),
        delivery,
        saved_version: 1,
        saved_version_min: 1,
        staged_version: 0,
        staged_version_min: 0,
    }
}

/// Makes a component of a [`Source`] when it is built for wasm; elsewhere it does nothing.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::source::glue::Component<$source>;
    $crate::source::glue::export_bindings!(Exported with_types_in $crate::source::glue);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            fn is_a_source<S: $crate::source::Source>() {}
            is_a_source::<$source>();
        };
    };
}
