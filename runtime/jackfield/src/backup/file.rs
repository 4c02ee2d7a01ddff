//! The file, for those who need none of its secrets.

use jackfield_config::{CatalogConfig, Config, LoadError, ParseContext};
use std::fs;
use std::path::Path;

/// Stands for a secret that can't be read.
const UNREAD: &str = "secret-that-was-not-read";

/// The file, be it without some of its secrets: to copy folders none is needed, and a service's own
/// are there only while it runs.
///
/// # Errors
/// Something else is wrong with it, or a secret says where a catalog is.
pub(super) fn load(file: &Path) -> Result<Config, LoadError> {
    match Config::load(file) {
        Ok(config) => Ok(config),
        Err(refused) => without_secrets(file).ok_or(refused),
    }
}

fn without_secrets(file: &Path) -> Option<Config> {
    let text = fs::read_to_string(file).ok()?;
    let absolute = std::path::absolute(file).ok()?;
    let name = file.display().to_string();
    let context = ParseContext {
        file: &name,
        base_dir: absolute.parent().unwrap_or(Path::new("/")),
        env: &|name| std::env::var(name).ok(),
        read_file: &|path| Ok(fs::read_to_string(path).unwrap_or_else(|_| UNREAD.to_owned())),
    };
    let config = Config::parse(&text, &context).ok()?;
    // Nothing lies under such a name, and the catalog would be left out without a word.
    let misplaced = config.lakes.values().any(|lake| match &lake.catalog {
        CatalogConfig::Sql { sqlite_file, .. } => sqlite_file
            .as_ref()
            .is_some_and(|path| path.to_string_lossy().contains(UNREAD)),
        CatalogConfig::Rest(_) => false,
    });
    (!misplaced).then_some(config)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn loaded(catalog: &str) -> Result<Config, LoadError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("connectors.yaml");
        let text = format!(
            r#"
log: {{ embedded: {{ dir: log }} }}
lakes:
  lake:
    catalog: {{ sql: "{catalog}" }}
    warehouse: s3://lake/warehouse
    s3: {{ access-key-id: me, secret-access-key: "${{file:nowhere}}" }}
plugins: {{ iceberg: sink.wasm }}
pipelines:
  trades:
    topics: {{ trade: {{ name: trades }} }}
    sinks:
      lake:
        plugin: iceberg
        topics: [trade]
        settings: {{ table: market.trades }}
        allow: {{ lake: lake }}
"#
        );
        fs::write(&file, text).unwrap();
        load(&file)
    }

    #[test]
    fn secrets_that_are_not_there_are_not_needed() {
        let config = loaded("sqlite:///var/lib/catalog.db").unwrap();
        assert_eq!(config.lakes.len(), 1);
        loaded("postgres://me:${file:nowhere}@localhost/iceberg").unwrap();
    }

    #[test]
    fn a_secret_that_says_where_a_catalog_is_has_to_be_read() {
        for catalog in [
            "${file:nowhere}",
            "sqlite:///var/${file:nowhere}/catalog.db",
        ] {
            let refused = loaded(catalog).unwrap_err().to_string();
            assert!(refused.contains("nowhere"), "{catalog}: {refused}");
        }
    }
}
