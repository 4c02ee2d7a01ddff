//! Tables of the granted lake: loaded and created through the host's catalog.

use std::sync::Arc;

use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, Schema, SortOrder, TableMetadata, Transform, UnboundPartitionSpec,
};
use iceberg::table::Table;
use iceberg::{Runtime, TableIdent};
use jackfield_sdk::Failure;
use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable};
use serde::Serialize;

use crate::errors;
use crate::settings::table_parts;

/// The transforms of its specs that the library can't read; it does not say itself what it stumbled
/// over.
fn strange_transforms(metadata: &str) -> Vec<String> {
    // Called with what could not be read: if this can't either, there is nothing to name.
    let all: serde_json::Value = serde_json::from_str(metadata).unwrap_or_default();
    let specs = all["partition-specs"].as_array().into_iter().flatten();
    let fields = specs.filter_map(|it| it["fields"].as_array()).flatten();
    fields
        .filter_map(|field| field["transform"].as_str())
        .filter(|transform| transform.parse::<Transform>().is_err())
        .map(str::to_owned)
        .collect()
}

/// The only version that this sink writes. Version 1 numbers no snapshots, so that nobody can tell
/// whether a table was taken back, nor therefore what it holds. Version 3 has keys and defaults that
/// the library writes without; what a table of it holds can be told.
const FORMAT_VERSION: FormatVersion = FormatVersion::V2;
/// How a creation asks for it: catalogs take it from the properties, and do not keep it there.
const FORMAT_VERSION_PROPERTY: &str = "format-version";

/// A table as the library knows it.
pub(crate) type TableHandle = Table;

/// A new table, in the words of Iceberg's REST specification.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Creation<'a> {
    name: &'a str,
    schema: &'a Schema,
    partition_spec: &'a UnboundPartitionSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_order: Option<&'a SortOrder>,
    properties: &'a std::collections::HashMap<String, String>,
}

/// A table, and what its document takes.
pub(crate) struct Loaded {
    pub(crate) table: Table,
    /// Bytes of its metadata document; none: it still is the one that was known.
    pub(crate) document_bytes: Option<usize>,
}

/// Properties of a new table, unless it is given others: a document has the whole history, so that
/// those of all commits together would soon take more room than the rows.
const DOCUMENTS_BOUNDED: [(&str, &str); 2] = [
    ("write.metadata.delete-after-commit.enabled", "true"),
    ("write.metadata.previous-versions-max", "100"),
];

/// Whether it is of a version that this sink writes.
pub(crate) fn writable(ident: &str, table: &Table) -> Result<(), Failure> {
    match table.metadata().format_version() {
        FORMAT_VERSION => Ok(()),
        version => Err(other_version(ident, version)),
    }
}

fn other_version(ident: &str, version: FormatVersion) -> Failure {
    Failure::Misconfigured(format!(
        "{ident} is of format version {}, and this sink writes version {}",
        version as u8, FORMAT_VERSION as u8
    ))
}

/// The lake's tables.
pub(crate) struct Tables {
    catalog: Arc<dyn Catalog>,
    io: FileIO,
    runtime: Runtime,
}

impl Tables {
    pub(crate) fn new(catalog: Arc<dyn Catalog>, io: FileIO, runtime: Runtime) -> Self {
        Self {
            catalog,
            io,
            runtime,
        }
    }

    pub(crate) fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    /// The table as it is now, to be written to; none if there is none. `known` is handed back if it
    /// still is the table.
    pub(crate) fn load(
        &self,
        ident: &str,
        known: Option<&Table>,
    ) -> Result<Option<Table>, Failure> {
        let Some(loaded) = self.look(ident, known)? else {
            return Ok(None);
        };
        writable(ident, &loaded.table)?;
        Ok(Some(loaded.table))
    }

