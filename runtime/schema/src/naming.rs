//! Which subject a schema is registered under.

use crate::registry::SchemaError;
use crate::schema::{Schema, SchemaKind};

/// The part of a record that a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

/// How subjects are named; the names are those that Confluent's clients give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SubjectNaming {
    /// `TopicNameStrategy`, `<topic>-key` and `<topic>-value`: one line of schemas a topic.
    #[default]
    Topic,
    /// `RecordNameStrategy`, the record's full name: one line of schemas a record, in all topics.
    Record,
    /// `TopicRecordNameStrategy`, `<topic>-<full name>`: one line a record in a topic.
    TopicRecord,
}

impl SubjectNaming {
    /// The subject of a schema of `part` in `topic`.
    ///
    /// # Errors
    /// [`SchemaError::Invalid`]: the subject is named by the record, and the schema has no name.
    pub fn subject(self, topic: &str, part: Part, schema: &Schema) -> Result<String, SchemaError> {
        match self {
            Self::Topic => Ok(match part {
                Part::Key => format!("{topic}-key"),
                Part::Value => format!("{topic}-value"),
            }),
            Self::Record => record_name(schema),
            Self::TopicRecord => Ok(format!("{topic}-{}", record_name(schema)?)),
        }
    }
}

/// The full name of an Avro schema; of a primitive one its type, as Java's `getFullName` gives.
/// The title of a JSON Schema.
fn record_name(schema: &Schema) -> Result<String, SchemaError> {
    let nameless = |what: &str| {
        SchemaError::Invalid(format!(
            "{what}: its subject can't be named by the record, only by the topic"
        ))
    };
    let json = || -> Result<serde_json::Value, SchemaError> {
        serde_json::from_str(&schema.text)
            .map_err(|e| SchemaError::Invalid(format!("not a schema: {e}")))
    };
    match schema.kind {
        SchemaKind::Avro => {
            let parsed = apache_avro::Schema::parse_str(&schema.text)
                .map_err(|e| SchemaError::Invalid(format!("not a schema: {e}")))?;
            if let Some(name) = parsed.name() {
                return Ok(name.fullname(None));
            }
            let json = json()?;
            let name = json.as_str().or_else(|| json.get("type")?.as_str());
            name.map(str::to_owned)
                .ok_or_else(|| nameless("a union of Avro has no name"))
        }
        SchemaKind::Json => match json()?.get("title").and_then(serde_json::Value::as_str) {
            Some(title) if !title.is_empty() => Ok(title.to_owned()),
            Some(_) | None => Err(nameless("the JSON Schema has no title")),
        },
        SchemaKind::None => Err(nameless("bytes of no declared form have no name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(kind: SchemaKind, text: &str) -> Schema {
        Schema {
            kind,
            text: text.to_owned(),
        }
    }

    #[test]
    fn subjects_are_named_as_confluents_clients_name_them() {
        let trade = schema(
            SchemaKind::Avro,
            r#"{"type":"record","name":"Trade","namespace":"market","fields":[]}"#,
        );
        let key = schema(SchemaKind::Avro, r#""string""#);
        let key_object = schema(SchemaKind::Avro, r#"{"type":"string"}"#);
        let titled = schema(SchemaKind::Json, r#"{"title":"Trade","type":"object"}"#);
        use SubjectNaming::{Record, Topic, TopicRecord};
        for (naming, part, schema, subject) in [
            (Topic, Part::Value, &trade, "t-value"),
            (Topic, Part::Key, &trade, "t-key"),
            (Record, Part::Value, &trade, "market.Trade"),
            (Record, Part::Key, &trade, "market.Trade"),
            (Record, Part::Key, &key, "string"),
            (Record, Part::Key, &key_object, "string"),
            (Record, Part::Value, &titled, "Trade"),
            (TopicRecord, Part::Value, &trade, "t-market.Trade"),
            (TopicRecord, Part::Key, &key, "t-string"),
        ] {
            assert_eq!(naming.subject("t", part, schema).unwrap(), subject);
        }
    }

    #[test]
    fn what_has_no_name_is_named_by_the_topic_only() {
        for nameless in [
            schema(SchemaKind::Avro, r#"["null","string"]"#),
            schema(SchemaKind::Json, r#"{"type":"object"}"#),
            schema(SchemaKind::None, ""),
        ] {
            let subject = SubjectNaming::Topic.subject("t", Part::Value, &nameless);
            assert_eq!(subject.unwrap(), "t-value");
            for naming in [SubjectNaming::Record, SubjectNaming::TopicRecord] {
                let refused = naming.subject("t", Part::Value, &nameless).unwrap_err();
                assert!(refused.to_string().contains("only by the topic"));
            }
        }
    }
}
