//! Levels of log lines, which may be changed while the process runs.

mod sieve;

use super::LoggingError;
use sieve::Sieve;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

/// The logger of all lines that no other speaks of.
const ROOT: &str = "root";
/// Most loggers with a level of their own: each costs every line a look.
const LOGGERS_MAX: usize = 100;
/// Longest name of a logger, bytes: targets are paths of modules.
const NAME_BYTES_MAX: usize = 200;

const AUDIT: &str = Levels::AUDIT;
/// At which that is always written.
const AUDIT_LEVEL: &str = "INFO";

/// Levels and the words for them.
const LEVELS: &[(&str, &str)] = &[
    ("OFF", "off"),
    ("ERROR", "error"),
    ("WARN", "warn"),
    ("INFO", "info"),
    ("DEBUG", "debug"),
    ("TRACE", "trace"),
];

/// A level can't be set.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// There is no such level.
    #[error("invalid log level '{0}'. The levels are ERROR, WARN, INFO, DEBUG, TRACE and OFF")]
    UnknownLevel(String),
    /// No line can be of this logger.
    #[error(
        "Logger {0} not found. A logger is `root`, or the path of a module such as `jackfield_pipeline::sink`"
    )]
    NoLogger(String),
    /// What records changes is never silenced.
    #[error(
        "{AUDIT} is not set to {0}: it records who changed what, and is always written at INFO"
    )]
    AlwaysOn(&'static str),
    /// There are too many loggers with levels of their own.
    #[error("{LOGGERS_MAX} loggers have levels of their own already: set that of `root`")]
    TooMany,
    /// Nothing writes log lines any more.
    #[error("log lines are not written any more: {0}")]
    Gone(String),
}

/// A logger: the beginning of a line's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logger {
    /// `root`, or the beginning of a target.
    pub name: String,
    /// In capitals.
    pub level: &'static str,
    /// When it was changed last, ms since 1970.
    pub changed_ms: Option<i64>,
}

/// The levels of all loggers. Cheap to clone.
#[derive(Clone)]
pub struct Levels {
    filter: reload::Handle<Sieve, Registry>,
    loggers: Arc<Mutex<Loggers>>,
}

#[derive(Debug, Default)]
struct Loggers {
    /// Level and time of the last change. Without `root` nothing else is written.
    levels: BTreeMap<String, (&'static str, Option<i64>)>,
    /// What a filter can say beyond targets and levels, as it was given.
    further: Vec<String>,
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Levels").finish_non_exhaustive()
    }
}

/// What a subscriber is layered with, so that its levels can be changed.
pub(super) type Filter = reload::Layer<Sieve, Registry>;

impl Levels {
    /// The target of the lines that say who changed what. They are written at INFO whatever a
    /// filter says and whatever is set: who may change a level could hide what else they change.
    pub const AUDIT: &'static str = "jackfield_admin::audit";

    /// As a filter such as `warn,jackfield_pipeline=debug` says.
    pub(super) fn of_filter(filter: &str) -> Result<(Filter, Self), LoggingError> {
        let parsed = EnvFilter::builder()
            .parse(filter)
            .map_err(|e| LoggingError::Filter {
                filter: filter.to_owned(),
                reason: e.to_string(),
            })?;
        let (layer, handle) = reload::Layer::new(Sieve(parsed));
        let levels = Self {
            filter: handle,
            loggers: Arc::new(Mutex::new(Loggers::read(filter))),
        };
        Ok((layer, levels))
    }

