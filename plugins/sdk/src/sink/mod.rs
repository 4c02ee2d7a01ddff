//! Sinks: from the log to wherever records shall land.
//!
//! An author implements [`Sink`] for a struct, writes `jackfield_sdk::export_sink!(Struct);` and
//! builds for `wasm32-wasip2` with the feature `sink`. Everything a sink needs of its host is in
//! [`Ports`], so the same struct runs in plain tests on the fakes of [`testing`].

mod ports;
mod types;

#[cfg(all(target_arch = "wasm32", feature = "sink"))]
pub mod glue;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

use jackfield_batch::Batch;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use ports::{
    Catalog, CatalogError, CatalogTable, Entry, Http, HttpError, HttpRequest, HttpResponse, Log,
    LogLevel, Ports, STORE_CHUNK_BYTES_MAX, Schemas, SchemasError, Store, StoreError, Upload,
};
pub use types::{Committed, Holding, LogPosition, Piece, Span, Taken};

use crate::{Context, Failure, Finding, Saved};

/// A sink connector.
///
/// Tasks get `assigned`, `put`, `stage` and `discard`; one other instance, the committer, gets
/// `stored` and `commit`. Calls into one instance never overlap.
pub trait Sink: Sized + 'static {
    /// What a person writes under `settings:`.
    type Settings: DeserializeOwned + JsonSchema;

    /// What this connector is.
    fn describe() -> crate::Description;

    /// What is wrong with settings beyond what their schema says. No capability is granted here.
    fn check(settings: &Self::Settings) -> Vec<Finding> {
        let _ = settings;
        Vec::new()
    }

    /// Begins, on a task or on the committer.
    ///
    /// # Errors
    /// What the host must do next.
    fn open(
        ports: Ports,
        context: Context,
        settings: Self::Settings,
        state: Option<Saved>,
    ) -> Result<Self, Failure>;

    /// What the targets hold: records below are to be dropped. Called before the first `put`, and
    /// after each assignment, discard, rewind and fence.
    ///
    /// # Errors
    /// What the host must do next.
    fn assigned(&mut self, held: Vec<Holding>) -> Result<(), Failure>;

    /// Takes a batch whole, or not at all.
    ///
    /// # Errors
    /// [`Failure::Rejected`] names every bad record of the batch; else what the host must do next.
    fn put(&mut self, at: &Span, records: &Batch<'_>) -> Result<Taken, Failure>;

    /// Makes durable all that was put, and hands out what is needed to make it visible.
    ///
    /// # Errors
    /// What the host must do next.
    fn stage(&mut self) -> Result<Vec<Piece>, Failure>;

    /// Forgets what was put or staged and not committed.
    fn discard(&mut self);

    /// What the targets themselves say they hold. `known`: every target that a piece ever named.
    ///
    /// # Errors
    /// What the host must do next.
    fn stored(&mut self, known: &[String]) -> Result<Vec<Holding>, Failure>;

    /// Makes one target's pieces visible and the spans' ends its stored positions, in one atomic
    /// step, only if its stored positions are the spans' beginnings. No pieces: positions only.
    /// Idempotent by `id`.
    ///
    /// # Errors
    /// What the host must do next.
    fn commit(
        &mut self,
        target: &str,
        pieces: &[Piece],
        spans: &[Span],
        id: &str,
    ) -> Result<Committed, Failure>;

    /// A cache for the next version, asked for after the last `stage` or `commit`. No bytes: nothing
    /// is handed over.
    ///
    /// # Errors
    /// The next version opens without it.
    fn save(&mut self) -> Result<Saved, Failure> {
        Ok(Saved {
            version: Self::describe().saved_version,
            bytes: Vec::new(),
        })
    }

    /// Ends.
    fn close(self) {}
}

/// Makes the crate a sink component of `$sink`, a [`Sink`]. Nothing outside of `wasm32`.
#[macro_export]
macro_rules! export_sink {
    ($sink:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type JackfieldSink = $crate::sink::glue::Component<$sink>;
    $crate::sink::glue::export_bindings!(JackfieldSink with_types_in $crate::sink::glue);
        };
    };
}
