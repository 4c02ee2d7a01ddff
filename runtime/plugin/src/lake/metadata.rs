//! Table metadata: made from a creation, moved on by a commit, named, packed. No I/O.

use super::error::CatalogError;
use super::ident::Ident;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use iceberg::spec::{
    FormatVersion, Schema, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec,
};
use iceberg::{TableCreation, TableRequirement, TableUpdate};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use uuid::Uuid;

/// In the creation's properties, as REST catalogs take it; not a property of the table.
const FORMAT_VERSION: &str = "format-version";
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";
const COMPRESSION: &str = "write.metadata.compression-codec";
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A `CreateTableRequest` of the REST specification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Creation {
    name: String,
    pub(crate) location: Option<String>,
    schema: Schema,
    partition_spec: Option<UnboundPartitionSpec>,
    write_order: Option<SortOrder>,
    #[serde(default)]
    stage_create: bool,
    #[serde(default)]
    properties: HashMap<String, String>,
}

impl Creation {
    pub(crate) fn parse(ident: &Ident, json: &str) -> Result<Self, CatalogError> {
        let refused =
            |why: String| CatalogError::Other(format!("{ident} can't be created so: {why}"));
        let creation: Self = serde_json::from_str(json).map_err(|e| refused(e.to_string()))?;
        if creation.name != ident.name() {
            return Err(refused(format!("its name there is `{}`", creation.name)));
        }
        if creation.stage_create {
            return Err(refused("staged creation is not supported".to_owned()));
        }
        match creation.properties.get(FORMAT_VERSION).map(String::as_str) {
            None | Some("2") => Ok(creation),
            Some(other) => Err(refused(format!(
                "format version {other} is not written, only 2"
            ))),
        }
    }

    /// The first metadata of the table. Field ids are assigned afresh.
    pub(crate) fn metadata(
        mut self,
        ident: &Ident,
        location: &str,
    ) -> Result<TableMetadata, CatalogError> {
        self.properties.remove(FORMAT_VERSION);
        TableMetadataBuilder::from_table_creation(TableCreation {
            name: self.name,
            location: Some(location.to_owned()),
            schema: self.schema,
            partition_spec: self.partition_spec,
            sort_order: self.write_order,
            properties: self.properties,
            format_version: FormatVersion::V2,
        })
        .and_then(TableMetadataBuilder::build)
        .map(|built| built.metadata)
        .map_err(|e| CatalogError::Other(format!("{ident} can't be created so: {e}")))
    }
}

/// The fields of a table's current schema, as JSON; none where the document says none.
pub(crate) fn current_schema(metadata: &str) -> Option<String> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).ok()?;
    let current = metadata.get("current-schema-id")?;
    let schemas = metadata.get("schemas")?.as_array()?;
    let schema = schemas
        .iter()
        .find(|it| it.get("schema-id") == Some(current))?;
    Some(schema.get("fields")?.to_string())
}

/// What a commit asks for.
#[derive(Debug)]
pub(crate) struct Change {
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
}

impl Change {
    pub(crate) fn parse(
        ident: &Ident,
        requirements: &str,
        updates: &str,
    ) -> Result<Self, CatalogError> {
        let refused = |what: &str, error: serde_json::Error| {
            CatalogError::Other(format!("the {what} for {ident} can't be read: {error}"))
        };
        Ok(Self {
            requirements: serde_json::from_str(requirements)
                .map_err(|e| refused("requirements", e))?,
            updates: serde_json::from_str(updates).map_err(|e| refused("updates", e))?,
        })
    }

