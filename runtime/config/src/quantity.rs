//! Times and sizes as people write them: `10s`, `512MiB`.

use std::time::Duration;

/// Units of time, milliseconds each, the largest first.
const TIME_UNITS: &[(&str, u64)] = &[
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of size, bytes each, the largest first, powers of two before powers of ten.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `10s`, `500ms`, `24h`, `7d`. `Err` is what mends it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    if number.is_empty() {
        return Err(
            "write a whole number and a unit: `500ms`, `10s`, `5m`, `24h`, `7d`".to_owned(),
        );
    }
    if unit.is_empty() {
        return Err(format!(
            "say which unit: `{number}s`, `{number}ms`, `{number}m`"
        ));
    }
    let Some((_, ms)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit.starts_with(['.', ',']) {
            true => {
                "write a whole number of a smaller unit, such as `1500ms` for `1.5s`".to_owned()
            }
            false => "units are `ms`, `s`, `m`, `h` and `d`".to_owned(),
        });
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*ms))
        .map(Duration::from_millis)
        .ok_or_else(|| "the number is too large".to_owned())
}

/// Reads `512MiB`, `1GB`, `4096` (bytes). `Err` is what mends it.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    if number.is_empty() {
        return Err("write a whole number and a unit: `512MiB`, `1GB`".to_owned());
    }
    let bytes = match unit {
        "" => 1,
        unit => match SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        {
            Some((_, bytes)) => *bytes,
            None if unit.starts_with(['.', ',']) => {
                return Err(
                    "write a whole number of a smaller unit, such as `1536MiB` for `1.5GiB`"
                        .to_owned(),
                );
            }
            None => {
                return Err(match unit.to_ascii_uppercase().as_str() {
                    "K" | "KI" => {
                        format!("write `{number}KiB` (1024 bytes each) or `{number}kB` (1000)")
                    }
                    "M" | "MI" => {
                        format!("write `{number}MiB` (2^20 bytes each) or `{number}MB` (10^6)")
                    }
                    "G" | "GI" => {
                        format!("write `{number}GiB` (2^30 bytes each) or `{number}GB` (10^9)")
                    }
                    _ => "units are `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB` and `TiB`"
                        .to_owned(),
                });
            }
        },
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(bytes))
        .ok_or_else(|| "the number is too large".to_owned())
}

/// In the largest unit that shows it exactly.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(ms, TIME_UNITS, "0s")
}

/// In the largest unit that shows it exactly.
pub fn show_bytes(bytes: u64) -> String {
    show(bytes, SIZE_UNITS, "0B")
}

fn show(number: u64, units: &[(&str, u64)], zero: &str) -> String {
    units
        .iter()
        .find(|(_, each)| number > 0 && number.is_multiple_of(*each))
        .map_or_else(
            || zero.to_owned(),
            |(unit, each)| format!("{}{unit}", number / each),
        )
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (&text[..digits], text[digits..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_times() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1500, "1500ms"),
            (60_000, "1m"),
            (90_000, "90s"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn says_what_mends_a_time() {
        for (text, mend) in [
            ("10", "say which unit: `10s`, `10ms`, `10m`"),
            (
                "1.5s",
                "write a whole number of a smaller unit, such as `1500ms` for `1.5s`",
            ),
            ("10 sec", "units are `ms`, `s`, `m`, `h` and `d`"),
            (
                "soon",
                "write a whole number and a unit: `500ms`, `10s`, `5m`, `24h`, `7d`",
            ),
            (
                "-5s",
                "write a whole number and a unit: `500ms`, `10s`, `5m`, `24h`, `7d`",
            ),
            ("999999999999999999d", "the number is too large"),
        ] {
            assert_eq!(parse_duration(text), Err(mend.to_owned()), "{text}");
        }
    }

    #[test]
    fn reads_and_shows_sizes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("512MiB", 512 << 20),
            ("1GB", 1_000_000_000),
            ("1 kib", 1024),
            ("7B", 7),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for (bytes, text) in [
            (0, "0B"),
            (512 << 20, "512MiB"),
            (1_000_000, "1MB"),
            (1001, "1001B"),
        ] {
            assert_eq!(show_bytes(bytes), text);
        }
        assert!(
            parse_bytes("512M")
                .unwrap_err()
                .starts_with("write `512MiB`")
        );
        assert!(parse_bytes("512bits").unwrap_err().starts_with("units are"));
    }
}
