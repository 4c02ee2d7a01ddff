//! What a table's `write.metadata.metrics.*` let its metadata say of a data file.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{PrimitiveType, Schema, Type};
use serde_json::Value;

const DEFAULT: &str = "write.metadata.metrics.default";
pub(crate) const COLUMN: &str = "write.metadata.metrics.column.";
/// As every Iceberg library has it: long texts do not help to leave files out.
const TRUNCATE_DEFAULT: usize = 16;

/// Of a character in UTF-8.
const CHARACTER_BYTES_MAX: usize = 4;

const LOWER_BOUNDS: &str = "lower_bounds";
const UPPER_BOUNDS: &str = "upper_bounds";
/// The figures of a data file that these are about.
pub(crate) const KEYS: [&str; 6] = [
    "column_sizes",
    "value_counts",
    "null_value_counts",
    "nan_value_counts",
    LOWER_BOUNDS,
    UPPER_BOUNDS,
];

/// What is kept of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nothing,
    Counts,
    Truncate(usize),
    Full,
}

impl Mode {
    fn parse(key: &str, text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let width = || {
            let inner = text.strip_prefix("truncate(")?.strip_suffix(')')?;
            inner.parse().ok().filter(|it| *it > 0)
        };
        match text.as_str() {
            "none" => Ok(Self::Nothing),
            "counts" => Ok(Self::Counts),
            "full" => Ok(Self::Full),
            _ => width()
                .map(Self::Truncate)
                .ok_or_else(|| format!("the table says {key}={text}: not a metrics mode")),
        }
    }
}

/// The figures of columns, by field id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    nothing: HashSet<i64>,
    no_bounds: HashSet<i64>,
    /// Characters of a text, bytes of a binary.
    texts: HashMap<i64, usize>,
    binaries: HashMap<i64, usize>,
}

impl Metrics {
    pub(crate) fn new(
        properties: &HashMap<String, String>,
        schema: &Schema,
    ) -> Result<Self, String> {
        let mode = |key: &str| {
            properties
                .get(key)
                .map(|it| Mode::parse(key, it))
                .transpose()
        };
        let default = mode(DEFAULT)?.unwrap_or(Mode::Truncate(TRUNCATE_DEFAULT));
        let mut metrics = Self::default();
        for (id, field) in schema.field_id_to_fields() {
            let Type::Primitive(primitive) = field.field_type.as_ref() else {
                continue;
            };
            let own = match schema.name_by_field_id(*id) {
                Some(name) => mode(&format!("{COLUMN}{name}"))?,
                None => None,
            };
            let id = i64::from(*id);
            match own.unwrap_or(default) {
                Mode::Full => {}
                Mode::Nothing => {
                    metrics.nothing.insert(id);
                    metrics.no_bounds.insert(id);
                }
                Mode::Counts => {
                    metrics.no_bounds.insert(id);
                }
                Mode::Truncate(width) => match primitive {
                    PrimitiveType::String => {
                        metrics.texts.insert(id, width);
                    }
                    PrimitiveType::Binary | PrimitiveType::Fixed(_) => {
                        metrics.binaries.insert(id, width);
                    }
                    _ => {}
                },
            }
        }
        Ok(metrics)
    }

    /// How many bytes a bound of a column of texts or bytes has at most; none: as many as there are.
    pub(crate) fn bound_width_max(&self, id: i32) -> Option<usize> {
        let id = i64::from(id);
        if self.no_bounds.contains(&id) {
            return Some(0);
        }
        let of_text = self.texts.get(&id);
        let of_text = of_text.map(|it| it.saturating_mul(CHARACTER_BYTES_MAX));
        of_text.or_else(|| self.binaries.get(&id).copied())
    }

    /// Takes out of the figures of a data file, as Iceberg's own JSON of that key, what its table
    /// does not want said.
    pub(crate) fn apply(&self, key: &str, figures: &mut Value) {
        let upper = key == UPPER_BOUNDS;
        retain(figures, |id, bound| {
            if !upper && key != LOWER_BOUNDS {
                return !self.nothing.contains(&id);
            }
            if self.no_bounds.contains(&id) {
                return false;
            }
            let bytes: Option<Vec<u8>> = serde_json::from_value(bound.clone()).ok();
            let Some(bytes) = bytes else { return true };
            let cut = if let Some(width) = self.texts.get(&id) {
                text_bound(&bytes, *width, upper)
            } else if let Some(width) = self.binaries.get(&id) {
                binary_bound(&bytes, *width, upper)
            } else {
                return true;
            };
            let kept = cut.is_some();
            if let Some(cut) = cut {
                *bound = Value::from(cut);
            }
            kept
        });
    }
}

