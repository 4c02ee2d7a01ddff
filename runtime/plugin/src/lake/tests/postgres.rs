//! The same over PostgreSQL: a server of the test's own, on a free port.

use super::super::CatalogError;
use super::{Lake, LakeAccess, Place, commit, create, crowd, load, race};
use jackfield_test_lakes::PostgresServer;
use sqlx::{Connection, Executor, PgConnection};

async fn access(server: &PostgresServer, place: &Place) -> LakeAccess {
    Lake::open(place.config(&server.uri()))
        .await
        .unwrap()
        .access()
}

async fn connect(server: &PostgresServer) -> PgConnection {
    PgConnection::connect(&server.uri()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commits_at_once_exactly_one_wins() {
    let (server, place) = (PostgresServer::start(), Place::new());
    let mut accesses = Vec::new();
    for _ in 0..4 {
        accesses.push(access(&server, &place).await);
    }
    race(&accesses, 25).await;
    assert_eq!(
        place.files("w").len(),
        26,
        "losers take their documents with them"
    );
    let mut db = connect(&server).await;
    db.execute("DROP TABLE iceberg_tables").await.unwrap();
    let outcome = accesses[0].load(super::TRADES, None).await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_of_committers_none_is_lost() {
    let (server, place) = (PostgresServer::start(), Place::new());
    let mut accesses = Vec::new();
    for _ in 0..4 {
        accesses.push(access(&server, &place).await);
    }
    // The first of them makes the catalog's own tables while the others do so too.
    let missing = accesses
        .iter()
        .map(|access| access.load(super::TRADES, None));
    for outcome in futures::future::join_all(missing).await {
        assert_eq!(outcome, Err(CatalogError::Missing));
    }
    crowd(accesses, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_the_middle_of_the_change_is_unknown() {
    let (server, place) = (PostgresServer::start(), Place::new());
    let lake = access(&server, &place).await;
    let at = create(&lake).await.metadata_location;

    let mut blocker = connect(&server).await;
    let mut held = blocker.begin().await.unwrap();
    held.execute("SELECT * FROM iceberg_tables FOR UPDATE")
        .await
        .unwrap();
    let (cut, base) = (access(&server, &place).await, at.clone());
    let under_way = tokio::spawn(async move { commit(&cut, &base, "id-1").await });
    let mut watcher = connect(&server).await;
    let waiting = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE iceberg_tables%'";
    while watcher.fetch_all(waiting).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let outcome = under_way.await.unwrap();
    assert!(
        matches!(outcome, Err(CatalogError::Unknown(_))),
        "{outcome:?}"
    );
    held.rollback().await.unwrap();
    assert_eq!(
        place.files("w").len(),
        2,
        "nothing is deleted after an ambiguous error"
    );
    assert_eq!(load(&lake).await.metadata_location, at);
    commit(&lake, &at, "id-1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_waited_for_and_keeps_what_it_said() {
    let (server, place) = (PostgresServer::start(), Place::new());
    let lake = access(&server, &place).await;
    let at = create(&lake).await.metadata_location;
    let kept = commit(&lake, &at, "kept").await.unwrap();
    server.kill();
    let outcome = commit(&lake, &kept.metadata_location, "down").await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    server.resume();
    // Commits are on disk though the server's default is not to wait for that.
    assert_eq!(load(&lake).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_make_no_tables_uses_those_that_are_there() {
    let (server, place) = (PostgresServer::start(), Place::new());
    create(&access(&server, &place).await).await;
    let mut db = connect(&server).await;
    db.execute(
        "CREATE ROLE small LOGIN; REVOKE CREATE ON SCHEMA public FROM public;
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO small",
    )
    .await
    .unwrap();
    let uri = server.uri().replace("postgres@", "small@");
    let lake = Lake::open(place.config(&uri)).await.unwrap().access();
    let at = load(&lake).await.metadata_location;
    commit(&lake, &at, "x").await.unwrap();
    db.execute("REVOKE UPDATE ON iceberg_tables FROM small")
        .await
        .unwrap();
    let at = load(&lake).await.metadata_location;
    let outcome = commit(&lake, &at, "y").await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
    db.execute("DROP TABLE iceberg_namespace_properties")
        .await
        .unwrap();
    let lake = Lake::open(place.config(&uri)).await.unwrap();
    let outcome = lake.ready().await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
}
