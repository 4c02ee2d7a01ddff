//! Avro datum → JSON.

use crate::decimal;
use crate::plan::{Id, Node, Plan};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// Deepest nesting of a datum: deeper ones are made by mistake or to exhaust the stack.
const DEPTH_MAX: u32 = 64;

/// The bytes are no datum of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a datum of its schema: {0}")]
pub struct Malformed(&'static str);

impl Plan {
    /// The JSON text of a datum.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn json_of(&self, datum: &[u8]) -> Result<String, Malformed> {
        let mut out = String::with_capacity(datum.len() * 4);
        let mut writing = Writing {
            plan: self,
            rest: datum,
            out: &mut out,
        };
        writing.value(self.root, 0)?;
        match writing.rest {
            [] => Ok(out),
            _ => Err(Malformed("bytes are left over")),
        }
    }
}

struct Writing<'a> {
    plan: &'a Plan,
    rest: &'a [u8],
    out: &'a mut String,
}

impl<'a> Writing<'a> {
    fn value(&mut self, id: Id, depth: u32) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed("nested too deeply"));
        }
        let plan = self.plan;
        match plan.node(id) {
            Node::Null => self.out.push_str("null"),
            Node::Boolean => match self.take(1)? {
                [0] => self.out.push_str("false"),
                [1] => self.out.push_str("true"),
                _ => return Err(Malformed("neither true nor false")),
            },
            Node::Int => {
                let number = i32::try_from(self.long()?).map_err(|_| Malformed("an int"))?;
                self.shown(number);
            }
            Node::Long => {
                let number = self.long()?;
                self.shown(number);
            }
            Node::Float => {
                let bytes = self.array()?;
                self.float(
                    f64::from(f32::from_le_bytes(bytes)),
                    f32::from_le_bytes(bytes),
                );
            }
            Node::Double => {
                let number = f64::from_le_bytes(self.array()?);
                self.float(number, number);
            }
            Node::Bytes => {
                let bytes = self.counted()?;
                self.base64(bytes);
            }
            Node::Fixed(size) => {
                let bytes = self.take(*size)?;
                self.base64(bytes);
            }
            Node::Text => {
                let text = self.text()?;
                self.quoted(text);
            }
            Node::Enum(symbols) => {
                let index = usize::try_from(self.long()?).ok();
                let symbol = index.and_then(|index| symbols.get(index));
                self.quoted(symbol.ok_or(Malformed("an enum's symbol"))?);
            }
            Node::Decimal { scale, fixed, .. } => {
                let bytes = match fixed {
                    Some(size) => self.take(*size)?,
                    None => self.counted()?,
                };
                let unscaled = decimal::of_bytes(bytes).ok_or(Malformed("a decimal"))?;
                self.out.push('"');
                decimal::write(unscaled, *scale, self.out);
                self.out.push('"');
            }
            Node::Array(items) => {
                self.out.push('[');
                self.blocks(|writing, first| {
                    writing.comma(first);
                    writing.value(*items, depth + 1)
                })?;
                self.out.push(']');
            }
            Node::Map(values) => {
                self.out.push('{');
                self.blocks(|writing, first| {
                    writing.comma(first);
                    let key = writing.text()?;
                    writing.quoted(key);
                    writing.out.push(':');
                    writing.value(*values, depth + 1)
                })?;
                self.out.push('}');
            }
            Node::Nullable { null, other } => match self.long()? {
                branch if branch == i64::from(*null) => self.out.push_str("null"),
                0 | 1 => self.value(*other, depth + 1)?,
                _ => return Err(Malformed("a union's branch")),
            },
            Node::Union(branches) => {
                let index = usize::try_from(self.long()?).ok();
                let branch = index.and_then(|index| branches.get(index));
                let (name, node) = branch.ok_or(Malformed("a union's branch"))?;
                if matches!(plan.node(*node), Node::Null) {
                    self.out.push_str("null");
                } else {
                    self.out.push('{');
                    self.quoted(name);
                    self.out.push(':');
                    self.value(*node, depth + 1)?;
                    self.out.push('}');
                }
            }
            Node::Record(record) => {
                self.out.push('{');
                for (index, field) in record.fields.iter().enumerate() {
                    self.comma(index == 0);
                    self.quoted(&field.name);
                    self.out.push(':');
                    self.value(field.node, depth + 1)?;
                }
                self.out.push('}');
            }
        }
        Ok(())
    }

    /// The items of an array's or a map's blocks.
    fn blocks(
        &mut self,
        mut each: impl FnMut(&mut Self, bool) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut first = true;
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The block's bytes, for those who skip it.
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                // Items without bytes could be any number.
                if self.rest.is_empty() {
                    return Err(Malformed("it ends early"));
                }
                each(self, first)?;
                first = false;
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(self.long()?).map_err(|_| Malformed("a length"))?;
        self.take(count)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.counted()?).map_err(|_| Malformed("text that is not UTF-8"))
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Malformed("a number that does not end"))
    }

    fn comma(&mut self, first: bool) {
        if !first {
            self.out.push(',');
        }
    }

    fn shown(&mut self, number: impl std::fmt::Display) {
        // A String takes everything.
        let _ = write!(self.out, "{number}");
    }

    /// `shown` is the number with as many digits as it has.
    fn float(&mut self, number: f64, shown: impl std::fmt::Debug) {
        match number {
            _ if number.is_nan() => self.out.push_str("\"NaN\""),
            f64::INFINITY => self.out.push_str("\"Infinity\""),
            f64::NEG_INFINITY => self.out.push_str("\"-Infinity\""),
            // With a point or an exponent, so that it stays one.
            _ => self.shown(format_args!("{shown:?}")),
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push('"');
        STANDARD.encode_string(bytes, self.out);
        self.out.push('"');
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escaped = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0..0x20 => "",
                _ => continue,
            };
            self.out.push_str(&text[from..at]);
            match escaped {
                "" => {
                    let _ = write!(self.out, "\\u{byte:04x}");
                }
                escaped => self.out.push_str(escaped),
            }
            from = at + 1;
        }
        self.out.push_str(&text[from..]);
        self.out.push('"');
    }
}