    /// Where the table would move to.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &str> {
        self.updates.iter().filter_map(|update| match update {
            TableUpdate::SetLocation { location } => Some(location.as_str()),
            _ => None,
        })
    }

    /// Whether a branch or tag gets another snapshot.
    pub(crate) fn moves_a_ref(&self) -> bool {
        let moves = |it: &TableUpdate| matches!(it, TableUpdate::SetSnapshotRef { .. });
        self.updates.iter().any(moves)
    }

    /// Whether it must have the one that the change was made for.
    pub(crate) fn requires_a_ref(&self) -> bool {
        let requires =
            |it: &TableRequirement| matches!(it, TableRequirement::RefSnapshotIdMatch { .. });
        self.requirements.iter().any(requires)
    }

    /// The metadata after the change of what is at `at`.
    pub(crate) fn apply(
        self,
        ident: &Ident,
        current: TableMetadata,
        at: &str,
    ) -> Result<Changed, CatalogError> {
        for requirement in &self.requirements {
            requirement
                .check(Some(&current))
                .map_err(|e| CatalogError::Conflict(format!("{ident}: {e}")))?;
        }
        let refused =
            |e: iceberg::Error| CatalogError::Other(format!("{ident} can't be changed so: {e}"));
        let mut builder = current.into_builder(Some(at.to_owned()));
        for update in self.updates {
            builder = update.apply(builder).map_err(refused)?;
        }
        let built = builder.build().map_err(refused)?;
        let expired = built.expired_metadata_logs.into_iter();
        Ok(Changed {
            outdated: match built.metadata.properties().get(DELETE_AFTER_COMMIT) {
                Some(yes) if yes.eq_ignore_ascii_case("true") => {
                    expired.map(|entry| entry.metadata_file).collect()
                }
                _ => Vec::new(),
            },
            metadata: built.metadata,
        })
    }
}

/// The outcome of a change.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) metadata: TableMetadata,
    /// Documents that the table's history no longer names, where the table wants them deleted.
    pub(crate) outdated: Vec<String>,
}

/// A document of its own for this metadata: the name is never used twice, so that of two writers
/// at once each writes its own and the loser leaves only an orphan.
pub(crate) fn location_of(metadata: &TableMetadata, before: Option<&str>) -> String {
    let packed = if is_packed(metadata) { ".gz" } else { "" };
    format!(
        "{}/metadata/{:05}-{}{packed}.metadata.json",
        metadata.location().trim_end_matches('/'),
        before.map_or(0, |before| version(before).saturating_add(1)),
        Uuid::new_v4()
    )
}

/// The number that a document's name begins with: `00012-….metadata.json`, `v12.metadata.json`.
fn version(location: &str) -> u32 {
    let name = location.rsplit('/').next().unwrap_or_default();
    let digits = name.strip_prefix('v').unwrap_or(name);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

/// The document as text.
pub(crate) fn text(metadata: &TableMetadata) -> Result<String, CatalogError> {
    serde_json::to_string(metadata)
        .map_err(|e| CatalogError::Other(format!("the metadata can't be written: {e}")))
}

/// The document as the table's properties want it in the store.
pub(crate) fn pack(metadata: &TableMetadata, text: &str) -> io::Result<Vec<u8>> {
    if !is_packed(metadata) {
        return Ok(text.as_bytes().to_vec());
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes())?;
    packed.finish()
}

/// The text of a document, of at most so many bytes.
pub(crate) fn unpack(document: Vec<u8>, bytes_max: u64) -> io::Result<String> {
    let bytes = if document.starts_with(&GZIP_MAGIC) {
        let mut bytes = Vec::new();
        let mut unpacked = GzDecoder::new(document.as_slice()).take(bytes_max + 1);
        unpacked.read_to_end(&mut bytes)?;
        bytes
    } else {
        document
    };
    if bytes.len() as u64 > bytes_max {
        let why = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn is_packed(metadata: &TableMetadata) -> bool {
    metadata
        .properties()
        .get(COMPRESSION)
        .is_some_and(|codec| codec.eq_ignore_ascii_case("gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_on_from_any_librarys_name() {
        for (name, number) in [
            ("file:///w/t/metadata/00041-2cd22b57.metadata.json", 41),
            ("file:///w/t/metadata/v7.metadata.json", 7),
            ("file:///w/t/metadata/v8.gz.metadata.json", 8),
            ("file:///w/t/metadata/snapshot.json", 0),
            ("file:///w/t/metadata/99999999999-x.metadata.json", 0),
        ] {
            assert_eq!(version(name), number, "{name}");
        }
    }

    #[test]
    fn a_packed_document_can_not_unpack_without_bound() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::default());
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 10_000);
        assert_eq!(
            unpack(bomb.clone(), 1000).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(unpack(bomb, 1 << 20).unwrap().len(), 1 << 20);
        assert!(unpack(vec![b'x'; 11], 10).is_err());
        assert!(unpack(vec![0xff], 10).is_err());
    }
}
