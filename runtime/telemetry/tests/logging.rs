//! Log lines arrive, in their format, and hold nobody up.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_telemetry::logging::{self, Format, LoggingError};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps what is written; while someone holds it, writing waits, as a paused terminal makes it.
#[derive(Clone, Default)]
struct Terminal(Arc<Mutex<Vec<u8>>>);

impl Terminal {
    fn pause(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.pause().clone()).unwrap()
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pause().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the log shows of what `work` says.
fn logged(format: Format, filter: &str, work: impl FnOnce()) -> String {
    let terminal = Terminal::default();
    let dispatch = logging::dispatch(format, filter, terminal.clone()).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        work();
        assert!(logging::flush(PATIENCE));
    });
    terminal.text()
}

fn say_some() {
    tracing::info!(rows = 3, "committed");
    tracing::debug!("details");
}

#[test]
fn text_has_message_and_fields() {
    let text = logged(Format::Text, "info", say_some);
    assert!(
        text.contains("INFO") && text.contains("committed rows=3"),
        "{text}"
    );
    assert!(
        !text.contains("details") && !text.contains('\x1b'),
        "{text}"
    );
}

#[test]
fn json_is_one_object_a_line() {
    let text = logged(Format::Json, "info", say_some);
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
    assert!(
        text.contains("\"message\":\"committed\"") && text.contains("\"rows\":3"),
        "{text}"
    );
}

#[test]
fn a_filter_chooses() {
    assert_eq!(logged(Format::Text, "warn", say_some), "");
    assert!(logged(Format::Text, "warn,logging=debug", say_some).contains("details"));
}

#[test]
fn a_bad_filter_is_named() {
    let error = logging::dispatch(Format::Text, "info,=", io::sink())
        .err()
        .unwrap();
    assert!(matches!(error, LoggingError::Filter { .. }));
    assert!(
        error.to_string().starts_with("`info,=` is not a filter"),
        "{error}"
    );
}

#[test]
fn a_paused_terminal_holds_up_nothing_but_lines() {
    let terminal = Terminal::default();
    let dispatch = logging::dispatch(Format::Text, "info", terminal.clone()).unwrap();
    let lines = 20_000;
    tracing::dispatcher::with_default(&dispatch, || {
        let paused = terminal.pause();
        // Would never end if it waited.
        for i in 0..lines {
            tracing::info!(i, "busy");
        }
        let started = Instant::now();
        assert!(!logging::flush(Duration::from_millis(1)));
        assert!(started.elapsed() < PATIENCE);
        drop(paused);
        assert!(logging::flush(PATIENCE));
        tracing::info!("over");
        assert!(logging::flush(PATIENCE));
    });
    let text = terminal.text();
    let written = text.lines().filter(|line| line.contains("busy")).count();
    let dropped = text
        .lines()
        .filter_map(|line| line.split_once("lines were dropped count="));
    let dropped: usize = dropped
        .map(|(_, count)| count.parse::<usize>().unwrap())
        .sum();
    assert!(written < lines && dropped > 0);
    assert_eq!(
        written + dropped,
        lines,
        "a line is neither written nor counted"
    );
}
