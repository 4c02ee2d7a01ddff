//! `jackfield backup` and `jackfield restore`.

mod alone;
mod file;

use crate::cli::BackupArgs;
use crate::exit::Exit;
use crate::plugins;
use crate::start_error::StartError;
use jackfield_backup::{BackupError, Manifest, Part, Place};
use jackfield_config::{CatalogConfig, Config, LogConfig};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What SQLite may keep beside a database that was not closed.
const BESIDE_SQLITE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The part that is the embedded log.
const LOG: &str = "log";

/// Something of this process's that lies on this machine.
struct Owned {
    name: String,
    path: PathBuf,
    /// Names in it that are made anew, so neither saved nor in the way.
    anew: Vec<String>,
    /// What would be taken for some of it.
    beside: Vec<PathBuf>,
    /// Whether its content names its own place, so that it can be put back there only.
    fixed: bool,
}

pub(crate) fn backup(args: &BackupArgs) -> Result<Exit, StartError> {
    let config = file::load(&args.file)?;
    let _alone = alone::alone(&config)?;
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
    for it in elsewhere(&config) {
        println!("not saved: {it}, which lies elsewhere");
    }
    Ok(Exit::Clean)
}

pub(crate) fn restore(args: &BackupArgs) -> Result<Exit, StartError> {
    let config = file::load(&args.file)?;
    let manifest = Manifest::read(&args.backup)?;
    let _alone = alone::alone(&config)?;
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
            beside: it.beside,
        });
    }
    let names = jackfield_backup::restore(&args.backup, &places)?;
    println!(
        "put back {}, as Jackfield {} saved it",
        names.join(", "),
        manifest.made_by
    );
    for line in left(&config, &names, manifest.made_at_ms) {
        println!("{line}");
    }
    Ok(Exit::Clean)
}

/// What is to be done before the next start, for each lake that was not put back as a whole: what
/// the log, the catalog and the warehouse hold has to be of one time.
fn left(config: &Config, put_back: &[String], made_at_ms: u64) -> Vec<String> {
    let is_back = |part: &str| put_back.iter().any(|it| it == part);
    let mut lines = Vec::new();
    for lake in config.lakes.keys() {
        if is_back(&catalog_part(lake)) {
            // Files that it does not know yet are in nobody's way.
            continue;
        }
        if is_back(&warehouse_part(lake)) {
            lines.push(format!(
                "of the lake `{lake}` the warehouse was put back and the catalog was not: before the next start put the catalog back to {made_at_ms} (ms since the epoch), or it names files that are not there any more"
            ));
        } else if is_back(LOG) {
            lines.push(format!(
                "the lake `{lake}` was left alone: before the next start take its tables back to the snapshots of {made_at_ms} (ms since the epoch), or the log is older than they are"
            ));
        }
    }
    lines
}

fn catalog_part(lake: &str) -> String {
    format!("lake-{lake}-catalog")
}

fn warehouse_part(lake: &str) -> String {
    format!("lake-{lake}-warehouse")
}

fn owned(config: &Config, without_lakes: bool) -> Vec<Owned> {
    let part = |name: &str, path: &PathBuf, fixed| Owned {
        name: name.to_owned(),
        path: path.clone(),
        anew: Vec::new(),
        beside: Vec::new(),
        fixed,
    };
    let mut all = Vec::new();
    if let LogConfig::Embedded(log) = &config.log {
        all.push(part(LOG, &log.dir, false));
    }
    let mut state = part("state", &config.state_dir, false);
    state.anew = vec![plugins::CACHE.to_owned(), crate::state::SHADOWS.to_owned()];
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
            let named = catalog_part(name);
            let beside = BESIDE_SQLITE.map(|suffix| {
                let mut beside = file.clone().into_os_string();
                beside.push(suffix);
                (format!("{named}{suffix}"), PathBuf::from(beside))
            });
            let mut catalog = part(&named, file, true);
            // SQLite would roll the pages of another file into it.
            catalog.beside = beside.iter().map(|(_, path)| path.clone()).collect();
            all.push(catalog);
            all.extend(beside.iter().map(|(name, path)| part(name, path, true)));
        }
        let folder = lake
            .warehouse
            .as_ref()
            .and_then(|it| it.to_file_path().ok());
        if let Some(folder) = folder {
            all.push(part(&warehouse_part(name), &folder, true));
        }
    }
    all
}

/// What of the lakes is not on this machine.
fn elsewhere(config: &Config) -> impl Iterator<Item = String> {
    config.lakes.iter().filter_map(|(name, lake)| {
        let catalog = match &lake.catalog {
            CatalogConfig::Sql { sqlite_file, .. } => sqlite_file.is_some(),
            CatalogConfig::Rest(_) => false,
        };
        let warehouse = lake.warehouse.as_ref();
        let what = match (catalog, warehouse.is_some_and(|it| it.scheme() == "file")) {
            (true, true) => return None,
            (true, false) => "the warehouse of the lake",
            (false, true) => "the catalog of the lake",
            (false, false) => "the lake",
        };
        Some(format!("{what} `{name}`"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jackfield_config::ParseContext;

    /// A lake on this machine, one with its catalog elsewhere, and one with its files elsewhere.
    const FILE: &str = r"
log: { embedded: { dir: log } }
lakes:
  here: { catalog: { sql: 'sqlite://catalog.db' }, warehouse: warehouse }
  files: { catalog: { sql: 'postgres://localhost/iceberg' }, warehouse: files }
  table: { catalog: { sql: 'sqlite://table.db' }, warehouse: 's3://lake/warehouse' }
  far: { catalog: { sql: 'postgres://localhost/iceberg' }, warehouse: 's3://lake/warehouse' }
plugins: { iceberg: sink.wasm }
pipelines:
  trades:
    topics: { trade: { name: trades } }
    sinks:
      lake:
        plugin: iceberg
        topics: [trade]
        settings: { table: market.trades }
        allow: { lake: here }
";

    fn config() -> Config {
        let context = ParseContext {
            file: "connectors.yaml",
            base_dir: "/etc/jackfield".as_ref(),
            env: &|_| None,
            read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        };
        Config::parse(FILE, &context).unwrap()
    }

    #[test]
    fn what_lies_elsewhere_is_told_apart() {
        let told: Vec<String> = elsewhere(&config()).collect();
        assert_eq!(
            told,
            [
                "the lake `far`",
                "the catalog of the lake `files`",
                "the warehouse of the lake `table`"
            ]
        );
    }

    #[test]
    fn a_lake_of_which_something_was_put_back_was_not_left_alone() {
        let back = [
            "log",
            "lake-here-catalog",
            "lake-files-warehouse",
            "lake-table-catalog",
        ];
        let lines = left(&config(), &back.map(str::to_owned), 5);
        let [far, files] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(far.contains("`far` was left alone"), "{far}");
        assert!(
            files.contains("`files` the warehouse was put back"),
            "{files}"
        );
        // A sink goes on from where its table is, in a log that has not changed.
        assert_eq!(left(&config(), &[], 5), [""; 0]);
    }

    #[test]
    fn a_journal_beside_a_catalog_is_in_the_way_of_a_restore() {
        let all = owned(&config(), false);
        let catalog = all.iter().find(|it| it.name == "lake-here-catalog");
        let beside = &catalog.unwrap().beside;
        let at = |path: &str| PathBuf::from("/etc/jackfield").join(path);
        assert_eq!(
            *beside,
            ["catalog.db-wal", "catalog.db-shm", "catalog.db-journal"].map(at)
        );
        assert!(all.iter().any(|it| it.path == beside[2]), "it is saved");
    }
}
