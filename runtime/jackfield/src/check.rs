//! `jackfield check`: everything that can be known without running.

pub(crate) mod granted;

use crate::cli::CheckArgs;
use crate::declared::{self, Declared};
use crate::exit::Exit;
use crate::kafka;
use crate::plugins::{self, Loaded};
use crate::start_error::StartError;
use jackfield_config::{Config, Finding, Findings, LoadError, LogConfig, Settings};
use jackfield_plugin::{Severity, World};
use serde_json::Value;

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
    let all = declared::all(config);
    let connectors: Vec<&Declared> = all.values().collect();
    let mut findings = config.warnings.clone();
    let loaded = match plugins::load(&connectors, &engine).await {
        Ok(loaded) => loaded,
        Err(StartError::Findings(refused)) => {
            findings.extend(refused);
            findings.extend(log(config));
            return Ok(findings);
        }
        Err(error) => return Err(error),
    };
    for one in all.values() {
        connector(one, plugins::used(&loaded, one), &mut findings).await?;
    }
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

/// Checks whether a connector's component is of its end, and its settings: against the component's
/// schema, then by the component. Whole, with the defaults of the schema, unless something is found
/// wrong.
pub(crate) async fn connector(
    declared: &Declared,
    loaded: &Loaded,
    findings: &mut Findings,
) -> Result<Option<Value>, StartError> {
    let (plugin, settings) = (declared.plugin_name(), declared.settings());
    let found = loaded.plugin.world();
    if found != declared.world() {
        findings.push(wrong_world(declared, found));
        return Ok(None);
    }
    match settings.check(&loaded.description.settings_schema) {
        Ok(whole) => {
            by_component(plugin, settings, &whole, loaded, findings).await?;
            Ok(Some(whole))
        }
        // A component is only asked about settings that it can read.
        Err(refused) => {
            findings.extend(refused);
            Ok(None)
        }
    }
}

/// What a component says of settings that its schema takes.
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

/// A sink's component where a source is declared, or the other way round.
fn wrong_world(declared: &Declared, found: World) -> Finding {
    let (plugin, wanted) = (declared.plugin_name(), word(declared.world()));
    let found = word(found);
    declared.settings().plugin_error(
        &format!("plugin `{plugin}` is no {wanted}, it exports a {found}"),
        "name a plugin that fits, or move it to the other end",
    )
}

pub(crate) fn word(world: World) -> &'static str {
    match world {
        World::Source => "source",
        World::Sink => "sink",
        World::Transform => "transform",
    }
}
