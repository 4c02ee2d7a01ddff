//! What is asked for, and what becomes of the answer.

use super::fake::{Fake, answer, refusal, told};
use super::{HASTY, PATIENT, TRADE, avro, client};
use crate::{Registry, Schema, SchemaError, SchemaKind};
use serde_json::{Value, json};

#[tokio::test]
async fn a_path_is_kept_and_a_subject_is_encoded() {
    let fake = Fake::serve(|nth, _| match nth {
        0 => refusal(404, 40401, "Subject not found"),
        _ => answer(200, r#"{"id": 1}"#),
    })
    .await;
    for (index, path) in ["/apis/ccompat/v7", "/apis/ccompat/v7/"].iter().enumerate() {
        let registry = client(&format!("{}{path}", fake.url()), PATIENT);
        let id = registry.register("a/b c%-value", &avro(TRADE)).await;
        assert_eq!(id, Ok(1));
        let subject = "/apis/ccompat/v7/subjects/a%2Fb%20c%25-value";
        assert_eq!(fake.seen()[index * 2].path, subject);
    }
    let seen = fake.seen();
    assert!(seen[1].path.ends_with("-value/versions"));
    assert_eq!(seen[1].method, "POST");
    let body: Value = serde_json::from_str(&seen[1].body).unwrap();
    assert_eq!(body, json!({"schema": TRADE}), "Avro goes without saying");
}

#[tokio::test]
async fn json_schemas_are_registered_and_read() {
    let schema = Schema {
        kind: SchemaKind::Json,
        text: r#"{"type":"object"}"#.to_owned(),
    };
    let text = schema.text.clone();
    let fake = Fake::serve(move |_, seen| match &seen.method[..] {
        "POST" => answer(200, r#"{"id": 1}"#),
        _ => answer(
            200,
            json!({"schema": text, "schemaType": "JSON"}).to_string(),
        ),
    })
    .await;
    let registry = client(&fake.url(), PATIENT);
    assert_eq!(registry.register("t-value", &schema).await, Ok(1));
    let body: Value = serde_json::from_str(&fake.seen()[0].body).unwrap();
    assert_eq!(body["schemaType"], "JSON");
    assert_eq!(registry.get(2).await, Ok(schema));
}

#[tokio::test]
async fn a_language_we_do_not_read_is_named() {
    let body = json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"});
    let fake = Fake::serve(move |_, _| answer(200, body.to_string())).await;
    let error = client(&fake.url(), PATIENT).get(5).await.unwrap_err();
    assert!(matches!(error, SchemaError::Invalid(_)));
    assert!(error.to_string().contains("PROTOBUF is not supported"));
}

/// A root that refers to A and B, which both refer to C.
fn diamond(path: &str) -> Value {
    let record = |name: &str, fields: &[&str]| {
        let fields: Vec<Value> = fields
            .iter()
            .map(|of| json!({"name": of.to_lowercase(), "type": of}))
            .collect();
        json!({"type": "record", "name": name, "namespace": "d", "fields": fields}).to_string()
    };
    let to =
        |subject: &str| json!({"name": format!("d.{subject}"), "subject": subject, "version": 2});
    match path {
        "/schemas/ids/7" => {
            json!({"schema": record("Root", &["A", "B"]), "references": [to("A"), to("B")]})
        }
        "/subjects/A/versions/2?deleted=true" => {
            json!({"schema": record("A", &["C"]), "references": [to("C")]})
        }
        "/subjects/B/versions/2?deleted=true" => {
            json!({"schema": record("B", &["C"]), "references": [to("C")]})
        }
        "/subjects/C/versions/2?deleted=true" => {
            json!({"schema": record("C", &["long"]), "references": []})
        }
        other => panic!("asked for {other}"),
    }
}

#[tokio::test]
async fn references_are_followed_each_once_and_put_in() {
    let fake = Fake::serve(|_, seen| answer(200, diamond(&seen.path).to_string())).await;
    let schema = client(&fake.url(), PATIENT).get(7).await.unwrap();
    apache_avro::Schema::parse_str(&schema.text).unwrap();
    let root: Value = serde_json::from_str(&schema.text).unwrap();
    let (a, b) = (&root["fields"][0]["type"], &root["fields"][1]["type"]);
    assert_eq!(a["fields"][0]["type"]["name"], "C");
    assert_eq!(b["fields"][0]["type"], "d.C");
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_named_and_one_that_fails_is_not_final() {
    let lost = Fake::serve(|_, seen| match seen.path.contains("/C/") {
        true => refusal(404, 40402, "Version 2 not found."),
        false => answer(200, diamond(&seen.path).to_string()),
    })
    .await;
    let error = client(&lost.url(), PATIENT).get(7).await.unwrap_err();
    assert!(matches!(error, SchemaError::Invalid(_)), "{error}");
    assert!(
        error.to_string().contains("version 2 of C: Version 2"),
        "{error}"
    );
    let ill = Fake::serve(|_, seen| match seen.path.contains("/C/") {
        true => answer(503, ""),
        false => answer(200, diamond(&seen.path).to_string()),
    })
    .await;
    let error = client(&ill.url(), HASTY).get(7).await.unwrap_err();
    assert!(matches!(error, SchemaError::Transient(_)), "{error}");
}

#[tokio::test]
async fn references_without_end_are_refused() {
    let fake = Fake::serve(|nth, _| {
        let next = json!([{"name": "x", "subject": format!("s{nth}"), "version": 1}]);
        answer(
            200,
            json!({"schema": TRADE, "references": next}).to_string(),
        )
    })
    .await;
    let error = client(&fake.url(), PATIENT).get(7).await.unwrap_err();
    assert!(error.to_string().contains("more than 256"), "{error}");
}

#[tokio::test]
async fn an_answer_has_the_text_as_it_was_registered() {
    let text = "{ \"type\" : \"string\", \"doc\": \"x\" }";
    let fake = Fake::serve(move |_, _| told(text)).await;
    let schema = client(&fake.url(), PATIENT).get(7).await;
    assert_eq!(schema, Ok(avro(text)));
}
