//! The prefix of a server's paths. It is said as it stands in a path: `main%7Cwh` is no name that
//! is still to be escaped.

/// The prefix with a slash at its end, where only what can't stand in a path is escaped. None: a
/// segment of dots would lead to other paths.
pub(super) fn in_a_path(prefix: &str) -> Option<String> {
    let mut path = String::new();
    for segment in prefix.split('/').filter(|it| !it.is_empty()) {
        let segment = escaped(segment);
        if is_dots(&segment) {
            return None;
        }
        path.push_str(&segment);
        path.push('/');
    }
    Some(path)
}

fn escaped(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut escaped = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let digits = bytes.get(at + 1..at + 3);
        let stands = match byte {
            b'%' => digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit)),
            // As RFC 3986 has it of a segment.
            plain => plain.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(plain),
        };
        if stands {
            escaped.push(char::from(*byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// URLs know these in any way of writing.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_stays_and_what_can_not_stand_there_is_escaped() {
        for (prefix, path) in [
            ("main%7Cwh", "main%7Cwh/"),
            ("main|wh", "main%7Cwh/"),
            ("ws/1 2", "ws/1%202/"),
            ("/a//b/", "a/b/"),
            ("", ""),
            ("a?b#c", "a%3Fb%23c/"),
            ("50%off/%/%2", "50%25off/%25/%252/"),
            ("ü", "%C3%BC/"),
            ("a:b@c,(d)", "a:b@c,(d)/"),
            ("a\\..\\b\n", "a%5C..%5Cb%0A/"),
            (".../..a/%2e%2e%2e", ".../..a/%2e%2e%2e/"),
        ] {
            assert_eq!(in_a_path(prefix).as_deref(), Some(path), "{prefix}");
        }
        for elsewhere in ["..", "a/../b", "a/.", "%2e", "a/%2E./b", "a/.%2e"] {
            assert_eq!(in_a_path(elsewhere), None, "{elsewhere}");
        }
    }
}
