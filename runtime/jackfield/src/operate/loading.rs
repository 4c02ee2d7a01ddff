//! Components for what runs, loaded as it is declared.

use super::not_taken::NotTaken;
use super::removals::Removals;
use crate::check::granted::{self, Named};
use crate::declared::{self, Declared};
use crate::plugins;
use crate::start_error::StartError;
use crate::workshop::Workshop;
use jackfield_config::Config;
use jackfield_pipeline::{
    Controls, Pipelines, Plugged, Refused, ShadowOptions, ShadowReport, State, SwapOptions,
    SwapReport, Version,
};
use jackfield_plugin::{LoadError, Plugin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a connector is to become.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// The component; none: the one that runs, as the file names it.
    pub(crate) file: Option<&'a Path>,
    /// The digest that it must have.
    pub(crate) sha256: Option<&'a str>,
    /// The settings; none: the file's.
    pub(crate) settings: Option<Value>,
}

/// Loads components as it is declared, and changes what runs.
pub(crate) struct Loader {
    pub(super) workshop: Workshop,
    pub(crate) pipelines: Pipelines,
    controls: Controls,
    /// What runs, as it was declared when it was made so.
    applied: Mutex<BTreeMap<String, Declared>>,
    /// What runs though no file declares it.
    pub(super) made: Mutex<BTreeMap<String, Declared>>,
    /// The file is applied by one at a time.
    pub(super) file: tokio::sync::Mutex<Config>,
    /// The file as it runs, for those who must not wait for one who applies it.
    pub(super) shown: Mutex<Arc<Config>>,
    /// Its name, as it was given.
    file_name: String,
    /// How long what is taken away may drain.
    pub(super) grace: Duration,
    pub(super) removals: Removals,
    /// The changed file is taking connectors away.
    pub(super) removing: AtomicBool,
}

