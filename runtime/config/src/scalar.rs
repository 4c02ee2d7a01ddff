//! What a scalar means: YAML 1.2's core schema, and a refusal where YAML 1.1 reads it otherwise.
//!
//! `no`, `on` and `yes` are text, as are `1_000` and `12:30`. `010` is neither eight nor ten: it is
//! refused, since people and programs disagree about it.

use crate::tree::{Origin, Scalar};
use serde_json::{Number, Value};

/// What an unquoted scalar says. A quoted one is always text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    Nothing,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
    Text,
    /// `010`: eight in YAML 1.1, ten in YAML 1.2.
    LeadingZero,
    /// `.inf`, `.nan`, or beyond what is exact.
    NotANumberWeKeep,
}

impl Scalar {
    pub(crate) fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            // A variable that is empty is empty text: nothing was left out in the file.
            "" | "~" | "null" | "Null" | "NULL" if self.origin == Origin::Written => {
                Meaning::Nothing
            }
            "true" | "True" | "TRUE" => Meaning::Bool(true),
            "false" | "False" | "FALSE" => Meaning::Bool(false),
            text => number(text),
        }
    }

    /// As JSON, for a place that takes anything; `Err` says what is wrong and what mends it.
    pub(crate) fn json(&self) -> Result<Value, (&'static str, String)> {
        match self.meaning() {
            Meaning::Nothing => Ok(Value::Null),
            Meaning::Bool(yes) => Ok(Value::Bool(yes)),
            Meaning::Text => Ok(Value::String(self.text.clone())),
            Meaning::Whole(number) => i64::try_from(number)
                .map(Value::from)
                .or_else(|_| u64::try_from(number).map(Value::from))
                .map_err(|_| too_large(&self.text)),
            Meaning::Fraction(number) => Number::from_f64(number)
                .map(Value::Number)
                .ok_or_else(|| too_large(&self.text)),
            Meaning::LeadingZero => {
                let (message, mend) = leading_zero(&self.text);
                Err((message, format!("{mend}, or quotes for text")))
            }
            Meaning::NotANumberWeKeep => Err(too_large(&self.text)),
        }
    }
}

fn too_large(text: &str) -> (&'static str, String) {
    (
        "a number that can't be kept as it is",
        format!("put quotes around it if it is meant as text: \"{text}\""),
    )
}

pub(crate) fn leading_zero(text: &str) -> (&'static str, String) {
    let digits = text.trim_start_matches(['+', '-', '0']);
    let minus = if text.starts_with('-') { "-" } else { "" };
    let decimal = if digits.is_empty() { "0" } else { digits };
    let octal = if digits.is_empty() || !minus.is_empty() || digits.contains(['8', '9']) {
        String::new()
    } else {
        format!(", 0o{digits} for the octal number")
    };
    (
        "a number with a leading zero is octal to some and decimal to others",
        format!("write {minus}{decimal} for the decimal number{octal}"),
    )
}

fn number(text: &str) -> Meaning {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return Meaning::NotANumberWeKeep,
        _ => {}
    }
    let radix = match text.get(..2) {
        Some("0o") => Some(8),
        Some("0x") => Some(16),
        _ => None,
    };
    if let Some(radix) = radix {
        let digits = &text[2..];
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Meaning::Text;
        }
        return i128::from_str_radix(digits, radix)
            .map_or(Meaning::NotANumberWeKeep, Meaning::Whole);
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return Meaning::LeadingZero;
        }
        return text
            .parse()
            .map_or(Meaning::NotANumberWeKeep, Meaning::Whole);
    }
    let looks_like_a_fraction = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    match text.parse::<f64>() {
        Ok(number) if looks_like_a_fraction && number.is_finite() => Meaning::Fraction(number),
        Ok(_) if looks_like_a_fraction => Meaning::NotANumberWeKeep,
        _ => Meaning::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.to_owned(),
            plain: true,
            origin: Origin::Written,
        }
    }

    #[test]
    fn reads_the_core_schema() {
        for (text, meaning) in [
            ("", Meaning::Nothing),
            ("~", Meaning::Nothing),
            ("true", Meaning::Bool(true)),
            ("FALSE", Meaning::Bool(false)),
            ("12", Meaning::Whole(12)),
            ("-12", Meaning::Whole(-12)),
            ("0", Meaning::Whole(0)),
            ("0o17", Meaning::Whole(15)),
            ("0x1F", Meaning::Whole(31)),
            ("1.5", Meaning::Fraction(1.5)),
            ("1e3", Meaning::Fraction(1000.0)),
            (".5", Meaning::Fraction(0.5)),
            ("010", Meaning::LeadingZero),
            ("-010", Meaning::LeadingZero),
            (".inf", Meaning::NotANumberWeKeep),
            ("-.inf", Meaning::NotANumberWeKeep),
            ("1e999", Meaning::NotANumberWeKeep),
        ] {
            assert_eq!(plain(text).meaning(), meaning, "{text:?}");
        }
    }

    #[test]
    fn what_yaml_1_1_takes_for_something_else_is_text() {
        for text in [
            "no",
            "NO",
            "yes",
            "on",
            "off",
            "y",
            "n",
            "1_000",
            "12:30",
            "0b1",
            "2024-08-08",
            "inf",
            "nan",
            "0x",
            "+-5",
            "1.2.3",
            "e5",
            "-",
            ".",
            "0x-1",
            "infinity",
        ] {
            assert_eq!(plain(text).meaning(), Meaning::Text, "{text:?}");
        }
    }

    #[test]
    fn quotes_and_empty_variables_are_text() {
        for scalar in [
            Scalar {
                plain: false,
                ..plain("12")
            },
            Scalar {
                plain: false,
                ..plain("")
            },
            Scalar {
                origin: Origin::Variable,
                ..plain("")
            },
            Scalar {
                origin: Origin::Variable,
                ..plain("null")
            },
        ] {
            assert_eq!(scalar.meaning(), Meaning::Text, "{scalar:?}");
        }
        assert_eq!(
            Scalar {
                origin: Origin::Variable,
                ..plain("12")
            }
            .meaning(),
            Meaning::Whole(12)
        );
    }

    #[test]
    fn becomes_exact_json_or_nothing() {
        assert_eq!(
            plain("18446744073709551615").json(),
            Ok(Value::from(u64::MAX))
        );
        assert_eq!(
            plain("-9223372036854775808").json(),
            Ok(Value::from(i64::MIN))
        );
        assert!(plain("18446744073709551616").json().is_err());
        assert_eq!(
            plain("010").json().unwrap_err().1,
            "write 10 for the decimal number, 0o10 for the octal number, or quotes for text"
        );
        assert_eq!(
            plain("09").json().unwrap_err().1,
            "write 9 for the decimal number, or quotes for text"
        );
    }
}
