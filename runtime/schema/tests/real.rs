//! The client against a real registry, which lies under a path.
#![allow(clippy::unwrap_used)]

use jackfield_schema::{
    Auth, ConfluentRegistry, ConfluentSettings, Part, Registry, Schema, SchemaError, SchemaKind,
    SubjectNaming, Tls,
};
use jackfield_test_registry::ApicurioRegistry;
use serde_json::{Value, json};

fn client(url: &str) -> ConfluentRegistry {
    ConfluentRegistry::new(&ConfluentSettings {
        addresses: url.parse().unwrap(),
        auth: Auth::None,
        tls: Tls::default(),
        auto_register: true,
    })
    .unwrap()
}

fn avro(schema: &Value) -> Schema {
    Schema {
        kind: SchemaKind::Avro,
        text: schema.to_string(),
    }
}

fn trade(fields: &[Value]) -> Schema {
    avro(&json!({"type": "record", "name": "Trade", "namespace": "market", "fields": fields}))
}

/// Registers with references, as Java producers do; ours have none.
async fn post(url: &str, subject: &str, body: Value) -> u32 {
    let provider = rustls::crypto::ring::default_provider();
    // Another test may have been first.
    provider.install_default().ok();
    let answer = reqwest::Client::new()
        .post(format!("{url}/subjects/{subject}/versions"))
        .json(&body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    let id = answer["id"].as_u64();
    id.unwrap_or_else(|| panic!("{answer}")).try_into().unwrap()
}

/// One registry for all: a start takes some ten seconds.
#[tokio::test]
async fn a_real_registry() {
    let real = tokio::task::spawn_blocking(ApicurioRegistry::start)
        .await
        .unwrap();
    registers_and_reads(&real.url()).await;
    refuses_in_its_own_words(&real.url()).await;
    names_subjects_by_record(&real.url()).await;
    follows_references(&real.url()).await;
    outlives_an_outage(real).await;
}

async fn registers_and_reads(url: &str) {
    let registry = client(url);
    let first = trade(&[json!({"name": "price", "type": "double"})]);
    let second = trade(&[
        json!({"name": "price", "type": "double"}),
        json!({"name": "note", "type": ["null", "string"], "default": null}),
    ]);
    let subject = "a/b-value";
    let id = registry.register(subject, &first).await.unwrap();
    let next = registry.register(subject, &second).await.unwrap();
    assert!(id > 0 && next != id);
    // Who has kept nothing reads the same, and finds what is registered.
    let other = client(url);
    for (schema, id) in [(&first, id), (&second, next)] {
        assert_eq!(other.get(id).await.unwrap(), schema.canonical().unwrap());
        assert_eq!(other.register(subject, schema).await, Ok(id));
    }
    let newest = (next, second.canonical().unwrap());
    assert_eq!(other.latest(subject).await, Ok(Some(newest)));
    assert_eq!(other.latest("nobody-value").await, Ok(None));
    assert_eq!(other.get(999).await, Err(SchemaError::Missing(999)));
    let json = Schema {
        kind: SchemaKind::Json,
        text: json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"})
            .to_string(),
    };
    let id = registry.register("j-value", &json).await.unwrap();
    assert_eq!(client(url).get(id).await, json.canonical());
}

async fn refuses_in_its_own_words(url: &str) {
    let registry = client(url);
    let first = trade(&[json!({"name": "price", "type": "double"})]);
    let worse = trade(&[json!({"name": "size", "type": "double"})]);
    registry.register("r-value", &first).await.unwrap();
    let refused = registry.register("r-value", &worse).await.unwrap_err();
    let incompatible = matches!(refused, SchemaError::Incompatible { .. });
    assert!(incompatible, "{refused:?}");
    let message = refused.to_string();
    assert!(message.contains("size"), "{message}");
    assert!(message.contains("/fields/0"), "{message}");
}

async fn names_subjects_by_record(url: &str) {
    let registry = client(url);
    let schema = trade(&[json!({"name": "price", "type": "double"})]);
    let mut ids = Vec::new();
    for (naming, expected) in [
        (SubjectNaming::Topic, "n-value"),
        (SubjectNaming::Record, "market.Trade"),
        (SubjectNaming::TopicRecord, "n-market.Trade"),
    ] {
        let subject = naming.subject("n", Part::Value, &schema).unwrap();
        assert_eq!(subject, expected);
        ids.push(registry.register(&subject, &schema).await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one schema has one id, whatever its subject");
}

async fn follows_references(url: &str) {
    let side =
        json!({"type": "enum", "name": "Side", "namespace": "ref", "symbols": ["BUY", "SELL"]});
    let price = json!({
        "type": "record", "name": "Price", "namespace": "ref",
        "fields": [{"name": "side", "type": "Side"}],
    });
    let order = json!({
        "type": "record", "name": "Order", "namespace": "shop",
        "fields": [
            {"name": "bid", "type": "ref.Price"},
            {"name": "ask", "type": ["null", "ref.Price"], "default": null},
        ],
    });
    let to = |name: &str, subject: &str| json!([{"name": name, "subject": subject, "version": 1}]);
    post(url, "side", json!({"schema": side.to_string()})).await;
    let price = json!({"schema": price.to_string(), "references": to("ref.Side", "side")});
    post(url, "price", price).await;
    let order = json!({"schema": order.to_string(), "references": to("ref.Price", "price")});
    let id = post(url, "order", order).await;
    let text = client(url).get(id).await.unwrap().text;
    let schema: Value = serde_json::from_str(&text).unwrap();
    let bid = &schema["fields"][0]["type"];
    assert_eq!(bid["fields"][0]["type"]["symbols"], json!(["BUY", "SELL"]));
    assert_eq!(schema["fields"][1]["type"], json!(["null", "ref.Price"]));
}

async fn outlives_an_outage(mut real: ApicurioRegistry) {
    let registry = client(&real.url());
    let schema = trade(&[json!({"name": "price", "type": "double"})]);
    let id = registry.register("o-value", &schema).await.unwrap();
    real.kill();
    assert_eq!(registry.get(id).await, schema.canonical());
    assert_eq!(registry.register("o-value", &schema).await, Ok(id));
    // Asked for while it is down, and answered when it is up again: whoever asks goes on doing so.
    let up = tokio::task::spawn_blocking(move || {
        real.restart();
        real
    });
    let registered = async {
        loop {
            match registry.register("new-value", &schema).await {
                Ok(id) => break id,
                Err(SchemaError::Transient(_)) => {}
                Err(
                    error @ (SchemaError::Missing(_)
                    | SchemaError::Incompatible { .. }
                    | SchemaError::Invalid(_)
                    | SchemaError::Denied(_)),
                ) => panic!("{error}"),
            }
        }
    };
    let (real, id) = futures::join!(up, registered);
    assert!(real.is_ok() && id > 0);
}
