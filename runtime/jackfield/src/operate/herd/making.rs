//! From a config to a connector that can run.

use super::Herd;
use super::catalogue::Known;
use super::objections::{invalid, log, not_built, unknown_plugin};
use crate::check;
use crate::declared::{self, Declared};
use crate::wiring::Spec;
use jackfield_admin::Objection;
use jackfield_config::{Config, Findings, PipelineConfig};
use jackfield_connect::{FlatConfig, KeyErrors, Wanted};
use std::sync::Arc;

/// A connector as a config asks for it, checked in every way.
pub(super) struct Checked {
    pub(super) declared: Declared,
    pub(super) pipeline: PipelineConfig,
}

impl Herd {
    /// Checks a config: against the file, the plugin's schema, and by the plugin itself.
    pub(super) async fn check(
        &self,
        connector: &str,
        flat: &FlatConfig,
        config: &Config,
    ) -> Result<Checked, Objection> {
        let class = flat.get("connector.class").map_or("", String::as_str);
        if class.is_empty() {
            let mut errors = KeyErrors::default();
            errors.push("connector.class", "the plugin's name is missing");
            return Err(invalid(&errors));
        }
        let known = match self.catalogue.get(&self.loader, config, class).await {
            Some(known) => known.map_err(|error| not_built(&error))?,
            None => {
                let mut errors = KeyErrors::default();
                let plugins: Vec<&str> = config.plugins.keys().map(String::as_str).collect();
                let there = plugins.join(", ");
                errors.push(
                    "connector.class",
                    format!("the file's `plugins` has: {there}"),
                );
                return Err(invalid(&errors));
            }
        };
        let wanted = self.read(connector, flat, config, class, &known)?;
        let wanted = wanted.map_err(|errors| invalid(&errors))?;
        let errors = self.by_component(&wanted, &known).await?;
        if !errors.is_empty() {
            return Err(invalid(&errors));
        }
        let mut pipeline = wanted.pipeline;
        self.topics_as_they_are(&mut pipeline).await?;
        let declared = declared::of(connector, &pipeline, config);
        let declared = declared.into_values().next();
        let declared = declared.ok_or_else(|| unknown_plugin(class))?;
        Ok(Checked { declared, pipeline })
    }

    /// What can be said of a config without asking the plugin.
    pub(super) fn read(
        &self,
        connector: &str,
        flat: &FlatConfig,
        config: &Config,
        class: &str,
        known: &Arc<Known>,
    ) -> Result<Result<Wanted, KeyErrors>, Objection> {
        let plugin = known
            .described(class)
            .ok_or_else(|| unknown_plugin(class))?;
        let made = self.made();
        let others: Vec<&PipelineConfig> = made
            .iter()
            .filter(|(name, _)| *name != connector)
            .filter_map(|(_, made)| made.pipeline.as_ref())
            .collect();
        Ok(Wanted::read(connector, flat, &plugin, config, &others))
    }

    /// What the plugin itself says of its settings.
    pub(super) async fn by_component(
        &self,
        wanted: &Wanted,
        known: &Known,
    ) -> Result<KeyErrors, Objection> {
        let mut findings = Findings::new(&wanted.connector);
        let class = "the plugin";
        check::by_component(
            class,
            wanted.given(),
            &wanted.settings,
            &known.loaded,
            &mut findings,
        )
        .await
        .map_err(|error| not_built(&error))?;
        Ok(wanted.errors_of(&findings.findings))
    }

    /// A topic that exists is read with the partitions that it has.
    async fn topics_as_they_are(&self, pipeline: &mut PipelineConfig) -> Result<(), Objection> {
        let sinks = pipeline.sinks.values_mut();
        for topic in sinks.flat_map(|sink| &mut sink.topics) {
            let found = self.log.describe_topic(&topic.name).await;
            let found = found.map_err(|error| log("the topics can't be looked up", &error))?;
            if let Some(there) = found {
                topic.partitions = there.partitions;
            }
        }
        Ok(())
    }

    /// Builds a connector that was checked.
    pub(super) async fn build(&self, declared: &Declared) -> Result<Spec, Objection> {
        let built = self.loader.build("the config", &[declared]).await;
        let spec = built.map_err(|error| not_built(&error))?.into_iter().next();
        Ok(spec.expect("one connector was asked for"))
    }
}
