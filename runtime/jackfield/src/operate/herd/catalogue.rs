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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::OnceCell;

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

/// Several who ask for one wait here while it is loaded once; a failure is tried again by the next.
type Cell = Arc<OnceCell<Arc<Known>>>;

/// Plugins that were asked for. Loading one may compile it and asks it for its description: whoever
/// asks for another does not wait for that.
#[derive(Default)]
pub(super) struct Catalogue {
    cells: Mutex<BTreeMap<String, (From, Cell)>>,
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
        let cell = self.cell(name, declared);
        let loaded = cell.get_or_try_init(|| load(loader, name, declared)).await;
        Some(loaded.map(Arc::clone))
    }

    /// Where the plugin is, or is going to be, as it is declared now.
    fn cell(&self, name: &str, declared: &PluginConfig) -> Cell {
        let written = fs::metadata(&declared.file).and_then(|it| it.modified());
        let from = (declared.clone(), written.ok());
        // Every change leaves the map consistent, also in a panic.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((as_loaded, cell)) = cells.get(name)
            && *as_loaded == from
        {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        cells.insert(name.to_owned(), (from, Arc::clone(&cell)));
        cell
    }
}

async fn load(
    loader: &Loader,
    name: &str,
    declared: &PluginConfig,
) -> Result<Arc<Known>, StartError> {
    let loaded = plugins::load_one(name, declared, loader.engine()).await?;
    // A schema that can't be read is found when settings are checked against it.
    let schema = serde_json::from_str(&loaded.description.settings_schema);
    Ok(Arc::new(Known {
        schema: schema.unwrap_or(Value::Null),
        loaded,
    }))
}
