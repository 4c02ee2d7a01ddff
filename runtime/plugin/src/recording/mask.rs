//! Settings without what should not leave the process.

use serde_json::Value;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Words in a key that speak of a secret.
const SECRET_WORDS: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "api-key",
    "apikey",
    "private",
];

/// The settings with every value masked whose key speaks of a secret, and whether any was. A
/// grant's headers never are among them.
pub fn masked(settings: &Value) -> (Value, bool) {
    let mut settings = settings.clone();
    let any = mask(&mut settings);
    (settings, any)
}

fn mask(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => {
            let mut any = false;
            for (key, value) in map {
                let key = key.to_lowercase().replace('_', "-");
                if SECRET_WORDS.iter().any(|word| key.contains(word)) && !value.is_null() {
                    *value = Value::from(MASK);
                    any = true;
                } else {
                    any |= mask(value);
                }
            }
            any
        }
        Value::Array(values) => values.iter_mut().fold(false, |any, it| mask(it) | any),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_key_calls_secret_is_masked_wherever_it_stands() {
        let settings = json!({ "a": [{ "API_KEY": "x", "b": 1 }], "accessToken": { "c": 2 } });
        let (shown, any) = masked(&settings);
        assert!(any);
        assert_eq!(
            shown,
            json!({ "a": [{ "API_KEY": MASK, "b": 1 }], "accessToken": MASK })
        );
        assert!(!masked(&json!({ "symbols": ["BTCUSDT"] })).1);
    }
}
