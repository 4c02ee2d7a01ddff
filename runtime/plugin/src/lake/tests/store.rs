use super::super::store::Objects;
use super::super::{LIST_ENTRIES_MAX, STORE_CHUNK_BYTES_MAX, StoreError, UPLOADS_OPEN_MAX};
use super::Place;
use super::faulty::{FullStore, NoRows};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_what_was_put() {
    let place = Place::new();
    let lake = place.access().await;
    let uri = place.uri("w/ns/t/data/symbol=A%2FB/x y.parquet");
    assert_eq!(lake.head(&uri).await, Ok(None));
    assert_eq!(lake.get(&uri, None).await, Err(StoreError::Missing));
    assert_eq!(lake.get(&uri, Some((0, 1))).await, Err(StoreError::Missing));

    let bytes: Vec<u8> = (0..=255).cycle().take(STORE_CHUNK_BYTES_MAX).collect();
    lake.put(&uri, bytes.clone()).await.unwrap();
    let path = place.path("w/ns/t/data/symbol=A%2FB/x y.parquet");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the path is literal");
    assert_eq!(lake.get(&uri, None).await.unwrap(), bytes);
    assert_eq!(lake.get(&uri, Some((10, 20))).await.unwrap(), bytes[10..30]);
    let end = STORE_CHUNK_BYTES_MAX as u64;
    assert_eq!(
        lake.get(&uri, Some((end - 1, 1))).await.unwrap(),
        bytes[bytes.len() - 1..]
    );
    assert!(lake.get(&uri, Some((end, 0))).await.unwrap().is_empty());
    for outside in [(end - 1, 2), (end, 1), (u64::MAX, 2), (u64::MAX, 1)] {
        let got = lake.get(&uri, Some(outside)).await;
        assert!(
            matches!(got, Err(StoreError::Other(_))),
            "{outside:?} {got:?}"
        );
    }
    let entry = lake.head(&uri).await.unwrap().unwrap();
    assert_eq!((entry.uri.as_str(), entry.bytes), (uri.as_str(), end));
    assert!(entry.modified_ms > 1_700_000_000_000);

    lake.delete(&uri).await.unwrap();
    lake.delete(&uri).await.unwrap();
    assert_eq!(lake.head(&uri).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_chunk_does_not_cross() {
    let place = Place::new();
    let lake = place.access().await;
    let uri = place.uri("w/big");
    let over = STORE_CHUNK_BYTES_MAX + 1;
    let too_large = StoreError::TooLarge(over as u64);
    assert_eq!(lake.put(&uri, vec![0; over]).await, Err(too_large.clone()));

    let mut upload = lake.create(&uri).await.unwrap();
    upload.write(vec![1; STORE_CHUNK_BYTES_MAX]).await.unwrap();
    assert_eq!(upload.write(vec![2; over]).await, Err(too_large.clone()));
    upload.write(vec![3; 1]).await.unwrap();
    assert_eq!(upload.finish().await, Ok(over as u64));

    assert_eq!(lake.get(&uri, None).await, Err(too_large.clone()));
    assert_eq!(lake.get(&uri, Some((0, over as u64))).await, Err(too_large));
    let last = lake.get(&uri, Some((over as u64 - 2, 2))).await.unwrap();
    assert_eq!(last, [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_appears_when_it_is_finished_and_only_then() {
    let place = Place::new();
    let lake = place.access().await;
    let uri = place.uri("w/t/data/a.parquet");
    let mut upload = lake.create(&uri).await.unwrap();
    upload.write(b"one".to_vec()).await.unwrap();
    assert_eq!(lake.head(&uri).await, Ok(None));
    assert_eq!(lake.list(&place.uri("w"), None, 10).await, Ok(vec![]));
    upload.write(b"two".to_vec()).await.unwrap();
    assert_eq!(upload.finish().await, Ok(6));
    assert_eq!(upload.finish().await, Ok(6), "finish may be repeated");
    assert!(matches!(
        upload.write(b"x".to_vec()).await,
        Err(StoreError::Other(_))
    ));
    assert_eq!(upload.finish().await, Ok(6));
    drop(upload);
    assert_eq!(lake.get(&uri, None).await.unwrap(), b"onetwo");
    assert_eq!(place.files("w").len(), 1, "no staging file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_dropped_never_was() {
    let place = Place::new();
    let lake = place.access().await;
    let mut upload = lake.create(&place.uri("w/t/a.parquet")).await.unwrap();
    upload.write(vec![1; 1000]).await.unwrap();
    assert_eq!(place.files("w").len(), 1, "a staging file");
    drop(upload);
    // It is removed on a thread for blocking work.
    while !place.files("w").is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_uploads_are_bounded_and_dropping_one_makes_room() {
    let place = Place::new();
    let lake = place.access().await;
    let mut open = Vec::new();
    for n in 0..UPLOADS_OPEN_MAX {
        open.push(lake.create(&place.uri(&format!("w/{n}"))).await.unwrap());
    }
    let refused = lake.create(&place.uri("w/one-more")).await;
    assert!(matches!(refused, Err(StoreError::Other(_))), "{refused:?}");
    open.pop();
    lake.create(&place.uri("w/one-more")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_where_the_last_page_ended() {
    let place = Place::new();
    let lake = place.access().await;
    let mut names: Vec<String> = (0..25)
        .map(|n| place.uri(&format!("w/t/{}/{:02}", n % 3, (n * 7) % 25)))
        .collect();
    for name in &names {
        lake.put(name, b"x".to_vec()).await.unwrap();
    }
    lake.put(&place.uri("w/other"), b"x".to_vec())
        .await
        .unwrap();
    names.sort();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = lake
            .list(&place.uri("w/t"), after.as_deref(), 4)
            .await
            .unwrap();
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        after = Some(last.uri.clone());
        listed.extend(page.into_iter().map(|entry| entry.uri));
    }
    assert_eq!(listed, names);
    let all = lake.list(&place.uri("w"), None, u32::MAX).await.unwrap();
    assert_eq!(all.len(), 26);
    assert!(all.len() < LIST_ENTRIES_MAX as usize);
    assert_eq!(lake.list(&place.uri("w/none"), None, 10).await, Ok(vec![]));
    assert_eq!(lake.list(&place.uri("w"), None, 0).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_passes() {
    let place = Place::new();
    let full = FullStore::new();
    let lake = place.lake_of(Objects::over(full.clone()), NoRows).access();
    let uri = place.uri("w/t/data/a.parquet");
    let mut upload = lake.create(&uri).await.unwrap();
    upload.write(b"fits".to_vec()).await.unwrap();
    full.fill();
    let folder = place.path("w/t/data").display().to_string();
    let named = |outcome: Result<(), StoreError>| {
        let Err(StoreError::Transient(why)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(
            why.contains("no space left") && why.contains(&folder),
            "{why}"
        );
    };
    named(lake.put(&place.uri("w/t/data/b"), b"x".to_vec()).await);
    named(upload.write(b"does not".to_vec()).await);
    full.free();
    named(upload.finish().await.map(|_| ()));
    assert_eq!(
        lake.head(&uri).await,
        Ok(None),
        "half an object never appears"
    );
    lake.put(&uri, b"again".to_vec()).await.unwrap();
    assert_eq!(lake.get(&uri, None).await.unwrap(), b"again");
}
