//! Other libraries on the same catalog.

use super::super::CatalogError;
use super::{Place, TRADES, commit, create, load, property};
use iceberg::io::LocalFsStorageFactory;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, CatalogBuilder, NamespaceIdent, TableIdent};
use iceberg_catalog_sql::{SqlBindStyle, SqlCatalog, SqlCatalogBuilder};
use sqlx::{Connection, Executor, Row, SqliteConnection};
use std::collections::HashMap;
use std::sync::Arc;

async fn theirs(place: &Place) -> SqlCatalog {
    SqlCatalogBuilder::default()
        .uri(place.sqlite())
        .warehouse_location(place.uri("w"))
        .sql_bind_style(SqlBindStyle::QMark)
        .with_storage_factory(Arc::new(LocalFsStorageFactory))
        .load("local", HashMap::new())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_librarys_catalog_reads_and_changes_our_tables_and_we_its() {
    let place = Place::new();
    let lake = place.access().await;
    let made = create(&lake).await;
    let ident = TableIdent::from_strs(["market", "trades"]).unwrap();

    let catalog = theirs(&place).await;
    let market = NamespaceIdent::new("market".to_owned());
    assert_eq!(
        catalog.list_namespaces(None).await.unwrap(),
        std::slice::from_ref(&market)
    );
    assert_eq!(
        catalog.list_tables(&market).await.unwrap(),
        std::slice::from_ref(&ident)
    );
    let table = catalog.load_table(&ident).await.unwrap();
    assert_eq!(
        table.metadata_location(),
        Some(made.metadata_location.as_str())
    );

    let change = Transaction::new(&table);
    let change = change
        .update_table_properties()
        .set("theirs".to_owned(), "x".to_owned())
        .apply(change)
        .unwrap();
    change.commit(&catalog).await.unwrap();
    let stale = commit(&lake, &made.metadata_location, "ours").await;
    assert!(matches!(stale, Err(CatalogError::Conflict(_))), "{stale:?}");
    let now = load(&lake).await;
    let now = commit(&lake, &now.metadata_location, "ours").await.unwrap();
    assert!(property(&now, "theirs").is_some() && property(&now, "ours").is_some());
    let table = catalog.load_table(&ident).await.unwrap();
    assert_eq!(
        table.metadata_location(),
        Some(now.metadata_location.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_says_where_the_table_was_before() {
    let place = Place::new();
    let lake = place.access().await;
    let first = create(&lake).await.metadata_location;
    let second = commit(&lake, &first, "a").await.unwrap().metadata_location;
    let mut db = SqliteConnection::connect(&place.sqlite()).await.unwrap();
    let row = db.fetch_one("SELECT * FROM iceberg_tables").await.unwrap();
    let column = |name: &str| row.get::<String, _>(name);
    assert_eq!(column("catalog_name"), "local");
    assert_eq!(column("table_namespace"), "market");
    assert_eq!(column("table_name"), "trades");
    assert_eq!(column("iceberg_type"), "TABLE");
    assert_eq!(column("metadata_location"), second);
    assert_eq!(column("previous_metadata_location"), first);
    let row = db
        .fetch_one("SELECT * FROM iceberg_namespace_properties")
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>("namespace"), "market");
    assert_eq!(row.get::<String, _>("property_key"), "exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_from_before_views_is_used_as_it_is() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("c")).unwrap();
    let uri = format!("{}?mode=rwc", place.sqlite());
    let mut db = SqliteConnection::connect(&uri).await.unwrap();
    db.execute(
        "CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL,
         table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
         metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000),
         PRIMARY KEY (catalog_name, table_namespace, table_name))",
    )
    .await
    .unwrap();
    let lake = place.access().await;
    let first = create(&lake).await.metadata_location;
    commit(&lake, &first, "a").await.unwrap();
    let columns = db
        .fetch_all("PRAGMA table_info(iceberg_tables)")
        .await
        .unwrap();
    assert_eq!(columns.len(), 5, "it is not changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_no_table_and_its_name_is_taken() {
    let place = Place::new();
    let lake = place.access().await;
    create(&lake).await;
    let mut db = SqliteConnection::connect(&place.sqlite()).await.unwrap();
    db.execute("UPDATE iceberg_tables SET iceberg_type = 'VIEW'")
        .await
        .unwrap();
    assert_eq!(lake.load(TRADES, None).await, Err(CatalogError::Missing));
    let outcome = lake
        .create_table(TRADES, &super::creation().to_string())
        .await;
    assert_eq!(outcome, Err(CatalogError::Exists));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lakes_in_one_database_do_not_see_each_other() {
    let place = Place::new();
    create(&place.access().await).await;
    let mut config = place.config(&place.sqlite());
    config.name = "other".to_owned();
    config.warehouse = Some(url::Url::from_file_path(place.path("w2")).unwrap());
    let other = super::Lake::open(config).await.unwrap().access();
    assert_eq!(other.load(TRADES, None).await, Err(CatalogError::Missing));
    create(&other).await;
}
