//! Settings against the plugin's JSON Schema.

use super::{Settings, defaults};
use crate::fields::Place;
use crate::finding::{Finding, Findings, Kind, shown};
use crate::leaf;
use crate::names::suggest;
use crate::tree::Content;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, JsonType, ValidationError};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where the plugin's author said nothing that could help.
pub(super) const SEE_PLUGIN: &str =
    "`jackfield plugin inspect <file>` shows what the plugin takes here";

/// Forms within forms that are looked into, when a value fits none of several.
const FORMS_DEPTH_MAX: usize = 8;

impl Settings {
    /// Checks them against a plugin's schema (JSON Schema 2020-12), and gives them with its
    /// defaults filled in. Everything wrong is found at once, at its line.
    pub fn check(&self, schema: &str) -> Result<Value, Findings> {
        let mut findings = Findings::new(&self.located.file);
        let schema: Value =
            serde_json::from_str(schema).map_err(|error| self.bad_schema(&error.to_string()))?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&schema)
            .map_err(|error| self.bad_schema(&error.to_string()))?;
        for error in validator.iter_errors(&self.value) {
            self.explain(&schema, &error, 0, &mut findings);
        }
        if findings.has_errors() {
            return Err(findings.sorted());
        }
        let mut value = self.value.clone();
        defaults::fill(&schema, &mut value);
        Ok(value)
    }

    fn bad_schema(&self, why: &str) -> Findings {
        let mut findings = Findings::new(&self.located.file);
        findings.push(
            self.place(&[])
                .error(
                    Kind::PluginSchema,
                    format!(
                        "the plugin's own schema for its settings can't be used: {}",
                        shown(why)
                    ),
                )
                .mend("this is for the plugin's author to mend"),
        );
        findings
    }

    fn explain(
        &self,
        schema: &Value,
        error: &ValidationError<'_>,
        depth: usize,
        findings: &mut Findings,
    ) {
        let steps: Vec<String> = error
            .instance_path()
            .iter()
            .map(|step| step.to_string())
            .collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let place = self.place(&steps);
        let around = surrounding(schema, error);
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                for key in unexpected {
                    findings.push(unknown(&place, key, around));
                }
            }
            ValidationErrorKind::Required { property } => {
                findings.push(missing(&place, property, around))
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                self.explain_forms(schema, error, context, &place, depth, findings);
            }
            ValidationErrorKind::Type { kind } => findings.push(wrong_type(&place, &types(kind))),
            ValidationErrorKind::Enum { options } => {
                let words = options.as_array().into_iter().flatten().map(word).collect();
                findings.push(not_a_word(&place, &words));
            }
            ValidationErrorKind::Constant { expected_value } => {
                findings.push(not_a_word(&place, &BTreeSet::from([word(expected_value)])));
            }
            ValidationErrorKind::Minimum { .. }
            | ValidationErrorKind::Maximum { .. }
            | ValidationErrorKind::ExclusiveMinimum { .. }
            | ValidationErrorKind::ExclusiveMaximum { .. }
            | ValidationErrorKind::MultipleOf { .. }
            | ValidationErrorKind::MinItems { .. }
            | ValidationErrorKind::MaxItems { .. }
            | ValidationErrorKind::MinLength { .. }
            | ValidationErrorKind::MaxLength { .. }
            | ValidationErrorKind::MinProperties { .. }
            | ValidationErrorKind::MaxProperties { .. } => {
                findings.push(rule(Kind::OutOfRange, &place, error, around))
            }
            _ => findings.push(rule(Kind::BadValue, &place, error, around)),
        }
    }

    /// A value that fits none of several forms: what is wrong with the form that was meant, if
    /// that can be told, or else what would fit.
    fn explain_forms(
        &self,
        schema: &Value,
        error: &ValidationError<'_>,
        forms: &[Vec<ValidationError<'static>>],
        place: &Place<'_>,
        depth: usize,
        findings: &mut Findings,
    ) {
        let (mut words, mut expected, mut meant) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for form in forms {
            let here = form
                .iter()
                .filter(|inner| inner.instance_path() == error.instance_path());
            let mut other_form = false;
            for inner in here {
                match inner.kind() {
                    ValidationErrorKind::Type { kind } => {
                        other_form = true;
                        expected.extend(types(kind));
                    }
                    ValidationErrorKind::Constant { expected_value } => {
                        other_form = true;
                        words.insert(word(expected_value));
                    }
                    ValidationErrorKind::Enum { options } => {
                        other_form = true;
                        words.extend(options.as_array().into_iter().flatten().map(word));
                    }
                    _ => {}
                }
            }
            if !other_form {
                meant.push(form);
            }
        }
        match (meant.as_slice(), words.is_empty(), expected.is_empty()) {
            ([form], _, _) if depth < FORMS_DEPTH_MAX => {
                for inner in *form {
                    self.explain(schema, inner, depth + 1, findings);
                }
            }
            ([], false, _) if place.is_short() => findings.push(not_a_word(place, &words)),
            ([], _, false) => findings.push(wrong_type(place, &expected)),
            _ => findings.push(rule(
                Kind::BadValue,
                place,
                error,
                surrounding(schema, error),
            )),
        }
    }
}

