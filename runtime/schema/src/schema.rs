//! One schema.

use crate::registry::SchemaError;
use serde::{Deserialize, Serialize};

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SchemaKind {
    /// Avro schema, Avro datum.
    Avro,
    /// JSON Schema, JSON text.
    Json,
    /// Bytes of no declared form.
    None,
}

/// A schema of keys or values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    /// Its language.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
}

impl Schema {
    /// The same schema with insignificant white space gone: two texts that differ only in that
    /// are one schema. Docs, defaults and aliases stay, since readers use them.
    ///
    /// # Errors
    /// [`SchemaError::Invalid`] when the text is no schema of its kind.
    pub fn canonical(&self) -> Result<Schema, SchemaError> {
        match self.kind {
            SchemaKind::Avro => {
                apache_avro::Schema::parse_str(&self.text)
                    .map_err(|e| SchemaError::Invalid(format!("not a schema: {e}")))?;
            }
            SchemaKind::Json | SchemaKind::None => {}
        }
        if self.kind == SchemaKind::None {
            return Ok(self.clone());
        }
        let json: serde_json::Value = serde_json::from_str(&self.text)
            .map_err(|e| SchemaError::Invalid(format!("not a schema: {e}")))?;
        Ok(Schema {
            kind: self.kind,
            text: json.to_string(),
        })
    }
}
