//! Records of scalars in the plain forms that producers write, read in one pass without serde. At
//! the least doubt nothing is said, and serde decides: its word is the same, only later.

use super::datum::{write_bytes, write_decimal, write_long};
use super::keys::{Key, Keys};
use super::scan::Scan;
use super::seed::float;
use crate::decimal;
use crate::plan::{Field, Node, Plan};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::str::from_utf8;

pub(super) struct FlatReader<'p> {
    keys: Keys<'p>,
    fields: Vec<Scalar<'p>>,
    /// Values of one record that came before their turn, one after another.
    early: Vec<u8>,
    /// Where in `early` each field's lies.
    places: Vec<Option<(usize, usize)>>,
    /// The strangers in one record.
    met: Vec<usize>,
}

struct Scalar<'p> {
    node: &'p Node,
    /// The branch of null, where it may be null.
    null: Option<u8>,
    default: Option<&'p [u8]>,
}

impl<'p> FlatReader<'p> {
    /// `None` where the schema is of another kind.
    pub(super) fn of(plan: &'p Plan) -> Option<Self> {
        let Node::Record(record) = plan.node(plan.root) else {
            return None;
        };
        let fields = record.fields.iter().map(|field| Scalar::of(plan, field));
        let fields: Vec<_> = fields.collect::<Option<_>>()?;
        Some(Self {
            keys: Keys::of(record),
            places: vec![None; fields.len()],
            fields,
            early: Vec::new(),
            met: Vec::new(),
        })
    }

    /// Adds the datum of a text to `out`. `None` leaves the text to serde, and in `out` anything.
    pub(super) fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.keys.begin();
        self.early.clear();
        self.places.fill(None);
        self.met.clear();
        let mut scan = Scan::of(text);
        let mut turn = 0;
        if !scan.mark(b'{') {
            return None;
        }
        if !scan.mark(b'}') {
            loop {
                let key = self.keys.take(&mut scan)?;
                if !scan.mark(b':') {
                    return None;
                }
                match key {
                    Key::Field(at) if at == turn => {
                        self.fields[at].read(&mut scan, out)?;
                        turn += 1;
                        while let Some(Some((from, to))) = self.places.get(turn) {
                            out.extend_from_slice(&self.early[*from..*to]);
                            turn += 1;
                        }
                    }
                    // It is there twice.
                    Key::Field(at) if at < turn || self.places[at].is_some() => return None,
                    Key::Field(at) => {
                        let from = self.early.len();
                        self.fields[at].read(&mut scan, &mut self.early)?;
                        self.places[at] = Some((from, self.early.len()));
                    }
                    Key::Stranger(number) => {
                        scan.skip_value()?;
                        self.met.push(number);
                    }
                }
                if scan.mark(b',') {
                    continue;
                }
                if scan.mark(b'}') {
                    break;
                }
                return None;
            }
        }
        if !scan.is_empty() {
            return None;
        }
        for (field, place) in self.fields.iter().zip(&self.places).skip(turn) {
            match place {
                Some((from, to)) => out.extend_from_slice(&self.early[*from..*to]),
                None => field.missing(out)?,
            }
        }
        Some(())
    }

    /// Names in the record read last that the schema does not have.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &str> {
        self.met.iter().map(|number| self.keys.stranger(*number))
    }
}

impl<'p> Scalar<'p> {
    fn of(plan: &'p Plan, field: &'p Field) -> Option<Self> {
        // Names are looked for as they are, so they must be written so.
        let escaped = |byte: u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        if field.name.bytes().any(escaped) {
            return None;
        }
        let (node, null) = match plan.node(field.node) {
            Node::Nullable { null, other } => (plan.node(*other), Some(*null)),
            node => (node, None),
        };
        let scalar = match node {
            Node::Boolean
            | Node::Int
            | Node::Long
            | Node::Float
            | Node::Double
            | Node::Bytes
            | Node::Fixed(_)
            | Node::Text
            | Node::Enum(_)
            | Node::Decimal { .. } => true,
            Node::Null
            | Node::Array(_)
            | Node::Map(_)
            | Node::Nullable { .. }
            | Node::Union(_)
            | Node::Record(_) => false,
        };
        let default = field.default.as_deref();
        scalar.then_some(Self {
            node,
            null,
            default,
        })
    }

    fn read(&self, scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Option<()> {
        if let Some(null) = self.null {
            if scan.take(b"null") {
                write_long(i64::from(null), out);
                return Some(());
            }
            write_long(1 - i64::from(null), out);
        }
        match self.node {
            Node::Boolean if scan.take(b"true") => out.push(1),
            Node::Boolean if scan.take(b"false") => out.push(0),
            Node::Int => {
                let number = i32::try_from(scan.integer()?).ok()?;
                write_long(i64::from(number), out);
            }
            Node::Long => write_long(scan.integer()?, out),
            Node::Float => {
                let number: f32 = float(from_utf8(scan.token()?).ok()?)?;
                out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Double => {
                let number: f64 = float(from_utf8(scan.token()?).ok()?)?;
                out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Text => text(scan, out)?,
            Node::Enum(symbols) => {
                let said = scan.quoted()?.plain()?;
                let mut named = (0..).zip(symbols);
                let (index, _) = named.find(|(_, symbol)| symbol.as_bytes() == said)?;
                write_long(index, out);
            }
            Node::Bytes => {
                let said = scan.quoted()?.plain()?;
                let size = decoded_len(said)?;
                write_long(i64::try_from(size).ok()?, out);
                decode(said, size, out)?;
            }
            Node::Fixed(size) => decode(scan.quoted()?.plain()?, *size, out)?,
            Node::Decimal {
                scale,
                precision,
                fixed,
            } => {
                let token = scan.token()?;
                let unscaled = match decimal::plain(token, *scale, *precision) {
                    Some(unscaled) => unscaled,
                    None => decimal::read(from_utf8(token).ok()?, *scale, *precision)?,
                };
                write_decimal(unscaled, *fixed, out)?;
            }
            Node::Boolean
            | Node::Null
            | Node::Array(_)
            | Node::Map(_)
            | Node::Nullable { .. }
            | Node::Union(_)
            | Node::Record(_) => return None,
        }
        Some(())
    }

    fn missing(&self, out: &mut Vec<u8>) -> Option<()> {
        match (self.default, self.null) {
            (Some(bytes), _) => out.extend_from_slice(bytes),
            (None, Some(null)) => write_long(i64::from(null), out),
            (None, None) => return None,
        }
        Some(())
    }
}

fn text(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Option<()> {
    let quoted = scan.quoted()?;
    if quoted.escaped {
        // What the escapes say is serde's to know, but of this text alone.
        let said: String = serde_json::from_slice(quoted.whole).ok()?;
        write_bytes(said.as_bytes(), out);
    } else {
        write_bytes(from_utf8(quoted.inner).ok()?.as_bytes(), out);
    }
    Some(())
}

/// Bytes that a base64 text stands for, if it is one.
fn decoded_len(text: &[u8]) -> Option<usize> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    (text.len() / 4 * 3).checked_sub(padding)
}

/// Adds what a base64 text stands for, which must be so many bytes.
fn decode(text: &[u8], size: usize, out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    STANDARD.decode_vec(text, out).ok()?;
    (out.len() - before == size).then_some(())
}
