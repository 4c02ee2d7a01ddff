//! One datum → one row.

use super::columns::{Column, Columns, Values};
use super::cursor::{Cursor, Malformed};

/// How one Avro type is read into a column of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Read {
    Boolean,
    /// An int, into a column of 32 or 64 bits.
    Int,
    Long,
    Date,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    /// [`Read::decimal`] makes it.
    Decimal {
        precision: u32,
        scale: u32,
        fixed: Option<usize>,
        /// 10 to the precision, which no value reaches.
        limit: u128,
    },
    /// Milliseconds of 32 bits, into microseconds.
    TimeMillis,
    TimeMicros,
    /// Microseconds since 1970.
    Micros,
    /// Milliseconds of 64 bits, into microseconds.
    Millis,
    /// Nanoseconds, into microseconds: only whole ones fit.
    Nanos,
    /// A point in time that is a partition by itself: [`Plan::name_partitions`] makes it.
    Named(Box<Read>),
    Uuid,
    Record(Plan),
    Array(Box<Read>),
    Map(Box<Read>),
    Nullable {
        null_branch: i64,
        read: Box<Read>,
    },
    /// Of a union that has no other branch.
    Sole(Box<Read>),
}

/// How a record is read into columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// In the order of the datum: name, column, how.
    pub(crate) fields: Vec<(String, usize, Read)>,
    /// Columns that the datum lacks: null.
    pub(crate) missing: Vec<usize>,
}

impl Plan {
    /// Reads a datum as the next row. After an error the columns must be rolled back.
    pub(crate) fn read(&self, datum: &[u8], rows: &mut Columns) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(datum);
        self.record(&mut cursor, &mut rows.columns)?;
        cursor.end()?;
        rows.rows += 1;
        Ok(())
    }

    fn record(&self, cursor: &mut Cursor<'_>, columns: &mut [Column]) -> Result<(), Malformed> {
        for (name, column, read) in &self.fields {
            read.next(cursor, &mut columns[*column])
                .map_err(|why| why.within(name))?;
        }
        for column in &self.missing {
            columns[*column].push_null();
        }
        Ok(())
    }

    /// From now on a point in time is refused that no partition can be named after: `path` leads
    /// from column to column to the one that it goes to.
    pub(crate) fn name_partitions(&mut self, path: &[usize]) {
        let Some((at, inside)) = path.split_first() else {
            return;
        };
        let fields = self.fields.iter_mut().filter(|(_, column, _)| column == at);
        fields.for_each(|(_, _, read)| read.name_partitions(inside));
    }
}

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;
const SECOND_MICROS: i64 = 1_000_000;
/// Days before and after the first of 1970 that a date or a time may be, about 243,000 years. A
/// partition's number of hours has 32 bits, and the library's calendar ends at the year 262,142.
const DAYS_MAX: i32 = 89_000_000;
const MICROS_MAX: i64 = DAYS_MAX as i64 * DAY_MICROS;

fn date(days: i32) -> Result<i32, Malformed> {
    let fits = (-DAYS_MAX..=DAYS_MAX).contains(&days);
    fits.then_some(days).ok_or(Malformed::Date)
}

/// A point in time.
fn time(micros: i64) -> Result<i64, Malformed> {
    let fits = (-MICROS_MAX..=MICROS_MAX).contains(&micros);
    fits.then_some(micros).ok_or(Malformed::Time)
}

/// A time of day.
fn of_day(micros: i64) -> Result<i64, Malformed> {
    (0..DAY_MICROS)
        .contains(&micros)
        .then_some(micros)
        .ok_or(Malformed::Time)
}

impl Read {
    /// `precision` is 38 at most.
    pub(crate) fn decimal(precision: u32, scale: u32, fixed: Option<usize>) -> Self {
        Self::Decimal {
            precision,
            scale,
            fixed,
            limit: 10_u128.pow(precision),
        }
    }

    fn name_partitions(&mut self, path: &[usize]) {
        match self {
            Self::Nullable { read, .. } | Self::Sole(read) => read.name_partitions(path),
            Self::Record(plan) => plan.name_partitions(path),
            Self::Micros | Self::Millis | Self::Nanos => {
                let plain = std::mem::replace(self, Self::Micros);
                *self = Self::Named(Box::new(plain));
            }
            _ => {}
        }
    }

