//! An overlay looks like the lake below it and leaves nothing in it.

use super::super::{CatalogError, LakeOverlay, StoreError};
use super::rest::lake_at;
use super::{Place, TRADES, commit, create, creation, load, property};
use jackfield_test_lakes::{Fault, Front};
use serde_json::json;
use url::Url;

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn what_is_written_is_read_back_and_never_was() {
    let place = Place::new();
    let lake = place.lake().await;
    let real = lake.access();
    let begin = create(&real).await;
    let data = |name: &str| format!("{}/data/{name}", begin.location);
    real.put(&data("old"), b"old".to_vec()).await.unwrap();
    let before = place.files("w");

    let overlay = LakeOverlay::over(&lake, &place.path("scratch"), MIB);
    let shadow = overlay.lake().access();
    assert_eq!(load(&shadow).await, begin);
    assert_eq!(shadow.get(&data("old"), None).await.unwrap(), b"old");
    shadow.put(&data("new"), b"new".to_vec()).await.unwrap();
    let mut upload = shadow.create(&data("uploaded")).await.unwrap();
    upload.write(b"up".to_vec()).await.unwrap();
    assert_eq!(upload.finish().await.unwrap(), 2);
    let next = commit(&shadow, &begin.metadata_location, "shadow").await;
    let next = next.unwrap();
    assert!(property(&load(&shadow).await, "shadow").is_some());
    let again = commit(&shadow, &next.metadata_location, "again").await;
    assert!(again.is_ok());
    shadow.delete(&data("old")).await.unwrap();
    assert_eq!(
        shadow.get(&data("old"), None).await,
        Err(StoreError::Missing)
    );
    let listed = shadow
        .list(&format!("{}/data", begin.location), None, 9)
        .await;
    let listed: Vec<String> = listed.unwrap().into_iter().map(|it| it.uri).collect();
    assert_eq!(listed, [data("new"), data("uploaded")]);
    let table =
        json!({ "name": "other", "schema": { "type": "struct", "schema-id": 0, "fields": [] } });
    shadow
        .create_table("market.other", &table.to_string())
        .await
        .unwrap();

    assert_eq!(place.files("w"), before, "nothing reached the warehouse");
    assert_eq!(load(&real).await, begin, "nor the catalog");
    assert!(real.load("market.other", None).await.is_err());
    assert_eq!(real.get(&data("old"), None).await.unwrap(), b"old");
}

#[tokio::test]
async fn it_stays_at_what_it_saw_first() {
    let place = Place::new();
    let lake = place.lake().await;
    let real = lake.access();
    let begin = create(&real).await;
    let overlay = LakeOverlay::over(&lake, &place.path("scratch"), MIB);
    let shadow = overlay.lake().access();
    assert_eq!(load(&shadow).await, begin);
    commit(&real, &begin.metadata_location, "real")
        .await
        .unwrap();
    let own = commit(&shadow, &begin.metadata_location, "own").await;
    let own = own.unwrap();
    assert!(property(&own, "real").is_none() && property(&own, "own").is_some());
}

#[tokio::test]
async fn it_takes_no_more_than_it_may() {
    let place = Place::new();
    let lake = place.lake().await;
    let begin = create(&lake.access()).await;
    let overlay = LakeOverlay::over(&lake, &place.path("scratch"), 1000);
    let shadow = overlay.lake().access();
    load(&shadow).await;
    let uri = format!("{}/data/x", begin.location);
    shadow.put(&uri, vec![0; 900]).await.unwrap();
    let refused = shadow.put(&uri, vec![0; 200]).await.unwrap_err();
    assert!(refused.to_string().contains("at most 1000"), "{refused}");
}

