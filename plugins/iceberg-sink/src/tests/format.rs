//! What the fake catalog knows of Iceberg: what a real host does with the same JSON.

use std::collections::HashMap;

use iceberg::spec::{Schema, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec};
use iceberg::{TableCreation, TableRequirement, TableUpdate};
use jackfield_sdk::sink::testing::{Refused, TableFormat};

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Creation {
    name: String,
    schema: Schema,
    partition_spec: UnboundPartitionSpec,
    write_order: Option<SortOrder>,
    properties: HashMap<String, String>,
}

/// Iceberg's own rules, by the library.
#[derive(Debug)]
pub(crate) struct Iceberg;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl TableFormat for Iceberg {
    fn create(&self, _ident: &str, location: &str, creation: &str) -> Result<String, String> {
        let mut creation: Creation = serde_json::from_str(creation).map_err(text)?;
        // A server may have another default, and keeps it nowhere but in the table's own version.
        let version = creation.properties.remove("format-version");
        if version.as_deref() != Some("2") {
            return Err(format!("it asks for version {version:?}"));
        }
        let creation = TableCreation::builder()
            .name(creation.name)
            .location(location.to_owned())
            .schema(creation.schema)
            .partition_spec(creation.partition_spec)
            .properties(creation.properties)
            .sort_order_opt(creation.write_order)
            .build();
        let built = TableMetadataBuilder::from_table_creation(creation)
            .and_then(TableMetadataBuilder::build)
            .map_err(text)?;
        serde_json::to_string(&built.metadata).map_err(text)
    }

    fn apply(
        &self,
        metadata_location: &str,
        metadata: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<String, Refused> {
        let invalid = |e: &dyn std::fmt::Display| Refused::Invalid(e.to_string());
        let metadata: TableMetadata = serde_json::from_str(metadata).map_err(|e| invalid(&e))?;
        let requirements: Vec<TableRequirement> =
            serde_json::from_str(requirements).map_err(|e| invalid(&e))?;
        for requirement in &requirements {
            requirement
                .check(Some(&metadata))
                .map_err(|e| Refused::Requirement(text(e)))?;
        }
        let updates: Vec<TableUpdate> = serde_json::from_str(updates).map_err(|e| invalid(&e))?;
        let mut builder = metadata.into_builder(Some(metadata_location.to_owned()));
        for update in updates {
            builder = update.apply(builder).map_err(|e| invalid(&e))?;
        }
        let built = builder.build().map_err(|e| invalid(&e))?;
        serde_json::to_string(&built.metadata).map_err(|e| invalid(&e))
    }
}
