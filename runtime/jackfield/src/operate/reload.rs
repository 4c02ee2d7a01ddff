//! The file, read again while it runs: only what has changed in it changes.

use super::not_taken::{self as words, NotTaken};
use super::operator::PROBATION;
use super::{Loader, Wanted};
use crate::check;
use crate::declared::{self, Declared, Way};
use crate::kafka;
use crate::start_error::StartError;
use crate::wiring::Spec;
use futures::future::join_all;
use jackfield_config::{Config, Findings};
use jackfield_pipeline::{Refused, SwapOptions, Target, Unchanged, Version};
use jackfield_plugin::World;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// For a version that would not take over: what runs goes on.
const MEND: &str = "mend what the message says of it, or go back to what runs";

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReloaded {
    #[error("{0}")]
    Invalid(#[from] StartError),
    #[error("a change of `{}` needs a restart of the process", .0.join("` and `"))]
    NeedsRestart(Vec<&'static str>),
    /// To be tried again.
    #[error("{connector}: {refused}")]
    NotNow { connector: String, refused: Refused },
}

/// What a reading of the file changed; connectors by name.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) removed: Vec<String>,
    pub(crate) replaced: Vec<String>,
    pub(crate) swapped: Vec<String>,
    /// Do not run here, and begin with what changed when they are to run.
    pub(crate) later: Vec<String>,
    pub(crate) added: Vec<String>,
    /// To be tried again: they go on as they were.
    pub(crate) not_now: Vec<String>,
}

impl Changes {
    pub(super) fn any(&self) -> bool {
        let all = [
            &self.removed,
            &self.replaced,
            &self.swapped,
            &self.later,
            &self.added,
        ];
        all.into_iter().any(|names| !names.is_empty())
    }
}

/// What is to be done, all of it checked.
#[derive(Default)]
struct Plan {
    gone: Vec<String>,
    swaps: Vec<(String, Version)>,
    /// They do not run here.
    later: Vec<(String, Version)>,
    /// To end and begin anew.
    replace: Vec<String>,
    add: Vec<String>,
    /// Declared otherwise, and the same runs.
    same: Vec<String>,
}

/// What became of a version that was shown to a connector.
enum Rehearsed {
    /// It can take over.
    Swaps(Version),
    /// The connector does not run here, and has nothing to compare with.
    Later(Version),
}

impl Loader {
    /// Reads the file again and makes what runs as it says. Connectors whose declaration is the
    /// same never notice; where only the component or the settings differ it is a swap.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(crate) async fn reload(&self, path: &Path) -> Result<Changes, NotReloaded> {
        let mut running = self.file.lock().await;
        let config = Config::load(path).map_err(StartError::from)?;
        let findings = check::log(&config);
        if findings.has_errors() {
            return Err(StartError::Findings(findings).into());
        }
        let fixed = fixed(&running, &config);
        if !fixed.is_empty() {
            return Err(NotReloaded::NeedsRestart(fixed));
        }
        let new = declared::all(&config);
        let (plan, mut specs) = self.plan(&config, &new).await?;
        let changes = self.apply(plan, &new, &mut specs).await;
        for warning in &config.warnings.findings {
            tracing::warn!(path = %warning.path, message = %warning.message, "configuration");
        }
        self.show(&config);
        *running = config;
        if changes.any() {
            tracing::info!(
                removed = ?changes.removed, replaced = ?changes.replaced, swapped = ?changes.swapped,
                later = ?changes.later, added = ?changes.added, "the changed file is applied"
            );
        }
        Ok(changes)
    }

    async fn plan(
        &self,
        config: &Config,
        new: &BTreeMap<String, Declared>,
    ) -> Result<(Plan, BTreeMap<String, Spec>), NotReloaded> {
        let old = self.applied().clone();
        let gone = old.keys().filter(|it| !new.contains_key(*it));
        let mut plan = Plan {
            gone: gone.cloned().collect(),
            ..Plan::default()
        };
        let mut swaps = Vec::new();
        for (name, declared) in new {
            match old.get(name).map(|before| before.way(declared)) {
                None => plan.add.push(name.clone()),
                Some(Way::Replace) => plan.replace.push(name.clone()),
                Some(Way::Swap) => swaps.push(name.clone()),
                Some(Way::None) => {}
            }
        }
        // Everything is built before anything is touched.
        let to_build: Vec<&String> = [&plan.add, &plan.replace, &swaps]
            .into_iter()
            .flatten()
            .collect();
        let declared: Vec<&Declared> = to_build.iter().map(|name| &new[*name]).collect();
        let file = &config.warnings.file;
        let built = self.workshop.build(file, &declared).await?;
        let specs = to_build.into_iter().cloned().zip(built).collect();
        let mut findings = Findings::new(file);
        let mut not_now = None;
        for name in swaps {
            let declared = &new[&name];
            match self.rehearse(&name, declared).await {
                Ok(Rehearsed::Swaps(version)) => plan.swaps.push((name, version)),
                Ok(Rehearsed::Later(version)) => plan.later.push((name, version)),
                Err(NotTaken::Refused(Refused::Same)) => plan.same.push(name),
                Err(NotTaken::Refused(Refused::Unknown(_))) => plan.replace.push(name),
                Err(NotTaken::Refused(refused)) if refused.passes() => {
                    not_now.get_or_insert(NotReloaded::NotNow {
                        connector: name,
                        refused,
                    });
                }
                Err(NotTaken::Refused(refused)) => {
                    let why = format!("{name}: {refused}");
                    findings.push(declared.settings().plugin_error(&why, MEND));
                }
                Err(NotTaken::Reaches(all)) => {
                    for named in all {
                        let why = format!("{name}: {}", words::reaches(&named));
                        let settings = declared.settings();
                        findings.push(settings.error_at(&named.steps(), &why, MEND));
                    }
                }
            }
        }
        // Waiting would not mend these.
        if findings.has_errors() {
            return Err(StartError::Findings(findings).into());
        }
        match not_now {
            Some(not_now) => Err(not_now),
            None => Ok((plan, specs)),
        }
    }

    /// What a swap would say.
    async fn rehearse(&self, name: &str, declared: &Declared) -> Result<Rehearsed, NotTaken> {
        let version = self.version(declared, Wanted::default()).await?;
        let options = options(true);
        let rehearsed = match self.controls().swap(name, version.clone(), options).await {
            Ok(_) => Rehearsed::Swaps,
            Err(Refused::NotRunning(_)) => Rehearsed::Later,
            Err(refused) => return Err(refused.into()),
        };
        let reaches = self.reaches(declared, &version);
        if reaches.is_empty() {
            return Ok(rehearsed(version));
        }
        Err(NotTaken::Reaches(reaches))
    }

    async fn apply(
        &self,
        mut plan: Plan,
        new: &BTreeMap<String, Declared>,
        specs: &mut BTreeMap<String, Spec>,
    ) -> Changes {
        let mut changes = Changes::default();
        for name in plan.same {
            self.is_now(&name, new);
        }
        for (name, version) in plan.swaps {
            let again = version.clone();
            match self.controls().swap(&name, version, options(false)).await {
                Ok(_) => {
                    self.is_now(&name, new);
                    changes.swapped.push(name);
                }
                // Another worker has taken it over meanwhile, or it has ended.
                Err(Refused::NotRunning(_)) => plan.later.push((name, again)),
                Err(refused) => not_taken(name, &refused, &mut changes),
            }
        }
        for (name, version) in plan.later {
            match self.begins_with(&name, version) {
                Ok(()) => {
                    self.is_now(&name, new);
                    changes.later.push(name);
                }
                Err(Refused::Same) => self.is_now(&name, new),
                Err(refused) => not_taken(name, &refused, &mut changes),
            }
        }
        let targets: BTreeMap<String, Target> = plan
            .replace
            .iter()
            .map(|name| {
                let target = self.pipelines.target(name).unwrap_or(Target::Running);
                (name.clone(), target)
            })
            .collect();
        let ending = [&plan.gone[..], &plan.replace[..]].concat();
        self.remove(ending).await;
        let target = |name: &String| targets.get(name).copied().unwrap_or(Target::Running);
        let begin: Vec<&String> = [&plan.replace, &plan.add].into_iter().flatten().collect();
        // Sinks first, so that the first record finds its reader.
        for world in [World::Sink, World::Source] {
            for name in &begin {
                if new[*name].world() != world {
                    continue;
                }
                let Some(spec) = specs.remove(*name) else {
                    continue;
                };
                match self.add(spec, target(name)) {
                    Ok(()) => self.is_now(name, new),
                    Err(unchanged) => {
                        tracing::error!(connector = %name, %unchanged, "is not started");
                    }
                }
            }
        }
        changes.removed = plan.gone;
        changes.replaced = plan.replace;
        changes.added = plan.add;
        changes
    }

    /// Starts a connector.
    pub(crate) fn add(&self, spec: Spec, target: Target) -> Result<(), Unchanged> {
        match spec {
            Spec::Source(spec) => self.pipelines.add_source(spec, target),
            Spec::Sink(spec) => self.pipelines.add_sink(spec, target),
        }
    }

    /// Ends connectors: sources first, so that their sinks can still take what they took last.
    async fn remove(&self, names: Vec<String>) {
        let _until_they_have_ended = Removing::begin(&self.removing);
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        {
            let mut applied = self.applied();
            for name in names {
                let world = applied.remove(&name).map(|it| it.world());
                let of = match world {
                    Some(World::Source) => &mut sources,
                    Some(World::Sink | World::Transform) | None => &mut sinks,
                };
                of.push(name);
            }
        }
        for together in [sources, sinks] {
            let ending = together.into_iter();
            join_all(ending.map(|name| async move { self.end(&name).await })).await;
        }
    }

    /// Whether the changed file is taking connectors away. Each may drain for its whole grace time,
    /// and how it ends decides how the process does.
    pub(super) fn is_removing(&self) -> bool {
        self.removing.load(Ordering::Acquire)
    }

    fn is_now(&self, name: &str, new: &BTreeMap<String, Declared>) {
        if let Some(declared) = new.get(name) {
            self.applied().insert(name.to_owned(), declared.clone());
        }
    }
}

