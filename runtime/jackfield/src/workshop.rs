//! Where connectors are built from what is declared of them. What is costly to make, and the same
//! for several, is kept: the engine, the network, the lakes.

use crate::check;
use crate::declared::{Declared, End};
use crate::lakes;
use crate::plugins::{self, Loaded};
use crate::start_error::StartError;
use crate::wiring::{self, Spec};
use jackfield_config::{Findings, LakeConfig};
use jackfield_pipeline::Plugged;
use jackfield_plugin::lake::Lake;
use jackfield_plugin::{Engine, Network};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Lakes that are open, by name, with what they were opened from.
type Lakes = BTreeMap<String, (LakeConfig, Arc<Lake>)>;

/// Builds connectors.
pub(crate) struct Workshop {
    engine: Engine,
    network: Network,
    lakes: Mutex<Lakes>,
}

impl Workshop {
    pub(crate) fn new(engine: Engine) -> Result<Self, StartError> {
        Ok(Self {
            engine,
            network: Network::new()?,
            lakes: Mutex::default(),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Builds them all, or none.
    ///
    /// # Errors
    /// All that is wrong about their plugins and settings, or the first other thing that is wrong.
    pub(crate) async fn build(
        &self,
        file: &str,
        all: &[&Declared],
    ) -> Result<Vec<Spec>, StartError> {
        let mut findings = Findings::new(file);
        let loaded = plugins::load(all, &self.engine, &mut findings).await;
        let mut plugged = Vec::with_capacity(all.len());
        for declared in all {
            // The others' settings are checked all the same: all that is wrong is told at once.
            let Some(loaded) = plugins::used(&loaded, declared) else {
                continue;
            };
            let checked = check::connector(declared, loaded, &mut findings).await?;
            plugged.extend(checked.map(|settings| self::plugged(loaded, &settings)));
        }
        if findings.has_errors() {
            return Err(StartError::Findings(findings));
        }
        let mut specs = Vec::with_capacity(all.len());
        for (declared, plugged) in all.iter().zip(plugged) {
            specs.push(self.wire(declared, plugged).await?);
        }
        Ok(specs)
    }

    async fn wire(&self, declared: &Declared, plugged: Plugged) -> Result<Spec, StartError> {
        let lake = match &declared.end {
            End::Source { .. } => None,
            End::Sink { config, lake } => match (&config.allow.lake, lake) {
                (Some(name), Some(lake)) => Some(self.lake(name, lake).await?),
                (Some(_) | None, _) => None,
            },
        };
        wiring::spec(declared, plugged, &self.network, lake)
    }

    /// A lake that is open stays so while it is declared the same.
    async fn lake(&self, name: &str, config: &LakeConfig) -> Result<Arc<Lake>, StartError> {
        let mut open = self.lakes.lock().await;
        if let Some((as_opened, lake)) = open.get(name)
            && as_opened == config
        {
            return Ok(Arc::clone(lake));
        }
        let lake = Lake::open(lakes::lake_config(name, config)).await;
        let lake = lake.map_err(|error| StartError::Lake {
            lake: name.to_owned(),
            reason: error.to_string(),
        })?;
        open.insert(name.to_owned(), (config.clone(), Arc::clone(&lake)));
        Ok(lake)
    }
}

fn plugged(loaded: &Loaded, settings: &serde_json::Value) -> Plugged {
    Plugged {
        plugin: loaded.plugin.clone(),
        limits: loaded.limits.clone(),
        settings: settings.to_string(),
    }
}
