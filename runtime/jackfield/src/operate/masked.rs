//! Settings as they may be shown: as they are recorded.

use jackfield_plugin::recording;
use serde_json::Value;

/// Settings without what their JSON Schema, their keys or their form tell to be secret. An empty
/// schema tells nothing.
pub(super) fn masked(settings: &Value, schema: &str) -> Value {
    recording::masked(settings, Some(schema)).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_told_by_schema_key_and_form() {
        let schema = json!({ "properties": { "pin": { "writeOnly": true } } });
        let settings = json!({
            "pin": 1234,
            "passphrase": "hidden",
            "endpoint": "https://me:hidden@host/path",
            "symbol": "BTCUSDT"
        });
        let expected = json!({
            "pin": "***",
            "passphrase": "***",
            "endpoint": "https://me:***@host/path",
            "symbol": "BTCUSDT"
        });
        assert_eq!(masked(&settings, &schema.to_string()), expected);
        assert_eq!(masked(&json!({ "a": 1 }), ""), json!({ "a": 1 }));
    }
}
