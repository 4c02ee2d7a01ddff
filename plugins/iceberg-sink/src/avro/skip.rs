//! Passing over a field, and reading one as text: what routing needs of a datum.

use super::cursor::{Cursor, Malformed};
use super::schema::{AvroField, AvroType, UUID_WIDTH};

impl AvroField {
    pub(crate) fn skip(&self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        if self.is_null(cursor)? {
            return Ok(());
        }
        self.ty.skip(cursor)
    }

    /// A text, a symbol or a whole number; none: null, or of a type that is none of these.
    pub(crate) fn as_text(&self, cursor: &mut Cursor<'_>) -> Result<Option<String>, Malformed> {
        if self.is_null(cursor)? {
            return Ok(None);
        }
        Ok(match &self.ty {
            AvroType::String => Some(cursor.string()?.to_owned()),
            AvroType::Enum(symbols) => {
                let at = cursor.long()?;
                let symbol = usize::try_from(at).ok().and_then(|at| symbols.get(at));
                Some(symbol.ok_or(Malformed::Symbol(at))?.clone())
            }
            AvroType::Int => Some(cursor.int()?.to_string()),
            AvroType::Long => Some(cursor.long()?.to_string()),
            other => {
                other.skip(cursor)?;
                None
            }
        })
    }

    fn is_null(&self, cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
        let Some(null) = self.null_branch else {
            if self.sole_branch {
                cursor.sole_branch()?;
            }
            return Ok(false);
        };
        match cursor.long()? {
            branch if branch == i64::from(null) => Ok(true),
            branch if branch == 1 - i64::from(null) => Ok(false),
            branch => Err(Malformed::Branch(branch)),
        }
    }
}

impl AvroType {
    fn skip(&self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        match self {
            Self::Boolean => cursor.boolean().map(drop),
            Self::Float => cursor.float().map(drop),
            Self::Double => cursor.double().map(drop),
            Self::Int
            | Self::Long
            | Self::Enum(_)
            | Self::Date
            | Self::TimeMillis
            | Self::TimeMicros
            | Self::TimestampMillis
            | Self::TimestampMicros
            | Self::TimestampNanos
            | Self::LocalTimestampMillis
            | Self::LocalTimestampMicros
            | Self::LocalTimestampNanos => cursor.long().map(drop),
            Self::Bytes | Self::String | Self::Uuid | Self::Decimal { fixed: None, .. } => {
                cursor.bytes().map(drop)
            }
            Self::Fixed(width)
            | Self::Decimal {
                fixed: Some(width), ..
            } => cursor.take(*width).map(drop),
            Self::UuidBytes => cursor.take(UUID_WIDTH).map(drop),
            Self::Record(fields) => fields.iter().try_for_each(|it| it.skip(cursor)),
            Self::Array(item) => loop {
                let count = cursor.block()?;
                if count == 0 {
                    return Ok(());
                }
                for _ in 0..count {
                    item.skip(cursor)?;
                }
            },
            Self::Map(value) => loop {
                let count = cursor.block()?;
                if count == 0 {
                    return Ok(());
                }
                for _ in 0..count {
                    cursor.bytes()?;
                    value.skip(cursor)?;
                }
            },
        }
    }
}
