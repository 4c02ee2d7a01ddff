//! The names of all targets that a connector ever committed to, kept in the log, so that
//! `stored` can be asked for all of them after a restart.

use crate::failures::Failed;
use crate::host::Host;
use jackfield_log::Keyed;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Targets of a connector. All their names are one record of the log, and each is asked for its
/// positions after a restart.
const TARGETS_MAX: usize = 10_000;

pub(crate) struct KnownTargets {
    keyed: Arc<dyn Keyed>,
    connector: String,
    names: BTreeSet<String>,
}

impl KnownTargets {
    pub(crate) async fn load(host: &Host, connector: &str) -> Result<Self, Failed> {
        // Connector → JSON list of targets.
        let topic = format!("{}-targets", host.cluster);
        let keyed = host
            .log
            .keyed(&topic)
            .await
            .map_err(|e| Failed::log("read targets", e))?;
        let names = match keyed
            .get(connector)
            .await
            .map_err(|e| Failed::log("read targets", e))?
        {
            Some(json) => serde_json::from_str(&json).map_err(|e| {
                Failed::for_good(
                    "read targets",
                    format!("the entry of {connector} in {topic} is not a list: {e}"),
                )
            })?,
            None => BTreeSet::new(),
        };
        Ok(Self {
            keyed,
            connector: connector.to_owned(),
            names,
        })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    /// Remembers `targets` durably; to be called before the first commit to any of them.
    ///
    /// # Errors
    /// There are too many, which only a component can cause that names them by what it reads; or
    /// the log fails.
    pub(crate) async fn remember(
        &mut self,
        targets: impl Iterator<Item = &str>,
    ) -> Result<(), Failed> {
        let mut names = self.names.clone();
        names.extend(targets.map(str::to_owned));
        if names == self.names {
            return Ok(());
        }
        if names.len() > TARGETS_MAX {
            return Err(Failed::for_good(
                "remember targets",
                format!("the component commits to more than {TARGETS_MAX} targets"),
            ));
        }
        let json = serde_json::json!(names).to_string();
        self.keyed
            .put(&self.connector, Some(&json))
            .await
            .map_err(|e| Failed::log("remember targets", e))?;
        self.names = names;
        Ok(())
    }
}
