//! This machine's clock beside the ones that answered.

use super::verdict::{Area, Line};
use std::time::{Duration, SystemTime};

/// Exchanges refuse requests that are so far off, and times of records are wrong by as much.
const AHEAD_MAX: Duration = Duration::from_secs(5);
/// Certificates and tokens are refused.
const AHEAD_FATAL: Duration = Duration::from_secs(300);

/// How far `now` is ahead of an HTTP `Date`, ms; it counts whole seconds, so less than one is none.
pub(super) fn ahead_ms(now: SystemTime, date: &str) -> Option<i64> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let ms = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
    Some(match now.duration_since(theirs) {
        Ok(ahead) => ms(ahead.saturating_sub(Duration::from_secs(1))),
        Err(behind) => -ms(behind.duration()),
    })
}

/// One line of all the differences: by the one in the middle, since one server may be wrong.
pub(super) fn judge(mut ahead_ms: Vec<i64>) -> Line {
    const NAME: &str = "clock";
    ahead_ms.sort_unstable();
    let Some(middle) = ahead_ms.get(ahead_ms.len() / 2) else {
        let message = "nobody answered with a time to compare with";
        return Line::ok(Area::Clock, NAME, message);
    };
    let off = Duration::from_millis(middle.unsigned_abs());
    let way = if *middle < 0 { "behind" } else { "ahead of" };
    let others = match ahead_ms.len() {
        1 => "the server that answered".to_owned(),
        many => format!("{many} servers that answered"),
    };
    if off <= AHEAD_MAX {
        return Line::ok(Area::Clock, NAME, format!("agrees with {others}"));
    }
    let message = format!("{} s {way} {others}", off.as_secs());
    let remedy = "set this machine's clock, and keep it by NTP (systemd-timesyncd, chrony)";
    match off > AHEAD_FATAL {
        true => Line::fail(Area::Clock, NAME, message, remedy),
        false => Line::warn(Area::Clock, NAME, message, remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;

    #[test]
    fn dates_are_compared_in_whole_seconds() {
        let date = "Thu, 26 Nov 2026 22:00:00 GMT";
        let at = httpdate::parse_http_date(date).unwrap();
        let ms = Duration::from_millis;
        assert_eq!(ahead_ms(at, date), Some(0));
        assert_eq!(ahead_ms(at + ms(999), date), Some(0));
        assert_eq!(ahead_ms(at + ms(3500), date), Some(2500));
        assert_eq!(ahead_ms(at - ms(3500), date), Some(-3500));
        assert_eq!(ahead_ms(at, "yesterday"), None);
    }

    #[test]
    fn one_server_that_is_wrong_does_not_count() {
        assert_eq!(judge(Vec::new()).level, Level::Ok);
        assert_eq!(judge(vec![0, 100, 9_000_000]).level, Level::Ok);
        let line = judge(vec![-7000]);
        assert_eq!(line.level, Level::Warn);
        assert!(line.message.starts_with("7 s behind"), "{}", line.message);
        assert_eq!(judge(vec![400_000, 400_500]).level, Level::Fail);
    }
}
