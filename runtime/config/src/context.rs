//! Where a file's surroundings come in.

use crate::finding::{Finding, Findings, Kind, Pos};
use crate::types::Config;
use std::io;
use std::path::{Path, PathBuf};

/// What parsing asks of the world around it.
pub struct ParseContext<'a> {
    /// The file's name, as findings show it.
    pub file: &'a str,
    /// The folder that relative paths start from. Absolute.
    pub base_dir: &'a Path,
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file that holds a secret.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself can't be read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is refused.
    #[error(transparent)]
    Refused(#[from] Findings),
}

impl Config {
    /// Reads and validates a file, with the process's own environment and files.
    pub fn load(file: &Path) -> Result<Config, LoadError> {
        let unreadable = |error| LoadError::Unreadable {
            file: file.to_owned(),
            error,
        };
        let bytes = std::fs::read(file).map_err(unreadable)?;
        let absolute = std::path::absolute(file).map_err(unreadable)?;
        let name = file.display().to_string();
        let text = text(&name, bytes)?;
        let context = ParseContext {
            file: &name,
            base_dir: absolute.parent().unwrap_or(Path::new("/")),
            env: &|name| std::env::var(name).ok(),
            read_file: &|path| std::fs::read_to_string(path),
        };
        Ok(Config::parse(&text, &context)?)
    }
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, Findings> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        let column = good.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let at = Pos {
            line: number(line),
            column: number(column),
        };
        let mut findings = Findings::new(name);
        findings.push(
            Finding::error(Kind::Syntax, "", at, "not UTF-8").mend("save the file as UTF-8 text"),
        );
        findings
    })
}
