//! One Avro schema of one that refers to others: each named type stands where it is first used.

use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Deepest nesting of types: readers of JSON take no text that is deeper.
const DEPTH_MAX: usize = 128;
const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

/// Puts the types that `referenced` defines into `root`.
pub(super) fn inline(root: &Value, referenced: &[Value]) -> Result<String, String> {
    let mut defined = HashMap::new();
    for schema in referenced {
        collect(schema, "", 0, &mut defined)?;
    }
    let mut inliner = Inliner {
        defined,
        written: HashSet::new(),
    };
    let text = inliner.write(root, "", 0)?.to_string();
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(e) => Err(e.to_string()),
    }
}

/// A definition and the namespace around it.
type Defined<'a> = HashMap<String, (&'a Map<String, Value>, String)>;

struct Inliner<'a> {
    defined: Defined<'a>,
    written: HashSet<String>,
}

/// A named type's own names.
struct Names {
    full: String,
    short: String,
    namespace: String,
}

fn names(schema: &Map<String, Value>, around: &str) -> Option<Names> {
    let kind = schema.get("type")?.as_str()?;
    if !matches!(kind, "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let name = schema.get("name")?.as_str()?;
    let (namespace, short) = match name.rsplit_once('.') {
        Some(split) => split,
        None => match schema.get("namespace").and_then(Value::as_str) {
            Some(namespace) => (namespace, name),
            None => (around, name),
        },
    };
    Some(Names {
        full: full_name(short, namespace),
        short: short.to_owned(),
        namespace: namespace.to_owned(),
    })
}

fn full_name(name: &str, around: &str) -> String {
    if name.contains('.') || around.is_empty() {
        name.to_owned()
    } else {
        format!("{around}.{name}")
    }
}

fn fields(schema: &Map<String, Value>) -> &[Value] {
    let fields = schema.get("fields").and_then(Value::as_array);
    fields.map(Vec::as_slice).unwrap_or_default()
}

fn deeper(depth: usize) -> Result<usize, String> {
    if depth < DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(format!("its types are nested deeper than {DEPTH_MAX}"))
    }
}