    /// Likewise, but perhaps of a version that is not written, and how large it is if it has changed.
    pub(crate) fn look(
        &self,
        ident: &str,
        known: Option<&Table>,
    ) -> Result<Option<Loaded>, Failure> {
        let at = known.and_then(|it| it.metadata_location());
        match self.catalog.load(ident, at) {
            Ok(Some(loaded)) => {
                let document_bytes = Some(loaded.metadata.len());
                let table = self.table(ident, loaded)?;
                Ok(Some(Loaded {
                    table,
                    document_bytes,
                }))
            }
            Ok(None) => Ok(known.cloned().map(|table| Loaded {
                table,
                document_bytes: None,
            })),
            Err(CatalogError::Missing) => Ok(None),
            Err(error) => Err(errors::catalog(&format!("loading {ident}"), error)),
        }
    }

    /// Creates the table; if another task was faster, the table is that one's.
    pub(crate) fn create(
        &self,
        ident: &str,
        schema: &Schema,
        spec: &UnboundPartitionSpec,
        order: Option<&SortOrder>,
        properties: &std::collections::HashMap<String, String>,
    ) -> Result<Table, Failure> {
        let during = || format!("creating {ident}");
        let parts = table_parts(ident).map_err(Failure::Misconfigured)?;
        let name = parts.last().map(String::as_str).unwrap_or_default();
        let mut properties = properties.clone();
        for (key, value) in DOCUMENTS_BOUNDED {
            let given = properties.entry(key.to_owned());
            given.or_insert_with(|| value.to_owned());
        }
        let version = (FORMAT_VERSION as u8).to_string();
        properties.insert(FORMAT_VERSION_PROPERTY.to_owned(), version);
        let creation = Creation {
            name,
            schema,
            partition_spec: spec,
            write_order: order,
            properties: &properties,
        };
        let creation = serde_json::to_string(&creation)
            .map_err(|e| Failure::Broken(format!("{}: {e}", during())))?;
        match self.catalog.create(ident, &creation) {
            Ok(created) => {
                let table = self.table(ident, created)?;
                writable(ident, &table)?;
                Ok(table)
            }
            // Whoever made it, and also if it was this very call: it is there, or it will be said.
            Err(CatalogError::Exists | CatalogError::Unknown(_) | CatalogError::Conflict(_)) => {
                self.load(ident, None)?
                    .ok_or_else(|| errors::retry(format!("{}: the outcome is unknown", during())))
            }
            Err(error) => Err(errors::catalog(&during(), error)),
        }
    }

    /// The same table with other metadata, which no catalog knows yet.
    pub(crate) fn with_metadata(
        &self,
        table: &Table,
        metadata: TableMetadata,
    ) -> iceberg::Result<Table> {
        let mut builder = Table::builder()
            .identifier(table.identifier().clone())
            .metadata(metadata)
            .file_io(self.io.clone())
            .runtime(self.runtime.clone())
            .disable_cache();
        if let Some(at) = table.metadata_location() {
            builder = builder.metadata_location(at.to_owned());
        }
        builder.build()
    }

    /// What the catalog told, unless nobody can tell what the table holds.
    pub(crate) fn table(&self, ident: &str, loaded: CatalogTable) -> Result<Table, Failure> {
        let unread = |e: &dyn std::fmt::Display| {
            Failure::Misconfigured(format!("{ident}: its metadata can't be read: {e}"))
        };
        let metadata: TableMetadata = serde_json::from_str(&loaded.metadata).map_err(|error| {
            let strange = strange_transforms(&loaded.metadata);
            match strange.as_slice() {
                [] => unread(&error),
                all => unread(&format!(
                    "nobody here knows the transform {}",
                    all.join(", ")
                )),
            }
        })?;
        let version = metadata.format_version();
        if version < FORMAT_VERSION {
            return Err(other_version(ident, version));
        }
        let parts = table_parts(ident).map_err(Failure::Misconfigured)?;
        Table::builder()
            .identifier(TableIdent::from_strs(parts).map_err(|e| unread(&e))?)
            .metadata_location(loaded.metadata_location)
            .metadata(metadata)
            .file_io(self.io.clone())
            .runtime(self.runtime.clone())
            // Manifests are read once a commit, and differ each time.
            .disable_cache()
            .build()
            .map_err(|e| unread(&e))
    }
}