fn retain(figures: &mut Value, mut keep: impl FnMut(i64, &mut Value) -> bool) {
    let Some(entries) = figures.as_array_mut() else {
        return;
    };
    entries.retain_mut(|entry| {
        let id = entry.get("key").and_then(Value::as_i64);
        match (id, entry.get_mut("value")) {
            (Some(id), Some(value)) => keep(id, value),
            _ => true,
        }
    });
}

/// A text not above (below) the bound, of that many characters; none where there is none.
fn text_bound(bytes: &[u8], width: usize, upper: bool) -> Option<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return None;
    };
    let cut: String = text.chars().take(width).collect();
    if !upper || cut.len() == bytes.len() {
        return Some(cut.into_bytes());
    }
    raised_text(&cut).map(String::into_bytes)
}

/// A text above all that begin so, and no longer; none where there is none.
pub(crate) fn raised_text(beginning: &str) -> Option<String> {
    let mut cut: Vec<char> = beginning.chars().collect();
    while let Some(last) = cut.pop() {
        // Surrogates are no characters.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            cut.push(next);
            return Some(cut.into_iter().collect());
        }
    }
    None
}

fn binary_bound(bytes: &[u8], width: usize, upper: bool) -> Option<Vec<u8>> {
    let cut = bytes.get(..width).unwrap_or(bytes).to_vec();
    if !upper || cut.len() == bytes.len() {
        return Some(cut);
    }
    raised_bytes(cut)
}

/// Bytes above all that begin so, and no more of them; none where there are none.
pub(crate) fn raised_bytes(mut cut: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = cut.pop() {
        if let Some(next) = last.checked_add(1) {
            cut.push(next);
            return Some(cut);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use iceberg::spec::NestedField;
    use serde_json::json;

    fn schema() -> Schema {
        let field =
            |id, name: &str, ty| NestedField::optional(id, name, Type::Primitive(ty)).into();
        Schema::builder()
            .with_fields([
                field(1, "t", PrimitiveType::String),
                field(2, "b", PrimitiveType::Binary),
                field(3, "n", PrimitiveType::Long),
            ])
            .build()
            .unwrap()
    }

    fn applied(properties: &[(&str, &str)], file: Value) -> Result<Value, String> {
        let properties = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut file = file;
        let metrics = Metrics::new(&properties, &schema())?;
        for (key, figures) in file.as_object_mut().unwrap() {
            metrics.apply(key, figures);
        }
        Ok(file)
    }

    fn entry(id: i32, value: impl Into<Value>) -> Value {
        json!({"key": id, "value": value.into()})
    }

    #[test]
    fn long_texts_are_cut_so_that_they_still_bound() {
        let long = "abcdefghijklmnopqrst".as_bytes().to_vec();
        let file = json!({
            "lower_bounds": [entry(1, long.clone()), entry(3, vec![1])],
            "upper_bounds": [entry(1, long), entry(2, vec![255_u8; 20])],
        });
        let told = applied(&[], file).unwrap();
        assert_eq!(
            told["lower_bounds"][0],
            entry(1, b"abcdefghijklmnop".to_vec())
        );
        assert_eq!(told["lower_bounds"][1], entry(3, vec![1]));
        // No sixteen bytes are above twenty of 255.
        assert_eq!(
            told["upper_bounds"],
            json!([entry(1, b"abcdefghijklmnoq".to_vec())])
        );
        assert_eq!(
            text_bound("a\u{d7ff}x".as_bytes(), 2, true).unwrap(),
            "a\u{e000}".as_bytes()
        );
        assert_eq!(
            text_bound("a\u{10ffff}x".as_bytes(), 2, true).unwrap(),
            b"b"
        );
        assert_eq!(text_bound(b"ab", 2, true).unwrap(), b"ab");
    }

    #[test]
    fn columns_have_modes_of_their_own() {
        let file = || {
            json!({
                "value_counts": [entry(1, 5), entry(3, 5)],
                "lower_bounds": [entry(1, b"x".to_vec()), entry(3, vec![1])],
            })
        };
        let none = [
            (DEFAULT, "none"),
            ("write.metadata.metrics.column.n", "full"),
        ];
        let told = applied(&none, file()).unwrap();
        assert_eq!(told["value_counts"], json!([entry(3, 5)]));
        assert_eq!(told["lower_bounds"], json!([entry(3, vec![1])]));
        let told = applied(&[(DEFAULT, "counts")], file()).unwrap();
        assert_eq!(told["value_counts"], file()["value_counts"]);
        assert_eq!(told["lower_bounds"], json!([]));
        let told = applied(&[(DEFAULT, "Truncate(1)")], file()).unwrap();
        assert_eq!(told, file());
        for wrong in ["truncate(0)", "some", "truncate(x)"] {
            assert!(applied(&[(DEFAULT, wrong)], file()).is_err(), "{wrong}");
        }
    }
}
