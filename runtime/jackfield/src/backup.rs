//! `jackfield backup` and `jackfield restore`.

use crate::cli::BackupArgs;
use crate::exit::Exit;
use crate::plugins;
use crate::start_error::StartError;
use jackfield_backup::{BackupError, Manifest, Part, Place};
use jackfield_config::{CatalogConfig, Config, LogConfig};
use jackfield_log_embedded::Held;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What SQLite may keep beside a database that was not closed.
const BESIDE_SQLITE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Something of this process's that lies on this machine.
struct Owned {
    name: String,
    path: PathBuf,
    /// Names in it that are made anew, so neither saved nor in the way.
    anew: Vec<String>,
    /// Whether its content names its own place, so that it can be put back there only.
    fixed: bool,
}

pub(crate) fn backup(args: &BackupArgs) -> Result<Exit, StartError> {
    let config = Config::load(&args.file)?;
    let _held = hold(&config)?;
    let parts: Vec<Part> = owned(&config, args.without_lakes)
        .into_iter()
        .map(|it| Part {
            name: it.name,
            path: it.path,
            without: it.anew,
        })
        .collect();
    // A clock before the epoch makes no backup wrong.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let made_at_ms = now.unwrap_or(Duration::ZERO).as_millis();
    let manifest = jackfield_backup::save(
        &parts,
        &args.backup,
        crate::cli::VERSION,
        u64::try_from(made_at_ms).unwrap_or(u64::MAX),
    )?;
    let names: Vec<&str> = manifest.parts.keys().map(String::as_str).collect();
    println!(
        "saved {} ({} bytes) in {}",
        names.join(", "),
        manifest.bytes(),
        args.backup.display()
    );
    for lake in elsewhere(&config) {
        println!("not saved: the lake `{lake}`, which lies elsewhere");
    }
    Ok(Exit::Clean)
}

pub(crate) fn restore(args: &BackupArgs) -> Result<Exit, StartError> {
    let config = Config::load(&args.file)?;
    let manifest = Manifest::read(&args.backup)?;
    let mut places = Vec::new();
    for it in owned(&config, args.without_lakes) {
        if let Some(part) = manifest.parts.get(&it.name)
            && it.fixed
            && part.path != it.path
        {
            return Err(BackupError::NoBackup {
                path: args.backup.clone(),
                reason: format!(
                    "`{}` was saved from {}, the file names {}: tables name their files by absolute paths, so a lake can be put back at its own place only (--without-lakes leaves it alone)",
                    it.name,
                    part.path.display(),
                    it.path.display()
                ),
            }
            .into());
        }
        places.push(Place {
            name: it.name,
            path: it.path,
            may_hold: it.anew,
        });
    }
    let names = jackfield_backup::restore(&args.backup, &places)?;
    println!(
        "put back {}, as Jackfield {} saved it",
        names.join(", "),
        manifest.made_by
    );
    let left = |name: &&String| !names.contains(&format!("lake-{name}-catalog"));
    for lake in config.lakes.keys().filter(left) {
        println!(
            "the lake `{lake}` was left alone: before the next start take its tables back to the snapshots of {} (ms since the epoch), or the log is older than they are",
            manifest.made_at_ms
        );
    }
    Ok(Exit::Clean)
}

/// Makes sure that no process writes meanwhile, where that can be known.
fn hold(config: &Config) -> Result<Option<Held>, StartError> {
    Ok(match &config.log {
        LogConfig::Embedded(log) => jackfield_log_embedded::hold(&log.dir)?,
        LogConfig::Kafka(_) => None,
    })
}

fn owned(config: &Config, without_lakes: bool) -> Vec<Owned> {
    let part = |name: &str, path: &PathBuf, fixed| Owned {
        name: name.to_owned(),
        path: path.clone(),
        anew: Vec::new(),
        fixed,
    };
    let mut all = Vec::new();
    if let LogConfig::Embedded(log) = &config.log {
        all.push(part("log", &log.dir, false));
    }
    let mut state = part("state", &config.state_dir, false);
    state.anew = vec![plugins::CACHE.to_owned()];
    all.push(state);
    if without_lakes {
        return all;
    }
    for (name, lake) in &config.lakes {
        if let CatalogConfig::Sql {
            sqlite_file: Some(file),
            ..
        } = &lake.catalog
        {
            all.push(part(&format!("lake-{name}-catalog"), file, true));
            for suffix in BESIDE_SQLITE {
                let mut beside = file.clone().into_os_string();
                beside.push(suffix);
                let name = format!("lake-{name}-catalog{suffix}");
                all.push(part(&name, &PathBuf::from(beside), true));
            }
        }
        let folder = lake
            .warehouse
            .as_ref()
            .and_then(|it| it.to_file_path().ok());
        if let Some(folder) = folder {
            all.push(part(&format!("lake-{name}-warehouse"), &folder, true));
        }
    }
    all
}

/// Lakes of which something is not on this machine.
fn elsewhere(config: &Config) -> impl Iterator<Item = &str> {
    config.lakes.iter().filter_map(|(name, lake)| {
        let catalog = match &lake.catalog {
            CatalogConfig::Sql { sqlite_file, .. } => sqlite_file.is_some(),
            CatalogConfig::Rest(_) => false,
        };
        let warehouse = lake.warehouse.as_ref();
        let local = catalog && warehouse.is_some_and(|it| it.scheme() == "file");
        (!local).then_some(name.as_str())
    })
}
