//! The words of Iceberg for credentials → those of the stores' library.

use super::super::buckets::StoreOptions;
use super::super::vended::{Vended, Vending};
use super::answers::{LoadedTable, StorageCredential};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// As Iceberg's libraries name them, and as the stores' library does.
const NAMES: [(&str, &str); 7] = [
    ("s3.access-key-id", "access_key_id"),
    ("s3.secret-access-key", "secret_access_key"),
    ("s3.session-token", "session_token"),
    ("s3.endpoint", "endpoint"),
    ("client.region", "region"),
    ("s3.region", "region"),
    ("gcs.oauth2.token", "bearer_token"),
];
/// Of these, the ones that are credentials: without one nothing was vended.
const CREDENTIALS: [&str; 3] = ["access_key_id", "bearer_token", "sas_key"];
/// When they expire, in ms since the epoch. The last is said of all kinds.
const EXPIRES: [&str; 3] = [
    "s3.session-token-expires-at-ms",
    "gcs.oauth2.token-expires-at",
    "expiration-time",
];
/// What only temporary credentials have.
const TEMPORARY: [&str; 3] = ["session_token", "bearer_token", "sas_key"];
/// Temporary credentials of which is not said when they expire are taken to live as long as the
/// shortest that Amazon gives out. They are asked for again too often rather than too late, and
/// used until others are to be had.
const LIFE_DEFAULT: Duration = Duration::from_secs(15 * 60);
const PATH_STYLE: &str = "s3.path-style-access";
/// With the account's host behind it, or its name alone: catalogs differ.
const SAS_TOKEN: &str = "adls.sas-token.";
const SAS_EXPIRES: &str = "adls.sas-token-expires-at-ms.";

/// What came with a table at `now`: credentials of a prefix each, and those of the table as a
/// whole.
pub(super) fn vended(loaded: &LoadedTable, now: SystemTime) -> Vending {
    let mut all = Vec::new();
    for place in &loaded.places {
        all.extend(read(place, &loaded.config, None, now));
    }
    for credential in loaded.storage_credentials.iter().flatten() {
        for prefix in prefixes(credential, &loaded.places) {
            // Where the endpoint is, is said once for all.
            all.extend(read(prefix, &credential.config, Some(&loaded.config), now));
        }
    }
    Vending {
        places: loaded.places.clone(),
        credentials: all,
    }
}

/// The prefix; for tokens of accounts and a prefix that names none, the table's places below it,
/// since these do.
fn prefixes<'a>(credential: &'a StorageCredential, places: &'a [String]) -> Vec<&'a str> {
    let prefix = credential.prefix.as_str();
    let mut keys = credential.config.keys();
    if host(prefix).is_some() || !keys.any(|key| key.starts_with(SAS_TOKEN)) {
        return vec![prefix];
    }
    let below = places.iter().filter(|it| it.starts_with(prefix));
    below.map(String::as_str).collect()
}

fn read(
    prefix: &str,
    config: &BTreeMap<String, String>,
    below: Option<&BTreeMap<String, String>>,
    now: SystemTime,
) -> Option<Vended> {
    let mut options = StoreOptions::default();
    let places = ["s3.endpoint", "client.region", "s3.region", PATH_STYLE];
    let general = below.into_iter().flatten();
    let general = general.filter(|(key, _)| places.contains(&key.as_str()));
    for (key, value) in general.chain(config) {
        if let Some((_, name)) = NAMES.iter().find(|(theirs, _)| theirs == key) {
            options = options.with(name, value.clone());
        } else if key == PATH_STYLE {
            let hosted = value != "true";
            options = options.with("virtual_hosted_style_request", hosted.to_string());
        }
    }
    if let Some(token) = of_account(config, SAS_TOKEN, prefix) {
        options = options.with("sas_key", token);
    }
    let expires = EXPIRES.iter().filter_map(|key| config.get(*key));
    let expires = expires
        .map(String::as_str)
        .chain(of_account(config, SAS_EXPIRES, prefix))
        .filter_map(|value| value.parse().ok())
        .min()
        .map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
    let is_temporary = TEMPORARY.iter().any(|it| options.has(it));
    let is_guessed = expires.is_none() && is_temporary;
    let expires = expires.or_else(|| is_guessed.then(|| now + LIFE_DEFAULT));
    let some = CREDENTIALS.iter().any(|it| options.has(it));
    some.then(|| Vended {
        prefix: prefix.to_owned(),
        options,
        expires,
        is_guessed,
    })
}

