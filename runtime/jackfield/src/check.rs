//! `jackfield check`: everything that can be known without running.

use crate::cli::CheckArgs;
use crate::exit::Exit;
use crate::kafka;
use crate::plugins::{self, Loaded};
use crate::start_error::StartError;
use jackfield_config::{Config, End, Findings, LoadError, LogConfig, Settings};
use jackfield_plugin::{Severity, World};
use serde_json::Value;
use std::collections::BTreeMap;

/// Each connector's settings, checked and with the defaults of its component's schema.
pub(crate) type Checked = BTreeMap<String, Value>;

pub(crate) async fn check(args: CheckArgs) -> Result<Exit, StartError> {
    let findings = match Config::load(&args.file) {
        Ok(config) => of(&config).await?,
        Err(LoadError::Refused(findings)) => findings,
        Err(error @ LoadError::Unreadable { .. }) => return Err(error.into()),
    };
    if args.json {
        println!("{}", serde_json::json!(findings));
    } else {
        println!("{findings}");
    }
    Ok(if findings.has_errors() {
        Exit::Invalid
    } else {
        Exit::Clean
    })
}

async fn of(config: &Config) -> Result<Findings, StartError> {
    let engine = plugins::engine(&config.state_dir)?;
    let loaded = plugins::load(config, &engine).await?;
    let mut findings = config.warnings.clone();
    let (found, _) = settings(config, &loaded).await?;
    findings.extend(found);
    findings.extend(log(config));
    Ok(findings)
}

/// What is wrong about the log's settings that the file alone does not tell. Nothing is asked of
/// any broker.
pub(crate) fn log(config: &Config) -> Findings {
    let mut findings = Findings::new(config.warnings.file.clone());
    if let LogConfig::Kafka(kafka) = &config.log {
        kafka::mistakes(kafka)
            .into_iter()
            .for_each(|it| findings.push(it));
    }
    findings
}

/// Checks each connector's settings: against its component's schema, then by the component. The
/// checked settings are whole only where nothing is wrong.
pub(crate) async fn settings(
    config: &Config,
    plugins: &BTreeMap<String, Loaded>,
) -> Result<(Findings, Checked), StartError> {
    let mut findings = Findings::new(config.warnings.file.clone());
    let mut checked = Checked::new();
    for pipeline in config.pipelines.values() {
        let source = pipeline
            .source
            .iter()
            .map(|s| (&s.connector, &s.plugin, &s.settings, End::Source));
        let sinks = pipeline
            .sinks
            .values()
            .map(|s| (&s.connector, &s.plugin, &s.settings, End::Sink));
        for (connector, plugin, settings, end) in source.chain(sinks) {
            let loaded = plugins::used(plugins, plugin);
            check_world(plugin, end, loaded.plugin.world())?;
            match settings.check(&loaded.description.settings_schema) {
                Ok(whole) => {
                    by_component(plugin, settings, &whole, loaded, &mut findings).await?;
                    checked.insert(connector.clone(), whole);
                }
                // A component is only asked about settings that it can read.
                Err(refused) => findings.extend(refused),
            }
        }
    }
    Ok((findings, checked))
}

pub(crate) async fn by_component(
    plugin: &str,
    settings: &Settings,
    whole: &Value,
    loaded: &Loaded,
    findings: &mut Findings,
) -> Result<(), StartError> {
    let found = loaded
        .plugin
        .check(&whole.to_string(), &loaded.limits)
        .await
        .map_err(|error| StartError::Describe {
            plugin: plugin.to_owned(),
            error,
        })?;
    for finding in found {
        let severity = match finding.severity {
            Severity::Error => jackfield_config::Severity::Error,
            Severity::Warning => jackfield_config::Severity::Warning,
        };
        findings.push(settings.finding(severity, &finding.path, &finding.message, &finding.mend));
    }
    Ok(())
}

pub(crate) fn check_world(plugin: &str, end: End, world: World) -> Result<(), StartError> {
    let wanted = match end {
        End::Source => World::Source,
        End::Sink => World::Sink,
    };
    if world == wanted {
        return Ok(());
    }
    Err(StartError::WrongEnd {
        plugin: plugin.to_owned(),
        wanted: word(wanted),
        found: word(world),
    })
}

pub(crate) fn word(world: World) -> &'static str {
    match world {
        World::Source => "source",
        World::Sink => "sink",
        World::Transform => "transform",
    }
}
