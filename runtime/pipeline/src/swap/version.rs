//! A version of a connector: a component with its settings.

use crate::failures::Failed;
use crate::spec::Plugged;
use jackfield_plugin::{Description, Saved};
use serde::Serialize;

/// A component, its limits and settings, and what it says of itself.
#[derive(Clone)]
pub struct Version {
    /// The component and its settings.
    pub plugged: Plugged,
    /// What the component says of itself.
    pub description: Description,
}

/// What people call a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionName {
    /// The component's name.
    pub plugin: String,
    /// The component's own version.
    pub version: String,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
}

impl std::fmt::Display for VersionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = self.sha256.get(..12).unwrap_or(&self.sha256);
        write!(f, "{} {} ({digest})", self.plugin, self.version)
    }
}

impl Version {
    /// Asks the component what it is.
    ///
    /// # Errors
    /// It died, or its answer is malformed.
    pub async fn of(plugged: Plugged) -> Result<Self, Failed> {
        let description = plugged
            .plugin
            .describe(&plugged.limits)
            .await
            .map_err(|e| Failed::call("describe", e))?;
        Ok(Self {
            plugged,
            description,
        })
    }

    /// What people call it.
    pub fn name(&self) -> VersionName {
        VersionName {
            plugin: self.description.name.clone(),
            version: self.description.version.clone(),
            sha256: self.plugged.plugin.digest().to_owned(),
        }
    }

    /// What another version saved, unless this one does not read it: the two descriptions were
    /// compared, and what was saved need not be what the other one's says.
    pub(crate) fn reads(&self, saved: Saved) -> Option<Saved> {
        let own = &self.description;
        if (own.saved_version_min..=own.saved_version).contains(&saved.version) {
            return Some(saved);
        }
        tracing::warn!(
            version = %self.name(), saved = saved.version,
            "goes on without saved state: it does not read this version of it"
        );
        None
    }

    /// Whether the other is made of the same bytes and has the same settings.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }

    /// Tells it from every other version.
    pub(crate) fn fingerprint(&self) -> (&str, &str) {
        (self.plugged.plugin.digest(), &self.plugged.settings)
    }
}
