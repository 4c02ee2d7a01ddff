//! What a JSON Schema says of one place, whichever of its parts says it.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Most schemas that are joined for one place: references may go in circles, and plugins are not
/// trusted.
const PARTS_MAX: usize = 64;

/// All that is said of one place: by its own schema, and by those that this one refers to or
/// combines.
#[derive(Clone)]
pub(crate) struct View<'a> {
    root: &'a Value,
    parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy)]
struct Part<'a> {
    schema: &'a Map<String, Value>,
    /// Not one of several forms that the value may have.
    certain: bool,
}

/// The types that a value may have. None of them: any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Types {
    pub(crate) string: bool,
    pub(crate) integer: bool,
    pub(crate) number: bool,
    pub(crate) boolean: bool,
    pub(crate) array: bool,
    pub(crate) object: bool,
    pub(crate) null: bool,
}

impl Types {
    pub(crate) fn is_any(self) -> bool {
        self == Types::default()
    }

    /// Every text means itself.
    pub(crate) fn only_string(self) -> bool {
        self == Types {
            string: true,
            ..Types::default()
        }
    }

    pub(crate) fn admits(self, value: &Value) -> bool {
        if self.is_any() {
            return true;
        }
        match value {
            Value::Null => self.null,
            Value::Bool(_) => self.boolean,
            Value::Number(number) => {
                let whole = number.is_i64()
                    || number.is_u64()
                    || number.as_f64().is_some_and(|it| it.fract() == 0.0);
                self.number || self.integer && whole
            }
            Value::String(_) => self.string,
            Value::Array(_) => self.array,
            Value::Object(_) => self.object,
        }
    }

    fn add(&mut self, name: &str) {
        match name {
            "string" => self.string = true,
            "integer" => self.integer = true,
            "number" => self.number = true,
            "boolean" => self.boolean = true,
            "array" => self.array = true,
            "object" => self.object = true,
            "null" => self.null = true,
            _ => {}
        }
    }

    fn add_of(&mut self, value: &Value) {
        self.add(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        });
    }

    /// In words.
    pub(crate) fn words(self) -> String {
        let words = [
            (self.string, "text"),
            (self.boolean, "`true` or `false`"),
            (self.integer && !self.number, "a whole number"),
            (self.number, "a number"),
            (self.array, "a list: `a,b` or JSON"),
            (self.object, "a JSON object"),
        ];
        let words: Vec<_> = words
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| *word)
            .collect();
        words.join(", or ")
    }
}

impl<'a> View<'a> {
    /// Of a whole schema.
    pub(crate) fn root(root: &'a Value) -> Self {
        Self::of(root, root)
    }

    fn of(root: &'a Value, schema: &'a Value) -> Self {
        let mut view = Self {
            root,
            parts: Vec::new(),
        };
        view.add(schema, true);
        view
    }

    fn add(&mut self, schema: &'a Value, certain: bool) {
        let Some(schema) = schema.as_object() else {
            return;
        };
        let known = self
            .parts
            .iter()
            .any(|part| std::ptr::eq(part.schema, schema));
        if known || self.parts.len() == PARTS_MAX {
            return;
        }
        self.parts.push(Part { schema, certain });
        let root = self.root;
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && let Some(referred) = reference
                .strip_prefix('#')
                .and_then(|pointer| root.pointer(pointer))
        {
            self.add(referred, certain);
        }
        for part in list(schema, "allOf") {
            self.add(part, certain);
        }
        for form in list(schema, "anyOf").chain(list(schema, "oneOf")) {
            self.add(form, false);
        }
    }

    pub(crate) fn types(&self) -> Types {
        let mut types = Types::default();
        for Part { schema, .. } in &self.parts {
            match schema.get("type") {
                Some(Value::String(name)) => types.add(name),
                Some(Value::Array(names)) => names
                    .iter()
                    .filter_map(Value::as_str)
                    .for_each(|name| types.add(name)),
                _ => {
                    list(schema, "enum").for_each(|value| types.add_of(value));
                    if let Some(value) = schema.get("const") {
                        types.add_of(value);
                    }
                    if schema.contains_key("properties") {
                        types.object = true;
                    }
                }
            }
        }
        types
    }

    /// Names of the known properties, in the order in which the schema has them.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for part in &self.parts {
            let properties = part.schema.get("properties").and_then(Value::as_object);
            for name in properties.into_iter().flat_map(Map::keys) {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// A known property.
    pub(crate) fn property(&self, name: &str) -> Option<View<'a>> {
        self.below(|part| part.get("properties")?.get(name))
    }

