//! JSON objects of plugins, in one canonical form.

use super::malformed;
use crate::error::CallError;
use serde_json::Value;

/// Parses an object.
pub(super) fn object(what: &str, text: &str) -> Result<Value, CallError> {
    let value: Value =
        serde_json::from_str(text).map_err(|e| malformed(format!("{what} is not JSON: {e}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(malformed(format!("{what} is JSON, but not an object")))
    }
}

/// The same object without white space and with its keys in order: positions are compared and
/// stored by their text.
pub(super) fn canonical(what: &str, text: &str) -> Result<String, CallError> {
    let mut value = object(what, text)?;
    value.sort_all_objects();
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_objects_get_equal_texts() {
        let canonical = |text| canonical("x", text).unwrap();
        assert_eq!(
            canonical(r#" {"b": 1, "a": {"d":[ 2,{"z":0,"y":0}], "c":null}} "#),
            r#"{"a":{"c":null,"d":[2,{"y":0,"z":0}]},"b":1}"#
        );
        assert_eq!(
            canonical(r#"{"id":18446744073709551615,"n":-9223372036854775808}"#),
            r#"{"id":18446744073709551615,"n":-9223372036854775808}"#
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["", "null", "[]", "1", "{", r#"{"a":1}x"#, r#""{}""#] {
            assert!(canonical("x", bad).is_err(), "{bad}");
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        assert!(canonical("x", &deep).is_err(), "nesting is bounded");
    }
}
