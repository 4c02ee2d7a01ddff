//! Log lines: text or JSON to standard error, from a thread of its own.
//!
//! A line is put into a bounded queue and written later, so that a paused terminal or a full pipe
//! holds up nothing but lines: what finds no room is dropped, and how many were is said in a line
//! as soon as there is room again.

mod levels;
mod lines;

pub use levels::{LevelError, Levels, Logger};

use lines::Lines;
use std::io::{self, Write};
use std::time::Duration;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// The line that says how many were dropped.
    fn notice(self) -> fn(u64) -> String {
        match self {
            Self::Text => |count| format!(" WARN log lines were dropped count={count}\n"),
            Self::Json => |count| {
                format!(
                    "{{\"level\":\"WARN\",\"message\":\"log lines were dropped\",\"count\":{count}}}\n"
                )
            },
        }
    }
}

/// Logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter makes no sense.
    #[error(
        "`{filter}` is not a filter for log lines, such as `info` or `warn,jackfield_pipeline=debug`: {reason}"
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was set up before.
    #[error("logging is set up already")]
    SetUpTwice,
    /// The thread that writes can't be started.
    #[error("the thread that writes log lines can't be started")]
    Thread(#[source] io::Error),
}

/// Writes log lines to standard error from now on.
///
/// # Errors
/// The filter makes no sense, or this was done before.
pub fn init(format: Format, filter: &str) -> Result<(), LoggingError> {
    let dispatch = dispatch(format, filter, io::stderr())?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LoggingError::SetUpTwice)
}

/// Waits until the lines so far are written, at most `patience`; whether they are. To be called
/// before the process ends.
pub fn flush(patience: Duration) -> bool {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch
            .downcast_ref::<Lines>()
            .is_none_or(|lines| lines.flush(patience))
    })
}

/// What writes lines to `to`; [`init`] makes it the process's.
///
/// # Errors
/// The filter makes no sense.
pub fn dispatch(
    format: Format,
    filter: &str,
    to: impl Write + Send + 'static,
) -> Result<Dispatch, LoggingError> {
    let (filter, levels) = Levels::of_filter(filter)?;
    let lines = Lines::start(format.notice(), to).map_err(LoggingError::Thread)?;
    let registry = tracing_subscriber::registry().with(filter);
    let writer = lines.clone();
    let layer = match format {
        Format::Text => tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(writer)
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
    };
    Ok(Dispatch::new(registry.with(layer).with(lines).with(levels)))
}

/// The levels of what [`dispatch`] made, to be changed while it writes.
pub fn levels(dispatch: &Dispatch) -> Option<Levels> {
    dispatch.downcast_ref::<Levels>().cloned()
}

/// Nothing is done here: a layer can be found again in the subscriber, which is how [`flush`]
/// comes to the queue.
impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {}
