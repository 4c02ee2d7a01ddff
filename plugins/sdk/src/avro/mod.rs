//! Avro datums, written field by field in the order of the schema.
//!
//! A record type says its schema and how its fields follow each other; nothing is looked up at
//! run time, so a record costs what its bytes cost:
//!
//! ```
//! use jackfield_sdk::avro::{self, AvroRecord};
//!
//! struct Tick<'a> { symbol: &'a str, price: i128, note: Option<&'a str> }
//!
//! impl AvroRecord for Tick<'_> {
//!     const SCHEMA: &'static str = r#"{"type": "record", "name": "Tick", "fields": [
//!         {"name": "symbol", "type": "string"},
//!         {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 8}},
//!         {"name": "note", "type": ["null", "string"]}
//!     ]}"#;
//!
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         avro::string(out, self.symbol);
//!         avro::decimal(out, self.price);
//!         avro::optional(out, self.note, avro::string);
//!     }
//! }
//!
//! let price = avro::parse_decimal("61837.63000000", 38, 8)?;
//! let mut datum = Vec::new();
//! Tick { symbol: "BTCUSDT", price, note: None }.encode(&mut datum);
//! assert_eq!(datum[0], 14, "the length of the symbol, zig-zag");
//! # Ok::<(), avro::DecimalError>(())
//! ```

mod decimal;

pub use decimal::{DecimalError, parse_decimal};

/// A record with its Avro schema.
pub trait AvroRecord {
    /// The schema, as JSON.
    const SCHEMA: &'static str;

    /// Appends the datum: the fields in the order of the schema, without any header.
    fn encode(&self, out: &mut Vec<u8>);
}

/// `long`, and the logical types upon it: variable length, zig-zag.
pub fn long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// `int`: written as a `long` is.
pub fn int(out: &mut Vec<u8>, value: i32) {
    long(out, i64::from(value));
}

/// `boolean`.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// `float`.
pub fn float(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// `double`.
pub fn double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// `bytes`.
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    let length = i64::try_from(value.len()).expect("no slice is longer than i64::MAX");
    long(out, length);
    out.extend_from_slice(value);
}

/// `string`.
pub fn string(out: &mut Vec<u8>, value: &str) {
    bytes(out, value.as_bytes());
}

/// The branch of a union, counted from 0; the value follows.
pub fn branch(out: &mut Vec<u8>, index: u32) {
    long(out, i64::from(index));
}

/// A union of `null` and something, in this order.
pub fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        None => branch(out, 0),
        Some(value) => {
            branch(out, 1);
            write(out, value);
        }
    }
}

/// A `decimal` upon `bytes`: the unscaled value, big-endian two's complement, as short as can be.
pub fn decimal(out: &mut Vec<u8>, unscaled: i128) {
    let all = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    // A leading byte that only repeats the sign of the next one carries nothing.
    let first = all
        .windows(2)
        .position(|pair| pair[0] != sign || (pair[0] ^ pair[1]) & 0x80 != 0)
        .unwrap_or(all.len() - 1);
    bytes(out, &all[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::types::Value;
    use apache_avro::{Decimal, Schema, from_avro_datum};
    use proptest::prelude::*;

    const ALL: &str = r#"{"type": "record", "name": "All", "fields": [
        {"name": "long", "type": "long"},
        {"name": "int", "type": "int"},
        {"name": "boolean", "type": "boolean"},
        {"name": "float", "type": "float"},
        {"name": "double", "type": "double"},
        {"name": "bytes", "type": "bytes"},
        {"name": "string", "type": "string"},
        {"name": "optional", "type": ["null", "long"]},
        {"name": "decimal", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 8}}
    ]}"#;

    /// The unscaled value as apache-avro keeps it: big-endian two's complement.
    fn as_i128(decimal: Decimal) -> i128 {
        let bytes = <Vec<u8>>::try_from(decimal).unwrap();
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        bytes
            .iter()
            .fold(if negative { -1 } else { 0 }, |value, byte| {
                (value << 8) | i128::from(*byte)
            })
    }

    proptest! {
        #[test]
        fn apache_avro_reads_what_is_written(
            a in any::<i64>(), b in any::<i32>(), c in any::<bool>(), d in -1e9f32..1e9, e in -1e9f64..1e9,
            f in proptest::collection::vec(any::<u8>(), 0..300), g in ".{0,80}", h in proptest::option::of(any::<i64>()),
            i in any::<i128>(), shift in 0u32..127,
        ) {
            // All widths alike, and never the 39th digit.
            let i = (i >> shift) % 10i128.pow(38);
            let mut out = Vec::new();
            long(&mut out, a);
            int(&mut out, b);
            boolean(&mut out, c);
            float(&mut out, d);
            double(&mut out, e);
            bytes(&mut out, &f);
            string(&mut out, &g);
            optional(&mut out, h, long);
            decimal(&mut out, i);
            let schema = Schema::parse_str(ALL).unwrap();
            let mut rest = &out[..];
            let read = from_avro_datum(&schema, &mut rest, None).unwrap();
            prop_assert!(rest.is_empty());
            let Value::Record(fields) = read else { panic!("a record") };
            let values: Vec<Value> = fields.into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(&values[0], &Value::Long(a));
            prop_assert_eq!(&values[1], &Value::Int(b));
            prop_assert_eq!(&values[2], &Value::Boolean(c));
            prop_assert_eq!(&values[3], &Value::Float(d));
            prop_assert_eq!(&values[4], &Value::Double(e));
            prop_assert_eq!(&values[5], &Value::Bytes(f));
            prop_assert_eq!(&values[6], &Value::String(g));
            let inner = match h { None => (0, Value::Null), Some(it) => (1, Value::Long(it)) };
            prop_assert_eq!(&values[7], &Value::Union(inner.0, Box::new(inner.1)));
            let Value::Decimal(read) = values[8].clone() else { panic!("a decimal") };
            prop_assert_eq!(as_i128(read), i);
        }
    }

    #[test]
    fn a_decimal_is_as_short_as_can_be() {
        for (value, expected) in [
            (0i128, &[0u8][..]),
            (127, &[0x7f]),
            (128, &[0, 0x80]),
            (-128, &[0x80]),
            (-129, &[0xff, 0x7f]),
            (-1, &[0xff]),
        ] {
            let mut out = Vec::new();
            decimal(&mut out, value);
            assert_eq!(&out[1..], expected, "{value}");
        }
        let mut out = Vec::new();
        decimal(&mut out, i128::MIN);
        assert_eq!(out.len(), 17);
    }
}