/// The schema that holds the keyword which failed.
fn surrounding<'a>(schema: &'a Value, error: &ValidationError<'_>) -> Option<&'a Value> {
    let (parent, _) = error.schema_path().as_str().rsplit_once('/')?;
    schema.pointer(parent)
}

fn unknown(place: &Place<'_>, key: &str, around: Option<&Value>) -> Finding {
    let known: Vec<&str> = around
        .and_then(|schema| schema.get("properties")?.as_object())
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    let at = place.node.get(key).map_or(place.node.at, |entry| entry.at);
    Finding::error(
        Kind::UnknownKey,
        place.path.key(key),
        at,
        format!("unknown key `{}`", shown(key)),
    )
    .mend(suggest("keys here", key, known.iter().copied()))
}

fn missing(place: &Place<'_>, property: &Value, around: Option<&Value>) -> Finding {
    let key = property.as_str().unwrap_or_default();
    let doc = around
        .and_then(|schema| {
            schema
                .get("properties")?
                .get(key)?
                .get("description")?
                .as_str()
        })
        .map(|doc| format!(". {}", shown(doc)))
        .unwrap_or_default();
    Finding::error(
        Kind::MissingKey,
        place.path.key(key),
        place.node.at,
        format!("`{}` is missing", shown(key)),
    )
    .mend(format!("add `{}:`{doc}", shown(key)))
}

fn not_a_word(place: &Place<'_>, words: &BTreeSet<String>) -> Finding {
    let given = match &place.node.content {
        Content::Scalar(scalar) => scalar.text.as_str(),
        Content::List(_) | Content::Map(_) => "",
    };
    leaf::with_value(
        place.error(Kind::BadValue, "not one of the values that are known here"),
        place,
    )
    .mend(suggest("values", given, words.iter().map(String::as_str)))
}

fn word(value: &Value) -> String {
    shown(value.as_str().unwrap_or(&value.to_string()))
}

fn types(kind: &TypeKind) -> BTreeSet<&'static str> {
    let name = |kind: JsonType| match kind {
        JsonType::Null => "nothing",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    };
    match kind {
        TypeKind::Single(kind) => BTreeSet::from([name(*kind)]),
        TypeKind::Multiple(kinds) => kinds.iter().map(name).collect(),
    }
}

fn wrong_type(place: &Place<'_>, expected: &BTreeSet<&'static str>) -> Finding {
    // That nothing would do too helps nobody who wrote something.
    let something: Vec<&str> = expected
        .iter()
        .copied()
        .filter(|name| *name != "nothing")
        .collect();
    let words = if something.is_empty() {
        "nothing".to_owned()
    } else {
        something.join(" or ")
    };
    let finding = leaf::wrong_type(place, &words);
    let Content::Scalar(scalar) = &place.node.content else {
        return finding.mend(SEE_PLUGIN);
    };
    let text = scalar.text.as_str();
    let truth = matches!(
        text.to_ascii_lowercase().as_str(),
        "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let mend = if expected.contains("true or false") && truth {
        "write `true` or `false`: words such as `yes` and `off` are text".to_owned()
    } else if expected.contains("text") && scalar.plain {
        format!("put quotes around it: \"{}\"", shown(text))
    } else if (expected.contains("a number") || expected.contains("a whole number"))
        && text.parse::<f64>().is_ok()
    {
        format!("remove the quotes: {}", shown(text))
    } else if expected.contains("a list") {
        format!("put it into brackets: [{}]", shown(text))
    } else {
        SEE_PLUGIN.to_owned()
    };
    finding.mend(mend)
}

/// A rule that speaks for itself.
fn rule(
    kind: Kind,
    place: &Place<'_>,
    error: &ValidationError<'_>,
    around: Option<&Value>,
) -> Finding {
    let doc = around
        .and_then(|schema| schema.get("description")?.as_str())
        .map(shown);
    let message = error.masked_with("the value").to_string();
    leaf::with_value(place.error(kind, shown(&message)), place)
        .mend(doc.unwrap_or_else(|| SEE_PLUGIN.to_owned()))
}