/// Connectors are being taken away, until this is dropped. The file is applied by one at a time.
struct Removing<'a>(&'a AtomicBool);

impl<'a> Removing<'a> {
    fn begin(removing: &'a AtomicBool) -> Self {
        removing.store(true, Ordering::Release);
        Self(removing)
    }
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// It goes on as it was.
fn not_taken(name: String, refused: &Refused, changes: &mut Changes) {
    if refused.passes() {
        tracing::info!(connector = %name, %refused, "the changed file has to wait");
        changes.not_now.push(name);
    } else {
        tracing::error!(connector = %name, %refused, "does not take what the file says");
    }
}

fn options(dry_run: bool) -> SwapOptions {
    SwapOptions {
        probation: PROBATION,
        dry_run,
        by: "the configuration".to_owned(),
    }
}

/// The parts that are taken once, when the process starts, and differ.
fn fixed(running: &Config, new: &Config) -> Vec<&'static str> {
    let parts = [
        (
            "log",
            running.log == new.log && kafka::same_formats(running, new),
        ),
        ("admin", running.admin == new.admin),
        ("telemetry", running.telemetry == new.telemetry),
        ("state", running.state_dir == new.state_dir),
    ];
    let differing = parts.into_iter().filter(|(_, same)| !same);
    differing.map(|(part, _)| part).collect()
}