    /// What any other property is, where others are allowed.
    pub(crate) fn additional(&self) -> Option<View<'a>> {
        let given = self.below(|part| {
            let schema = part.get("additionalProperties")?;
            (*schema != Value::Bool(false)).then_some(schema)
        });
        let free = self.types().is_any() || self.types().object;
        let closed = self
            .parts
            .iter()
            .any(|part| part.schema.contains_key("additionalProperties"));
        match given {
            Some(view) => Some(view),
            // Nothing is said of what may be in it.
            None if free && !closed && self.names().is_empty() => Some(View {
                root: self.root,
                parts: Vec::new(),
            }),
            None => None,
        }
    }

    /// Whether something can be named below.
    pub(crate) fn has_names(&self) -> bool {
        let types = self.types();
        (types.is_any() && !self.parts.is_empty() || types.object)
            && (!self.names().is_empty() || self.additional().is_some())
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> View<'a> {
        self.below(|part| part.get("items")).unwrap_or(View {
            root: self.root,
            parts: Vec::new(),
        })
    }

    fn below(&self, of: impl Fn(&'a Map<String, Value>) -> Option<&'a Value>) -> Option<View<'a>> {
        let mut view = View {
            root: self.root,
            parts: Vec::new(),
        };
        let mut found = false;
        for part in &self.parts {
            if let Some(schema) = of(part.schema) {
                found = true;
                view.add(schema, part.certain);
            }
        }
        found.then_some(view)
    }

    /// Whether a property has to be there, whatever form the value has.
    pub(crate) fn requires(&self, name: &str) -> bool {
        self.parts
            .iter()
            .filter(|part| part.certain)
            .any(|part| list(part.schema, "required").any(|it| it == name))
    }

    /// The first thing that is said under a keyword.
    pub(crate) fn said(&self, keyword: &str) -> Option<&'a Value> {
        self.parts.iter().find_map(|part| part.schema.get(keyword))
    }

    /// The first text under a keyword.
    pub(crate) fn text(&self, keyword: &str) -> Option<&'a str> {
        self.parts
            .iter()
            .find_map(|part| part.schema.get(keyword).and_then(Value::as_str))
    }

    /// The values that are named, if the value must be one of some.
    pub(crate) fn values(&self) -> Vec<&'a Value> {
        let mut values = Vec::new();
        for part in &self.parts {
            values.extend(list(part.schema, "enum"));
            values.extend(part.schema.get("const"));
        }
        values
    }

    /// Whether it is secret, or something in it, however deep. Schemas may go in circles: each of
    /// their places is looked at once.
    pub(crate) fn holds_secret(&self) -> bool {
        let mut seen: BTreeSet<*const Map<String, Value>> = BTreeSet::new();
        let mut left = vec![self.clone()];
        while let Some(view) = left.pop() {
            if view.is_secret() {
                return true;
            }
            let mut new = false;
            for part in &view.parts {
                new |= seen.insert(std::ptr::from_ref(part.schema));
            }
            if new {
                let named = view.names().into_iter();
                left.extend(named.filter_map(|name| view.property(name)));
                left.extend(view.unnamed());
            }
        }
        false
    }

    /// What is in it without a name of its own: further properties, and the items of a list.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = View<'a>> {
        self.additional().into_iter().chain([self.items()])
    }

    /// Whether its author says that it is not to be shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.parts.iter().any(|part| {
            part.schema.get("writeOnly") == Some(&Value::Bool(true))
                || part.schema.get("format") == Some(&Value::String("password".to_owned()))
        })
    }
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    schema
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn joins_what_several_parts_say() {
        let schema = json!({
            "properties": {
                "maybe": { "anyOf": [{ "$ref": "#/$defs/Inner" }, { "type": "null" }] },
                "both": { "allOf": [{ "$ref": "#/$defs/Inner" }, { "required": ["b"] }] },
            },
            "required": ["both"],
            "$defs": { "Inner": { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] } },
        });
        let root = View::root(&schema);
        let maybe = root.property("maybe").unwrap();
        assert!(maybe.types().object && maybe.types().null);
        assert!(maybe.property("a").unwrap().types().integer);
        assert!(!maybe.requires("a"), "there may be nothing at all");
        let both = root.property("both").unwrap();
        assert!(both.requires("a") && both.requires("b"));
        assert!(root.requires("both") && !root.requires("maybe"));
        assert!(root.property("other").is_none() && root.additional().is_none());
    }

    #[test]
    fn circles_end() {
        let schema =
            json!({ "$ref": "#", "anyOf": [{ "$ref": "#" }, { "allOf": [{ "$ref": "#" }] }] });
        assert!(View::root(&schema).types().is_any());
    }

    #[test]
    fn secrets_are_found_however_deep() {
        let pin = json!({ "type": "string", "writeOnly": true });
        let holds = |schema: &Value| View::root(schema).holds_secret();
        assert!(holds(&pin));
        assert!(holds(&json!({ "additionalProperties": pin })));
        let lists = json!({ "items": { "items": { "properties": { "pin": pin } } } });
        assert!(holds(&lists));
        let circle = |pin: &Value| {
            json!({
                "properties": { "all": { "type": "array", "items": { "$ref": "#" } }, "pin": pin },
            })
        };
        assert!(holds(&circle(&pin)));
        assert!(!holds(&circle(&json!({ "type": "string" }))));
        // Each of ten names leads to all of them again.
        let names = (0..10).map(|name| (name.to_string(), json!({ "$ref": "#" })));
        let names: Map<String, Value> = names.collect();
        assert!(!holds(&json!({ "properties": names })));
    }

    #[test]
    fn a_schema_that_says_nothing_allows_everything() {
        let schema = json!({});
        assert!(View::root(&schema).additional().is_some());
        let closed = json!({ "additionalProperties": false });
        assert!(View::root(&closed).additional().is_none());
    }
}
