//! Single values: text, numbers, times, sizes, words.

use crate::catalogue::{Shape, Text};
use crate::fields::Place;
use crate::finding::{Finding, Findings, Kind};
use crate::names::{NameRule, suggest};
use crate::quantity::{parse_bytes, parse_duration, show_bytes, show_duration};
use crate::scalar::{Meaning, leading_zero};
use crate::secret::Secret;
use crate::tree::{Content, Origin, Scalar};
use std::fmt::Display;
use std::time::Duration;

const ONE_VALUE: &str = "write one value, without brackets and without keys below it";

/// `expected …, found …`, with the value where it may be shown.
pub(crate) fn wrong_type(place: &Place<'_>, expected: &str) -> Finding {
    let found = match &place.node.content {
        Content::List(_) => "a list",
        Content::Map(_) => "a mapping",
        Content::Scalar(scalar) => match scalar.meaning() {
            Meaning::Nothing => "nothing",
            Meaning::Bool(_) => "a truth value",
            Meaning::Whole(_)
            | Meaning::Fraction(_)
            | Meaning::LeadingZero
            | Meaning::NotANumberWeKeep => "a number",
            Meaning::Text => "text",
        },
    };
    with_value(
        place.error(
            Kind::WrongType,
            format!("expected {expected}, found {found}"),
        ),
        place,
    )
}

/// Adds the value, masked if it comes from a file.
pub(crate) fn with_value(finding: Finding, place: &Place<'_>) -> Finding {
    match &place.node.content {
        Content::Scalar(scalar) if scalar.origin == Origin::Secret => finding.masked(),
        Content::Scalar(scalar) if !scalar.text.is_empty() => finding.value(&scalar.text),
        Content::Scalar(_) | Content::List(_) | Content::Map(_) => finding,
    }
}

/// The scalar of a place that is not a secret's; `None` after a finding.
fn scalar<'a>(place: &'a Place<'_>, expected: &str, findings: &mut Findings) -> Option<&'a Scalar> {
    let Content::Scalar(scalar) = &place.node.content else {
        findings.push(wrong_type(place, expected).mend(ONE_VALUE));
        return None;
    };
    match scalar.origin {
        Origin::Broken => None,
        Origin::Secret => {
            findings.push(
                misplaced(place).mend("write it out, or use an environment variable: `${NAME}`"),
            );
            None
        }
        Origin::Written | Origin::Variable => Some(scalar),
    }
}

/// A secret where one can't be kept.
pub(crate) fn misplaced(place: &Place<'_>) -> Finding {
    place
        .error(
            Kind::MisplacedSecret,
            "a secret can't stand here, where it would be shown",
        )
        .masked()
}

/// Any text that is not empty.
pub(crate) fn text(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    let Shape::Text(kind) = shape else {
        unreachable!("declared as text")
    };
    let scalar = scalar(place, "text", findings)?;
    match scalar.meaning() {
        Meaning::Text if scalar.text.trim().is_empty() => {
            findings.push(
                place
                    .error(Kind::BadValue, "empty text")
                    .mend("write a value, or remove the key"),
            );
            None
        }
        Meaning::Text => Some(scalar.text.clone()),
        Meaning::Nothing => {
            findings.push(wrong_type(place, "text").mend("write a value, or remove the key"));
            None
        }
        _ if *kind == Text::TopicSetting => Some(scalar.text.clone()),
        _ => {
            findings.push(
                wrong_type(place, "text")
                    .mend(format!("put quotes around it: \"{}\"", scalar.text)),
            );
            None
        }
    }
}

/// A name that follows a rule.
pub(crate) fn name(
    rule: NameRule,
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let name = text(shape, place, findings)?;
    if rule.admits(&name) {
        return Some(name);
    }
    let mend = match rule.nearest(&name) {
        Some(fits) => format!("such as `{fits}`: {}", rule.words()),
        None => rule.words().to_owned(),
    };
    findings.push(
        place
            .error(Kind::BadName, "this name can't be used")
            .value(name)
            .mend(mend),
    );
    None
}

