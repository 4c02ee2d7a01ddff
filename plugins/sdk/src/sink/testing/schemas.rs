//! A registry in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::held;
use crate::sink::{Schemas, SchemasError};
use crate::{Schema, SchemaKind};

/// Schemas by id.
#[derive(Debug, Default)]
pub struct FakeSchemas {
    schemas: Mutex<BTreeMap<u32, Schema>>,
    failures: Mutex<VecDeque<SchemasError>>,
}

impl FakeSchemas {
    /// Adds an Avro schema under the next id.
    pub fn avro(&self, text: &str) -> u32 {
        self.add(Schema {
            kind: SchemaKind::Avro,
            text: text.to_owned(),
        })
    }

    /// Adds a schema under the next id.
    pub fn add(&self, schema: Schema) -> u32 {
        let mut schemas = held(&self.schemas);
        let id = schemas.keys().last().map_or(1, |last| last + 1);
        schemas.insert(id, schema);
        id
    }

    /// The next call fails so.
    pub fn fail(&self, error: SchemasError) {
        held(&self.failures).push_back(error);
    }
}

impl Schemas for FakeSchemas {
    fn get(&self, id: u32) -> Result<Schema, SchemasError> {
        if let Some(error) = held(&self.failures).pop_front() {
            return Err(error);
        }
        held(&self.schemas)
            .get(&id)
            .cloned()
            .ok_or(SchemasError::Missing)
    }
}
