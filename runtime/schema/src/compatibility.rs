//! Whether a new schema reads what was written before.

use crate::registry::SchemaError;
use crate::schema::{Schema, SchemaKind};
use apache_avro::schema_compatibility::SchemaCompatibility;

/// BACKWARD: a reader with `new` reads what was written with `old`.
pub(crate) fn backward(subject: &str, old: &Schema, new: &Schema) -> Result<(), SchemaError> {
    let refused = |reason: String| SchemaError::Incompatible {
        subject: subject.to_owned(),
        reason,
    };
    if old.kind != new.kind {
        return Err(refused(format!(
            "the subject's schemas are {:?}, this one is {:?}",
            old.kind, new.kind
        )));
    }
    match new.kind {
        SchemaKind::Avro => {
            let parse = |schema: &Schema| {
                apache_avro::Schema::parse_str(&schema.text)
                    .map_err(|e| SchemaError::Invalid(format!("not a schema: {e}")))
            };
            let (old, new) = (parse(old)?, parse(new)?);
            SchemaCompatibility::can_read(&old, &new).map_err(|e| refused(e.to_string()))
        }
        // JSON readers take what they know and leave the rest.
        SchemaKind::Json | SchemaKind::None => Ok(()),
    }
}
