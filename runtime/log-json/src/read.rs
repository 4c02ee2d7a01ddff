//! JSON → Avro datum, in one pass over the text.

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

/// Why a text is no value of a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON of its schema: {0}")]
pub struct Unreadable(String);

/// What is noticed besides.
pub(crate) type Unknown = Vec<String>;

impl Plan {
    /// The datum of a JSON text, and the names of fields in it that the schema does not have.
    ///
    /// # Errors
    /// [`Unreadable`], with the place in the text.
    pub fn datum_of(&self, text: &[u8]) -> Result<(Vec<u8>, Vec<String>), Unreadable> {
        let mut datum = Vec::with_capacity(text.len());
        let mut unknown = Unknown::new();
        self.read(self.root, text, &mut datum, &mut unknown)?;
        Ok((datum, unknown))
    }

    /// One value of a node, such as a default.
    pub(crate) fn encode(&self, node: Id, text: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let mut datum = Vec::new();
        self.read(node, text, &mut datum, &mut Unknown::new())?;
        Ok(datum)
    }

    fn read(
        &self,
        node: Id,
        text: &[u8],
        out: &mut Vec<u8>,
        unknown: &mut Unknown,
    ) -> Result<(), Unreadable> {
        let bad = |e: serde_json::Error| Unreadable(e.to_string());
        let mut json = serde_json::Deserializer::from_slice(text);
        let seed = Seed {
            plan: self,
            node,
            out,
            unknown,
        };
        seed.deserialize(&mut json).map_err(bad)?;
        json.end().map_err(bad)
    }
}

pub(crate) fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // A slice is never longer than an i64 counts.
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// A value to be read into a datum.
struct Seed<'a> {
    plan: &'a Plan,
    node: Id,
    out: &'a mut Vec<u8>,
    unknown: &'a mut Unknown,
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
fn float<T: std::str::FromStr>(text: &str) -> Option<T> {
    let begins_as_one = |text: &str| text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match text {
        "NaN" | "Infinity" | "-Infinity" => text.parse().ok(),
        _ if begins_as_one(text) && !text.ends_with(['y', 'f']) => text.parse().ok(),
        _ => None,
    }
}

