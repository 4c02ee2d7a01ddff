//! The section `lakes`.

use crate::common::parse;
use jackfield_config::*;

#[test]
fn a_lake_in_a_bucket_behind_a_rest_catalog() {
    let text = r#"
plugins: { iceberg: a.wasm }
lakes:
  all:
    catalog:
      rest:
        uri: https://catalog.example/api/
        warehouse: prod
        oauth: { client-id: me, client-secret: hunter2 }
        headers: { X-Tenant: t }
        credentials: own
    s3: { endpoint: "http://localhost:9000/", region: eu-west-1, access-key-id: id, secret-access-key: "hunter2", addressing: host, checksum: none }
  least: { catalog: { rest: "https://catalog.example" } }
  google: { catalog: { sql: "sqlite://c.db" }, warehouse: "gs://bucket/a/b/", gcs: { service-account: "{}" } }
  azure: { catalog: { sql: "sqlite://c.db" }, warehouse: "abfss://c@account.dfs.core.windows.net/w" }
  plain: { catalog: { sql: "sqlite://c.db" }, warehouse: "s3://bucket/prefix" }
pipelines:
  p:
    topics: { trade: { name: trades } }
    sinks:
      a: { plugin: iceberg, topics: [trade], allow: { lake: all } }
      b: { plugin: iceberg, topics: [trade], allow: { lake: least } }
      c: { plugin: iceberg, topics: [trade], allow: { lake: google } }
      d: { plugin: iceberg, topics: [trade], allow: { lake: azure } }
      e: { plugin: iceberg, topics: [trade], allow: { lake: plain } }
"#;
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    let options = |lake: &str| -> Vec<(&str, String)> {
        let all = config.lakes[lake].store.iter();
        all.map(|it| (it.key, it.value.expose().to_owned()))
            .collect()
    };
    let own = |pairs: &[(&'static str, &str)]| -> Vec<(&str, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect()
    };
    let all = &config.lakes["all"];
    let CatalogConfig::Rest(rest) = &all.catalog else {
        panic!("a REST catalog")
    };
    assert_eq!(rest.uri.as_str(), "https://catalog.example/api/");
    assert_eq!(rest.warehouse.as_deref(), Some("prod"));
    let oauth = rest.oauth.as_ref().unwrap();
    assert_eq!(
        (oauth.client_id.as_str(), oauth.scope.as_str()),
        ("me", "catalog")
    );
    assert_eq!(rest.headers["x-tenant"].expose(), "t");
    assert!(!rest.vended_credentials && all.warehouse.is_none());
    assert_eq!(
        options("all"),
        own(&[
            ("endpoint", "http://localhost:9000"),
            ("region", "eu-west-1"),
            ("access_key_id", "id"),
            ("secret_access_key", "hunter2"),
            ("virtual_hosted_style_request", "true"),
        ])
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    let CatalogConfig::Rest(rest) = &config.lakes["least"].catalog else {
        panic!("a REST catalog")
    };
    assert!(rest.vended_credentials && rest.oauth.is_none() && rest.token.is_none());
    assert_eq!(options("google"), own(&[("service_account_key", "{}")]));
    assert_eq!(options("azure"), own(&[]));
    assert_eq!(
        options("plain"),
        own(&[
            ("virtual_hosted_style_request", "false"),
            ("checksum_algorithm", "crc64nvme"),
        ])
    );
    let warehouse = |lake: &str| config.lakes[lake].warehouse.as_ref().unwrap().as_str();
    assert_eq!(warehouse("google"), "gs://bucket/a/b");
    assert_eq!(
        warehouse("azure"),
        "abfss://c@account.dfs.core.windows.net/w"
    );
}

#[test]
fn a_lake_whose_endpoint_only_the_environment_has_is_taken_with_a_warning() {
    let text = r#"
plugins: { iceberg: a.wasm }
lakes:
  emulated: { catalog: { sql: "sqlite://c.db" }, warehouse: "abfss://c@devstoreaccount1/w" }
pipelines:
  p:
    topics: { trade: { name: trades } }
    sinks:
      a: { plugin: iceberg, topics: [trade], allow: { lake: emulated } }
"#;
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    let warnings = &config.warnings.findings;
    let paths: Vec<_> = warnings.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["lakes.emulated.warehouse"], "{}", config.warnings);
    let given = text.replace("/w\" }", "/w\", azure: { sas-token: hunter2 } }");
    let refused = parse(&given).unwrap_err().to_string();
    assert!(refused.contains("no endpoint is given"), "{refused}");
}