fn collect<'a>(
    schema: &'a Value,
    around: &str,
    depth: usize,
    into: &mut Defined<'a>,
) -> Result<(), String> {
    let depth = deeper(depth)?;
    match schema {
        Value::Array(branches) => {
            for branch in branches {
                collect(branch, around, depth, into)?;
            }
        }
        Value::Object(object) => match names(object, around) {
            Some(names) => {
                into.entry(names.full)
                    .or_insert((object, around.to_owned()));
                for field in fields(object) {
                    if let Some(of) = field.get("type") {
                        collect(of, &names.namespace, depth, into)?;
                    }
                }
            }
            None => {
                for part in ["type", "items", "values"] {
                    if let Some(of) = object.get(part) {
                        collect(of, around, depth, into)?;
                    }
                }
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

impl Inliner<'_> {
    fn write(&mut self, schema: &Value, around: &str, depth: usize) -> Result<Value, String> {
        let depth = deeper(depth)?;
        match schema {
            Value::String(name) => self.write_name(name, around, depth),
            Value::Array(branches) => {
                let branches = branches.iter().map(|b| self.write(b, around, depth));
                branches.collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(object) => match names(object, around) {
                Some(names) => self.write_named(object, names, depth),
                None => {
                    let mut object = object.clone();
                    for part in ["type", "items", "values"] {
                        if let Some(of) = object.get_mut(part) {
                            *of = self.write(of, around, depth)?;
                        }
                    }
                    Ok(Value::Object(object))
                }
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(schema.clone()),
        }
    }

    /// A name stays one, unless it is the first of a type that is defined elsewhere.
    fn write_name(&mut self, name: &str, around: &str, depth: usize) -> Result<Value, String> {
        if PRIMITIVES.contains(&name) {
            return Ok(Value::from(name));
        }
        // As Java does: within a namespace first, else without one.
        for full in [full_name(name, around), name.to_owned()] {
            if self.written.contains(&full) {
                return Ok(Value::from(full));
            }
            if let Some((object, around)) = self.defined.get(&full).cloned()
                && let Some(names) = names(object, &around)
            {
                return self.write_named(object, names, depth);
            }
        }
        Ok(Value::from(name))
    }

    fn write_named(
        &mut self,
        object: &Map<String, Value>,
        names: Names,
        depth: usize,
    ) -> Result<Value, String> {
        if !self.written.insert(names.full.clone()) {
            return Ok(Value::from(names.full));
        }
        let mut object = object.clone();
        object.insert("name".to_owned(), Value::from(names.short));
        // Written out, since it may stand within another namespace now.
        let namespace = Value::from(names.namespace.as_str());
        object.insert("namespace".to_owned(), namespace);
        if let Some(Value::Array(fields)) = object.get_mut("fields") {
            for of in fields.iter_mut().filter_map(|field| field.get_mut("type")) {
                *of = self.write(of, &names.namespace, depth)?;
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn inlined(root: &Value, referenced: &[Value]) -> Value {
        let text = inline(root, referenced).unwrap();
        apache_avro::Schema::parse_str(&text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_type_stands_where_it_is_first_used() {
        let side = json!({"type": "enum", "name": "market.Side", "symbols": ["BUY", "SELL"]});
        let price = json!({
            "type": "record", "name": "Price", "namespace": "market",
            "fields": [{"name": "side", "type": "Side"}, {"name": "at", "type": "long"}],
        });
        let root = json!({
            "type": "record", "name": "Trade", "namespace": "feed",
            "fields": [
                {"name": "first", "type": ["null", "market.Price"], "default": null},
                {"name": "all", "type": {"type": "array", "items": "market.Price"}},
                {"name": "side", "type": "market.Side"},
                {"name": "by", "type": {"type": "map", "values": "market.Side"}},
                {"name": "before", "type": ["null", "Trade"]},
            ],
        });
        let side_there = json!({
            "type": "enum", "name": "Side", "namespace": "market", "symbols": ["BUY", "SELL"],
        });
        let price_there = json!({
            "type": "record", "name": "Price", "namespace": "market",
            "fields": [{"name": "side", "type": side_there}, {"name": "at", "type": "long"}],
        });
        assert_eq!(
            inlined(&root, &[side, price]),
            json!({
                "type": "record", "name": "Trade", "namespace": "feed",
                "fields": [
                    {"name": "first", "type": ["null", price_there], "default": null},
                    {"name": "all", "type": {"type": "array", "items": "market.Price"}},
                    {"name": "side", "type": "market.Side"},
                    {"name": "by", "type": {"type": "map", "values": "market.Side"}},
                    {"name": "before", "type": ["null", "feed.Trade"]},
                ],
            })
        );
    }

    #[test]
    fn a_type_within_another_may_be_used_before_it() {
        let outer = json!({
            "type": "record", "name": "Outer", "namespace": "a",
            "fields": [{"name": "inner", "type": {"type": "fixed", "name": "Inner", "size": 4}}],
        });
        let root = json!({
            "type": "record", "name": "Root", "namespace": "a",
            "fields": [{"name": "x", "type": "Inner"}, {"name": "y", "type": "Outer"}],
        });
        let text = inlined(&root, &[outer]);
        assert_eq!(
            text["fields"][0]["type"],
            json!({"type": "fixed", "name": "Inner", "namespace": "a", "size": 4})
        );
        assert_eq!(text["fields"][1]["type"]["fields"][0]["type"], "a.Inner");
    }

    #[test]
    fn types_that_refer_to_each_other_end() {
        let a = json!({"type": "record", "name": "A", "fields": [{"name": "b", "type": ["null", "B"]}]});
        let b = json!({"type": "record", "name": "B", "fields": [{"name": "a", "type": ["null", "A"]}]});
        let root = json!(["A", "B"]);
        let text = inlined(&root, &[a, b]);
        assert_eq!(text[1], "B");
    }

    #[test]
    fn too_deep_is_refused_and_does_not_overflow() {
        let chain: Vec<Value> = (0..300)
            .map(|n| {
                let next = format!("R{}", n + 1);
                json!({"type": "record", "name": format!("R{n}"), "fields": [{"name": "x", "type": next}]})
            })
            .collect();
        let refused = inline(&json!("R0"), &chain).unwrap_err();
        assert!(refused.contains("deeper"), "{refused}");
    }
}
