//! Attempts to get out of what is granted.

use super::super::error::CatalogError;
use super::super::{LakeAccess, StoreError};
use super::{Place, TRADES, commit, create, creation, load};
use serde_json::json;

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
