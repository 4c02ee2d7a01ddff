//! Compacted topics seen as maps.

use super::Fixture;
use super::bounds::within;
use super::corner::Corner;
use crate::Keyed;
use std::sync::Arc;
use tokio::task::JoinSet;

/// A key has the value that was put last, which may be empty; a key never put has none.
pub async fn a_key_has_its_newest_value(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let map = open(&corner, "map").await;
    assert_eq!(get(&map, "key").await, None);
    assert!(entries(&map).await.is_empty());
    for value in ["1", "2", "", "größe", "{\"n\":1}"] {
        put(&map, "key", Some(value)).await;
        assert_eq!(get(&map, "key").await.as_deref(), Some(value));
        assert_eq!(entries(&map).await, pairs(&[("key", value)]));
    }
    assert_eq!(get(&map, "ke").await, None);
    assert_eq!(get(&map, "key1").await, None);
}

/// A key that is removed has no value and is no entry, until it is put again.
pub async fn a_removed_key_is_gone(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let map = open(&corner, "map").await;
    put(&map, "a", Some("1")).await;
    put(&map, "b", Some("2")).await;
    put(&map, "a", None).await;
    // One that there is not can be removed too.
    put(&map, "c", None).await;
    assert_eq!(get(&map, "a").await, None);
    assert_eq!(entries(&map).await, pairs(&[("b", "2")]));
    put(&map, "a", Some("3")).await;
    assert_eq!(entries(&map).await, pairs(&[("a", "3"), ("b", "2")]));
}

/// Entries come ordered by key, whatever order they were put in.
pub async fn entries_are_ordered_by_key(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let map = open(&corner, "map").await;
    let mut keys = ["m", "a", "aa", "z", "Z", "a/b", "ä", "10", "9", "a b", "{}"];
    for key in keys {
        put(&map, key, Some(key)).await;
    }
    keys.sort_unstable();
    assert_eq!(entries(&map).await, pairs(&keys.map(|key| (key, key))));
}

/// What one handle put is seen by every other, once the put has returned.
pub async fn another_handle_sees_every_put(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let (one, two) = (open(&corner, "map").await, open(&corner, "map").await);
    for n in 0..20 {
        let value = n.to_string();
        put(&one, "n", Some(&value)).await;
        assert_eq!(get(&two, "n").await.as_ref(), Some(&value));
        put(&two, &value, Some("x")).await;
        assert_eq!(get(&one, &value).await.as_deref(), Some("x"));
        put(&two, "n", None).await;
        assert_eq!(get(&one, "n").await, None);
    }
    let later = open(&corner, "map").await;
    assert_eq!(entries(&later).await, entries(&one).await);
    assert_eq!(entries(&later).await.len(), 20);
}

/// The same key of two topics has two values, also where one name begins like the other.
pub async fn keyed_topics_are_apart(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let one = corner.name("map");
    let two = format!("{one}x");
    let one = within("a map opens", corner.log.keyed(&one)).await.unwrap();
    let two = within("a map opens", corner.log.keyed(&two)).await.unwrap();
    put(&one, "key", Some("1")).await;
    put(&two, "key", Some("2")).await;
    put(&one, "xkey", Some("3")).await;
    assert_eq!(entries(&one).await, pairs(&[("key", "1"), ("xkey", "3")]));
    assert_eq!(entries(&two).await, pairs(&[("key", "2")]));
    put(&two, "key", None).await;
    assert_eq!(get(&one, "key").await.as_deref(), Some("1"));
}

/// Puts of several tasks at once all land.
pub async fn puts_at_once_all_land(fixture: &dyn Fixture) {
    const TASKS: usize = 4;
    const KEYS: usize = 25;
    let corner = Corner::of(fixture).await;
    let map = open(&corner, "map").await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let map = Arc::clone(&map);
        tasks.spawn(async move {
            for key in 0..KEYS {
                for value in ["old", "new"] {
                    put(&map, &format!("{task}.{key:02}"), Some(value)).await;
                }
            }
        });
    }
    tasks.join_all().await;
    let expected: Vec<(String, String)> = (0..TASKS)
        .flat_map(|task| (0..KEYS).map(move |key| (format!("{task}.{key:02}"), "new".into())))
        .collect();
    assert_eq!(entries(&map).await, expected);
}

/// Keys, and that keys were removed, are there after a stop.
pub async fn keys_survive(fixture: &dyn Fixture) {
    let corner = Corner::of(fixture).await;
    let map = open(&corner, "map").await;
    put(&map, "a", Some("1")).await;
    put(&map, "b", Some("2")).await;
    put(&map, "c", Some("3")).await;
    put(&map, "b", None).await;
    put(&map, "c", Some("4")).await;
    drop(map);
    let corner = corner.restarted(fixture).await;
    let map = open(&corner, "map").await;
    assert_eq!(entries(&map).await, pairs(&[("a", "1"), ("c", "4")]));
    assert_eq!(get(&map, "b").await, None);
    assert_eq!(get(&map, "c").await.as_deref(), Some("4"));
}

async fn open(corner: &Corner, what: &str) -> Arc<dyn Keyed> {
    let name = corner.name(what);
    within("a map opens", corner.log.keyed(&name))
        .await
        .unwrap()
}

async fn get(map: &Arc<dyn Keyed>, key: &str) -> Option<String> {
    within("a key is got", map.get(key)).await.unwrap()
}

async fn put(map: &Arc<dyn Keyed>, key: &str, value: Option<&str>) {
    within("a key is put", map.put(key, value)).await.unwrap();
}

async fn entries(map: &Arc<dyn Keyed>) -> Vec<(String, String)> {
    within("a map is listed", map.entries()).await.unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs.iter().map(|(key, value)| (*key, *value));
    owned
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}
