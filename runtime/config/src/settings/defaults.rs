//! Defaults that a schema names, put where nothing was given.

use serde_json::{Map, Value};

/// Most references followed in a row: a schema may refer in circles.
const REFERENCES_MAX: usize = 32;
/// Deepest nesting of `allOf` and `anyOf` about one value: they may go in circles too.
const COMBINED_MAX: usize = 8;
/// Most schemas looked at: what branches may branch again, and plugins are not trusted.
const VISITS_MAX: usize = 100_000;

/// Fills in what the schema has defaults for. `value` fits the schema.
pub(super) fn fill(root: &Value, value: &mut Value) {
    Filler { root, visits: 0 }.below(root, value, 0);
}

struct Filler<'a> {
    root: &'a Value,
    visits: usize,
}

impl<'a> Filler<'a> {
    fn below(&mut self, schema: &'a Value, value: &mut Value, combined: usize) {
        self.visits += 1;
        if self.visits > VISITS_MAX || combined > COMBINED_MAX {
            return;
        }
        let Some(schema) = resolved(self.root, schema) else {
            return;
        };
        for part in schema
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.below(part, value, combined + 1);
        }
        if let Some(branch) = only_object(self.root, schema, value) {
            self.below(branch, value, combined + 1);
        }
        match value {
            Value::Object(object) => self.properties(schema, object),
            Value::Array(items) => {
                if let Some(each) = schema.get("items") {
                    for item in items {
                        self.below(each, item, 0);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn properties(&mut self, schema: &'a Map<String, Value>, object: &mut Map<String, Value>) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (key, schema) in properties {
            if let Some(value) = object.get_mut(key) {
                self.below(schema, value, 0);
            } else if let Some(default) = schema.get("default").filter(|default| !default.is_null())
            {
                object.insert(key.clone(), default.clone());
            }
        }
    }
}

/// Of `anyOf: [an object, null]`, the object.
fn only_object<'a>(
    root: &'a Value,
    schema: &'a Map<String, Value>,
    value: &Value,
) -> Option<&'a Value> {
    if !value.is_object() {
        return None;
    }
    let branches = schema
        .get("anyOf")
        .or_else(|| schema.get("oneOf"))?
        .as_array()?;
    let mut objects = branches.iter().filter(|branch| {
        resolved(root, branch)
            .is_some_and(|found| !std::ptr::eq(found, schema) && found.get("properties").is_some())
    });
    let only = objects.next()?;
    objects.next().is_none().then_some(only)
}

fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> Option<&'a Map<String, Value>> {
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            return schema.as_object();
        };
        schema = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fills_what_was_left_out_and_nothing_else() {
        let schema = json!({
            "properties": {
                "market": { "default": "spot" },
                "nothing": { "default": null },
                "given": { "default": 1 },
                "inner": { "$ref": "#/$defs/Inner" },
                "maybe": { "anyOf": [{ "$ref": "#/$defs/Inner" }, { "type": "null" }] },
                "list": { "items": { "$ref": "#/$defs/Inner" } },
                "absent": { "$ref": "#/$defs/Inner" },
            },
            "allOf": [{ "properties": { "part": { "default": [] } } }],
            "$defs": { "Inner": { "properties": { "a": { "default": 1 }, "b": { "default": 2 } } } },
        });
        let mut value = json!({ "given": 7, "inner": { "a": 3 }, "maybe": {}, "list": [{}, 4] });
        fill(&schema, &mut value);
        assert_eq!(
            value,
            json!({
                "market": "spot", "given": 7, "inner": { "a": 3, "b": 2 }, "maybe": { "a": 1, "b": 2 },
                "list": [{ "a": 1, "b": 2 }, 4], "part": [],
            })
        );
    }

    #[test]
    fn ends_where_a_schema_goes_in_circles() {
        let circles = [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }], "anyOf": [{ "$ref": "#" }] }),
            json!({ "$ref": "#/$defs/A", "$defs": { "A": { "$ref": "#/$defs/B" }, "B": { "$ref": "#/$defs/A" } } }),
            json!({
                "allOf": [{ "$ref": "#/$defs/A" }],
                "$defs": {
                    "A": { "properties": {}, "anyOf": [{ "$ref": "#/$defs/B" }] },
                    "B": { "properties": {}, "anyOf": [{ "$ref": "#/$defs/A" }] },
                },
            }),
        ];
        for schema in circles {
            fill(&schema, &mut json!({ "a": {} }));
        }
    }
}