    /// `root` and all loggers with levels of their own, by name.
    pub fn all(&self) -> Vec<Logger> {
        let loggers = self.lock();
        let mut all: Vec<Logger> = loggers
            .levels
            .iter()
            .map(|(name, (level, changed_ms))| Logger {
                name: name.clone(),
                level,
                changed_ms: *changed_ms,
            })
            .collect();
        if !loggers.levels.contains_key(ROOT) {
            all.push(Logger {
                name: ROOT.to_owned(),
                level: "OFF",
                changed_ms: None,
            });
        }
        if above(&all, AUDIT).is_some_and(|it| silences(AUDIT, it.level)) {
            all.push(Logger {
                name: AUDIT.to_owned(),
                level: AUDIT_LEVEL,
                changed_ms: None,
            });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// A logger of [`all`](Self::all), or one of this program's modules with the level that it
    /// has from those.
    pub fn of(&self, name: &str) -> Option<Logger> {
        let all = self.all();
        let root = name.eq_ignore_ascii_case(ROOT);
        let found = all
            .iter()
            .find(|it| it.name == name || root && it.name == ROOT);
        if let Some(found) = found {
            return Some(found.clone());
        }
        if !name.starts_with("jackfield") || !is_target(name) {
            return None;
        }
        Some(Logger {
            name: name.to_owned(),
            ..above(&all, name)?.clone()
        })
    }

    /// Sets the level of a logger and of all below it; `root` is above all. Names of the loggers
    /// that were changed.
    ///
    /// # Errors
    /// There is no such level, no line can be of this logger, it must not be silenced, or there
    /// are too many.
    pub fn set(&self, name: &str, level: &str) -> Result<Vec<String>, LevelError> {
        let level = word(level).ok_or_else(|| LevelError::UnknownLevel(level.to_owned()))?;
        let root = name.eq_ignore_ascii_case(ROOT);
        if !root && !is_target(name) {
            return Err(LevelError::NoLogger(name.to_owned()));
        }
        let name = if root { ROOT } else { name };
        if silences(name, level) {
            return Err(LevelError::AlwaysOn(level));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.ok().and_then(|it| i64::try_from(it.as_millis()).ok());
        let mut loggers = self.lock();
        let mut levels = loggers.levels.clone();
        levels.entry(name.to_owned()).or_insert((level, None));
        if levels.len() > LOGGERS_MAX {
            return Err(LevelError::TooMany);
        }
        let mut changed = Vec::new();
        for (logger, at) in &mut levels {
            if root || logger.starts_with(name) && logger != ROOT {
                *at = (audible(logger, level), now_ms);
                changed.push(logger.clone());
            }
        }
        let text = text(&levels, &loggers.further);
        let gone = |error: &dyn std::fmt::Display| LevelError::Gone(error.to_string());
        let filter = EnvFilter::builder().parse(text).map_err(|e| gone(&e))?;
        self.filter.reload(Sieve(filter)).map_err(|e| gone(&e))?;
        loggers.levels = levels;
        Ok(changed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Loggers> {
        // Levels are replaced as a whole.
        self.loggers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is done here: a layer can be found again in the subscriber.
impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Levels {}

impl Loggers {
    fn read(filter: &str) -> Self {
        let mut loggers = Self::default();
        let directives = filter.split(',').map(str::trim);
        for directive in directives.filter(|it| !it.is_empty()) {
            let (name, level) = match directive.split_once('=') {
                Some((target, level)) => (target, word(level)),
                None => match word(directive) {
                    Some(level) => (ROOT, Some(level)),
                    // A target alone: all of its lines.
                    None => (directive, Some("TRACE")),
                },
            };
            match level {
                Some(level) if name == ROOT || is_target(name) => {
                    let level = audible(name, level);
                    loggers.levels.insert(name.to_owned(), (level, None));
                }
                Some(_) | None => loggers.further.push(directive.to_owned()),
            }
        }
        loggers
    }
}

/// The logger of these that decides for one of this name.
fn above<'a>(all: &'a [Logger], name: &str) -> Option<&'a Logger> {
    all.iter()
        .filter(|it| it.name == ROOT || name.starts_with(&it.name))
        .max_by_key(|it| if it.name == ROOT { 0 } else { it.name.len() })
}

/// Whether lines would be missing that are always written.
fn silences(name: &str, level: &str) -> bool {
    name == AUDIT && ["OFF", "ERROR", "WARN"].contains(&level)
}

/// The level that a logger gets with others.
fn audible(name: &str, level: &'static str) -> &'static str {
    match silences(name, level) {
        true => AUDIT_LEVEL,
        false => level,
    }
}

fn text(levels: &BTreeMap<String, (&'static str, Option<i64>)>, further: &[String]) -> String {
    let own = levels.iter().map(|(name, (level, _))| match name.as_str() {
        ROOT => level.to_lowercase(),
        name => format!("{name}={}", level.to_lowercase()),
    });
    let mut all: Vec<String> = own.chain(further.iter().cloned()).collect();
    if !levels.contains_key(ROOT) {
        all.push("off".to_owned());
    }
    all.join(",")
}

fn word(level: &str) -> Option<&'static str> {
    // Kafka Connect has one more.
    let level = match level.eq_ignore_ascii_case("fatal") {
        true => "error",
        false => level,
    };
    let found = LEVELS.iter().find(|(_, it)| it.eq_ignore_ascii_case(level));
    found.map(|(word, _)| *word)
}

fn is_target(name: &str) -> bool {
    let admitted = |b: u8| b.is_ascii_alphanumeric() || b"_:.-".contains(&b);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(admitted)
}

#[cfg(test)]
mod tests;
