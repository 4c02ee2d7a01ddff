//! The words of Iceberg for credentials → those of the stores' library.

use super::super::buckets::StoreOptions;
use super::super::vended::Vended;
use super::answers::LoadedTable;
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
const EXPIRES: [&str; 2] = [
    "s3.session-token-expires-at-ms",
    "gcs.oauth2.token-expires-at",
];
const PATH_STYLE: &str = "s3.path-style-access";
/// With the account's host behind it.
const SAS_TOKEN: &str = "adls.sas-token.";
const SAS_EXPIRES: &str = "adls.sas-token-expires-at-ms.";

/// What came with a table: credentials of a prefix each, and those of the table as a whole.
pub(super) fn vended(loaded: &LoadedTable) -> Vec<Vended> {
    let whole = read(&loaded.config, None);
    let mut all: Vec<Vended> = match whole {
        None => Vec::new(),
        Some((options, expires)) => loaded
            .places
            .iter()
            .map(|place| Vended {
                prefix: place.clone(),
                options: options.clone(),
                expires,
            })
            .collect(),
    };
    for credential in loaded.storage_credentials.iter().flatten() {
        // Where the endpoint is, is said once for all.
        if let Some((options, expires)) = read(&credential.config, Some(&loaded.config)) {
            all.push(Vended {
                prefix: credential.prefix.clone(),
                options,
                expires,
            });
        }
    }
    all
}

fn read(
    config: &BTreeMap<String, String>,
    below: Option<&BTreeMap<String, String>>,
) -> Option<(StoreOptions, Option<SystemTime>)> {
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
        } else if key.starts_with(SAS_TOKEN) {
            options = options.with("sas_key", value.clone());
        }
    }
    let expires = config
        .iter()
        .filter(|(key, _)| EXPIRES.contains(&key.as_str()) || key.starts_with(SAS_EXPIRES))
        .filter_map(|(_, value)| value.parse().ok())
        .min()
        .map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
    let some = CREDENTIALS.iter().any(|it| options.has(it));
    some.then_some((options, expires))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let all = vended(&loaded);
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
    fn a_catalog_that_vends_nothing_leaves_the_lakes_own() {
        let answer = json!({
            "metadata": {"location": "s3://b/t"},
            "config": {"s3.endpoint": "http://e", "client.region": "x"},
        });
        let loaded = LoadedTable::parse(answer.to_string().as_bytes()).unwrap();
        assert_eq!(vended(&loaded), vec![]);
    }
}
