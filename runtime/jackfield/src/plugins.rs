//! The plugins of a file, loaded and described.

use crate::start_error::StartError;
use jackfield_config::{Config, PluginConfig};
use jackfield_plugin::{CallLimits, Deadlines, Description, Engine, EngineConfig, Plugin};
use std::collections::BTreeMap;
use std::path::Path;

/// A plugin, what it says of itself, and its limits.
pub(crate) struct Loaded {
    pub(crate) plugin: Plugin,
    pub(crate) description: Description,
    pub(crate) limits: CallLimits,
}

/// The folder of copied and compiled plugins.
pub(crate) const CACHE: &str = "plugins";

pub(crate) fn engine(state_dir: &Path) -> Result<Engine, StartError> {
    Engine::new(&EngineConfig {
        cache_dir: state_dir.join(CACHE),
    })
    .map_err(StartError::Engine)
}

/// The plugin that a connector of a checked configuration uses.
pub(crate) fn used<'a>(plugins: &'a BTreeMap<String, Loaded>, name: &str) -> &'a Loaded {
    plugins.get(name).expect(
        "a checked configuration refers to declared plugins, and every one in use is loaded",
    )
}

/// Loads each plugin that a connector uses: copied by content, compiled once, described.
pub(crate) async fn load(
    config: &Config,
    engine: &Engine,
) -> Result<BTreeMap<String, Loaded>, StartError> {
    let mut loaded = BTreeMap::new();
    for (name, plugin) in &config.plugins {
        if config
            .connectors()
            .any(|connector| connector.plugin == name)
        {
            loaded.insert(name.clone(), load_one(name, plugin, engine).await?);
        }
    }
    Ok(loaded)
}

pub(crate) async fn load_one(
    name: &str,
    config: &PluginConfig,
    engine: &Engine,
) -> Result<Loaded, StartError> {
    let plugin = engine
        .load(&config.file, config.sha256.as_deref())
        .await
        .map_err(|error| StartError::Plugin {
            plugin: name.to_owned(),
            error,
        })?;
    let limits = limits(config);
    let description = plugin
        .describe(&limits)
        .await
        .map_err(|error| StartError::Describe {
            plugin: name.to_owned(),
            error,
        })?;
    Ok(Loaded {
        plugin,
        description,
        limits,
    })
}

pub(crate) fn limits(config: &PluginConfig) -> CallLimits {
    let deadlines = Deadlines::default();
    CallLimits {
        memory_bytes_max: usize::try_from(config.memory_bytes_max).unwrap_or(usize::MAX),
        deadlines: match config.call_time_max {
            Some(call_time_max) => deadlines.with_call_time(call_time_max),
            None => deadlines,
        },
    }
}
