//! A value as serde reads it: every schema, every form, and the errors' words.

use super::datum::{write_bytes, write_decimal, write_long};
use crate::decimal;
use crate::plan::{Field, Id, Node, Plan, Record};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Items of one block of an array or a map: readers take any number, this one is never reached by
/// a record that fits into a batch.
const BLOCK_END: u8 = 0;

/// A value to be read into a datum.
pub(super) struct Seed<'a> {
    pub(super) plan: &'a Plan,
    pub(super) node: Id,
    pub(super) out: &'a mut Vec<u8>,
    /// Names of fields in the text that the schema does not have.
    pub(super) unknown: &'a mut Vec<String>,
}

impl<'a> Seed<'a> {
    fn of<'b>(&'b mut self, node: Id) -> Seed<'b>
    where
        'a: 'b,
    {
        Seed {
            plan: self.plan,
            node,
            out: self.out,
            unknown: self.unknown,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.plan.node(self.node) {
            Node::Decimal {
                scale,
                precision,
                fixed,
            } => {
                let text = token(json)?;
                let unscaled = decimal::read(text, *scale, *precision).ok_or_else(|| {
                    D::Error::custom(format_args!(
                        "not a decimal of {precision} digits, {scale} of them after the point"
                    ))
                })?;
                write_decimal(unscaled, *fixed, self.out)
                    .ok_or_else(|| D::Error::custom("the decimal does not fit"))
            }
            Node::Float => {
                let number: f32 = float(token(json)?).ok_or_else(|| D::Error::custom(NUMBER))?;
                self.out.extend_from_slice(&number.to_le_bytes());
                Ok(())
            }
            Node::Double => {
                let number: f64 = float(token(json)?).ok_or_else(|| D::Error::custom(NUMBER))?;
                self.out.extend_from_slice(&number.to_le_bytes());
                Ok(())
            }
            Node::Null | Node::Union(_) => json.deserialize_any(self),
            Node::Nullable { .. } => json.deserialize_option(self),
            Node::Boolean => json.deserialize_bool(self),
            Node::Int | Node::Long => json.deserialize_i64(self),
            Node::Bytes | Node::Fixed(_) | Node::Text | Node::Enum(_) => json.deserialize_str(self),
            Node::Array(_) => json.deserialize_seq(self),
            Node::Map(_) | Node::Record(_) => json.deserialize_map(self),
        }
    }
}

const NUMBER: &str = "not a number";

/// A number or a text as it is written, so that no digit is lost.
fn token<'de, D: Deserializer<'de>>(json: D) -> Result<&'de str, D::Error> {
    let raw: &RawValue = serde::Deserialize::deserialize(json)?;
    let text = raw.get();
    let unquoted = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    Ok(unquoted.unwrap_or(text))
}

