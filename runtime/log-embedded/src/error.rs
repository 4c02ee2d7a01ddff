//! What the engine's failures mean for a caller.

use jackfield_log::LogError;
use std::path::Path;

/// A failed read, or a failed opening: nothing was changed.
pub(crate) fn reading(dir: &Path, error: &fjall::Error) -> LogError {
    let text = format!("the log in {}: {}", dir.display(), plain(error));
    match io(error) {
        Some(_) => LogError::Retriable(text),
        None => LogError::Fatal(text),
    }
}

/// A failed write: whether it is there is known after the next start.
pub(crate) fn writing(dir: &Path, error: &fjall::Error) -> String {
    format!(
        "the log in {} could not be written: {}",
        dir.display(),
        plain(error)
    )
}

/// A file of the folder could not be used.
pub(crate) fn file(path: &Path, error: &std::io::Error) -> LogError {
    LogError::Fatal(format!("{}: {error}", path.display()))
}

/// The engine's text for an I/O error is its debug form; the system's own is for people.
fn plain(error: &fjall::Error) -> String {
    match io(error) {
        Some(io) => io.to_string(),
        None => error.to_string(),
    }
}

fn io(error: &fjall::Error) -> Option<&std::io::Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        source = error.source();
    }
    None
}
