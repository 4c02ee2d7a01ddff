//! The section `grants`.

use crate::common::parse;
use jackfield_config::*;

#[test]
fn grants_for_connectors_made_over_rest_need_no_pipelines() {
    let text = "lakes: { local: { catalog: { sql: 'sqlite://c.db' }, warehouse: w } }\n\
                plugins: { unused: a.wasm }\n\
                grants: { both: { lake: local, websocket: ['wss://a'], http: ['https://b'] }, none: {} }\n";
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert!(config.pipelines.is_empty());
    assert_eq!(config.grants["both"].lake.as_deref(), Some("local"));
    assert_eq!(config.grants["both"].websocket.len(), 1);
    assert_eq!(config.grants["none"], Grants::default());
    assert!(parse("grants: { a: { lake: nowhere } }").is_err());
    assert!(
        parse("plugins: { unused: a.wasm }").is_err(),
        "nothing to run"
    );
}