    fn next(&self, cursor: &mut Cursor<'_>, column: &mut Column) -> Result<(), Malformed> {
        match self {
            Self::Nullable { null_branch, read } => {
                let branch = cursor.long()?;
                if branch == *null_branch {
                    column.push_null();
                    return Ok(());
                }
                if branch != 1 - *null_branch {
                    return Err(Malformed::Branch(branch));
                }
                read.next(cursor, column)
            }
            Self::Sole(read) => {
                cursor.sole_branch()?;
                read.next(cursor, column)
            }
            plain => {
                plain.value(cursor, &mut column.values)?;
                column.pushed();
                Ok(())
            }
        }
    }

    fn value(&self, cursor: &mut Cursor<'_>, values: &mut Values) -> Result<(), Malformed> {
        match (self, values) {
            (Self::Boolean, Values::Bits(to)) => to.append(cursor.boolean()?),
            (Self::Int, Values::I32(to)) => to.push(cursor.int()?),
            (Self::Int, Values::I64(to)) => to.push(i64::from(cursor.int()?)),
            (Self::Long, Values::I64(to)) => to.push(cursor.long()?),
            (Self::TimeMillis, Values::I64(to)) => {
                to.push(of_day(i64::from(cursor.int()?) * 1000)?);
            }
            (Self::TimeMicros, Values::I64(to)) => to.push(of_day(cursor.long()?)?),
            (Self::Date, Values::I32(to)) => to.push(date(cursor.int()?)?),
            (Self::Micros, Values::I64(to)) => to.push(time(cursor.long()?)?),
            (Self::Millis, Values::I64(to)) => {
                let micros = cursor.long()?.checked_mul(1000).ok_or(Malformed::Time)?;
                to.push(time(micros)?);
            }
            // The library panics over the name of such a partition, also in a commit.
            (Self::Named(read), values) => {
                read.value(cursor, values)?;
                if let Values::I64(to) = values
                    && to
                        .last()
                        .is_some_and(|it| *it < 0 && it % SECOND_MICROS != 0)
                {
                    return Err(Malformed::Fraction);
                }
            }
            (Self::Nanos, Values::I64(to)) => {
                let nanos = cursor.long()?;
                if nanos % 1000 != 0 {
                    return Err(Malformed::Nanoseconds(nanos));
                }
                to.push(nanos / 1000);
            }
            (Self::Float, Values::F32(to)) => to.push(cursor.float()?),
            (Self::Float, Values::F64(to)) => to.push(f64::from(cursor.float()?)),
            (Self::Double, Values::F64(to)) => to.push(cursor.double()?),
            (
                Self::Decimal {
                    precision,
                    scale,
                    fixed,
                    limit,
                },
                Values::I128(to),
            ) => {
                let bytes = match fixed {
                    Some(width) => cursor.take(*width)?,
                    None => cursor.bytes()?,
                };
                let digits = || Malformed::Digits {
                    precision: *precision,
                    scale: *scale,
                };
                let unscaled = unscaled(bytes).filter(|it| it.unsigned_abs() < *limit);
                to.push(unscaled.ok_or_else(digits)?);
            }
            (Self::String, Values::Text { ends, bytes }) => {
                text(cursor.string()?, ends, bytes)?;
            }
            (Self::Enum(symbols), Values::Text { ends, bytes }) => {
                let symbol = cursor.long()?;
                let name = usize::try_from(symbol).ok().and_then(|at| symbols.get(at));
                text(name.ok_or(Malformed::Symbol(symbol))?, ends, bytes)?;
            }
            (Self::Bytes, Values::Bytes { ends, bytes }) => {
                bytes.extend_from_slice(cursor.bytes()?);
                ends.push(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            }
            (Self::Fixed(width), Values::Fixed { bytes, .. }) => {
                bytes.extend_from_slice(cursor.take(*width)?);
            }
            (Self::Uuid, Values::Fixed { bytes, .. }) => {
                let text = cursor.string()?;
                let uuid = uuid::Uuid::try_parse(text)
                    .map_err(|_| Malformed::NotUuid(text.chars().take(64).collect()))?;
                bytes.extend_from_slice(uuid.as_bytes());
            }
            (Self::Record(plan), Values::Struct(columns)) => plan.record(cursor, columns)?,
            (Self::Array(read), Values::List { ends, items }) => {
                loop {
                    let count = cursor.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        read.next(cursor, items)?;
                    }
                }
                ends.push(i32::try_from(items.len()).map_err(|_| Malformed::Length(i64::MAX))?);
            }
            (Self::Map(read), Values::Map { ends, keys, values }) => {
                loop {
                    let count = cursor.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        Self::String.next(cursor, keys)?;
                        read.next(cursor, values)?;
                    }
                }
                ends.push(i32::try_from(keys.len()).map_err(|_| Malformed::Length(i64::MAX))?);
            }
            (read, values) => unreachable!("planned {read:?} into {values:?}"),
        }
        Ok(())
    }
}

