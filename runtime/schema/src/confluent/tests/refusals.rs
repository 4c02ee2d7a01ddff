//! The registry's no, in its own words.

use super::fake::{Fake, Seen, answer, refusal};
use super::{PATIENT, TRADE, avro, client, settings};
use crate::confluent::ConfluentRegistry;
use crate::{Registry, Schema, SchemaError, SchemaKind};

fn is_lookup(seen: &Seen) -> bool {
    seen.path == "/subjects/t-value"
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_in_the_registrys_words() {
    let fake = Fake::serve(|_, seen| match is_lookup(seen) {
        true => refusal(404, 40403, "Schema not found"),
        false => refusal(409, 409, "READER_FIELD_MISSING_DEFAULT_VALUE:\n  price"),
    })
    .await;
    let registry = client(&fake.url(), PATIENT);
    let error = registry.register("t-value", &avro(TRADE)).await;
    assert_eq!(
        error,
        Err(SchemaError::Incompatible {
            subject: "t-value".to_owned(),
            reason: "READER_FIELD_MISSING_DEFAULT_VALUE: price".to_owned(),
        })
    );
    assert_eq!(fake.seen().len(), 2, "not asked again");
}

#[tokio::test]
async fn other_refusals_are_for_a_person_too() {
    for (status, code, message) in [
        (422, 42201, "Input schema is an invalid Avro schema"),
        (422, 42205, "Subject t-value is in READONLY mode"),
        (404, 40401, "Subject 't-value' not found."),
        (400, 400, "no"),
    ] {
        let fake = Fake::serve(move |_, _| refusal(status, code, message)).await;
        let registry = client(&fake.url(), PATIENT);
        let error = registry.register("t-value", &avro(TRADE)).await;
        let Err(SchemaError::Invalid(reason)) = error else {
            panic!("{error:?}")
        };
        assert!(reason.contains(message), "{reason}");
        assert!(reason.contains("t-value"), "{reason}");
    }
}

#[tokio::test]
async fn what_is_no_schema_is_not_sent() {
    let fake = Fake::serve(|_, _| answer(500, "")).await;
    let registry = client(&fake.url(), PATIENT);
    for (kind, text) in [
        (SchemaKind::Avro, r#"{"type":"recrd"}"#),
        (SchemaKind::Json, "{"),
        (SchemaKind::None, ""),
    ] {
        let schema = Schema {
            kind,
            text: text.to_owned(),
        };
        let error = registry.register("t-value", &schema).await;
        assert!(matches!(error, Err(SchemaError::Invalid(_))), "{error:?}");
    }
    assert_eq!(fake.seen().len(), 0);
}

#[tokio::test]
async fn a_known_schema_needs_no_right_to_write() {
    let fake = Fake::serve(|_, seen| match is_lookup(seen) {
        true => answer(200, r#"{"subject":"t-value","version":3,"id":12}"#),
        false => refusal(403, 40301, "Forbidden"),
    })
    .await;
    let registry = client(&fake.url(), PATIENT);
    assert_eq!(registry.register("t-value", &avro(TRADE)).await, Ok(12));
}

#[tokio::test]
async fn without_auto_register_a_schema_is_only_looked_up() {
    let fake = Fake::serve(|_, _| refusal(404, 40401, "Subject 't-value' not found.")).await;
    let settings = crate::ConfluentSettings {
        auto_register: false,
        ..settings(&fake.url())
    };
    let registry = ConfluentRegistry::with(&settings, PATIENT).unwrap();
    let error = registry.register("t-value", &avro(TRADE)).await;
    let Err(SchemaError::Invalid(reason)) = error else {
        panic!("{error:?}")
    };
    assert!(reason.contains("not registered automatically"), "{reason}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn an_id_of_zero_is_no_answer() {
    let fake = Fake::serve(|nth, _| match nth {
        0 => answer(200, r#"{"id": 0}"#),
        _ => answer(200, r#"{"id": 1}"#),
    })
    .await;
    let registry = client(&fake.url(), PATIENT);
    assert_eq!(registry.register("t-value", &avro(TRADE)).await, Ok(1));
}