fn write_decimal(unscaled: i128, fixed: Option<usize>, out: &mut Vec<u8>) -> Option<()> {
    let short = decimal::shortest(unscaled);
    let Some(size) = fixed else {
        write_bytes(&short, out);
        return Some(());
    };
    let padding = size.checked_sub(short.len())?;
    let sign = if unscaled < 0 { 0xff } else { 0 };
    out.resize(out.len() + padding, sign);
    out.extend_from_slice(&short);
    Some(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::types::Value;
    use proptest::prelude::*;

    const ALL: &str = r#"{"type":"record","name":"R","namespace":"n","fields":[
        {"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},
        {"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"y","type":"bytes"},
        {"name":"s","type":"string"},
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
        {"name":"x","type":{"type":"fixed","name":"X","size":3}},
        {"name":"p","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
        {"name":"q","type":{"type":"fixed","name":"Q","size":9,"logicalType":"decimal","precision":20,"scale":2}},
        {"name":"a","type":{"type":"array","items":"long"}},
        {"name":"m","type":{"type":"map","values":"string"}},
        {"name":"o","type":["null","string"],"default":null},
        {"name":"u","type":["null","int","n.E"]},
        {"name":"w","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":3}]},
        {"name":"v","type":["double","null"]},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"r","type":["null","R"],"default":null}]}"#;

    fn datum(schema: &str, value: Value) -> Vec<u8> {
        let schema = apache_avro::Schema::parse_str(schema).unwrap();
        apache_avro::to_avro_datum(&schema, value).unwrap()
    }

    fn text_of(schema: &str, datum: &[u8]) -> String {
        Plan::of(schema).unwrap().json_of(datum).unwrap()
    }

    fn all(number: i64, text: &str) -> Value {
        let union = |at: u32, value| Value::Union(at, Box::new(value));
        let fields = [
            ("b", Value::Boolean(number % 2 == 0)),
            ("i", Value::Int(number as i32)),
            ("l", Value::Long(number)),
            ("f", Value::Float(0.5)),
            ("d", Value::Double(number as f64 / 3.0)),
            ("y", Value::Bytes(text.as_bytes().to_vec())),
            ("s", Value::String(text.to_owned())),
            ("e", Value::Enum(1, "B".to_owned())),
            ("x", Value::Fixed(3, vec![1, 2, 255])),
            ("p", Value::Decimal(decimal::shortest(number.into()).into())),
            ("q", Value::Decimal(padded(number).into())),
            (
                "a",
                Value::Array(vec![Value::Long(1), Value::Long(-number)]),
            ),
            (
                "m",
                Value::Map([("k".to_owned(), Value::String(text.to_owned()))].into()),
            ),
            ("o", union(1, Value::String(text.to_owned()))),
            ("u", union(2, Value::Enum(0, "A".to_owned()))),
            (
                "w",
                union(1, Value::Decimal(decimal::shortest(number.into()).into())),
            ),
            ("v", union(0, Value::Double(number as f64 / 7.0))),
            ("t", Value::TimestampMicros(number)),
            ("r", union(0, Value::Null)),
        ];
        Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn padded(number: i64) -> Vec<u8> {
        let mut bytes = vec![if number < 0 { 0xff } else { 0 }];
        bytes.extend(number.to_be_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(number: i64, text: String) {
            let plan = Plan::of(ALL).unwrap();
            let datum = datum(ALL, all(number, &text));
            let json = plan.json_of(&datum).unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
            let (again, unknown) = plan.datum_of(json.as_bytes()).unwrap();
            prop_assert_eq!(again, datum);
            prop_assert!(unknown.is_empty());
        }

        #[test]
        fn no_bytes_hurt(bytes: Vec<u8>) {
            let plan = Plan::of(ALL).unwrap();
            // Whatever it says, it says something.
            let _either = (plan.json_of(&bytes).is_ok(), plan.datum_of(&bytes).is_ok());
        }
    }

    #[test]
    fn it_is_the_json_that_people_expect() {
        let json = text_of(ALL, &datum(ALL, all(150_000_000, "a\"b\n\u{1}ü")));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "b": true, "i": 150_000_000, "l": 150_000_000, "f": 0.5, "d": 50_000_000.0,
                "y": "YSJiCgHDvA==", "s": "a\"b\n\u{1}ü", "e": "B", "x": "AQL/",
                "p": "1.50000000", "q": "1500000.00", "a": [1, -150_000_000],
                "m": { "k": "a\"b\n\u{1}ü" }, "o": "a\"b\n\u{1}ü", "u": { "n.E": "A" },
                "w": "150000.000", "v": 150_000_000.0 / 7.0, "t": 150_000_000, "r": null
            })
        );
    }

    #[test]
    fn fields_in_any_order_missing_and_unknown() {
        let schema = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"int"},{"name":"b","type":"string","default":"x"},
            {"name":"c","type":["null","long"]},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}}]}"#;
        let plan = Plan::of(schema).unwrap();
        let read = |text: &str| plan.datum_of(text.as_bytes());
        let (whole, _) = read(r#"{"a":1,"b":"x","c":null,"d":"1.50"}"#).unwrap();
        for text in [
            r#"{"d":1.5,"a":1}"#,
            r#" {"c":null,"d":"1.5","b":"x","a":1} "#,
            r#"{"b":"x","a":1,"d":150e-2}"#,
        ] {
            assert_eq!(read(text).unwrap().0, whole, "{text}");
        }
        let (same, unknown) = read(r#"{"a":1,"z":{"y":[1]},"d":"1.5"}"#).unwrap();
        assert_eq!((same, unknown), (whole, vec!["z".to_owned()]));
        for (text, why) in [
            ("{", "EOF"),
            ("7", "an object"),
            (r#"{"d":"1"}"#, "`a` is missing"),
            (r#"{"a":1,"a":2,"d":"1"}"#, "twice"),
            (r#"{"d":"1","d":"1","a":1}"#, "twice"),
            (r#"{"a":3000000000,"d":"1"}"#, "32 bits"),
            (r#"{"a":1.5,"d":"1"}"#, "32 bits"),
            (r#"{"a":"1","d":"1"}"#, "`a`"),
            (r#"{"a":1,"d":"1.555"}"#, "2 of them after the point"),
            (r#"{"a":1,"d":"1"} x"#, "trailing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn no_plan_for_what_has_no_form() {
        for bad in [
            "",
            "{}",
            r#"{"type":"bytes","logicalType":"decimal","precision":50}"#,
        ] {
            assert!(Plan::of(bad).is_err(), "{bad}");
        }
    }
}
