//! The plugins of a file, loaded and described.

use crate::declared::Declared;
use crate::start_error::StartError;
use jackfield_config::{Findings, PluginConfig};
use jackfield_plugin::{
    CallLimits, CompiledConfig, Deadlines, Description, Engine, EngineConfig, Plugin,
};
use std::path::{Path, PathBuf};

/// For a plugin that can't be loaded.
const MEND: &str = "mend its entry below `plugins`, or build the component for this version";

/// A plugin, what it says of itself, and its limits.
pub(crate) struct Loaded {
    pub(crate) plugin: Plugin,
    pub(crate) description: Description,
    pub(crate) limits: CallLimits,
}

/// The folder of copied and compiled plugins.
pub(crate) const CACHE: &str = "plugins";
/// Names a folder that `plugin compile --into` has made, and that only root may write to: an
/// image's own, which no file of its user has to know of.
const COMPILED: &str = "JACKFIELD_COMPILED";
/// The one that a release installs, where nothing else is named.
const COMPILED_INSTALLED: &str = "/usr/lib/jackfield/compiled";

pub(crate) fn engine(state_dir: &Path) -> Result<Engine, StartError> {
    engine_in(state_dir.join(CACHE))
}

/// One whose copied and compiled plugins lie in this folder.
pub(crate) fn engine_in(cache_dir: PathBuf) -> Result<Engine, StartError> {
    let compiled = match std::env::var_os(COMPILED).filter(|dir| !dir.is_empty()) {
        Some(named) => Some(PathBuf::from(named)),
        None => Some(PathBuf::from(COMPILED_INSTALLED)).filter(|dir| dir.exists()),
    };
    Engine::new(&EngineConfig {
        cache_dir,
        compiled: compiled.map(CompiledConfig::roots),
    })
    .map_err(StartError::Engine)
}

/// Plugins that are loaded, by what the file says of them.
pub(crate) type Plugins = Vec<(PluginConfig, Loaded)>;

/// The plugin of a connector that was among those it was loaded for; none where it was refused.
pub(crate) fn used<'a>(plugins: &'a Plugins, declared: &Declared) -> Option<&'a Loaded> {
    let found = plugins
        .iter()
        .find(|(config, _)| *config == declared.plugin);
    found.map(|(_, loaded)| loaded)
}

/// Loads each plugin that a connector uses: copied by content, compiled once, described. One that
/// can't be is left out, and is an error where the first connector that uses it names it.
pub(crate) async fn load(
    connectors: &[&Declared],
    engine: &Engine,
    findings: &mut Findings,
) -> Plugins {
    let mut loaded = Plugins::new();
    let mut refused: Vec<&PluginConfig> = Vec::new();
    for declared in connectors {
        let plugin = &declared.plugin;
        if refused.contains(&plugin) || loaded.iter().any(|(config, _)| config == plugin) {
            continue;
        }
        match load_one(declared.plugin_name(), plugin, engine).await {
            Ok(one) => loaded.push((plugin.clone(), one)),
            Err(error) => {
                refused.push(plugin);
                let settings = declared.settings();
                findings.push(settings.plugin_error(&error.to_string(), MEND));
            }
        }
    }
    loaded
}

/// Loads one plugin.
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
