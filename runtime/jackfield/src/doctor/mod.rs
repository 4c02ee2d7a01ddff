//! `jackfield doctor`: looks at each thing that a pipeline needs, and says which service is not
//! running and what to do. Needs no running jackfield, and changes nothing unless told to write.
//!
//! | module | what lives there |
//! |---|---|
//! | `verdict` | a line, the report of all of them, how it is told |
//! | `bounded` | all looks at once, none for ever |
//! | `reach`, `folder`, `holder` | what several looks need: is anyone there, can it be written, who has it |
//! | `process` | whether jackfield runs |
//! | `plugins` | components, settings, grants |
//! | `embedded`, `kafka`, `registry`, `endpoints`, `lakes`, `stores` | the services |
//! | `clock` | this machine's clock beside theirs |

mod bounded;
mod clock;
mod embedded;
mod endpoints;
mod folder;
mod holder;
mod kafka;
mod lakes;
mod plugins;
mod process;
mod reach;
mod registry;
mod stores;
mod verdict;

use crate::cli::DoctorArgs;
use crate::exit::Exit;
use crate::start_error::StartError;
use bounded::Check;
use futures::FutureExt;
use futures::future::BoxFuture;
use jackfield_config::{Config, LoadError, LogConfig, Severity};
use jackfield_plugin::{Engine, Network};
use std::path::Path;
use std::time::Duration;
use verdict::{Area, Line, Report};

/// Components that were never compiled are: seconds for each, many on a busy machine.
const COMPILE_WITHIN: Duration = Duration::from_secs(120);

pub(crate) async fn doctor(args: DoctorArgs) -> Result<Exit, StartError> {
    let file = args.file.display().to_string();
    let (lines, broken) = match Config::load(&args.file) {
        Ok(config) => (with(config, &file, &args).await?, false),
        Err(error) => (refused(&file, error), true),
    };
    let report = Report::of(file, lines);
    if args.json {
        println!("{:#}", serde_json::json!(report));
    } else {
        println!("{}", report.text());
    }
    Ok(match (report.ok, broken) {
        (true, _) => Exit::Clean,
        (false, true) => Exit::Invalid,
        (false, false) => Exit::Failed,
    })
}

/// A file that can't be used: there is nothing else to look at.
fn refused(file: &str, error: LoadError) -> Vec<Line> {
    match error {
        LoadError::Unreadable { error, .. } => {
            let remedy = "name the file: jackfield doctor FILE";
            vec![Line::fail(Area::File, file, error.to_string(), remedy)]
        }
        LoadError::Refused(findings) => {
            let lines = findings.findings.iter();
            lines
                .map(|it| plugins::finding(Area::File, file, it))
                .collect()
        }
    }
}

async fn with(config: Config, file: &str, args: &DoctorArgs) -> Result<Vec<Line>, StartError> {
    // Dropped at the end: what was compiled into it is of no use to anyone.
    let scratch = tempfile::tempdir().map_err(StartError::Scratch)?;
    let (engine, refused) = engine(&config.state_dir, scratch.path())?;
    let network = Network::new()?;
    let checks = checks(&config, file, args, &engine, &network);
    let mut lines = read(&config, file);
    lines.extend(refused);
    lines.extend(bounded::all(checks).await);
    let ahead = lines.iter().filter_map(|line| line.ahead_ms).collect();
    lines.push(clock::judge(ahead));
    Ok(lines)
}

/// One with the cache of components that `run` uses, if there is one that this user may use; and a
/// line where it is refused. That root may write to a folder does not make it root's own.
fn engine(state_dir: &Path, scratch: &Path) -> Result<(Engine, Option<Line>), StartError> {
    let cache = state_dir.join(crate::plugins::CACHE);
    let name = cache.display().to_string();
    let refused = match rustix::fs::access(&cache, rustix::fs::Access::WRITE_OK) {
        Ok(()) => match crate::plugins::engine_in(cache) {
            Ok(engine) => return Ok((engine, None)),
            Err(error) => Some(Line::warn(
                Area::Jackfield,
                name,
                format!("compiled components are not looked for there: {error}"),
                "run this as the user that jackfield runs as, who must be able to use that folder",
            )),
        },
        // It is not there yet, or what the look at the state folder tells.
        Err(_) => None,
    };
    Ok((crate::plugins::engine_in(scratch.to_owned())?, refused))
}

