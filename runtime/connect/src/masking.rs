//! Secrets in configs. A plugin has none: they belong into the file's grants. But a config may
//! hold what looks like one, and it must not be shown to whoever may look.

use crate::FlatConfig;
use jackfield_config::MASK;
use url::Url;

/// Parts of names that secrets have.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api.key",
    "api-key",
    "api_key",
    "access.key",
    "access-key",
    "access_key",
    "private.key",
    "private-key",
    "private_key",
    "sasl.jaas.config",
];

/// Whether a key of this name may hold a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Whether a value is not to be shown, by its key's name or by what it looks like.
pub(crate) fn hides(key: &str, value: &str) -> bool {
    let password = || Url::parse(value).is_ok_and(|url| url.password().is_some());
    !value.is_empty() && (is_secret(key) || value.contains('@') && password())
}

/// As it may be shown. `secret` tells of further keys whose author calls them secret.
pub fn masked(flat: &FlatConfig, secret: &dyn Fn(&str) -> bool) -> FlatConfig {
    let masked = flat.iter().map(|(key, value)| {
        let shown = if hides(key, value) || secret(key) && !value.is_empty() {
            MASK.to_owned()
        } else {
            value.clone()
        };
        (key.clone(), shown)
    });
    masked.collect()
}

/// What was shown masked and comes back so is what it was: clients read a config, change a part of
/// it and put it back.
pub fn unmasked(given: FlatConfig, stored: &FlatConfig) -> FlatConfig {
    let unmasked = given.into_iter().map(|(key, value)| {
        let was = stored.get(&key).filter(|_| value == MASK);
        let value = was.cloned().unwrap_or(value);
        (key, value)
    });
    unmasked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(entries: &[(&str, &str)]) -> FlatConfig {
        let owned = entries
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect()
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown_and_comes_back() {
        let stored = flat(&[
            ("db.password", "hunter2"),
            ("X-API-Key", "k"),
            ("url", "https://me:hunter2@host/"),
            ("plain", "https://host/@here"),
            ("marked", "m"),
            ("empty.token", ""),
        ]);
        let shown = masked(&stored, &|key| key == "marked");
        let hidden: Vec<_> = shown
            .iter()
            .filter(|(_, v)| *v == MASK)
            .map(|(k, _)| k.as_str())
            .collect();
        assert_eq!(hidden, ["X-API-Key", "db.password", "marked", "url"]);
        assert_eq!(unmasked(shown, &stored), stored);
    }
}
