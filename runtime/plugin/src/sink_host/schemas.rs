//! The import `schemas`. A schema never changes under its id, so those seen are kept.

use super::unless;
use crate::bindings::sink::jackfield::connector::schemas as wit;
use crate::bindings::source::jackfield::connector::types;
use crate::state::State;
use jackfield_schema::{Registry, Schema, SchemaError, SchemaKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Schemas kept for one instance: it reads a few topics, each with a few versions.
const CACHED_MAX: usize = 64;
/// Largest schema that is kept; with the above, at most 4 MiB an instance.
const CACHED_BYTES_MAX: usize = 64 * 1024;

/// A registry and what was read from it. Schemas seen keep working while the registry is down.
#[derive(Clone)]
pub(super) struct SchemaCache {
    registry: Arc<dyn Registry>,
    seen: Arc<Mutex<BTreeMap<u32, Schema>>>,
}

impl SchemaCache {
    pub(super) fn new(registry: Arc<dyn Registry>) -> Self {
        Self {
            registry,
            seen: Arc::default(),
        }
    }

    async fn get(&self, id: u32) -> Result<Schema, SchemaError> {
        if let Some(schema) = self.seen().get(&id) {
            return Ok(schema.clone());
        }
        let schema = self.registry.get(id).await?;
        if schema.text.len() <= CACHED_BYTES_MAX {
            let mut seen = self.seen();
            if seen.len() >= CACHED_MAX {
                // The oldest version has the lowest id.
                seen.pop_first();
            }
            seen.insert(id, schema.clone());
        }
        Ok(schema)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Schema>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl wit::Host for State {
    async fn get(&mut self, id: u32) -> Result<types::Schema, wit::Error> {
        let sink = self.sink().map_err(wit::Error::Transient)?;
        let (schemas, interrupt) = (sink.schemas.clone(), sink.interrupt.clone());
        match unless(&interrupt, schemas.get(id)).await {
            Some(Ok(schema)) => Ok(into_schema(schema)),
            Some(Err(SchemaError::Missing(_))) => Err(wit::Error::Missing),
            Some(Err(error @ SchemaError::Transient(_))) => {
                Err(wit::Error::Transient(error.to_string()))
            }
            // Repeating mends none of these.
            Some(Err(
                error @ (SchemaError::Incompatible { .. }
                | SchemaError::Invalid(_)
                | SchemaError::Denied(_)),
            )) => Err(wit::Error::Refused(error.to_string())),
            None => Err(wit::Error::Transient("interrupted".to_owned())),
        }
    }
}

fn into_schema(schema: Schema) -> types::Schema {
    types::Schema {
        kind: match schema.kind {
            SchemaKind::Avro => types::SchemaKind::Avro,
            SchemaKind::Json => types::SchemaKind::Json,
            SchemaKind::None => types::SchemaKind::None,
        },
        text: schema.text,
    }
}
