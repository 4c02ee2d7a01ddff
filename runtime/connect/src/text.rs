//! A value of settings ↔ the text that stands for it, by what the schema allows there.

use crate::schema::View;
use serde_json::{Number, Value};

/// What a text means. `Err` says what would be due.
pub(crate) fn read(view: &View<'_>, text: &str) -> Result<Value, String> {
    let types = view.types();
    if types.only_string() {
        return Ok(Value::String(text.to_owned()));
    }
    let trimmed = text.trim();
    if let Some(value) = json(trimmed).filter(|value| types.admits(value)) {
        return Ok(value);
    }
    if types.boolean {
        if trimmed.eq_ignore_ascii_case("true") {
            return Ok(Value::Bool(true));
        }
        if trimmed.eq_ignore_ascii_case("false") {
            return Ok(Value::Bool(false));
        }
    }
    if types.string || types.is_any() {
        return Ok(Value::String(text.to_owned()));
    }
    if types.array && !trimmed.starts_with('[') {
        return list(view, trimmed);
    }
    Err(format!("not {}", types.words()))
}

/// The text that means a value; [`read`] gives it back.
pub(crate) fn write(view: &View<'_>, value: &Value) -> String {
    let plain = match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => commas(view, items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    match plain {
        Some(plain) if read(view, &plain).as_ref() == Ok(value) => plain,
        Some(_) | None => value.to_string(),
    }
}

/// As JSON. A number stays what it says.
fn json(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    match &value {
        Value::Number(number) if number.is_f64() => {
            let exact = text.parse().ok().and_then(Number::from_f64)?;
            Some(Value::Number(exact))
        }
        _ => Some(value),
    }
}

fn list(view: &View<'_>, text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    let items = view.items();
    text.split(',')
        .map(|item| read(&items, item.trim()))
        .collect()
}

fn commas(view: &View<'_>, items: &[Value]) -> Option<String> {
    let each = view.items();
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Array(_) | Value::Object(_) => return None,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                texts.push(write(&each, item));
            }
        }
    }
    Some(texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meaning(schema: Value, text: &str) -> Result<Value, String> {
        read(&View::root(&schema), text)
    }

    #[test]
    fn a_text_means_what_the_schema_says() {
        let text = json!({ "type": "string" });
        assert_eq!(meaning(text.clone(), "12"), Ok(json!("12")));
        assert_eq!(meaning(text, "[1]"), Ok(json!("[1]")));
        let whole = json!({ "type": "integer" });
        assert_eq!(meaning(whole.clone(), " 12 "), Ok(json!(12)));
        assert_eq!(
            meaning(whole.clone(), "010"),
            Err("not a whole number".into())
        );
        assert_eq!(meaning(whole, "1.5"), Err("not a whole number".into()));
        let truth = json!({ "type": "boolean" });
        assert_eq!(meaning(truth.clone(), "True"), Ok(json!(true)));
        assert!(meaning(truth, "yes").is_err());
        let list = json!({ "type": "array", "items": { "type": "string" } });
        assert_eq!(meaning(list.clone(), "a, b"), Ok(json!(["a", "b"])));
        assert_eq!(meaning(list.clone(), "[\"a,b\"]"), Ok(json!(["a,b"])));
        assert_eq!(meaning(list.clone(), ""), Ok(json!([])));
        assert!(meaning(list, "[a").is_err());
        let numbers = json!({ "type": "array", "items": { "type": "integer" } });
        assert_eq!(meaning(numbers.clone(), "1,2"), Ok(json!([1, 2])));
        assert!(meaning(numbers, "1,x").is_err());
    }

    #[test]
    fn where_several_types_may_stand_json_decides() {
        let maybe = json!({ "type": ["string", "null"] });
        assert_eq!(meaning(maybe.clone(), "12"), Ok(json!("12")));
        assert_eq!(meaning(maybe.clone(), "null"), Ok(Value::Null));
        assert_eq!(write(&View::root(&maybe), &json!("null")), "\"null\"");
        let either = json!({ "type": ["string", "integer"] });
        assert_eq!(meaning(either.clone(), "12"), Ok(json!(12)));
        assert_eq!(meaning(either.clone(), "\"12\""), Ok(json!("12")));
        assert_eq!(write(&View::root(&either), &json!("12")), "\"12\"");
        assert_eq!(write(&View::root(&either), &json!("a")), "a");
    }

    #[test]
    fn a_list_is_written_with_commas_where_that_says_the_same() {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        let view = View::root(&list);
        assert_eq!(write(&view, &json!(["a", "b"])), "a,b");
        assert_eq!(write(&view, &json!(["a,b"])), "[\"a,b\"]");
        assert_eq!(write(&view, &json!([" a"])), "[\" a\"]");
        assert_eq!(write(&view, &json!([""])), "[\"\"]");
        assert_eq!(write(&view, &json!([])), "");
    }
}