/// Text that is never shown. Numbers count as their text: a PIN is one.
pub(crate) fn secret(_: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<Secret> {
    match &place.node.content {
        Content::Scalar(scalar) if scalar.origin == Origin::Broken => None,
        Content::Scalar(scalar)
            if !scalar.text.trim().is_empty() && scalar.meaning() != Meaning::Nothing =>
        {
            Some(Secret::new(scalar.text.as_str()))
        }
        Content::Scalar(_) => {
            findings.push(
                place
                    .error(Kind::BadValue, "empty text")
                    .mend("write a value, or remove the key"),
            );
            None
        }
        Content::List(_) | Content::Map(_) => {
            findings.push(wrong_type(place, "text").mend(ONE_VALUE));
            None
        }
    }
}

/// A whole number within its limits.
pub(crate) fn whole(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<u64> {
    let Shape::Whole { min, max } = *shape else {
        unreachable!("declared as a whole number")
    };
    let scalar = scalar(place, "a whole number", findings)?;
    // A variable is often quoted by habit: what it holds counts.
    let plain = Scalar {
        plain: scalar.plain || scalar.origin == Origin::Variable,
        ..scalar.clone()
    };
    let mend = match plain.meaning() {
        Meaning::Whole(number) => match u64::try_from(number)
            .ok()
            .filter(|number| (min..=max).contains(number))
        {
            Some(number) => return Some(number),
            None => {
                findings.push(out_of_range(place, min, max));
                return None;
            }
        },
        Meaning::LeadingZero => {
            let (message, mend) = leading_zero(&scalar.text);
            findings.push(
                place
                    .error(Kind::BadValue, message)
                    .value(&scalar.text)
                    .mend(mend),
            );
            return None;
        }
        Meaning::Text => match scalar.text.replace(['_', ',', ' ', '\''], "") {
            digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("write {digits}")
            }
            _ => format!("write a number from {min} to {max}"),
        },
        Meaning::Nothing | Meaning::Bool(_) | Meaning::Fraction(_) | Meaning::NotANumberWeKeep => {
            format!("write a number from {min} to {max}")
        }
    };
    findings.push(wrong_type(place, "a whole number").mend(mend));
    None
}

/// A time within its limits; `None` inside for `forever`.
pub(crate) fn time(
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Option<Duration>> {
    let Shape::Time {
        min_ms,
        max_ms,
        forever,
    } = *shape
    else {
        unreachable!("declared as a time")
    };
    let scalar = scalar(place, "a time", findings)?;
    if forever && scalar.text == "forever" {
        return Some(None);
    }
    let (min, max) = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
    match parse_duration(&scalar.text) {
        Ok(time) if (min..=max).contains(&time) => Some(Some(time)),
        Ok(_) => {
            findings.push(out_of_range(place, show_duration(min), show_duration(max)));
            None
        }
        Err(mend) => {
            findings.push(unreadable(place, "a time", &mend));
            None
        }
    }
}

/// A time where `forever` is not taken.
pub(crate) fn bounded_time(
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Duration> {
    time(shape, place, findings).flatten()
}

/// A number of bytes within its limits.
pub(crate) fn size(shape: &Shape, place: &Place<'_>, findings: &mut Findings) -> Option<u64> {
    let Shape::Size { min, max } = *shape else {
        unreachable!("declared as a size")
    };
    let scalar = scalar(place, "a size", findings)?;
    match parse_bytes(&scalar.text) {
        Ok(bytes) if (min..=max).contains(&bytes) => Some(bytes),
        Ok(_) => {
            findings.push(out_of_range(place, show_bytes(min), show_bytes(max)));
            None
        }
        Err(mend) => {
            findings.push(unreadable(place, "a size", &mend));
            None
        }
    }
}

/// One of the words that the catalogue lists.
pub(crate) fn choice(
    shape: &Shape,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<&'static str> {
    let Shape::Choice(words) = *shape else {
        unreachable!("declared as a choice")
    };
    let scalar = scalar(place, "a word", findings)?;
    let known = words.iter().map(|(word, _)| *word);
    let found = known.clone().find(|word| *word == scalar.text);
    if found.is_none() {
        findings.push(
            place
                .error(Kind::BadValue, "not one of the words that are known here")
                .value(&scalar.text)
                .mend(suggest("words", &scalar.text, known)),
        );
    }
    found
}

fn unreadable(place: &Place<'_>, what: &str, mend: &str) -> Finding {
    match &place.node.content {
        Content::Scalar(scalar) if scalar.meaning() == Meaning::Nothing => {
            wrong_type(place, what).mend(mend)
        }
        _ => with_value(place.error(Kind::BadValue, format!("not {what}")), place).mend(mend),
    }
}

fn out_of_range(place: &Place<'_>, min: impl Display, max: impl Display) -> Finding {
    with_value(place.error(Kind::OutOfRange, "out of range"), place)
        .mend(format!("from {min} to {max}"))
}
