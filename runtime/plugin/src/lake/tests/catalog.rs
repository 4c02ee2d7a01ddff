use super::super::{CatalogError, DOCUMENT_BYTES_MAX, LakeError};
use super::{Lake, Place, TRADES, commit, create, creation, crowd, load, mark, property, race};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use url::Url;

fn metadata(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_created_with_its_namespace_and_loads_as_it_was_made() {
    let place = Place::new();
    let lake = place.access().await;
    assert_eq!(lake.load(TRADES, None).await, Err(CatalogError::Missing));
    let table = create(&lake).await;
    assert_eq!(table.location, place.uri("w/market/trades"));
    let folder = format!("{}/metadata/00000-", table.location);
    assert!(
        table.metadata_location.starts_with(&folder),
        "{}",
        table.metadata_location
    );
    let made = metadata(&table.metadata);
    assert_eq!(made["format-version"], 2);
    let price = made["schemas"][0]["fields"][1]["type"].as_str().unwrap();
    assert_eq!(price.replace(' ', ""), "decimal(38,8)");
    assert_eq!(made["schemas"][0]["fields"][0]["doc"], "The pair.");
    assert_eq!(made["partition-specs"][0]["fields"][0]["name"], "day");
    assert_eq!(
        made["properties"]["write.parquet.compression-codec"],
        "zstd"
    );
    assert_eq!(load(&lake).await, table);
    assert_eq!(
        load(&place.access().await).await,
        table,
        "and after a restart"
    );

    let known = Some(table.metadata_location.as_str());
    assert_eq!(lake.load(TRADES, known).await, Ok(None));
    assert_eq!(
        lake.load(TRADES, Some("file:///elsewhere")).await,
        Ok(Some(table))
    );
    let again = lake.create_table(TRADES, &creation().to_string()).await;
    assert_eq!(again, Err(CatalogError::Exists));
    assert_eq!(
        place.files("w").len(),
        1,
        "nothing is left of the second attempt"
    );
}

/// Where nothing else is, a table's folder has its name and no more, as the test above shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_not_created_among_the_files_of_one_that_had_its_name() {
    let place = Place::new();
    let lake = place.access().await;
    let old = create(&lake).await;
    // As other engines rename a table: its files stay where they are.
    let mut catalog = SqliteConnection::connect(&place.sqlite()).await.unwrap();
    let rename = "UPDATE iceberg_tables SET table_name = 'trades_old'";
    catalog.execute(rename).await.unwrap();
    let new = create(&lake).await;
    let beside = format!("{}-", old.location);
    assert!(new.location.starts_with(&beside), "{}", new.location);
    let documents = format!("{}/metadata/", new.location);
    assert!(
        new.metadata_location.starts_with(&documents),
        "{}",
        new.metadata_location
    );
    // Each goes on by itself.
    commit(&lake, &new.metadata_location, "new").await.unwrap();
    let renamed = lake.load("market.trades_old", None).await.unwrap().unwrap();
    assert_eq!(renamed, old);
    let at = &renamed.metadata_location;
    let updates = mark("old");
    let moved = lake.commit("market.trades_old", at, "[]", &updates);
    let moved = moved.await.unwrap();
    assert_eq!(moved.location, old.location);
    assert_eq!(place.files("w/market/trades/metadata").len(), 2);
    // One that was dropped leaves its files too.
    catalog.execute("DELETE FROM iceberg_tables").await.unwrap();
    let again = create(&lake).await;
    assert!(again.location.starts_with(&beside) && again.location != new.location);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_makes_no_sense_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let lake = place.access().await;
    let with = |key: &str, value: Value| {
        let mut creation = creation();
        creation[key] = value;
        creation.to_string()
    };
    for (what, bad) in [
        ("no JSON", "{".to_owned()),
        ("another name", with("name", json!("other"))),
        ("staged", with("stage-create", json!(true))),
        (
            "format 3",
            with("properties", json!({"format-version": "3"})),
        ),
        ("no schema", with("schema", Value::Null)),
        (
            "no such column",
            with(
                "partition-spec",
                json!({"fields": [{"source-id": 9, "name": "x", "transform": "day"}]}),
            ),
        ),
        (
            "no such transform for it",
            with(
                "partition-spec",
                json!({"fields": [{"source-id": 1, "name": "x", "transform": "day"}]}),
            ),
        ),
        ("too large", " ".repeat(DOCUMENT_BYTES_MAX) + "{}"),
    ] {
        let outcome = lake.create_table(TRADES, &bad).await;
        assert!(
            matches!(outcome, Err(CatalogError::Other(_))),
            "{what}: {outcome:?}"
        );
    }
    for ident in ["trades", "", "a..b", "a/b.c", ".x"] {
        let outcome = lake.create_table(ident, &creation().to_string()).await;
        assert!(
            matches!(outcome, Err(CatalogError::Other(_))),
            "{ident}: {outcome:?}"
        );
    }
    assert!(place.files("w").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_moves_the_table_on_and_keeps_its_history() {
    let place = Place::new();
    let lake = place.access().await;
    let first = create(&lake).await;
    let second = commit(&lake, &first.metadata_location, "a").await.unwrap();
    let third = commit(&lake, &second.metadata_location, "b").await.unwrap();
    assert!(third.metadata_location.contains("/metadata/00002-"));
    assert_eq!(load(&lake).await, third);
    assert!(property(&third, "a").is_some() && property(&third, "b").is_some());
    let log = metadata(&third.metadata);
    let log: Vec<&str> = log["metadata-log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["metadata-file"].as_str().unwrap())
        .collect();
    assert_eq!(log, [&first.metadata_location, &second.metadata_location]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_or_unmet_commit_is_a_conflict_and_changes_nothing() {
    let place = Place::new();
    let lake = place.access().await;
    let first = create(&lake).await;
    let second = commit(&lake, &first.metadata_location, "a").await.unwrap();
    let stale = commit(&lake, &first.metadata_location, "b").await;
    assert!(matches!(stale, Err(CatalogError::Conflict(_))), "{stale:?}");
    for requirement in [
        json!({"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}),
        json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7}),
        json!({"type": "assert-create"}),
    ] {
        let requirements = json!([requirement]).to_string();
        let unmet = lake
            .commit(TRADES, &second.metadata_location, &requirements, &mark("c"))
            .await;
        assert!(
            matches!(unmet, Err(CatalogError::Conflict(_))),
            "{requirement} {unmet:?}"
        );
    }
    let met = json!([
        {"type": "assert-table-uuid", "uuid": metadata(&second.metadata)["table-uuid"]},
        {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null},
    ]);
    assert_eq!(load(&lake).await, second);
    assert_eq!(place.files("w").len(), 2, "no orphans");
    lake.commit(
        TRADES,
        &second.metadata_location,
        &met.to_string(),
        &mark("d"),
    )
    .await
    .unwrap();
    let missing = lake.commit("market.none", "x", "[]", "[]").await;
    assert_eq!(missing, Err(CatalogError::Missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_makes_no_sense_is_refused() {
    let place = Place::new();
    let lake = place.access().await;
    let table = create(&lake).await;
    let at = &table.metadata_location;
    let large = " ".repeat(DOCUMENT_BYTES_MAX) + "[]";
    for (requirements, updates) in [
        ("{", "[]"),
        ("[]", "[{\"action\": \"no-such\"}]"),
        (
            "[]",
            "[{\"action\": \"set-current-schema\", \"schema-id\": 77}]",
        ),
        (
            "[]",
            "[{\"action\": \"set-default-spec\", \"spec-id\": 77}]",
        ),
        (large.as_str(), "[]"),
        ("[]", large.as_str()),
    ] {
        let outcome = lake.commit(TRADES, at, requirements, updates).await;
        assert!(
            matches!(outcome, Err(CatalogError::Other(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(load(&lake).await, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commits_at_once_exactly_one_wins() {
    let place = Place::new();
    let mut accesses = Vec::new();
    for _ in 0..4 {
        // Each with a pool of its own, as processes have.
        accesses.push(place.access().await);
    }
    race(&accesses, 25).await;
    assert_eq!(
        place.files("w").len(),
        26,
        "losers take their documents with them"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_of_committers_none_is_lost() {
    let place = Place::new();
    let shared = place.lake().await;
    let accesses = vec![
        shared.access(),
        shared.access(),
        place.access().await,
        place.access().await,
    ];
    crowd(accesses, 10).await;
    assert_eq!(place.files("w").len(), 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_packed_where_the_table_wants_it() {
    let place = Place::new();
    let lake = place.access().await;
    let mut creation = creation();
    creation["properties"]["write.metadata.compression-codec"] = json!("gzip");
    let table = lake
        .create_table(TRADES, &creation.to_string())
        .await
        .unwrap();
    assert!(table.metadata_location.ends_with(".gz.metadata.json"));
    let path = table.metadata_location.strip_prefix("file://").unwrap();
    assert_eq!(std::fs::read(path).unwrap()[..2], [0x1f, 0x8b]);
    assert_eq!(load(&place.access().await).await, table);
    let next = commit(&lake, &table.metadata_location, "a").await.unwrap();
    assert!(next.metadata_location.ends_with(".gz.metadata.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_gone_or_elsewhere_is_told() {
    let place = Place::new();
    let lake = place.access().await;
    let table = create(&lake).await;
    std::fs::remove_file(table.metadata_location.strip_prefix("file://").unwrap()).unwrap();
    let outcome = lake.load(TRADES, None).await;
    let Err(CatalogError::Other(why)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(why.contains(&table.metadata_location), "{why}");

    let rows = place.rows().await;
    let ident = super::super::ident::Ident::parse("market.remote").unwrap();
    let at = "s3://bucket/t/metadata/00000-x.metadata.json";
    super::Rows::insert(&rows, &ident, at).await.unwrap();
    let outcome = lake.load("market.remote", None).await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_makes_no_sense_is_refused_without_its_secrets() {
    let place = Place::new();
    let warehouse = |uri: &str| {
        let mut config = place.config(&place.sqlite());
        config.warehouse = Some(Url::parse(uri).unwrap());
        config
    };
    let mut nameless = place.config(&place.sqlite());
    nameless.name.clear();
    for config in [
        nameless,
        place.config("mysql://u:hunter2@h/d"),
        place.config("postgres:hunter2"),
        place.config("sqlite://relative.db"),
        warehouse("ftp://host/w"),
        warehouse("s3://key:hunter2@bucket/prefix"),
        warehouse("file://host/w"),
        warehouse("file:///w?x"),
        warehouse("file:///w%3Fx"),
    ] {
        let told = Lake::open(config).await.unwrap_err();
        assert!(matches!(told, LakeError::Invalid { .. }), "{told}");
        assert!(!told.to_string().contains("hunter2"), "{told}");
    }
    std::fs::write(place.path("file"), b"x").unwrap();
    let config = warehouse(&place.uri("file/w"));
    let told = Lake::open(config).await.unwrap_err();
    assert!(matches!(told, LakeError::Folder { .. }), "{told}");
    assert!(!format!("{:?}", place.config("postgres://u:hunter2@h/d")).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_folder_names_are_used_as_they_are() {
    let place = Place::new();
    let mut config = place.config(&format!(
        "sqlite://{}/a%20b/ü%3F.db",
        place.path("").display().to_string().trim_end_matches('/')
    ));
    config.warehouse = Some(Url::from_file_path(place.path("wäre house")).unwrap());
    let lake = Lake::open(config).await.unwrap();
    assert_eq!(lake.warehouse(), place.uri("wäre house"));
    create(&lake.access()).await;
    assert!(place.path("a b/ü?.db").is_file());
    assert_eq!(place.files("wäre house/market/trades/metadata").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn outdated_documents_go_where_the_table_wants_it() {
    let place = Place::new();
    let lake = place.access().await;
    let mut creation = creation();
    creation["properties"] = json!({
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "3",
    });
    let table = lake
        .create_table(TRADES, &creation.to_string())
        .await
        .unwrap();
    let mut at = table.metadata_location;
    for n in 0..10 {
        at = commit(&lake, &at, &format!("{n}"))
            .await
            .unwrap()
            .metadata_location;
    }
    assert_eq!(
        place.files("w").len(),
        4,
        "the current one, and three before it"
    );
    let table = load(&lake).await;
    assert_eq!(table.metadata_location, at);
    assert!(property(&table, "0").is_some());
    // Without the wish all of them stay.
    let updates = json!([{
        "action": "remove-properties",
        "removals": ["write.metadata.delete-after-commit.enabled"],
    }]);
    lake.commit(TRADES, &at, "[]", &updates.to_string())
        .await
        .unwrap();
    assert_eq!(place.files("w").len(), 5);
}
