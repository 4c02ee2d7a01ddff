//! A world for configurations to be read in.

use jackfield_config::{Config, Findings, ParseContext};
use std::io;
use std::path::Path;

/// What no output may ever hold: it is in every secret of the tests.
pub(crate) const HUNTER: &str = "hunter2";

fn env(name: &str) -> Option<String> {
    let value = match name {
        "SYMBOL" => "BTCUSDT",
        "NUMBER" => "4",
        "NO" => "no",
        "EMPTY" => "",
        "YAML" => "a: [b, {c: d}]\n- e",
        "PASSWORD" => HUNTER,
        _ => return None,
    };
    Some(value.to_owned())
}

fn read_file(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/run/secrets/key") => Ok(format!("{HUNTER}\n")),
        Some("/etc/jackfield/key") => Ok(format!("{HUNTER}-relative\r\n")),
        Some("/run/secrets/lines") => Ok(format!("{HUNTER}\n{HUNTER}")),
        Some("/run/secrets/empty") => Ok("\n".to_owned()),
        Some("/run/secrets/huge") => Ok(HUNTER.repeat(jackfield_config::SECRET_BYTES_MAX)),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Reads a text as `connectors.yaml` in `/etc/jackfield`.
pub(crate) fn parse(text: &str) -> Result<Config, Findings> {
    let context = ParseContext {
        file: "connectors.yaml",
        base_dir: Path::new("/etc/jackfield"),
        env: &env,
        read_file: &read_file,
    };
    Config::parse(text, &context)
}
