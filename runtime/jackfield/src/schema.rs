//! `jackfield schema`.

use crate::cli::SchemaArgs;
use crate::exit::Exit;
use crate::plugins;
use crate::start_error::StartError;
use jackfield_config::{Config, End, PluginSchema, whole_file};
use jackfield_plugin::World;

/// Prints one JSON Schema for the whole file.
pub(crate) async fn print(args: SchemaArgs) -> Result<Exit, StartError> {
    let mut described: Vec<(String, End, serde_json::Value)> = Vec::new();
    if let Some(file) = &args.file {
        let config = Config::load(file)?;
        let engine = plugins::engine(&config.state_dir)?;
        for (name, plugin) in &config.plugins {
            let loaded = plugins::load_one(name, plugin, &engine).await?;
            let end = match loaded.plugin.world() {
                World::Source => End::Source,
                World::Sink => End::Sink,
                World::Transform => continue,
            };
            // What a component describes was checked to be JSON when it was loaded.
            let schema =
                serde_json::from_str(&loaded.description.settings_schema).unwrap_or_default();
            described.push((name.clone(), end, schema));
        }
    }
    let plugins: Vec<PluginSchema<'_>> = described
        .iter()
        .map(|(name, end, schema)| PluginSchema {
            name,
            end: *end,
            schema,
        })
        .collect();
    println!("{:#}", whole_file(&plugins));
    Ok(Exit::Clean)
}