/// What is said of the account that a URI names: by its whole host, or else by its name.
fn of_account<'a>(config: &'a BTreeMap<String, String>, said: &str, uri: &str) -> Option<&'a str> {
    let host = host(uri)?;
    let mut accounts = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(said)?, value.as_str())));
    let whole = accounts.clone().find(|(account, _)| *account == host);
    let found = whole.or_else(|| accounts.find(|(account, _)| name(account) == name(host)));
    found.map(|(_, value)| value)
}

/// `account` of `account.dfs.core.windows.net`.
fn name(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

/// `account.dfs.core.windows.net` of `abfss://container@account.dfs.core.windows.net/…`.
fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split('/').next()?;
    authority.split_once('@').map(|(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn each_prefix_has_its_own_and_the_table_those_of_the_config() {
        let answer = json!({
            "metadata-location": "s3://b/t/metadata/1.json",
            "metadata": {"location": "s3://b/t", "properties": {"write.data.path": "s3://d/t"}},
            "config": {"s3.access-key-id": "whole", "s3.secret-access-key": "x",
                       "s3.endpoint": "http://e", "s3.path-style-access": "true", "token": "no"},
            "storage-credentials": [
                {"prefix": "s3://b/t/data/", "config": {
                    "s3.access-key-id": "data", "s3.secret-access-key": "y",
                    "s3.session-token": "s", "s3.session-token-expires-at-ms": "5000"}},
                {"prefix": "s3://nothing", "config": {}}
            ],
        });
        let loaded = LoadedTable::parse(answer.to_string().as_bytes()).unwrap();
        let vending = vended(&loaded, NOW);
        assert_eq!(vending.places, ["s3://b/t", "s3://d/t"]);
        let all = vending.credentials;
        let prefixes: Vec<_> = all.iter().map(|it| it.prefix.as_str()).collect();
        assert_eq!(prefixes, ["s3://b/t", "s3://d/t", "s3://b/t/data/"]);
        let place = StoreOptions::default()
            .with("endpoint", "http://e")
            .with("virtual_hosted_style_request", "false");
        let whole = place
            .clone()
            .with("access_key_id", "whole")
            .with("secret_access_key", "x");
        assert_eq!((&all[0].options, all[0].expires), (&whole, None));
        let data = place
            .with("access_key_id", "data")
            .with("secret_access_key", "y")
            .with("session_token", "s");
        assert_eq!(all[2].options, data);
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(all[2].expires, Some(expires));
    }

    #[test]
    fn every_place_that_a_table_names_is_its_own() {
        let answer = json!({
            "metadata": {"location": "s3://b/t", "properties": {
                "write.data.path": "s3://data/t",
                "write.folder-storage.path": "s3://folder/t",
                "write.metadata.path": "s3://metadata/t"}},
            "config": {"s3.access-key-id": "k", "s3.secret-access-key": "x"},
        });
        let loaded = LoadedTable::parse(answer.to_string().as_bytes()).unwrap();
        let vending = vended(&loaded, NOW);
        let places = [
            "s3://b/t",
            "s3://data/t",
            "s3://folder/t",
            "s3://metadata/t",
        ];
        assert_eq!(vending.places, places);
        let prefixes = vending.credentials.iter().map(|it| it.prefix.as_str());
        assert_eq!(prefixes.collect::<Vec<_>>(), places);
    }

    #[test]
    fn a_catalog_that_vends_nothing_leaves_the_lakes_own() {
        let answer = json!({
            "metadata": {"location": "s3://b/t"},
            "config": {"s3.endpoint": "http://e", "client.region": "x"},
        });
        let loaded = LoadedTable::parse(answer.to_string().as_bytes()).unwrap();
        assert_eq!(vended(&loaded, NOW).credentials, vec![]);
    }

    #[test]
    fn temporary_credentials_do_not_last_whatever_is_said_of_them() {
        const AZURE: &str = "abfss://c@a.dfs.core.windows.net/t";
        let key = json!({"s3.access-key-id": "k", "s3.secret-access-key": "x"});
        let session = json!({"s3.access-key-id": "k", "s3.secret-access-key": "x",
            "s3.session-token": "s"});
        let token = json!({"gcs.oauth2.token": "t"});
        let sas = json!({"adls.sas-token.a": "sig=1"});
        let life = LIFE_DEFAULT.as_secs();
        for (place, credentials, unsaid) in [
            ("s3://b/t", key, None),
            ("s3://b/t", session, Some(life)),
            ("gs://b/t", token, Some(life)),
            (AZURE, sas, Some(life)),
        ] {
            let expires = |said: Value| {
                let mut config = credentials.clone();
                if !said.is_null() {
                    config["expiration-time"] = said;
                }
                let answer = json!({"metadata": {"location": place}, "config": config});
                let loaded = LoadedTable::parse(answer.to_string().as_bytes()).unwrap();
                let mut all = vended(&loaded, NOW).credentials;
                assert_eq!(all.len(), 1, "{place}");
                let Vended {
                    expires,
                    is_guessed,
                    ..
                } = all.remove(0);
                let expires = expires.map(|it| it.duration_since(NOW).unwrap().as_secs());
                (expires, is_guessed)
            };
            let guess = (unsaid, unsaid.is_some());
            assert_eq!(expires(Value::Null), guess, "{place}");
            assert_eq!(expires(json!("soon")), guess, "{place}");
            assert_eq!(expires(json!("7200000")), (Some(7200), false), "{place}");
        }
    }

    #[test]
    fn each_account_has_its_own_token() {
        const ONE: &str = "abfss://c@one.dfs.core.windows.net";
        const TWO: &str = "abfss://c@two.dfs.core.windows.net";
        let config = json!({
            "adls.sas-token.one.dfs.core.windows.net": "sig=1",
            "adls.sas-token-expires-at-ms.one.dfs.core.windows.net": "1000",
            // By the name alone, and after the other.
            "adls.sas-token.two": "sig=2",
            "adls.sas-token-expires-at-ms.two": "2000",
            "adls.sas-token.zero.dfs.core.windows.net": "sig=0",
        });
        let read = |credentials: Value, config: &Value| {
            let answer = json!({
                "metadata-location": format!("{ONE}/t/metadata/1.json"),
                "metadata": {"location": format!("{ONE}/t"),
                             "properties": {"write.data.path": format!("{TWO}/t")}},
                "config": config,
                "storage-credentials": credentials,
            });
            let loaded = LoadedTable::parse(answer.to_string().as_bytes()).unwrap();
            let all = vended(&loaded, NOW).credentials.into_iter();
            all.map(|it| (it.prefix, it.options, it.expires))
                .collect::<Vec<_>>()
        };
        let expected = |prefix: &str, token: &str, expires: u64| {
            let sas = StoreOptions::default().with("sas_key", token);
            let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(expires);
            (prefix.to_owned(), sas, Some(expires))
        };
        let (one, two) = (format!("{ONE}/t"), format!("{TWO}/t"));
        let both = [expected(&one, "sig=1", 1), expected(&two, "sig=2", 2)];
        assert_eq!(read(json!([]), &config), both);
        for wide in ["abfss", ""] {
            let credentials = json!([{"prefix": wide, "config": config}]);
            assert_eq!(read(credentials, &json!({})), both, "{wide}");
        }
        let credentials = json!([{"prefix": TWO, "config": config}]);
        assert_eq!(
            read(credentials, &json!({})),
            [expected(TWO, "sig=2", 2)],
            "and nobody else's"
        );
        let other = json!([{"prefix": "abfss://c@three.dfs.core.windows.net", "config": config}]);
        assert!(read(other, &json!({})).is_empty());
    }
}
