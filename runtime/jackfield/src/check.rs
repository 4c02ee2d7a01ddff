//! `jackfield check`: everything that can be known without running.

pub(crate) mod granted;

use crate::cli::CheckArgs;
use crate::declared::{self, Declared};
use crate::exit::Exit;
use crate::kafka;
use crate::plugins::{self, Loaded};
use crate::start_error::StartError;
use granted::Named;
use jackfield_config::{Config, Finding, Findings, LoadError, LogConfig, Settings};
use jackfield_plugin::{Severity, World};
use serde_json::Value;

/// What a URL that is not granted costs besides: a start takes such settings, a swap does not.
const NOT_SWAPPED_TO: &str = "what runs is not swapped to settings that name a new one";

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
    let loaded = plugins::load(&connectors, &engine, &mut findings).await;
    let mut reaches = Vec::new();
    for one in connectors {
        let whole = match plugins::used(&loaded, one) {
            Some(loaded) => connector(one, loaded, &mut findings).await?,
            None => None,
        };
        reaches.extend(ungranted(one, whole.as_ref()));
    }
    findings.extend(log(config));
    // Behind what is wrong: only so many findings are kept, and these refuse no file.
    reaches.into_iter().for_each(|it| findings.push(it));
    Ok(findings)
}

/// A warning for each URL in a connector's settings that nothing grants. `whole` has the defaults
/// too, where they are known.
fn ungranted(declared: &Declared, whole: Option<&Value>) -> Vec<Finding> {
    let settings = declared.settings();
    let named = granted::ungranted(
        granted::grants(declared),
        whole.unwrap_or_else(|| settings.value()),
    );
    let warning = |it: &Named| {
        let mend = format!("add it to `allow.{}`: {NOT_SWAPPED_TO}", it.key());
        Finding {
            severity: jackfield_config::Severity::Warning,
            ..settings.error_at(&it.steps(), &it.why(), &mend)
        }
    };
    named.iter().map(warning).collect()
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
