//! From a component's bytes to a version of a connector.

use crate::plugins;
use jackfield_config::{Config, Settings};
use jackfield_pipeline::{
    Controls, Plugged, Refused, ShadowOptions, ShadowReport, SwapOptions, SwapReport, Version,
};
use jackfield_plugin::{Engine, LoadError, Plugin};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// What a connector is to become.
pub(crate) struct Wanted<'a> {
    /// The component; none: the one that runs, as the file names it.
    pub(crate) file: Option<&'a Path>,
    /// The digest that it must have.
    pub(crate) sha256: Option<&'a str>,
    /// The settings; none: the file's.
    pub(crate) settings: Option<Value>,
}

/// Loads components as the configuration says, and orders swaps.
pub(crate) struct Loader {
    config: Config,
    engine: Engine,
    controls: Controls,
}

impl Loader {
    pub(crate) fn new(config: Config, engine: Engine, controls: Controls) -> Arc<Self> {
        Arc::new(Self {
            config,
            engine,
            controls,
        })
    }

    pub(crate) fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Swaps a connector; see [`Controls::swap`].
    pub(crate) async fn swap(
        &self,
        connector: &str,
        wanted: Wanted<'_>,
        options: SwapOptions,
    ) -> Result<SwapReport, Refused> {
        let to = self.version(connector, wanted).await?;
        self.controls.swap(connector, to, options).await
    }

    /// Runs a version beside a connector; see [`Controls::shadow`].
    pub(crate) async fn shadow(
        &self,
        connector: &str,
        wanted: Wanted<'_>,
        options: ShadowOptions,
    ) -> Result<ShadowReport, Refused> {
        let to = self.version(connector, wanted).await?;
        self.controls.shadow(connector, to, options).await
    }

    async fn version(&self, connector: &str, wanted: Wanted<'_>) -> Result<Version, Refused> {
        let (plugin, settings) = self.of(connector)?;
        let declared = self.config.plugins.get(plugin).ok_or_else(|| {
            Refused::NotLoadable(format!("the file declares no plugin `{plugin}`"))
        })?;
        let (file, sha256) = match wanted.file {
            Some(file) => (file, wanted.sha256),
            None => (
                declared.file.as_path(),
                wanted.sha256.or(declared.sha256.as_deref()),
            ),
        };
        let component = self.load(file, sha256).await?;
        let limits = plugins::limits(declared);
        let fails = |error: &dyn std::fmt::Display| Refused::Fails(format!("describe: {error}"));
        let description = component.describe(&limits).await.map_err(|e| fails(&e))?;
        let schema = &description.settings_schema;
        let checked = match wanted.settings {
            Some(given) => settings.replaced(given).check(schema),
            None => settings.check(schema),
        };
        let whole = checked.map_err(|findings| Refused::Settings(findings.to_string()))?;
        let plugged = Plugged {
            plugin: component,
            limits,
            settings: whole.to_string(),
        };
        Version::of(plugged)
            .await
            .map_err(|failed| Refused::Fails(failed.to_string()))
    }

    fn of(&self, connector: &str) -> Result<(&str, &Settings), Refused> {
        for pipeline in self.config.pipelines.values() {
            if let Some(source) = &pipeline.source
                && source.connector == connector
            {
                return Ok((&source.plugin, &source.settings));
            }
            let sink = pipeline.sinks.values().find(|it| it.connector == connector);
            if let Some(sink) = sink {
                return Ok((&sink.plugin, &sink.settings));
            }
        }
        Err(Refused::Unknown(connector.to_owned()))
    }

    async fn load(&self, file: &Path, sha256: Option<&str>) -> Result<Plugin, Refused> {
        match self.engine.load(file, sha256).await {
            Ok(component) => Ok(component),
            Err(error @ LoadError::Digest { .. }) => Err(Refused::WrongDigest(error.to_string())),
            Err(
                error @ (LoadError::Unreadable { .. }
                | LoadError::TooLarge { .. }
                | LoadError::NotAComponent { .. }
                | LoadError::WrongWorld { .. }
                | LoadError::Cache { .. }
                | LoadError::Engine(_)),
            ) => Err(Refused::NotLoadable(error.to_string())),
        }
    }
}
