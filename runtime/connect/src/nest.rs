//! Settings ↔ dotted keys.

use crate::errors::KeyErrors;
use crate::schema::View;
use crate::text;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting that is taken apart; below, values are written as JSON.
const DEPTH_MAX: usize = 16;

/// The keys on the way to a setting, and what may stand there.
struct Found<'a> {
    steps: Vec<String>,
    view: View<'a>,
}

/// Settings made of texts by dotted keys, each with the key that messages about it name. What is
/// wrong is found in `errors`.
pub fn nest<'k>(
    schema: &Value,
    entries: impl IntoIterator<Item = (&'k str, &'k str, &'k str)>,
    errors: &mut KeyErrors,
) -> Value {
    let root = View::root(schema);
    let mut settings = Map::new();
    let mut given = BTreeSet::new();
    for (key, path, text) in entries {
        let Some(found) = find(&root, path, 0) else {
            errors.push(key, unknown(&root, path));
            continue;
        };
        let beside = (1..=found.steps.len()).any(|n| given.contains(&found.steps[..n]))
            || given
                .iter()
                .any(|other: &Vec<String>| other.starts_with(&found.steps));
        if beside {
            errors.push(key, "given twice: as a whole and in parts");
            continue;
        }
        match text::read(&found.view, text) {
            Ok(value) => {
                put(&mut settings, &found.steps, value);
                given.insert(found.steps);
            }
            Err(why) => errors.push(key, why),
        }
    }
    Value::Object(settings)
}

/// Texts by dotted keys that [`nest`] makes the same settings of. `None` when no keys can say it.
pub fn flatten(schema: &Value, settings: &Value) -> Option<BTreeMap<String, String>> {
    let root = View::root(schema);
    let mut flat = BTreeMap::new();
    for (name, value) in settings.as_object()? {
        let view = match root.property(name) {
            Some(view) => view,
            None => root.additional()?,
        };
        for (steps, text) in entries(&view, vec![name.clone()], value, 0) {
            let path = steps.join(".");
            let found = find(&root, &path, 0)?;
            if found.steps != steps {
                return None;
            }
            flat.insert(path, text);
        }
    }
    Some(flat)
}

fn entries(
    view: &View<'_>,
    way: Vec<String>,
    value: &Value,
    depth: usize,
) -> Vec<(Vec<String>, String)> {
    let whole = |way| vec![(way, text::write(view, value))];
    let Value::Object(object) = value else {
        return whole(way);
    };
    if object.is_empty() || !view.has_names() || depth == DEPTH_MAX {
        return whole(way);
    }
    let mut all = Vec::new();
    for (name, value) in object {
        let Some(below) = view.property(name).or_else(|| view.additional()) else {
            return whole(way);
        };
        let mut steps = way.clone();
        steps.push(name.clone());
        for (steps, text) in entries(&below, steps, value, depth + 1) {
            let own = &steps[way.len()..];
            // A name with dots in it may be read as a way.
            if find(view, &own.join("."), depth + 1).is_none_or(|found| found.steps != own) {
                return whole(way);
            }
            all.push((steps, text));
        }
    }
    all
}

/// The longest known name first, since names may have dots in them.
fn find<'a>(view: &View<'a>, path: &str, depth: usize) -> Option<Found<'a>> {
    if depth > DEPTH_MAX || path.is_empty() {
        return None;
    }
    let mut names: Vec<_> = view
        .names()
        .into_iter()
        .filter(|name| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        let Some(below) = view.property(name) else {
            continue;
        };
        if let Some(found) = on(below, name, path.get(name.len() + 1..), depth) {
            return Some(found);
        }
    }
    let below = view.additional()?;
    if below.has_names()
        && let Some((name, rest)) = path.split_once('.')
        && !name.is_empty()
        && let Some(found) = on(below.clone(), name, Some(rest), depth)
    {
        return Some(found);
    }
    on(below, path, None, depth)
}

fn on<'a>(view: View<'a>, name: &str, rest: Option<&str>, depth: usize) -> Option<Found<'a>> {
    let Some(rest) = rest else {
        return Some(Found {
            steps: vec![name.to_owned()],
            view,
        });
    };
    let mut found = find(&view, rest, depth + 1)?;
    found.steps.insert(0, name.to_owned());
    Some(found)
}

fn put(settings: &mut Map<String, Value>, steps: &[String], value: Value) {
    let Some((last, way)) = steps.split_last() else {
        return;
    };
    let mut at = settings;
    for step in way {
        let below = at
            .entry(step.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        // Whatever was put here was put in parts: wholes are in `given`.
        let Value::Object(object) = below else {
            return;
        };
        at = object;
    }
    at.insert(last.clone(), value);
}

fn unknown(root: &View<'_>, path: &str) -> String {
    let names = root.names();
    let first = path.split('.').next().unwrap_or(path);
    let near = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, first), name))
        .min()
        .filter(|(mistakes, name)| *mistakes <= (name.len() / 3).max(1));
    match near {
        Some((0, name)) => format!("unknown key: `{name}` has nothing of this name"),
        Some((_, name)) => format!("unknown key: did you mean `{name}`?"),
        None if names.is_empty() => "unknown key: the plugin takes no settings".to_owned(),
        None => format!("unknown key: the plugin takes {}", names.join(", ")),
    }
}
