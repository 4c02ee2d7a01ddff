//! A registry that does not serve: asked again, and never the schema's fault.

use super::fake::{Answer, Fake, answer, nobody, refusal, told};
use super::{HASTY, PATIENT, TRADE, avro, client};
use crate::{Registry, SchemaError};
use futures::future::join_all;
use std::time::{Duration, Instant};

/// Any of these is mended by asking again.
fn hiccups() -> Vec<Answer> {
    vec![
        refusal(500, 50001, "Error in the backend data store"),
        answer(502, "<html>Bad Gateway</html>"),
        answer(503, ""),
        answer(408, ""),
        answer(429, "slow down"),
        answer(200, "<html>starting</html>"),
        answer(200, r#"{"schema": 7}"#),
        answer(200, ""),
    ]
}

#[tokio::test]
async fn a_registry_that_fails_for_a_while_is_asked_until_it_answers() {
    for index in 0..hiccups().len() {
        let fake = Fake::serve(move |nth, _| match nth {
            0 | 1 => hiccups().swap_remove(index),
            _ => told(TRADE),
        })
        .await;
        let registry = client(&fake.url(), PATIENT);
        assert_eq!(registry.get(7).await, Ok(avro(TRADE)), "answer {index}");
        assert_eq!(fake.seen().len(), 3);
    }
}

#[tokio::test]
async fn one_that_goes_on_failing_is_not_available() {
    join_all((0..hiccups().len()).map(|index| async move {
        let fake = Fake::serve(move |_, _| hiccups().swap_remove(index)).await;
        let registry = client(&fake.url(), HASTY);
        let error = registry.get(7).await.unwrap_err();
        assert!(matches!(error, SchemaError::Transient(_)), "{error}");
        let error = registry.register("t-value", &avro(TRADE)).await;
        assert!(matches!(error, Err(SchemaError::Transient(_))), "{error:?}");
        assert!(fake.seen().len() >= 4, "each was asked again");
    }))
    .await;
}

#[tokio::test]
async fn refused_connections_and_silence_are_not_available() {
    let silent = Fake::serve(|_, _| Answer::Never).await;
    for (url, said) in [(nobody().await, "refused"), (silent.url(), "in time")] {
        let registry = client(&url, HASTY);
        let error = registry.get(7).await.unwrap_err();
        assert!(matches!(error, SchemaError::Transient(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
    assert!(silent.seen().len() > 1, "it was asked again");
}

#[tokio::test]
async fn as_long_is_waited_as_the_registry_asks_for() {
    let fake = Fake::serve(|nth, _| match nth {
        0 => Answer::Whole(429, vec![("retry-after", "1".to_owned())], String::new()),
        _ => told(TRADE),
    })
    .await;
    let start = Instant::now();
    client(&fake.url(), PATIENT).get(7).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_longer_than_our_patience_is_the_callers() {
    let fake = Fake::serve(|_, _| {
        Answer::Whole(503, vec![("retry-after", "3600".to_owned())], String::new())
    })
    .await;
    let error = client(&fake.url(), PATIENT).get(7).await.unwrap_err();
    assert!(matches!(error, SchemaError::Transient(_)), "{error}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let fake = Fake::serve(|_, _| answer(200, " ".repeat(9 * 1024 * 1024))).await;
    let error = client(&fake.url(), PATIENT).get(7).await.unwrap_err();
    assert!(matches!(error, SchemaError::Transient(_)), "{error}");
    assert!(error.to_string().contains("8388608 bytes"), "{error}");
}

#[tokio::test]
async fn when_one_url_does_not_serve_the_next_is_asked_and_stays_the_first() {
    let ill = Fake::serve(|_, _| answer(503, "")).await;
    let well = Fake::serve(|_, _| told(TRADE)).await;
    let urls = format!("{},{}, {}", nobody().await, ill.url(), well.url());
    let registry = client(&urls, PATIENT);
    for id in 1..=3 {
        assert_eq!(registry.get(id).await, Ok(avro(TRADE)));
    }
    assert_eq!((ill.seen().len(), well.seen().len()), (1, 3));
}

#[tokio::test]
async fn what_is_no_registry_is_named_and_not_asked_again() {
    let other = Fake::serve(|_, _| answer(404, "<html>not here</html>")).await;
    let moved = Fake::serve(|_, _| {
        let to = vec![("location", "http://127.0.0.1:1/".to_owned())];
        Answer::Whole(301, to, String::new())
    })
    .await;
    for fake in [other, moved] {
        let error = client(&fake.url(), PATIENT).get(7).await.unwrap_err();
        assert!(matches!(error, SchemaError::Transient(_)), "{error}");
        assert!(error.to_string().contains("no schema registry is there"));
        assert_eq!(fake.seen().len(), 1);
    }
}
