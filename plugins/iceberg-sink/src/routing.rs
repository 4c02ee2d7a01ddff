//! `table`: one table, or one for each topic, or for each value of a field.

use crate::avro::{AvroField, AvroType, Cursor};
use crate::evolve::field_named;
use crate::settings::table_parts;

/// Characters of a value that become part of a table's name: as many as any catalog takes.
const VALUE_CHARS_MAX: usize = 100;

/// The setting, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The topic's name; its dots part namespaces.
    Topic,
    Field(String),
}

impl Route {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{text}` lacks a closing `}}`"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let good = |c: char| c.is_alphanumeric() || c == '_';
            parts.push(match name {
                "topic" => Part::Topic,
                _ if !name.is_empty() && name.chars().all(good) => Part::Field(name.to_owned()),
                _ => return Err(format!("`{{{name}}}` names no top-level field")),
            });
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("`{text}` has a `}}` too many"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let route = Self { parts };
        // Whatever is filled in, what stands around it has to make a name.
        let example = route.named("namespace.topic", |_| Ok("x".to_owned()))?;
        table_parts(&example)?;
        Ok(route)
    }

    /// The table, if it is always the same.
    pub(crate) fn only(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(table)] => Some(table),
            _ => None,
        }
    }

    /// The table of all records of a topic; none: each record's fields say which, or the topic's name
    /// makes no name of a table.
    pub(crate) fn of_topic(&self, topic: &str) -> Option<String> {
        if self.fields().next().is_some() {
            return None;
        }
        let table = self.named(topic, |_| Err("no part is a field".to_owned()));
        table.ok().filter(|it| table_parts(it).is_ok())
    }

    fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|it| match it {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) | Part::Topic => None,
        })
    }

    fn named(
        &self,
        topic: &str,
        mut field: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut table = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => table.push_str(text),
                Part::Topic => table.push_str(topic),
                Part::Field(name) => table.push_str(&field(name)?),
            }
        }
        Ok(table)
    }

    /// How it is found out for records of a schema.
    pub(crate) fn probe(&self, avro: &[AvroField]) -> Result<Probe, String> {
        let mut wanted = Vec::new();
        for name in self.fields() {
            let at = field_named(name, avro);
            let at =
                at.ok_or_else(|| format!("`table` names the field `{name}`, which it lacks"))?;
            match avro[at].ty {
                AvroType::String | AvroType::Enum(_) | AvroType::Int | AvroType::Long => {}
                _ => {
                    return Err(format!(
                        "`table` names the field `{name}`, which is neither text, an enum nor a \
                         whole number"
                    ));
                }
            }
            wanted.push((name.to_owned(), at));
        }
        let upto = wanted.iter().map(|(_, at)| at + 1).max().unwrap_or(0);
        Ok(Probe {
            wanted,
            fields: avro[..upto].to_vec(),
        })
    }

    /// The table of one record, or why it has none.
    pub(crate) fn table(&self, probe: &Probe, topic: &str, datum: &[u8]) -> Result<String, String> {
        let values = probe.values(datum)?;
        let table = self.named(topic, |name| {
            let at = probe.wanted.iter().position(|(it, _)| it == name);
            at.and_then(|at| values.get(at).cloned().flatten())
                .ok_or_else(|| format!("`{name}` is null, and names its table"))
        })?;
        table_parts(&table)?;
        Ok(table)
    }
}

/// Finds the fields that name a table, without reading what comes after them.
#[derive(Debug)]
pub(crate) struct Probe {
    wanted: Vec<(String, usize)>,
    fields: Vec<AvroField>,
}

impl Probe {
    /// In the order in which they are wanted; none: null.
    fn values(&self, datum: &[u8]) -> Result<Vec<Option<String>>, String> {
        let mut values = vec![None; self.wanted.len()];
        let mut cursor = Cursor::new(datum);
        for (at, field) in self.fields.iter().enumerate() {
            let places = self.wanted.iter().enumerate();
            let mut places = places.filter(|(_, (_, wanted))| *wanted == at).peekable();
            if places.peek().is_none() {
                field.skip(&mut cursor).map_err(|e| e.to_string())?;
                continue;
            }
            let value = field.as_text(&mut cursor).map_err(|e| e.to_string())?;
            if let Some(value) = &value {
                plain(&field.name, value)?;
            }
            for (place, _) in places {
                values[place].clone_from(&value);
            }
        }
        Ok(values)
    }
}

/// Two values must not name one table, nor one of them a folder above it.
fn plain(field: &str, value: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let fits = !value.is_empty() && value.len() <= VALUE_CHARS_MAX && value.chars().all(good);
    if fits {
        return Ok(());
    }
    let shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
    Err(format!(
        "`{field}` is `{}`, which is no name for a table: 1 to {VALUE_CHARS_MAX} of letters, \
         digits, `_` and `-`",
        shown.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::parse;

    #[test]
    fn a_route_is_text_topics_and_fields() {
        let only = Route::parse("market.trades").unwrap();
        assert_eq!(only.only(), Some("market.trades"));
        for good in [
            "{topic}",
            "lake.{topic}",
            "market.{symbol}",
            "m.{kind}_{symbol}",
        ] {
            let route = Route::parse(good).unwrap();
            assert_eq!(route.only(), None, "{good}");
        }
        let of_topic = |route: &str, topic| Route::parse(route).unwrap().of_topic(topic);
        assert_eq!(of_topic("lake.{topic}", "a.b"), Some("lake.a.b".to_owned()));
        assert_eq!(of_topic("{topic}", "trades"), None);
        assert_eq!(of_topic("lake.{topic}_{symbol}", "a"), None);
        for wrong in [
            "",
            "trades",
            "{symbol}",
            "a.{",
            "a.{}",
            "a.}",
            "a.{b.c}",
            "a..{x}",
            "a/{topic}",
        ] {
            assert!(Route::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_that_was_renamed_names_the_same_table() {
        let route = Route::parse("market.{symbol}").unwrap();
        let table = |fields: &str, datum: &[u8]| {
            let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
            let probe = route.probe(&parse(&text).unwrap());
            probe.and_then(|probe| route.table(&probe, "t", datum))
        };
        let pair = r#"{"name":"pair","aliases":["symbol"],"type":"string"}"#;
        let (a, both) = ([2, b'A'], [2, b'B', 2, b'A']);
        assert_eq!(table(pair, &a), Ok("market.A".to_owned()));
        // A field of that name goes before one of that alias.
        let fields = format!(r#"{{"name":"symbol","type":"string"}},{pair}"#);
        assert_eq!(table(&fields, &both), Ok("market.B".to_owned()));
        assert!(table(r#"{"name":"pair","type":"string"}"#, &a).is_err());
    }

    #[test]
    fn only_plain_values_name_tables() {
        for good in ["BTCUSDT", "a-b_c", "7"] {
            assert_eq!(plain("f", good), Ok(()));
        }
        for wrong in ["", "a.b", "../x", "a b", "ü", &"x".repeat(101)] {
            assert!(plain("f", wrong).is_err(), "{wrong}");
        }
    }
}
