//! Commits whose outcome nobody hears, and crashes between document and row.

use super::super::store::Objects;
use super::super::{CatalogError, LakeAccess};
use super::faulty::{Fate, Fated, FullStore};
use super::{Place, TRADES, commit, create, creation, load, property};
use sqlx::{Connection, Executor, SqliteConnection};

async fn fated(place: &Place, fate: Fate) -> LakeAccess {
    let rows = place.rows().await;
    let rows = Fated { rows, fate };
    place.lake_of(Objects::local(), rows).access()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_happened_unheard_is_found_by_loading() {
    let place = Place::new();
    let lake = place.access().await;
    let at = create(&lake).await.metadata_location;
    let lossy = fated(&place, Fate::DoneUnheard).await;
    let outcome = commit(&lossy, &at, "id-1").await;
    assert!(
        matches!(outcome, Err(CatalogError::Unknown(_))),
        "{outcome:?}"
    );
    let table = load(&lake).await;
    assert!(
        property(&table, "id-1").is_some(),
        "it is there, and its document too"
    );
    let again = commit(&lake, &at, "id-1").await;
    assert!(
        matches!(again, Err(CatalogError::Conflict(_))),
        "not twice: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_lost_unheard_can_be_repeated() {
    let place = Place::new();
    let lake = place.access().await;
    let at = create(&lake).await.metadata_location;
    let lossy = fated(&place, Fate::LostUnheard).await;
    let outcome = commit(&lossy, &at, "id-1").await;
    assert!(
        matches!(outcome, Err(CatalogError::Unknown(_))),
        "{outcome:?}"
    );
    assert_eq!(load(&lake).await.metadata_location, at);
    let documents = place.files("w/market/trades/metadata").len();
    assert_eq!(documents, 2, "nothing is deleted after an ambiguous error");
    commit(&lake, &at, "id-1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certainly_did_not_happen_leaves_nothing() {
    let place = Place::new();
    let lake = place.access().await;
    let at = create(&lake).await.metadata_location;
    let busy = fated(&place, Fate::Busy).await;
    let outcome = commit(&busy, &at, "id-1").await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    assert_eq!(place.files("w/market/trades/metadata").len(), 1);

    let creation = creation().to_string().replace("\"trades\"", "\"other\"");
    let outcome = busy.create_table("market.other", &creation).await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    assert!(place.files("w/market/other").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_unheard_is_found_by_loading() {
    let place = Place::new();
    let lake = place.access().await;
    let lossy = fated(&place, Fate::DoneUnheard).await;
    let outcome = lossy.create_table(TRADES, &creation().to_string()).await;
    assert!(
        matches!(outcome, Err(CatalogError::Unknown(_))),
        "{outcome:?}"
    );
    let again = lake.create_table(TRADES, &creation().to_string()).await;
    assert_eq!(again, Err(CatalogError::Exists));
    load(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_document_and_row_leaves_the_table_as_it_was() {
    let place = Place::new();
    let lake = place.access().await;
    let before = create(&lake).await;
    let dying = fated(&place, Fate::Never).await;
    let at = before.metadata_location.clone();
    let commit_under_way = tokio::spawn(async move { commit(&dying, &at, "id-1").await });
    while place.files("w/market/trades/metadata").len() < 2 {
        tokio::task::yield_now().await;
    }
    commit_under_way.abort();
    assert!(commit_under_way.await.unwrap_err().is_cancelled());

    assert_eq!(load(&lake).await, before);
    let next = commit(&lake, &before.metadata_location, "id-2")
        .await
        .unwrap();
    assert!(property(&next, "id-1").is_none());
    assert!(property(&next, "id-2").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_busy_not_unknown() {
    let place = Place::new();
    let lake = place.access().await;
    let at = create(&lake).await.metadata_location;
    let mut other = SqliteConnection::connect(&place.sqlite()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let outcome = commit(&lake, &at, "id-1").await;
    let Err(CatalogError::Transient(why)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        why.contains("catalog.db") && why.contains("locked"),
        "{why}"
    );
    assert_eq!(place.files("w/market/trades/metadata").len(), 1);
    other.execute("ROLLBACK").await.unwrap();
    commit(&lake, &at, "id-1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_a_commit_before_its_row() {
    let place = Place::new();
    let full = FullStore::new();
    let rows = place.rows().await;
    let lake = place.lake_of(Objects::over(full.clone()), rows).access();
    let at = create(&lake).await.metadata_location;
    full.fill();
    let outcome = commit(&lake, &at, "id-1").await;
    let Err(CatalogError::Transient(why)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        why.contains("no space left") && why.contains("market/trades/metadata"),
        "{why}"
    );
    full.free();
    assert_eq!(load(&lake).await.metadata_location, at);
    commit(&lake, &at, "id-1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_damaged_is_no_transient_matter() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("c")).unwrap();
    std::fs::write(place.path("c/catalog.db"), vec![b'x'; 4096]).unwrap();
    let lake = place.lake().await;
    let outcome = lake.ready().await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
}
