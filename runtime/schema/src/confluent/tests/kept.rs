//! What is kept, and for how many.

use super::super::kept::{Bounds, Kept};
use super::fake::{Fake, answer, refusal, told};
use super::{HASTY, PATIENT, TRADE, avro, client};
use crate::{Registry, SchemaError};
use futures::FutureExt;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

#[tokio::test]
async fn what_was_seen_works_while_the_registry_is_down() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let fake = Fake::serve(move |_, seen| match &seen.method[..] {
        _ if is_down.load(Ordering::Acquire) => answer(503, ""),
        "POST" => answer(200, r#"{"id": 8}"#),
        _ => told(TRADE),
    })
    .await;
    let registry = client(&fake.url(), HASTY);
    registry.get(7).await.unwrap();
    registry.register("t-value", &avro(TRADE)).await.unwrap();
    down.store(true, Ordering::Release);
    assert_eq!(registry.get(7).await, Ok(avro(TRADE)));
    let laid_out_otherwise = avro(&TRADE.replace(',', " ,\n"));
    let again = registry.register("t-value", &laid_out_otherwise).await;
    assert_eq!(again, Ok(8));
    assert_eq!(registry.get(8).await, Ok(avro(TRADE)), "never asked for");
    let unseen = registry.get(9).await;
    assert!(
        matches!(unseen, Err(SchemaError::Transient(_))),
        "{unseen:?}"
    );
    let other = registry.register("u-value", &avro(TRADE)).await;
    assert!(matches!(other, Err(SchemaError::Transient(_))), "{other:?}");
    down.store(false, Ordering::Release);
    assert_eq!(registry.get(9).await, Ok(avro(TRADE)), "failures stay not");
}

#[tokio::test]
async fn an_id_is_asked_for_once_however_many_want_it() {
    let fake = Fake::serve(|_, seen| match &seen.method[..] {
        "POST" => answer(200, r#"{"id": 8}"#),
        _ => told(TRADE),
    })
    .await;
    let registry = client(&fake.url(), PATIENT);
    let all = join_all((0..50).map(|_| registry.get(7))).await;
    assert!(all.iter().all(|one| *one == Ok(avro(TRADE))));
    assert_eq!(fake.seen().len(), 1);
    let trade = avro(TRADE);
    let all = join_all((0..50).map(|_| registry.register("t-value", &trade))).await;
    assert!(all.iter().all(|one| *one == Ok(8)));
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn who_is_dropped_leaves_the_others_waiting() {
    let kept: Kept<u32, u32> = Kept::new(
        Bounds {
            entries_max: 1,
            bytes_max: 100,
        },
        |_, _| 1,
    );
    let (asked, gate) = (AtomicUsize::new(0), Arc::new(Semaphore::new(0)));
    let ask = || {
        asked.fetch_add(1, Ordering::AcqRel);
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(5)
        }
        .boxed()
    };
    let mut first = Box::pin(kept.get_or(1, ask));
    let mut second = Box::pin(kept.get_or(1, ask));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    gate.add_permits(1);
    assert_eq!(second.await, Ok(5));
    assert_eq!(asked.load(Ordering::Acquire), 1);

    // When all are dropped nobody asks any more, and the next one asks anew.
    let mut third = Box::pin(kept.get_or(2, ask));
    assert!(futures::poll!(&mut third).is_pending());
    drop(third);
    gate.add_permits(1);
    assert_eq!(kept.get_or(2, ask).await, Ok(5));
    assert_eq!(asked.load(Ordering::Acquire), 3);
}

#[tokio::test]
async fn what_was_used_longest_ago_is_let_go() {
    let asked = AtomicUsize::new(0);
    let bounds = Bounds {
        entries_max: 2,
        bytes_max: 10,
    };
    let kept: Kept<u32, String> = Kept::new(bounds, |_, value| value.len());
    let get = async |key: u32, value: &'static str| {
        let ask = || {
            asked.fetch_add(1, Ordering::AcqRel);
            async move { Ok(value.to_owned()) }.boxed()
        };
        kept.get_or(key, ask).await.unwrap();
        asked.load(Ordering::Acquire)
    };
    assert_eq!(get(1, "one").await, 1);
    assert_eq!(get(2, "two").await, 2);
    assert_eq!(get(1, "one").await, 2);
    assert_eq!(get(3, "three").await, 3, "more than two entries");
    assert_eq!(get(1, "one").await, 3, "used since");
    assert_eq!(get(2, "two").await, 4, "let go");
    assert_eq!(get(4, "7 bytes").await, 5, "3 and 7 are kept");
    assert_eq!(get(2, "two").await, 5);
    assert_eq!(get(5, "four").await, 6, "14 bytes are too many: 4 goes");
    assert_eq!(get(2, "two").await, 6);
    assert_eq!(get(4, "7 bytes").await, 7);
    assert_eq!(get(6, "more than all").await, 8, "told, but not kept");
    assert_eq!(get(6, "more than all").await, 9);
}

#[tokio::test]
async fn an_unknown_id_is_asked_for_again_and_not_kept_as_unknown() {
    let known = Arc::new(AtomicBool::new(false));
    let is_known = Arc::clone(&known);
    let fake = Fake::serve(move |_, _| match is_known.load(Ordering::Acquire) {
        true => told(TRADE),
        false => refusal(404, 40403, "Schema 7 not found"),
    })
    .await;
    let registry = client(&fake.url(), PATIENT);
    assert_eq!(registry.get(7).await, Err(SchemaError::Missing(7)));
    assert_eq!(fake.seen().len(), 3, "a follower may learn of it late");
    known.store(true, Ordering::Release);
    assert_eq!(registry.get(7).await, Ok(avro(TRADE)));
    assert_eq!(registry.get(0).await, Err(SchemaError::Missing(0)));
    assert_eq!(fake.seen().len(), 4);
}