/// JSON has no word for three of them.
pub(super) fn float<T: std::str::FromStr>(text: &str) -> Option<T> {
    let begins_as_one = |text: &str| text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match text {
        "NaN" | "Infinity" | "-Infinity" => text.parse().ok(),
        _ if begins_as_one(text) && !text.ends_with(['y', 'f']) => text.parse().ok(),
        _ => None,
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.plan.node(self.node) {
            Node::Null => "null",
            Node::Boolean => "true or false",
            Node::Int => "a whole number of 32 bits",
            Node::Long => "a whole number of 64 bits",
            Node::Float | Node::Double => "a number",
            Node::Bytes | Node::Fixed(_) => "base64",
            Node::Text => "text",
            Node::Enum(_) => "one of the enum's symbols",
            Node::Decimal { .. } => "a decimal",
            Node::Array(_) => "an array",
            Node::Map(_) | Node::Record(_) => "an object",
            Node::Nullable { .. } => "null or the value",
            Node::Union(_) => "null, or an object with the type's name",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.plan.node(self.node) {
            Node::Null => Ok(()),
            Node::Nullable { null, .. } => {
                write_long(i64::from(*null), self.out);
                Ok(())
            }
            Node::Union(branches) => {
                let null = (0..)
                    .zip(branches)
                    .find(|(_, (_, node))| matches!(self.plan.node(*node), Node::Null));
                match null {
                    Some((index, _)) => {
                        write_long(index, self.out);
                        Ok(())
                    }
                    None => Err(E::custom("null is none of the union's types")),
                }
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Unit, &self)),
        }
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(mut self, json: D) -> Result<(), D::Error> {
        match self.plan.node(self.node) {
            Node::Nullable { null, other } => {
                write_long(1 - i64::from(*null), self.out);
                self.of(*other).deserialize(json)
            }
            _ => Err(D::Error::invalid_type(serde::de::Unexpected::Option, &self)),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.plan.node(self.node) {
            Node::Boolean => {
                self.out.push(u8::from(value));
                Ok(())
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.plan.node(self.node) {
            Node::Int if i32::try_from(value).is_ok() => write_long(value, self.out),
            Node::Long => write_long(value, self.out),
            _ => {
                return Err(E::invalid_value(
                    serde::de::Unexpected::Signed(value),
                    &self,
                ));
            }
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(
                serde::de::Unexpected::Unsigned(value),
                &self,
            )),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let decoded = || {
            STANDARD
                .decode(value)
                .map_err(|e| E::custom(format_args!("base64: {e}")))
        };
        match self.plan.node(self.node) {
            Node::Text => write_bytes(value.as_bytes(), self.out),
            Node::Bytes => write_bytes(&decoded()?, self.out),
            Node::Fixed(size) => match decoded()? {
                bytes if bytes.len() == *size => self.out.extend_from_slice(&bytes),
                bytes => {
                    let length = bytes.len();
                    return Err(E::custom(format_args!("{length} bytes instead of {size}")));
                }
            },
            Node::Enum(symbols) => {
                let symbol = (0..).zip(symbols).find(|(_, symbol)| *symbol == value);
                let (index, _) = symbol
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))?;
                write_long(index, self.out);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Str(value), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let node = match self.plan.node(self.node) {
            Node::Array(node) => *node,
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        };
        // Counted while they are written, and then put behind their count.
        let mut block = Vec::new();
        let mut count = 0;
        loop {
            let seed = Seed {
                plan: self.plan,
                node,
                out: &mut block,
                unknown: self.unknown,
            };
            if items.next_element_seed(seed)?.is_none() {
                break;
            }
            count += 1;
        }
        self.block(count, &block);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let plan = self.plan;
        match plan.node(self.node) {
            Node::Record(record) => self.record(record, entries),
            Node::Map(node) => {
                let mut block = Vec::new();
                let mut count = 0;
                while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
                    write_bytes(key.as_bytes(), &mut block);
                    entries.next_value_seed(Seed {
                        plan,
                        node: *node,
                        out: &mut block,
                        unknown: self.unknown,
                    })?;
                    count += 1;
                }
                self.block(count, &block);
                Ok(())
            }
            Node::Union(branches) => {
                let name = entries
                    .next_key::<String>()?
                    .ok_or_else(|| A::Error::custom("the type's name is missing"))?;
                let mut named = (0..).zip(branches);
                let Some((index, (_, node))) = named.find(|(_, (it, _))| *it == name) else {
                    let why = format_args!("`{name}` is none of the union's types");
                    return Err(A::Error::custom(why));
                };
                write_long(index, self.out);
                entries.next_value_seed(self.of(*node))?;
                match entries.next_key::<IgnoredAny>()? {
                    None => Ok(()),
                    Some(_) => Err(A::Error::custom("a union's value has one type")),
                }
            }
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}

/// A field's name: its number, or a name that the record does not have.
struct Key<'a> {
    record: &'a Record,
    /// The field that mostly comes now.
    turn: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Result<usize, String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Result<usize, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let at = match self.record.fields.get(self.turn) {
            Some(field) if field.name == name => Some(self.turn),
            Some(_) | None => self.record.by_name.get(name).copied(),
        };
        Ok(at.ok_or_else(|| name.to_owned()))
    }
}

impl Seed<'_> {
    fn block(&mut self, count: i64, block: &[u8]) {
        if count > 0 {
            write_long(count, self.out);
            self.out.extend_from_slice(block);
        }
        self.out.push(BLOCK_END);
    }

    /// Fields that come in the schema's order are written at once, others are kept until their
    /// turn.
    fn record<'de, A: MapAccess<'de>>(
        mut self,
        record: &Record,
        mut entries: A,
    ) -> Result<(), A::Error> {
        let fields = &record.fields;
        let mut turn = 0;
        let mut early: Vec<Option<Vec<u8>>> = Vec::new();
        while let Some(key) = entries.next_key_seed(Key { record, turn })? {
            let at = match key {
                Ok(at) => at,
                Err(unknown) => {
                    self.unknown.push(unknown);
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let within = |e: A::Error| A::Error::custom(format_args!("`{}`: {e}", fields[at].name));
            if at == turn {
                entries
                    .next_value_seed(self.of(fields[at].node))
                    .map_err(within)?;
                turn += 1;
                // Those that came early may be next.
                while let Some(bytes) = early.get_mut(turn).and_then(Option::take) {
                    self.out.extend_from_slice(&bytes);
                    turn += 1;
                }
                continue;
            }
            if at < turn || early.get(at).is_some_and(Option::is_some) {
                let name = &fields[at].name;
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            early.resize(fields.len(), None);
            let mut bytes = Vec::new();
            entries
                .next_value_seed(Seed {
                    plan: self.plan,
                    node: fields[at].node,
                    out: &mut bytes,
                    unknown: self.unknown,
                })
                .map_err(within)?;
            early[at] = Some(bytes);
        }
        for (at, field) in fields.iter().enumerate().skip(turn) {
            match early.get_mut(at).and_then(Option::take) {
                Some(bytes) => self.out.extend_from_slice(&bytes),
                None => self.missing(field)?,
            }
        }
        Ok(())
    }

    fn missing<E: Error>(&mut self, field: &Field) -> Result<(), E> {
        match (&field.default, self.plan.node(field.node)) {
            (Some(bytes), _) => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
            (None, Node::Nullable { null, .. }) => {
                write_long(i64::from(*null), self.out);
                Ok(())
            }
            (None, _) => Err(E::custom(format_args!("`{}` is missing", field.name))),
        }
    }
}
