//! `jackfield plugin inspect` and `compile`.

use crate::check::word;
use crate::exit::Exit;
use crate::plugins;
use crate::start_error::StartError;
use comfy_table::{Table, presets::NOTHING};
use jackfield_plugin::{CallLimits, Delivery};
use std::path::{Path, PathBuf};

/// Prints what a component says of itself. Nothing is left behind.
pub(crate) async fn inspect(file: &Path, json: bool) -> Result<Exit, StartError> {
    let scratch = Scratch::new()?;
    let engine = plugins::engine(scratch.0.path())?;
    let name = || file.display().to_string();
    let plugin = engine
        .load(file, None)
        .await
        .map_err(|error| StartError::Plugin {
            plugin: name(),
            error,
        })?;
    let description = plugin
        .describe(&CallLimits::default())
        .await
        .map_err(|error| StartError::Describe {
            plugin: name(),
            error,
        })?;
    let delivery = match description.delivery {
        Delivery::AtLeastOnce => "at-least-once",
        Delivery::ExactlyOnce => "exactly-once",
    };
    let schema: serde_json::Value =
        serde_json::from_str(&description.settings_schema).unwrap_or(serde_json::Value::Null);
    if json {
        let inspected = serde_json::json!({
            "name": description.name,
            "version": description.version,
            "summary": description.summary,
            "kind": word(plugin.world()),
            "delivery": delivery,
            "sha256": plugin.digest(),
            "saved-version": [description.saved_version_min, description.saved_version],
            "staged-version": [description.staged_version_min, description.staged_version],
            "settings-schema": schema,
        });
        println!("{inspected:#}");
        return Ok(Exit::Clean);
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.add_row(["name", &description.name]);
    table.add_row(["version", &description.version]);
    table.add_row(["kind", word(plugin.world())]);
    table.add_row(["delivery", delivery]);
    table.add_row(["sha256", plugin.digest()]);
    table.add_row(["summary", &description.summary]);
    println!("{table}\n\nsettings:\n{schema:#}");
    Ok(Exit::Clean)
}

/// Compiles components into the cache that `run` uses.
pub(crate) async fn compile(files: &[PathBuf], state: &Path) -> Result<Exit, StartError> {
    let engine = plugins::engine(state)?;
    for file in files {
        let plugin = engine
            .load(file, None)
            .await
            .map_err(|error| StartError::Plugin {
                plugin: file.display().to_string(),
                error,
            })?;
        println!("{} {}", plugin.digest(), file.display());
    }
    Ok(Exit::Clean)
}

/// Compiles components for every CPU of this architecture into a folder with a list of digests.
pub(crate) fn compile_into(files: &[PathBuf], into: &Path) -> Result<Exit, StartError> {
    let digests = jackfield_plugin::compile_into(files, into).map_err(StartError::Engine)?;
    for (digest, file) in digests.iter().zip(files) {
        println!("{digest} {}", file.display());
    }
    Ok(Exit::Clean)
}

/// A cache of its own for one look.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Result<Self, StartError> {
        tempfile::tempdir().map(Self).map_err(StartError::Scratch)
    }
}
