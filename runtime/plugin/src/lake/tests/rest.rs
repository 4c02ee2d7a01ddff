//! The same over Iceberg's own REST catalog server.

use super::super::config::{RestAuth, RestCatalogConfig};
use super::super::{
    CatalogConfig, CatalogError, Lake, LakeAccess, LakeConfig, StoreError, StoreOptions,
};
use super::{TRADES, create, load, property};
use jackfield_test_lakes::{Fault, Front, RestServer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

async fn lake(server: &RestServer, uri: &str) -> Arc<Lake> {
    let warehouse = Url::from_file_path(server.warehouse()).unwrap();
    lake_at(uri, Some(warehouse)).await
}

pub(super) async fn lake_at(uri: &str, warehouse: Option<Url>) -> Arc<Lake> {
    let config = LakeConfig {
        name: "local".to_owned(),
        catalog: CatalogConfig::Rest(Box::new(RestCatalogConfig {
            uri: Url::parse(uri).unwrap(),
            warehouse: None,
            prefix: None,
            auth: RestAuth::None,
            headers: BTreeMap::new(),
            vended_credentials: true,
        })),
        warehouse,
        store: StoreOptions::default(),
    };
    Lake::open(config).await.unwrap()
}

/// A snapshot of its own on top of the one that the table is at, as a committer asks for it.
fn snapshot(metadata: &str, key: &str) -> (String, String) {
    let metadata: Value = serde_json::from_str(metadata).unwrap();
    let current = metadata["current-snapshot-id"]
        .as_i64()
        .filter(|it| *it > 0);
    let sequence = metadata["last-sequence-number"].as_i64().unwrap() + 1;
    let id = i64::from(uuid::Uuid::new_v4().as_fields().0) + 1;
    let location = metadata["location"].as_str().unwrap();
    let requirements = json!([
        {"type": "assert-table-uuid", "uuid": metadata["table-uuid"]},
        {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": current},
    ]);
    let mut snapshot = json!({
        "snapshot-id": id,
        "sequence-number": sequence,
        "timestamp-ms": metadata["last-updated-ms"].as_i64().unwrap() + 1,
        "manifest-list": format!("{location}/metadata/snap-{id}.avro"),
        "summary": {"operation": "append", "key": key},
        "schema-id": 0,
    });
    if let Some(current) = current {
        snapshot["parent-snapshot-id"] = json!(current);
    }
    let updates = json!([
        {"action": "add-snapshot", "snapshot": snapshot},
        {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id},
        {"action": "set-properties", "updates": {key: "x"}},
    ]);
    (requirements.to_string(), updates.to_string())
}

async fn commit(access: &LakeAccess, base: &str, key: &str) -> Result<(), CatalogError> {
    let (requirements, updates) = snapshot(base, key);
    let committed = access.commit(TRADES, "anywhere", &requirements, &updates);
    committed.await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commits_at_once_exactly_one_wins() {
    let server = RestServer::start();
    let lake = lake(&server, &server.url()).await;
    let accesses: Vec<_> = (0..4).map(|_| lake.access()).collect();
    assert_eq!(
        accesses[0].load(TRADES, None).await,
        Err(CatalogError::Missing)
    );
    let table = create(&accesses[0]).await;
    assert!(table.location.starts_with("file:/"), "{}", table.location);
    let again = accesses[1]
        .create_table(TRADES, &super::creation().to_string())
        .await;
    assert_eq!(again, Err(CatalogError::Exists));
    for round in 0..5 {
        let base = load(&accesses[0]).await;
        let keys: Vec<_> = (0..4).map(|n| format!("round-{round}.{n}")).collect();
        let commits = accesses
            .iter()
            .zip(&keys)
            .map(|(access, key)| commit(access, &base.metadata, key));
        let outcomes = futures::future::join_all(commits).await;
        let won = outcomes.iter().filter(|it| it.is_ok()).count();
        let lost = outcomes
            .iter()
            .filter(|it| matches!(it, Err(CatalogError::Conflict(_))))
            .count();
        assert_eq!((won, lost), (1, 3), "{outcomes:?}");
        let now = load(&accesses[0]).await;
        let at = outcomes.iter().position(Result::is_ok).unwrap();
        assert!(property(&now, &keys[at]).is_some());
        let known = Some(now.metadata_location.as_str());
        assert_eq!(accesses[0].load(TRADES, known).await, Ok(None));
    }
    // One that could undo another's is not even sent.
    let (_, updates) = snapshot(&load(&accesses[0]).await.metadata, "careless");
    let told = accesses[0].commit(TRADES, "x", "[]", &updates).await;
    assert!(matches!(told, Err(CatalogError::Other(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_where_the_server_says_wherever_its_documents_are() {
    let front = Front::before("http://127.0.0.1:1").await;
    front.decide(|seen| {
        let told = match seen.path.contains("/v1/config") {
            true => json!({}),
            false => json!({"metadata-location": "s3://m/t/1.metadata.json",
                "metadata": {"location": "s3://b/t", "table-uuid": "x"}}),
        };
        Some(Fault::Status(200, told.to_string()))
    });
    for warehouse in [None, Some("s3://b/w")] {
        let warehouse = warehouse.map(|it| Url::parse(it).unwrap());
        let access = lake_at(&front.url(), warehouse).await.access();
        let table = load(&access).await;
        assert_eq!(table.location, "s3://b/t");
        // The place of the documents is not granted with it.
        let told = access.get("s3://m/t/1.metadata.json", None).await;
        assert!(matches!(told, Err(StoreError::Denied(_))), "{told:?}");
    }
    let within = Url::parse("s3://b/t/w").unwrap();
    let access = lake_at(&front.url(), Some(within)).await.access();
    let told = access.load(TRADES, None).await;
    assert!(matches!(told, Err(CatalogError::Denied(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_heard_is_unknown_and_found_by_loading() {
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    let lake = lake(&server, &front.url()).await.access();
    create(&lake).await;
    let posts = |fault: Fault| {
        front.decide(move |seen| (seen.method == "POST").then(|| fault.clone()));
    };
    for (n, (fault, happened)) in [
        (Fault::Unheard, true),
        (Fault::Status(500, String::new()), false),
        (Fault::Status(502, String::new()), false),
        (Fault::Status(503, String::new()), false),
        (
            Fault::Status(504, "{\"error\":{\"message\":\"m\"}}".to_owned()),
            false,
        ),
        (Fault::Lost, false),
    ]
    .into_iter()
    .enumerate()
    {
        let base = load(&lake).await;
        let key = format!("fate-{n}");
        posts(fault.clone());
        let outcome = commit(&lake, &base.metadata, &key).await;
        assert!(
            matches!(outcome, Err(CatalogError::Unknown(_))),
            "{fault:?} {outcome:?}"
        );
        front.mend();
        let now = load(&lake).await;
        assert_eq!(property(&now, &key).is_some(), happened, "{fault:?}");
        if happened {
            let late = commit(&lake, &base.metadata, &key).await;
            assert!(matches!(late, Err(CatalogError::Conflict(_))), "{late:?}");
        } else {
            commit(&lake, &base.metadata, &key).await.unwrap();
        }
    }
    // Turned away, and reading, are worth another try.
    let base = load(&lake).await;
    posts(Fault::Status(429, String::new()));
    let outcome = commit(&lake, &base.metadata, "later").await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    front.decide(|_| Some(Fault::Status(503, String::new())));
    let outcome = lake.load(TRADES, None).await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_waited_for() {
    let server = RestServer::start();
    let url = server.url();
    let access = lake(&server, &url).await.access();
    create(&access).await;
    drop(server);
    let outcome = access.load(TRADES, None).await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    let metadata = json!({"table-uuid": uuid::Uuid::new_v4(), "last-sequence-number": 0,
        "last-updated-ms": 0, "location": "file:///x"});
    let outcome = commit(&access, &metadata.to_string(), "x").await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
}
