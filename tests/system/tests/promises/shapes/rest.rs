//! The same behind Iceberg's own REST catalog. It makes the table's next metadata by itself, of the
//! updates that a commit sends, if its requirements hold: no code of ours is in between.

use std::collections::BTreeMap;
use std::ops::Range;

use jackfield_system_tests::{
    Cluster, Place, Site, http, read_duckdb_at, read_java_at, read_pyiceberg_at, shared_cluster,
    write_topic,
};
use jackfield_test_lakes::RestServer;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{EACH, FIRST, THEN, assert_same, deep};
use crate::kafka_records::consumer;
use crate::run_until_idle;

const TABLE: &str = "plant.deep";

/// As many as the topic has partitions.
const TASKS: i64 = 2;

/// Writes these records to all partitions in turn.
async fn write(cluster: &Cluster, site: &Site, schema: &str, numbers: Range<i64>) {
    let records: Vec<Value> = numbers
        .map(|number| {
            let (record, _) = deep(number);
            json!({ "key": "k", "value": record, "partition": number % TASKS })
        })
        .collect();
    write_topic(cluster, &site.topic("readings"), Some(schema), &records).await;
}

/// The table's metadata as the server has it.
async fn metadata(server: &RestServer) -> Value {
    let url = format!("{}/v1/namespaces/plant/tables/deep", server.url());
    let answer = http().get(url).send().await.unwrap();
    let mut told: Value = answer.json().await.unwrap();
    told["metadata"].take()
}

/// Two tasks see the new schema beside the old one. What it adds, widens and renames is in the
/// commit of the first rows that need it.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_evolves_behind_a_rest_catalog_is_read_by_all() {
    let server = spawn_blocking(RestServer::start).await.unwrap();
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let lake = json!({ "catalog": { "rest": server.url() }, "warehouse": server.warehouse() });
    site.set("/lakes/local", lake);
    site.set("/pipelines/trades/sinks/lake/tasks", json!(TASKS));
    site.set(
        "/pipelines/trades/sinks/lake/settings",
        json!({ "table": TABLE, "evolve": "full" }),
    );
    write(&cluster, &site, FIRST, 0..EACH / 2).await;
    run_until_idle(&site, "1s").await;
    let before = metadata(&server).await;
    write(&cluster, &site, FIRST, EACH / 2..EACH).await;
    write(&cluster, &site, THEN, EACH..2 * EACH).await;
    run_until_idle(&site, "1s").await;

    let after = metadata(&server).await;
    let list = |key: &str| after[key].as_array().cloned().unwrap_or_default();
    assert_eq!(before["schemas"].as_array().map(Vec::len), Some(1));
    assert_eq!(list("schemas").len(), 2, "both tasks made the same of it");
    assert_ne!(before["current-schema-id"], after["current-schema-id"]);
    let snapshots = list("snapshots");
    // Each document but the first is a commit's, and none was made for a schema alone.
    assert_eq!(list("metadata-log").len(), snapshots.len());
    let evolved = |it: &&Value| it["schema-id"] == after["current-schema-id"];
    let evolved = snapshots.iter().filter(evolved);
    let first = evolved.min_by_key(|it| it["sequence-number"].as_i64());
    let added = first.and_then(|it| it["summary"]["added-records"].as_str());
    assert!(added.is_some_and(|it| it != "0"), "{first:?}");

    let sent: BTreeMap<i64, Value> = (0..2 * EACH).map(|it| (it, deep(it).1)).collect();
    let place = Place::behind(&server.url());
    let table = read_pyiceberg_at(&place, TABLE).await;
    let columns = table.about.schema.iter();
    let kinds: BTreeMap<_, _> = columns.map(|it| (&*it.name, &*it.kind)).collect();
    for (name, wide) in [
        ("id", "long"),
        ("ratio", "double"),
        ("price", "decimal(18, 2)"),
    ] {
        assert_eq!(kinds.get(name), Some(&wide));
    }
    assert!(kinds.contains_key("labels") && !kinds.contains_key("tags"));
    assert_same("PyIceberg", &table.rows, &sent);
    let java = read_java_at(&place, TABLE).await;
    assert_same("Java", &java.rows, &sent);
    let duckdb = read_duckdb_at(&place, TABLE).await;
    assert_same("DuckDB", &duckdb.rows, &sent);
}