impl Loader {
    /// For the connectors of `config`, which run already.
    pub(crate) fn new(
        workshop: Workshop,
        pipelines: Pipelines,
        config: Config,
        grace: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            workshop,
            controls: pipelines.controls(),
            pipelines,
            applied: Mutex::new(declared::all(&config)),
            made: Mutex::default(),
            file_name: config.warnings.file.clone(),
            shown: Mutex::new(Arc::new(config.clone())),
            file: tokio::sync::Mutex::new(config),
            grace,
            removals: Removals::default(),
            removing: AtomicBool::new(false),
        })
    }

    pub(crate) fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(crate) fn file_name(&self) -> &str {
        &self.file_name
    }

    pub(super) fn applied(&self) -> MutexGuard<'_, BTreeMap<String, Declared>> {
        // Every change leaves the map consistent, also in a panic.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connectors that each file of a component is declared for.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<String>> {
        let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        let made = self.made();
        for (name, declared) in self.applied().iter().chain(made.iter()) {
            let of = files.entry(declared.plugin.file.clone()).or_default();
            of.push(name.clone());
        }
        files
    }

    /// Swaps a connector; see [`Controls::swap`].
    pub(crate) async fn swap(
        &self,
        connector: &str,
        wanted: Wanted<'_>,
        options: SwapOptions,
    ) -> Result<SwapReport, NotTaken> {
        let declared = self.declared(connector);
        let declared = declared.ok_or_else(|| Refused::Unknown(connector.to_owned()))?;
        let made = self.granted(&declared, wanted, &options).await;
        let to = made.inspect_err(|_| {
            if !options.dry_run {
                self.controls.refused(connector);
            }
        })?;
        Ok(self.controls.swap(connector, to, options).await?)
    }

    /// Has a connector that does not run here begin with what its declaration says now, when it is to
    /// run. One that has FAILED gets another chance with it.
    pub(super) async fn begins_anew(&self, connector: &str) -> Result<(), NotTaken> {
        let declared = self.declared(connector);
        let declared = declared.ok_or_else(|| Refused::Unknown(connector.to_owned()))?;
        // Nothing runs that it could be compared with: it is looked at as at a start.
        let built = self.workshop.build(&self.file_name, &[&declared]).await;
        match built {
            Ok(_) => {}
            Err(wrong @ StartError::Findings(_)) => {
                return Err(Refused::Fails(wrong.to_string()).into());
            }
            Err(error) => {
                // Such as a lake that does not answer: the next look tries again.
                let (within, reason) = (Duration::ZERO, error.to_string());
                return Err(Refused::NotAtRest { within, reason }.into());
            }
        }
        let version = self.version(&declared, Wanted::default()).await?;
        Ok(self.begins_with(connector, version)?)
    }

    /// The same with a version that is known already.
    pub(super) fn begins_with(&self, connector: &str, version: Version) -> Result<(), Refused> {
        self.controls.begins_with(connector, version)?;
        let failed = self.pipelines.status(connector);
        let failed = failed.is_some_and(|it| matches!(it.report().state, State::Failed { .. }));
        if failed && self.pipelines.restart(connector).is_err() {
            // It was taken away meanwhile.
            return Err(Refused::Unknown(connector.to_owned()));
        }
        Ok(())
    }

    /// A version that does not reach where no grant goes.
    async fn granted(
        &self,
        declared: &Declared,
        wanted: Wanted<'_>,
        options: &SwapOptions,
    ) -> Result<Version, NotTaken> {
        let version = self.version(declared, wanted).await?;
        let reaches = self.reaches(declared, &version);
        if reaches.is_empty() {
            return Ok(version);
        }
        // What no grant would mend is said first.
        let rehearsal = SwapOptions {
            dry_run: true,
            ..options.clone()
        };
        let connector = declared.connector();
        self.controls.swap(connector, version, rehearsal).await?;
        Err(NotTaken::Reaches(reaches))
    }

    /// The URLs that a version's settings name, nothing grants, and the running version's do not
    /// name: it goes on with what it has, so they are nothing to hold against the next one.
    pub(super) fn reaches(&self, declared: &Declared, version: &Version) -> Vec<Named> {
        let settings = |version: &Version| -> Value {
            let read = serde_json::from_str(&version.plugged.settings);
            read.expect("settings are JSON that was written here")
        };
        let reaches = granted::ungranted(granted::grants(declared), &settings(version));
        match self.controls.version(declared.connector()) {
            Ok(Some(running)) => granted::beyond(reaches, &settings(&running)),
            // What has not run goes on with what it was declared with, as at a start.
            Ok(None) | Err(_) => match self.declared(declared.connector()) {
                Some(before) => granted::beyond(reaches, before.settings().value()),
                None => reaches,
            },
        }
    }

    /// Runs a version beside a connector; see [`Controls::shadow`].
    pub(crate) async fn shadow(
        &self,
        connector: &str,
        wanted: Wanted<'_>,
        options: ShadowOptions,
    ) -> Result<ShadowReport, NotTaken> {
        let declared = self.declared(connector);
        let declared = declared.ok_or_else(|| Refused::Unknown(connector.to_owned()))?;
        let to = self.version(&declared, wanted).await?;
        let reaches = self.reaches(&declared, &to);
        if !reaches.is_empty() {
            return Err(NotTaken::Reaches(reaches));
        }
        Ok(self.controls.shadow(connector, to, options).await?)
    }

    pub(super) async fn version(
        &self,
        declared: &Declared,
        wanted: Wanted<'_>,
    ) -> Result<Version, Refused> {
        let plugin = &declared.plugin;
        let (file, sha256) = match wanted.file {
            Some(file) => (file, wanted.sha256),
            None => (
                plugin.file.as_path(),
                wanted.sha256.or(plugin.sha256.as_deref()),
            ),
        };
        let component = self.load(file, sha256).await?;
        let limits = plugins::limits(plugin);
        let fails = |error: &dyn std::fmt::Display| Refused::Fails(format!("describe: {error}"));
        let description = component.describe(&limits).await.map_err(|e| fails(&e))?;
        let schema = &description.settings_schema;
        let settings = declared.settings();
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

    async fn load(&self, file: &Path, sha256: Option<&str>) -> Result<Plugin, Refused> {
        match self.workshop.engine().load(file, sha256).await {
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
