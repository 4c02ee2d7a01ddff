//! One trade, as the exchange sends it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

/// A decimal with eight places, as Binance writes prices and quantities.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Decimal8 {
    /// The value in units of 1e-8.
    pub unscaled: i64,
}

/// Units in one.
const ONE: i64 = 100_000_000;

impl Decimal8 {
    /// The product, cut off after eight places (Binance's `quoteQty`).
    #[must_use]
    pub fn times(self, other: Decimal8) -> Decimal8 {
        let product = i128::from(self.unscaled) * i128::from(other.unscaled) / i128::from(ONE);
        Decimal8 {
            unscaled: i64::try_from(product).unwrap_or(i64::MAX),
        }
    }
}

impl std::ops::Add for Decimal8 {
    type Output = Decimal8;
    fn add(self, other: Decimal8) -> Decimal8 {
        Decimal8 {
            unscaled: self.unscaled.saturating_add(other.unscaled),
        }
    }
}

impl fmt::Display for Decimal8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let magnitude = self.unscaled.unsigned_abs();
        let one = ONE.unsigned_abs();
        write!(f, "{sign}{}.{:08}", magnitude / one, magnitude % one)
    }
}

/// The text is no decimal with at most eight places.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no decimal with at most eight places")]
pub struct NotADecimal(String);

impl FromStr for Decimal8 {
    type Err = NotADecimal;
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let wrong = || NotADecimal(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 8 || !digits(whole) || !digits(fraction) {
            return Err(wrong());
        }
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        let fraction: i64 = format!("{fraction:0<8}").parse().map_err(|_| wrong())?;
        let unscaled = whole
            .checked_mul(ONE)
            .and_then(|units| units.checked_add(fraction))
            .ok_or_else(wrong)?;
        Ok(Decimal8 { unscaled })
    }
}

/// A spot trade of the recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trade {
    /// Upper case, as in the payload.
    pub symbol: Arc<str>,
    /// Consecutive within the symbol.
    pub trade_id: i64,
    /// Price in the quote asset.
    pub price: Decimal8,
    /// Quantity in the base asset.
    pub quantity: Decimal8,
    /// When the trade happened, ms since the epoch (the exchange's clock).
    pub trade_time_ms: i64,
    /// When the exchange sent it, ms since the epoch (the exchange's clock).
    pub event_time_ms: i64,
    /// Whether the buyer was the maker.
    pub is_buyer_maker: bool,
    /// When the recorder received it, ns since the epoch (the recorder's clock).
    pub received_ns: i64,
}

/// The payload's fields; others may appear and are passed over.
#[derive(Deserialize)]
pub(crate) struct Payload<'a> {
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    #[serde(rename = "t")]
    pub(crate) trade_id: i64,
    #[serde(rename = "p")]
    pub(crate) price: &'a str,
    #[serde(rename = "q")]
    pub(crate) quantity: &'a str,
    #[serde(rename = "T")]
    pub(crate) trade_time: i64,
    #[serde(rename = "m")]
    pub(crate) is_buyer_maker: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_text() {
        for text in [
            "61837.63000000",
            "0.00000001",
            "0.00000000",
            "2683.80000000",
        ] {
            let decimal: Decimal8 = text.parse().unwrap();
            assert_eq!(decimal.to_string(), text);
        }
        for text in ["", ".5", "1.123456789", "-1", "1e3", "99999999999999"] {
            assert!(text.parse::<Decimal8>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_product_is_cut_after_eight_places() {
        let price: Decimal8 = "61837.63".parse().unwrap();
        let quantity: Decimal8 = "0.00002".parse().unwrap();
        assert_eq!(price.times(quantity).to_string(), "1.23675260");
    }
}