#[tokio::test]
async fn a_changed_schema_is_told() {
    let place = Place::new();
    let lake = place.lake().await;
    let begin = create(&lake.access()).await;
    let overlay = LakeOverlay::over(&lake, &place.path("scratch"), MIB);
    let shadow = overlay.lake().access();
    load(&shadow).await;
    assert_eq!(overlay.schema_differences().await.unwrap(), [""; 0]);
    let wider = json!([
        { "action": "add-schema", "schema": { "type": "struct", "schema-id": 1, "fields": [
            { "id": 1, "name": "symbol", "required": true, "type": "string" },
            { "id": 3, "name": "trade_time", "required": true, "type": "timestamptz" },
            { "id": 4, "name": "note", "required": false, "type": "string" }
        ] } },
        { "action": "set-current-schema", "schema-id": -1 }
    ]);
    shadow
        .commit(TRADES, &begin.metadata_location, "[]", &wider.to_string())
        .await
        .unwrap();
    let told = overlay.schema_differences().await.unwrap();
    assert!(told.len() == 1 && told[0].contains("note"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_a_table_whose_documents_are_elsewhere_if_a_server_says_so() {
    let place = Place::new();
    let mut creation = creation();
    creation["properties"]["write.metadata.path"] = json!(place.uri("m"));
    let made = place.access().await;
    let made = made.create_table(TRADES, &creation.to_string()).await;
    let made = made.unwrap();
    let document = place.uri("m/1.metadata.json");
    std::fs::create_dir(place.path("m")).unwrap();
    std::fs::write(place.path("m/1.metadata.json"), &made.metadata).unwrap();
    let front = Front::before("http://127.0.0.1:1").await;
    let table = format!(
        r#"{{"metadata-location":"{document}","metadata":{}}}"#,
        made.metadata
    );
    front.decide(move |seen| {
        let told = match seen.path.contains("/v1/config") {
            true => "{}".to_owned(),
            false => table.clone(),
        };
        Some(Fault::Status(200, told))
    });
    let warehouse = Url::from_file_path(place.path("v")).unwrap();
    let lake = lake_at(&front.url(), Some(warehouse)).await;
    let before = [place.files("w"), place.files("m")];

    let overlay = LakeOverlay::over(&lake, &place.path("scratch"), MIB);
    let shadow = overlay.lake().access();
    let begin = load(&shadow).await;
    assert_eq!(begin, load(&lake.access()).await);
    let data = format!("{}/data/new", begin.location);
    shadow.put(&data, b"new".to_vec()).await.unwrap();
    let next = commit(&shadow, &begin.metadata_location, "shadow").await;
    let next = next.unwrap();
    assert_eq!(load(&shadow).await, next);
    let again = commit(&shadow, &next.metadata_location, "again").await;
    let again = again.unwrap();
    assert!(property(&again, "shadow").is_some());
    // What is not granted can't be had by a table that says to be there.
    let elsewhere = place.uri("other");
    creation["name"] = json!("another");
    creation["location"] = json!(elsewhere);
    let creation = creation.to_string();
    let told = shadow.create_table("market.another", &creation).await;
    assert!(matches!(told, Err(CatalogError::Denied(_))), "{told:?}");
    let moves = json!([{"action": "set-location", "location": elsewhere}]).to_string();
    let at = &again.metadata_location;
    let told = shadow.commit(TRADES, at, "[]", &moves).await;
    assert!(matches!(told, Err(CatalogError::Denied(_))), "{told:?}");
    std::fs::create_dir(place.path("other")).unwrap();
    std::fs::write(place.path("other/secret"), b"s").unwrap();
    let told = shadow.get(&place.uri("other/secret"), None).await;
    assert!(matches!(told, Err(StoreError::Denied(_))), "{told:?}");
    assert_eq!(overlay.schema_differences().await.unwrap(), [""; 0]);
    // The place of the documents is not granted with it.
    let told = shadow.get(&document, None).await;
    assert!(matches!(told, Err(StoreError::Denied(_))), "{told:?}");
    let after = [place.files("w"), place.files("m")];
    assert_eq!(after, before, "nothing reached the store");
    assert!(
        front.seen().iter().all(|it| it.method == "GET"),
        "nor the catalog"
    );

    // A document that says something else than the server is believed nothing.
    let other = made.metadata.replace(&made.location, &place.uri("other"));
    std::fs::write(place.path("m/1.metadata.json"), other).unwrap();
    let overlay = LakeOverlay::over(&lake, &place.path("other-scratch"), MIB);
    let told = overlay.lake().access().load(TRADES, None).await;
    assert!(matches!(told, Err(CatalogError::Denied(_))), "{told:?}");
}