fn text(value: &str, ends: &mut Vec<i32>, bytes: &mut Vec<u8>) -> Result<(), Malformed> {
    bytes.extend_from_slice(value.as_bytes());
    ends.push(i32::try_from(bytes.len()).map_err(|_| Malformed::Length(i64::MAX))?);
    Ok(())
}

/// A big-endian two's complement number, if 128 bits hold it.
#[inline]
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|it| it & 0x80 != 0);
    // Nearly all are: 64 bits take a fraction of the work that 128 take.
    if bytes.len() <= size_of::<i64>() {
        let sign = if negative { -1_i64 } else { 0 };
        let append = |value: i64, byte: &u8| (value << 8) | i64::from(*byte);
        return Some(bytes.iter().fold(sign, append).into());
    }
    let sign = if negative { 0xff } else { 0 };
    let (excess, bytes) = bytes.split_at(bytes.len().saturating_sub(16));
    if excess.iter().any(|it| *it != sign) {
        return None;
    }
    let mut wide = [sign; 16];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    let value = i128::from_be_bytes(wide);
    ((value < 0) == negative).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn decimals_are_twos_complement_of_any_length() {
        assert_eq!(unscaled(&[]), Some(0));
        assert_eq!(unscaled(&[0x80]), Some(-128));
        assert_eq!(unscaled(&[0, 0x80]), Some(128));
        assert_eq!(unscaled(&[0xff; 20]), Some(-1));
        assert_eq!(unscaled(&i128::MIN.to_be_bytes()), Some(i128::MIN));
        let mut long = vec![0];
        long.extend(u128::MAX.to_be_bytes());
        assert_eq!(unscaled(&long), None);
    }

    #[test]
    fn decimals_are_the_same_with_and_without_leading_bytes() {
        for bits in 0..64 {
            let mask = i64::MAX >> (63 - bits);
            for value in [mask, !mask] {
                let bytes = i128::from(value).to_be_bytes();
                // One bit is the sign's.
                for length in bits / 8 + 1..=16 {
                    let read = unscaled(&bytes[16 - length..]);
                    assert_eq!(read, Some(value.into()), "{value} in {length} bytes");
                }
            }
        }
    }

    #[test]
    fn a_decimal_of_any_length_stays_below_its_limit() {
        let schema = Schema::new(vec![Field::new("d", DataType::Decimal128(4, 2), false)]);
        let mut rows = Columns::new(Arc::new(schema)).unwrap();
        let plan = Plan {
            fields: vec![("d".to_owned(), 0, Read::decimal(4, 2, None))],
            missing: Vec::new(),
        };
        let mut read = |value: i128, length: usize| {
            let mut datum = vec![length as u8 * 2];
            datum.extend(&value.to_be_bytes()[16 - length..]);
            let before = rows.rows();
            let read = plan.read(&datum, &mut rows);
            rows.roll_back(before);
            read
        };
        let digits = Malformed::Digits {
            precision: 4,
            scale: 2,
        };
        let digits = Err(digits.within("d"));
        for length in [2, 3, 8, 9, 16] {
            for value in [9999, -9999, 0] {
                assert_eq!(read(value, length), Ok(()), "{value} in {length} bytes");
            }
            for value in [10_000, -10_000] {
                assert_eq!(read(value, length), digits, "{value} in {length} bytes");
            }
        }
        assert_eq!(read(i128::from(i64::MIN), 8), digits);
        assert_eq!(read(i128::MIN, 16), digits);
    }
}
