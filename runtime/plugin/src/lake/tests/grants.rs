//! Attempts to get out of what is granted.

use super::super::error::CatalogError;
use super::super::{CatalogTable, LakeAccess, LakeOverlay, StoreError};
use super::{Lake, Place, TRADES, commit, create, creation, load};
use serde_json::{Value, json};
use std::path::PathBuf;

async fn denied_everywhere(lake: &LakeAccess, uri: &str) {
    let all = [
        lake.put(uri, b"x".to_vec()).await,
        lake.get(uri, None).await.map(|_| ()),
        lake.get(uri, Some((0, 1))).await.map(|_| ()),
        lake.head(uri).await.map(|_| ()),
        lake.delete(uri).await,
        lake.create(uri).await.map(|_| ()),
        lake.list(uri, None, 10).await.map(|_| ()),
    ];
    for (n, outcome) in all.into_iter().enumerate() {
        assert!(
            matches!(outcome, Err(StoreError::Denied(_))),
            "{uri:?} {n} {outcome:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_below_the_warehouse_is_denied() {
    let place = Place::new();
    let lake = place.access().await;
    std::fs::write(place.path("secret"), b"s").unwrap();
    std::fs::create_dir_all(place.path("w2")).unwrap();
    std::fs::write(place.path("w2/secret"), b"s").unwrap();
    let w = place.uri("w");
    for uri in [
        place.uri("secret"),
        place.uri("w2/secret"),
        format!("{w}/../secret"),
        format!("{w}/a/../../secret"),
        format!("{w}/./../secret"),
        format!("{w}//../secret"),
        format!("{w}/..\\..\\secret\0"),
        place.path("w/x").display().to_string(),
        w.replace("file://", "file://localhost") + "/x",
        w.replace("file:///", "s3://") + "/x",
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        denied_everywhere(&lake, &uri).await;
    }
    assert_eq!(std::fs::read(place.path("secret")).unwrap(), b"s");
    for encoded in ["%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret"] {
        // Names like any other: nothing decodes them.
        let uri = format!("{w}/{encoded}");
        assert_eq!(lake.head(&uri).await, Ok(None), "{uri}");
        lake.put(&uri, b"inside".to_vec()).await.unwrap();
    }
    assert_eq!(place.files("w").len(), 3);
    // The warehouse itself can be listed, and is no object.
    assert!(lake.list(&w, None, 10).await.is_ok());
    assert!(matches!(lake.delete(&w).await, Err(StoreError::Denied(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_do_not_lead_out() {
    let place = Place::new();
    let lake = place.access().await;
    std::fs::create_dir_all(place.path("outside")).unwrap();
    std::fs::write(place.path("outside/secret"), b"s").unwrap();
    let link = |to: &str, at: &str| {
        std::os::unix::fs::symlink(place.path(to), place.path(at)).unwrap();
    };
    link("outside", "w/folder");
    link("outside/secret", "w/file");
    denied_everywhere(&lake, &place.uri("w/folder/secret")).await;
    denied_everywhere(&lake, &place.uri("w/folder/new/x")).await;
    denied_everywhere(&lake, &place.uri("w/file")).await;
    assert_eq!(place.files("outside").len(), 1);
    // A link that stays inside is as good as a folder.
    lake.put(&place.uri("w/real/x"), b"x".to_vec())
        .await
        .unwrap();
    link("w/real", "w/alias");
    assert_eq!(lake.get(&place.uri("w/alias/x"), None).await.unwrap(), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_behind_a_link_is_granted_by_its_own_name() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("disk")).unwrap();
    std::os::unix::fs::symlink(place.path("disk"), place.path("w")).unwrap();
    let lake = place.access().await;
    let table = create(&lake).await;
    assert_eq!(table.location, place.uri("w/market/trades"));
    lake.put(&place.uri("w/market/trades/data/x"), b"x".to_vec())
        .await
        .unwrap();
    denied_everywhere(&lake, &place.uri("disk/market/trades/data/x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_elsewhere_is_granted_once_it_was_loaded() {
    let place = Place::new();
    let mut config = place.config(&place.sqlite());
    config.warehouse = Some(url::Url::from_file_path(place.path("elsewhere")).unwrap());
    let other = super::Lake::open(config).await.unwrap().access();
    let made = create(&other).await;

    let lake = place.access().await;
    let file = place.uri("elsewhere/market/trades/data/x");
    denied_everywhere(&lake, &file).await;
    // Also when the catalog has nothing new to tell.
    let known = lake
        .load(TRADES, Some(&made.metadata_location))
        .await
        .unwrap();
    assert_eq!(known, None);
    lake.put(&file, b"x".to_vec()).await.unwrap();
    denied_everywhere(&lake, &place.uri("elsewhere/market/other/x")).await;
    denied_everywhere(&lake, &place.uri("elsewhere/market/trades2/x")).await;
    commit(&lake, &made.metadata_location, "x").await.unwrap();
    // To each its own.
    denied_everywhere(&place.access().await, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_not_created_or_moved_outside() {
    let place = Place::new();
    let lake = place.access().await;
    let outside = place.uri("outside/t");
    let mut creation = creation();
    creation["location"] = json!(outside);
    let outcome = lake.create_table(TRADES, &creation.to_string()).await;
    assert!(
        matches!(outcome, Err(CatalogError::Denied(_))),
        "{outcome:?}"
    );

    creation["location"] = json!(place.uri("w/here/it/goes/"));
    let table = lake
        .create_table(TRADES, &creation.to_string())
        .await
        .unwrap();
    assert_eq!(table.location, place.uri("w/here/it/goes"));
    for to in [outside.as_str(), "s3://bucket/t", "file:///etc", "../t", ""] {
        let updates = json!([{"action": "set-location", "location": to}]).to_string();
        let outcome = lake
            .commit(TRADES, &table.metadata_location, "[]", &updates)
            .await;
        assert!(
            matches!(outcome, Err(CatalogError::Denied(_))),
            "{to} {outcome:?}"
        );
    }
    assert_eq!(load(&lake).await, table);
    assert!(!place.path("outside").exists());
}

/// The file of a table's document.
fn document(table: &CatalogTable) -> PathBuf {
    PathBuf::from(table.metadata_location.strip_prefix("file://").unwrap())
}

/// The table's document, with another location in it.
fn moved(table: &CatalogTable, location: &str) -> Vec<u8> {
    let mut metadata: Value = serde_json::from_str(&table.metadata).unwrap();
    metadata["location"] = json!(location);
    metadata.to_string().into_bytes()
}

/// Of a table whose document says that it is elsewhere nothing is granted, and nothing is written
/// there.
async fn not_believed(lake: &LakeAccess, table: &CatalogTable, place: &Place) {
    let outside = place.path("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("secret"), b"s").unwrap();
    std::fs::write(document(table), moved(table, &place.uri("outside"))).unwrap();
    let loaded = lake.load(TRADES, None).await;
    assert!(matches!(loaded, Err(CatalogError::Denied(_))), "{loaded:?}");
    let committed = commit(lake, &table.metadata_location, "x").await;
    assert!(
        matches!(committed, Err(CatalogError::Denied(_))),
        "{committed:?}"
    );
    denied_everywhere(lake, &place.uri("outside/secret")).await;
    assert_eq!(place.files("outside"), [outside.join("secret")]);
}

/// A lake of the same catalog with another warehouse.
async fn lake_at(place: &Place, warehouse: &str) -> LakeAccess {
    let mut config = place.config(&place.sqlite());
    config.warehouse = Some(url::Url::from_file_path(place.path(warehouse)).unwrap());
    Lake::open(config).await.unwrap().access()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tables_document_is_not_written_by_a_plugin() {
    let place = Place::new();
    let lake = place.access().await;
    let table = create(&lake).await;
    let at = &table.metadata_location;
    let changed = moved(&table, "file:///etc");
    let new = format!("{}/metadata/00007-x", table.location);
    for uri in [
        at.clone(),
        at.replace(".metadata.json", ".METADATA.json"),
        format!("{new}.metadata.json"),
        format!("{new}.gz.metadata.json"),
        format!("{new}.metadata.json.gz"),
        format!("{new}%2Emetadata%2ejson"),
        place.uri("w/v1.metadata.json"),
    ] {
        let put = lake.put(&uri, changed.clone()).await;
        assert!(matches!(put, Err(StoreError::Denied(_))), "{uri} {put:?}");
        let begun = lake.create(&uri).await.map(drop);
        assert!(
            matches!(begun, Err(StoreError::Denied(_))),
            "{uri} {begun:?}"
        );
    }
    assert_eq!(place.files("w"), [document(&table)]);
    assert_eq!(load(&lake).await, table);
    // Reading one, writing what a commit needs beside it, and cleaning up is all the same.
    lake.get(at, None).await.unwrap();
    let list = format!("{}/metadata/snap-1.avro", table.location);
    lake.put(&list, b"x".to_vec()).await.unwrap();
    lake.delete(at).await.unwrap();
    assert_eq!(lake.head(at).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_document_grants_nothing_elsewhere() {
    let place = Place::new();
    let table = create(&place.access().await).await;
    not_believed(&place.access().await, &table, &place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_document_of_a_table_elsewhere_grants_no_more_than_its_place() {
    let place = Place::new();
    let table = create(&lake_at(&place, "elsewhere").await).await;
    not_believed(&place.access().await, &table, &place).await;
    // Nor what lies around it.
    std::fs::write(document(&table), moved(&table, &place.uri("elsewhere"))).unwrap();
    let lake = place.access().await;
    let loaded = lake.load(TRADES, None).await;
    assert!(matches!(loaded, Err(CatalogError::Denied(_))), "{loaded:?}");
    denied_everywhere(&lake, &place.uri("elsewhere/market/other/x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_around_the_warehouse_is_not_granted() {
    let place = Place::new();
    let around = lake_at(&place, "a").await;
    let mut creation = creation();
    creation["location"] = json!(place.uri("a/t"));
    let made = around.create_table(TRADES, &creation.to_string()).await;
    let made = made.unwrap();
    let lake = lake_at(&place, "a/t/w").await;
    let loaded = lake.load(TRADES, None).await;
    assert!(matches!(loaded, Err(CatalogError::Denied(_))), "{loaded:?}");
    denied_everywhere(&lake, &place.uri("a/t/data/x")).await;
    // Beside it, it is a table elsewhere.
    let beside = lake_at(&place, "a/w").await;
    assert_eq!(load(&beside).await, made);
    let data = place.uri("a/t/data/x");
    beside.put(&data, b"x".to_vec()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_widens_no_grant_either() {
    let place = Place::new();
    let lake = place.lake().await;
    let table = create(&lake.access()).await;
    let overlay = LakeOverlay::over(&lake, &place.path("scratch"), 1024 * 1024);
    let shadow = overlay.lake().access();
    let changed = moved(&table, &place.uri("outside"));
    let put = shadow.put(&table.metadata_location, changed).await;
    assert!(matches!(put, Err(StoreError::Denied(_))), "{put:?}");
    assert_eq!(load(&shadow).await, table);
    let fresh = LakeOverlay::over(&lake, &place.path("scratch2"), 1024 * 1024);
    not_believed(&fresh.lake().access(), &table, &place).await;
}