/// What was found in the file as it was read.
fn read(config: &Config, file: &str) -> Vec<Line> {
    let warnings = config.warnings.findings.iter();
    let warnings = warnings.filter(|it| it.severity == Severity::Warning);
    let mut lines: Vec<Line> = warnings
        .map(|it| plugins::finding(Area::File, file, it))
        .collect();
    let pipelines = config.pipelines.len();
    let connectors = config.connectors().count();
    let message = format!("is right: {pipelines} pipelines, {connectors} connectors");
    lines.insert(0, Line::ok(Area::File, file, message));
    lines
}

/// Everything there is to look at. Nothing is asked yet.
fn checks(
    config: &Config,
    file: &str,
    args: &DoctorArgs,
    engine: &Engine,
    network: &Network,
) -> Vec<Check> {
    let mut checks = Checks {
        within: args.timeout,
        all: Vec::new(),
    };
    let (owned, name) = (config.clone(), file.to_owned());
    checks.add(
        Area::Jackfield,
        config.admin.listen.to_string(),
        "something listens there and does not answer: stop it, or set another `admin.listen`",
        async move { process::look(&owned, &name).await }.boxed(),
    );
    let state = config.state_dir.clone();
    checks.add_blocking(Area::Jackfield, &config.state_dir, move || {
        vec![state_folder(&state)]
    });
    for plugin in config.plugins.keys() {
        let (engine, network) = (engine.clone(), network.clone());
        let look = plugins::look(config.clone(), plugin.clone(), engine, network);
        checks.all.push(Check {
            area: Area::Plugins,
            name: plugin.clone(),
            within: COMPILE_WITHIN.max(args.timeout),
            late: "compile it first: jackfield plugin compile".to_owned(),
            look: look.boxed(),
        });
    }
    checks.log(config);
    for endpoint in endpoints::of(config) {
        let name = reach::shown(&endpoint.url);
        let late = format!(
            "is that machine up, and does a firewall lie between? `{}` names it",
            endpoint.key
        );
        let look = endpoints::look(endpoint, network.clone());
        checks.add(Area::Endpoints, name, &late, look.boxed());
    }
    for (name, lake) in &config.lakes {
        let lake = || lakes::Lake {
            name: name.clone(),
            config: lake.clone(),
            write: args.write,
        };
        let late = "is it up, and does a firewall lie between?";
        checks.add(Area::Catalogs, name.clone(), late, lake().catalog().boxed());
        checks.add(Area::Stores, name.clone(), late, lake().store().boxed());
    }
    checks.all
}

fn state_folder(path: &Path) -> Line {
    folder::Folder {
        area: Area::Jackfield,
        what: "the state folder",
        path,
        key: "state",
        reserve_bytes: 0,
    }
    .look()
}

struct Checks {
    within: Duration,
    all: Vec<Check>,
}

impl Checks {
    fn add(&mut self, area: Area, name: String, late: &str, look: BoxFuture<'static, Vec<Line>>) {
        self.all.push(Check {
            area,
            name,
            within: self.within,
            late: late.to_owned(),
            look,
        });
    }

    /// A look at a disk, which may be one that hangs.
    fn add_blocking(
        &mut self,
        area: Area,
        path: &Path,
        look: impl FnOnce() -> Vec<Line> + Send + 'static,
    ) {
        let name = path.display().to_string();
        let look = async move {
            let looked = tokio::task::spawn_blocking(look).await;
            looked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
        };
        let late = "is it on a disk or a network that hangs?";
        self.add(area, name, late, look.boxed());
    }

    fn log(&mut self, config: &Config) {
        match &config.log {
            LogConfig::Embedded(embedded) => {
                let dir = embedded.dir.clone();
                self.add_blocking(Area::Log, &embedded.dir, move || embedded::look(&dir));
            }
            LogConfig::Kafka(kafka) => {
                let look = kafka::look(config.clone(), (**kafka).clone(), self.within);
                let name = kafka.bootstrap_servers.clone();
                let late = "the brokers take connections and do not answer: look at their logs";
                self.add(Area::Log, name, late, look.boxed());
                if let Some(registry) = &kafka.registry {
                    let look = registry::look(registry.clone());
                    let late = "it takes connections and does not answer: look at its log";
                    let name = "the schema registry".to_owned();
                    self.add(Area::Registry, name, late, look.boxed());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Whoever runs it: a folder that others may write to is refused to root too.
    #[test]
    fn a_cache_that_is_refused_is_told_and_another_one_is_used() {
        let (state, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_, refused) = engine(state.path(), scratch.path()).unwrap();
        assert!(refused.is_none(), "there is none yet");
        let cache = state.path().join(crate::plugins::CACHE);
        std::fs::create_dir(&cache).unwrap();
        std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
        let (_, refused) = engine(state.path(), scratch.path()).unwrap();
        let message = refused.unwrap().message;
        assert!(message.contains("others may write to it"), "{message}");
    }
}
