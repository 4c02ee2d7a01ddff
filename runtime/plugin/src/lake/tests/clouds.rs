//! The same in Google's and in Azure's stores.

use super::super::{LIST_ENTRIES_MAX, STORE_CHUNK_BYTES_MAX, StoreError};
use super::{CatalogConfig, Lake, LakeAccess, LakeConfig, Place, StoreOptions, race};
use jackfield_test_lakes::{AzureServer, GcsServer};
use std::sync::Arc;
use url::Url;

const GCS: &str = "gs://lake/w";
const AZURE: &str = "abfss://lake@devstoreaccount1.dfs.core.windows.net/w";

async fn lake(place: &Place, warehouse: &str, store: StoreOptions) -> Arc<Lake> {
    let config = LakeConfig {
        name: "local".to_owned(),
        catalog: CatalogConfig::Sql {
            uri: place.sqlite().into(),
        },
        warehouse: Some(Url::parse(warehouse).unwrap()),
        store,
    };
    Lake::open(config).await.unwrap()
}

fn of_gcs(server: &GcsServer) -> StoreOptions {
    StoreOptions::default()
        .with("base_url", server.url())
        .with("service_account_key", server.account())
}

fn of_azure(server: &AzureServer) -> StoreOptions {
    StoreOptions::default()
        .with("endpoint", server.url())
        .with("access_key", server.key())
}

/// What every store has to do, below `warehouse`.
async fn is_a_store(lake: &LakeAccess, warehouse: &str) {
    let uri = &format!("{warehouse}/ns/t/data/symbol=A%2FB/x y.parquet");
    assert_eq!(lake.head(uri).await, Ok(None));
    assert_eq!(lake.get(uri, None).await, Err(StoreError::Missing));
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    lake.put(uri, bytes.clone()).await.unwrap();
    assert_eq!(lake.get(uri, None).await.unwrap(), bytes);
    assert_eq!(lake.get(uri, Some((10, 20))).await.unwrap(), bytes[10..30]);
    let outside = lake.get(uri, Some((99_990, 20))).await;
    assert!(matches!(outside, Err(StoreError::Other(_))), "{outside:?}");
    let entry = lake.head(uri).await.unwrap().unwrap();
    assert_eq!((&entry.uri, entry.bytes), (uri, 100_000));
    assert!(entry.modified_ms > 1_700_000_000_000);
    lake.put(uri, b"anew".to_vec()).await.unwrap();
    assert_eq!(lake.get(uri, None).await.unwrap(), b"anew");

    // In order, page by page, and never beyond the folder.
    for n in 0..5 {
        lake.put(&format!("{warehouse}/l/{n}"), vec![n])
            .await
            .unwrap();
    }
    lake.put(&format!("{warehouse}/l2/0"), vec![0])
        .await
        .unwrap();
    let folder = format!("{warehouse}/l");
    let page = lake.list(&folder, None, 3).await.unwrap();
    let uris: Vec<&str> = page.iter().map(|it| it.uri.as_str()).collect();
    let expected: Vec<String> = (0..3).map(|n| format!("{warehouse}/l/{n}")).collect();
    assert_eq!(uris, expected);
    let rest = lake.list(&folder, Some(uris[2]), LIST_ENTRIES_MAX).await;
    assert_eq!(rest.unwrap().len(), 2);

    // In parts, and there whole or not at all.
    let large = &format!("{warehouse}/t/data/large.parquet");
    let mut upload = lake.create(large).await.unwrap();
    for n in 0..13 {
        upload.write(vec![n; STORE_CHUNK_BYTES_MAX]).await.unwrap();
    }
    assert_eq!(lake.head(large).await, Ok(None));
    let size = 13 * STORE_CHUNK_BYTES_MAX as u64;
    assert_eq!(upload.finish().await, Ok(size));
    assert_eq!(lake.head(large).await.unwrap().unwrap().bytes, size);
    let across = STORE_CHUNK_BYTES_MAX as u64 * 7 - 1;
    assert_eq!(lake.get(large, Some((across, 2))).await.unwrap(), [6, 7]);
    let dropped = &format!("{warehouse}/t/data/dropped");
    let mut upload = lake.create(dropped).await.unwrap();
    for n in 0..6 {
        upload.write(vec![n; STORE_CHUNK_BYTES_MAX]).await.unwrap();
    }
    drop(upload);
    assert_eq!(lake.head(dropped).await, Ok(None));

    lake.delete(uri).await.unwrap();
    lake.delete(uri).await.unwrap();
    assert_eq!(lake.head(uri).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_store_is_a_store() {
    let (server, place) = (GcsServer::start().await, Place::new());
    let lake = lake(&place, GCS, of_gcs(&server)).await.access();
    is_a_store(&lake, GCS).await;
    let parts = server.seen().into_iter();
    let parts = parts.filter(|it| it.path.contains("partNumber=")).count();
    assert!(parts >= 3, "{parts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn azures_store_is_a_store() {
    let place = Place::new();
    let server = tokio::task::spawn_blocking(AzureServer::start)
        .await
        .unwrap();
    let lake = lake(&place, AZURE, of_azure(&server)).await.access();
    is_a_store(&lake, AZURE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commits_at_once_in_either_exactly_one_wins() {
    let gcs = GcsServer::start().await;
    let azure = tokio::task::spawn_blocking(AzureServer::start)
        .await
        .unwrap();
    for (warehouse, options) in [(GCS, of_gcs(&gcs)), (AZURE, of_azure(&azure))] {
        let place = Place::new();
        let lake = lake(&place, warehouse, options).await;
        let accesses: Vec<_> = (0..3).map(|_| lake.access()).collect();
        race(&accesses, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_so() {
    let (server, place) = (GcsServer::start().await, Place::new());
    let stranger = server.account().replace("jackfield@", "someone@");
    let options = StoreOptions::default()
        .with("base_url", server.url())
        .with("service_account_key", stranger);
    let gcs = lake(&place, GCS, options).await.access();
    let told = gcs.put(&format!("{GCS}/x"), vec![1]).await;
    assert!(matches!(told, Err(StoreError::Other(_))), "{told:?}");

    let place = Place::new();
    let server = tokio::task::spawn_blocking(AzureServer::start)
        .await
        .unwrap();
    let options = StoreOptions::default()
        .with("endpoint", server.url())
        .with("access_key", "c29tZW9uZSBlbHNl");
    let azure = lake(&place, AZURE, options).await.access();
    let told = azure.put(&format!("{AZURE}/x"), vec![1]).await;
    assert!(matches!(told, Err(StoreError::Other(_))), "{told:?}");
}
