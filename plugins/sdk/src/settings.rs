//! Settings between the JSON that crosses and an author's struct.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;

use crate::Finding;

/// The JSON Schema (2020-12) of a settings struct: what `describe` tells the host.
pub fn settings_schema<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    serde_json::to_string(&schema).expect("a JSON schema is JSON")
}

/// The settings that a person wrote, as JSON, or what is wrong and where.
///
/// # Errors
/// The first thing that does not fit the struct.
pub fn parse_settings<T: DeserializeOwned>(json: &str) -> Result<T, Finding> {
    let mut reader = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        Finding::error(
            path,
            error.inner().to_string(),
            "see the settings schema: `jackfield schema`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Settings {
        /// What to watch.
        symbols: Vec<String>,
        /// How long, in seconds.
        #[serde(default)]
        wait_seconds: u32,
    }

    #[test]
    fn the_schema_tells_names_docs_and_what_is_required() {
        let schema: serde_json::Value =
            serde_json::from_str(&settings_schema::<Settings>()).unwrap();
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert_eq!(
            schema["properties"]["symbols"]["description"],
            "What to watch."
        );
        assert_eq!(schema["properties"]["wait-seconds"]["default"], 0);
        assert_eq!(schema["required"], serde_json::json!(["symbols"]));
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn a_wrong_value_is_found_where_it_is() {
        let found = parse_settings::<Settings>(r#"{"symbols":["A",2]}"#).unwrap_err();
        assert_eq!(found.path, "symbols[1]");
        assert!(
            found.message.contains("expected a string"),
            "{}",
            found.message
        );
        let good = parse_settings::<Settings>(r#"{"symbols":["A"],"wait-seconds":3}"#).unwrap();
        assert_eq!((good.symbols.len(), good.wait_seconds), (1, 3));
    }
}
