//! Connectors that no file declares, beside those of the file.

use super::Loader;
use crate::declared::{Declared, Way};
use crate::start_error::StartError;
use crate::wiring::Spec;
use jackfield_config::Config;
use jackfield_pipeline::{Exit, Pipelines, Target, Unchanged};
use jackfield_plugin::Engine;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

impl Loader {
    pub(crate) fn engine(&self) -> &Engine {
        self.workshop.engine()
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// The file as it runs.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file was applied.
    pub(super) fn show(&self, config: &Config) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = Arc::new(config.clone());
    }

    pub(super) fn made(&self) -> MutexGuard<'_, BTreeMap<String, Declared>> {
        // Every change leaves the map consistent, also in a panic.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file declares a connector of this name.
    pub(crate) fn is_declared(&self, connector: &str) -> bool {
        self.applied().contains_key(connector)
    }

    /// Names of the file's connectors.
    pub(crate) fn declared_names(&self) -> Vec<String> {
        self.applied().keys().cloned().collect()
    }

    /// What runs under this name, whoever declared it.
    pub(crate) fn declared(&self, connector: &str) -> Option<Declared> {
        let of_file = self.applied().get(connector).cloned();
        of_file.or_else(|| self.made().get(connector).cloned())
    }

    /// The way from what was made under this name to `to`.
    pub(crate) fn way(&self, connector: &str, to: &Declared) -> Way {
        self.made()
            .get(connector)
            .map_or(Way::Replace, |made| made.way(to))
    }

    /// Builds connectors; `from` says where they are declared.
    pub(crate) async fn build(
        &self,
        from: &str,
        declared: &[&Declared],
    ) -> Result<Vec<Spec>, StartError> {
        self.workshop.build(from, declared).await
    }

    /// Starts a connector that no file declares.
    pub(crate) fn add_made(
        &self,
        declared: Declared,
        spec: Spec,
        target: Target,
    ) -> Result<(), Unchanged> {
        let name = declared.connector().to_owned();
        self.add(spec, target)?;
        self.made().insert(name, declared);
        Ok(())
    }

    /// Ends a connector that no file declares, if it runs.
    pub(crate) async fn remove_made(&self, connector: &str) {
        if self.made().remove(connector).is_none() {
            return;
        }
        self.end(connector).await;
    }

    /// Ends what runs under this name.
    pub(super) async fn end(&self, connector: &str) {
        let removal = self.pipelines.remove(connector, self.grace);
        self.removals.see(connector, removal).await;
    }

    /// The process is about to end: what is being taken away ends with it.
    pub(crate) fn process_ends(&self) {
        self.removals.process_ends();
    }

    /// How those connectors ended that were being taken away when the process was told to end.
    pub(crate) fn ended_with_process(&self) -> BTreeMap<String, Exit> {
        self.removals.exits()
    }
}
