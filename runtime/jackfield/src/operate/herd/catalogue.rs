//! The plugins of the file, loaded when somebody asks for them.

use crate::operate::Loader;
use crate::plugins::{self, Loaded};
use crate::start_error::StartError;
use jackfield_config::{Config, End, PluginConfig};
use jackfield_connect::Described;
use jackfield_plugin::World;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Mutex;

/// A plugin, and the schema of its settings.
pub(super) struct Known {
    pub(super) loaded: Loaded,
    pub(super) schema: Value,
}

impl Known {
    /// As configs depend on it; none for a plugin that is no connector.
    pub(super) fn described<'a>(&'a self, name: &'a str) -> Option<Described<'a>> {
        let end = match self.loaded.plugin.world() {
            World::Source => End::Source,
            World::Sink => End::Sink,
            World::Transform => return None,
        };
        Some(Described {
            name,
            end,
            version: &self.loaded.description.version,
            schema: &self.schema,
        })
    }
}

/// What a plugin was loaded from: its declaration, and when its file was written.
type From = (PluginConfig, Option<SystemTime>);

/// Plugins that were asked for.
#[derive(Default)]
pub(super) struct Catalogue {
    known: Mutex<BTreeMap<String, (From, Arc<Known>)>>,
}

impl Catalogue {
    /// The plugin of this name; none if the file declares none.
    pub(super) async fn get(
        &self,
        loader: &Loader,
        config: &Config,
        name: &str,
    ) -> Option<Result<Arc<Known>, StartError>> {
        let declared = config.plugins.get(name)?;
        let written = fs::metadata(&declared.file).and_then(|it| it.modified());
        let from = (declared.clone(), written.ok());
        // Held while it is loaded: several who ask for one compile it once.
        let mut known = self.known.lock().await;
        if let Some((as_loaded, known)) = known.get(name)
            && *as_loaded == from
        {
            return Some(Ok(Arc::clone(known)));
        }
        let loaded = match plugins::load_one(name, declared, loader.engine()).await {
            Ok(loaded) => loaded,
            Err(error) => return Some(Err(error)),
        };
        // A schema that can't be read is found when settings are checked against it.
        let schema = serde_json::from_str(&loaded.description.settings_schema);
        let one = Arc::new(Known {
            schema: schema.unwrap_or(Value::Null),
            loaded,
        });
        known.insert(name.to_owned(), (from, Arc::clone(&one)));
        Some(Ok(one))
    }
}
