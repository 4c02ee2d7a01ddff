//! Rules for names, and the nearest name to a mistyped one.

/// A rule that names of one kind follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Pipelines and sinks, whose names become a connector's; plugins.
    Connector,
    /// Lakes, whose names are catalogs'.
    Lake,
    /// Topics, by Kafka's rule.
    Topic,
    /// Feeds, which plugins name.
    Feed,
    /// Names of HTTP headers.
    Header,
    /// Kafka's names of topic configs.
    TopicSetting,
    /// librdkafka's names of properties.
    Property,
    /// What a cluster's own topics, groups and writers begin with; a process's own name.
    Worker,
}

/// Longest name of a pipeline, sink, plugin or lake: what a DNS label may have.
const NAME_CHARS_MAX: usize = 63;
/// Longest name of a topic: Kafka's limit.
const TOPIC_CHARS_MAX: usize = 249;

impl NameRule {
    /// A regular expression that says the same, for editors.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            NameRule::Connector => "^[a-z0-9][a-z0-9-]{0,62}$",
            NameRule::Lake => "^[a-z0-9][a-z0-9_-]{0,62}$",
            NameRule::Topic | NameRule::Feed => "^[A-Za-z0-9._-]{1,249}$",
            NameRule::Header => "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,249}$",
            NameRule::TopicSetting => "^[a-z0-9.]{1,249}$",
            NameRule::Property => "^[a-z0-9._]{1,249}$",
            NameRule::Worker => "^[A-Za-z0-9._-]{1,63}$",
        }
    }

    /// The rule in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            NameRule::Connector => "1 to 63 of `a-z`, `0-9` and `-`, not beginning with `-`",
            NameRule::Lake => "1 to 63 of `a-z`, `0-9`, `_` and `-`, not beginning with `_` or `-`",
            NameRule::Topic => {
                "1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, but not `.` or `..`"
            }
            NameRule::Feed => "1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`",
            NameRule::Header => "letters, digits and `-`, such as `X-MBX-APIKEY`",
            NameRule::TopicSetting => "one of Kafka's, such as `cleanup.policy`",
            NameRule::Property => "one of librdkafka's, such as `security.protocol`",
            NameRule::Worker => "1 to 63 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`",
        }
    }

    pub(crate) fn admits(self, name: &str) -> bool {
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let chars_max = match self {
            NameRule::Connector | NameRule::Lake | NameRule::Worker => NAME_CHARS_MAX,
            NameRule::Topic
            | NameRule::Feed
            | NameRule::Header
            | NameRule::TopicSetting
            | NameRule::Property => TOPIC_CHARS_MAX,
        };
        let Some(&first) = name.as_bytes().first() else {
            return false;
        };
        name.len() <= chars_max
            && match self {
                NameRule::Connector => lower(first) && name.bytes().all(|b| lower(b) || b == b'-'),
                NameRule::Lake => {
                    lower(first) && name.bytes().all(|b| lower(b) || b"_-".contains(&b))
                }
                NameRule::Topic => NameRule::Feed.admits(name) && name != "." && name != "..",
                NameRule::Feed | NameRule::Worker => name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
                NameRule::Header => name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&b)),
                NameRule::TopicSetting => name.bytes().all(|b| lower(b) || b == b'.'),
                NameRule::Property => name.bytes().all(|b| lower(b) || b"._".contains(&b)),
            }
    }

    /// The name made to fit the rule, if that is easy.
    pub(crate) fn nearest(self, name: &str) -> Option<String> {
        let fits = match self {
            NameRule::Connector => name.to_lowercase().replace(['_', '.', ' '], "-"),
            NameRule::Lake => name.to_lowercase().replace(['.', ' '], "_"),
            NameRule::Topic | NameRule::Feed => name.replace([' ', '/', ':'], "."),
            NameRule::Header | NameRule::TopicSetting => name.trim().to_owned(),
            NameRule::Property => name.to_lowercase().replace('-', "."),
            NameRule::Worker => name.replace([' ', '/', ':'], "-"),
        };
        self.admits(&fits).then_some(fits)
    }
}

/// The candidate that was probably meant.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long names cost quadratically and are no typing mistakes.
    if name.len() > TOPIC_CHARS_MAX {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let (name, mistakes_max) = (plain(name), (name.chars().count() / 3).max(1));
    candidates
        .into_iter()
        .map(|candidate| (mistakes(&name, &plain(candidate)), candidate))
        .filter(|(mistakes, _)| *mistakes <= mistakes_max)
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, candidate)| candidate)
}

/// How far two names are from each other. One that goes on where the other ends is near.
fn mistakes(name: &str, candidate: &str) -> usize {
    /// Shorter beginnings are a chance.
    const BEGINNING_CHARS_MIN: usize = 3;
    let (short, long) = if name.len() < candidate.len() {
        (name, candidate)
    } else {
        (candidate, name)
    };
    if short.len() >= BEGINNING_CHARS_MIN && long.starts_with(short) {
        return 1;
    }
    strsim::damerau_levenshtein(name, candidate)
}

/// `` did you mean `x`? ``, or what there is.
pub(crate) fn suggest<'a>(
    what: &str,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    /// Most candidates that are listed.
    const LISTED_MAX: usize = 20;
    if let Some(nearest) = nearest(name, candidates.clone()) {
        return format!("did you mean `{nearest}`?");
    }
    let mut listed: Vec<String> = candidates
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect();
    if listed.is_empty() {
        return format!("there are no {what}");
    }
    if listed.len() > LISTED_MAX {
        listed.truncate(LISTED_MAX);
        listed.push("…".to_owned());
    }
    format!("{what}: {}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["commit", "topics", "on-bad-record", "tasks"];
        for (typed, meant) in [
            ("comit", Some("commit")),
            ("Topics", Some("topics")),
            ("on_bad_record", Some("on-bad-record")),
            ("task", Some("tasks")),
            ("topics-list", Some("topics")),
            ("parallelism", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
        assert_eq!(suggest("keys", "parallelism", ["a", "b"]), "keys: `a`, `b`");
        assert_eq!(suggest("keys", "x", []), "there are no keys");
    }

    #[test]
    fn names_follow_their_rules() {
        for (rule, good, bad) in [
            (
                NameRule::Connector,
                vec!["trades", "a-1", "0"],
                vec!["", "-a", "Trades", "a_b", "a.b", "ä"],
            ),
            (NameRule::Lake, vec!["local", "a_b"], vec!["", "_a", "A"]),
            (
                NameRule::Topic,
                vec!["binance.spot.trade", "A_b-c", "..."],
                vec!["", ".", "..", "a b", "a/b", "ü"],
            ),
            (
                NameRule::Header,
                vec!["X-MBX-APIKEY"],
                vec!["", "a b", "a:b"],
            ),
            (
                NameRule::TopicSetting,
                vec!["retention.ms"],
                vec!["", "retention_ms"],
            ),
        ] {
            for name in good {
                assert!(rule.admits(name), "{rule:?} {name:?}");
            }
            for name in bad {
                assert!(!rule.admits(name), "{rule:?} {name:?}");
            }
            assert!(!rule.admits(&"a".repeat(250)));
        }
        assert_eq!(
            NameRule::Connector.nearest("My_Sink"),
            Some("my-sink".to_owned())
        );
        assert_eq!(NameRule::Connector.nearest("ü"), None);
    }
}
