//! Settings become keys and texts, and come back as what they were.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_connect::{KeyErrors, flatten, nest};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

type Pair = (Value, Value);

fn leaf() -> impl Strategy<Value = Pair> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        Just("null".to_owned()),
        Just("12".to_owned()),
        Just("true".to_owned()),
        Just("[1]".to_owned()),
        Just("\"a\"".to_owned()),
        Just(" a, b ".to_owned()),
        "\\PC{0,6}",
    ];
    prop_oneof![
        text.clone()
            .prop_map(|it| (json!({ "type": "string" }), json!(it))),
        text.clone()
            .prop_map(|it| (json!({ "type": ["string", "null"] }), json!(it))),
        text.clone().prop_map(|it| (
            json!({ "type": ["string", "integer", "boolean"] }),
            json!(it)
        )),
        text.prop_map(|it| (json!({}), json!(it))),
        any::<i64>().prop_map(|it| (json!({ "type": "integer" }), json!(it))),
        any::<u64>().prop_map(|it| (json!({ "type": ["string", "integer"] }), json!(it))),
        any::<f64>()
            .prop_filter("JSON has no others", |it| it.is_finite())
            .prop_map(|it| (json!({ "type": "number" }), json!(it))),
        any::<bool>().prop_map(|it| (json!({ "type": "boolean" }), json!(it))),
        Just((json!({ "type": ["boolean", "null"] }), Value::Null)),
        Just((json!({ "type": ["string", "null"] }), Value::Null)),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-d]{1,2}",
        1 => Just("a.b".to_owned()),
        1 => Just("a-b c".to_owned()),
    ]
}

fn any_pair() -> impl Strategy<Value = Pair> {
    leaf().prop_recursive(4, 32, 4, |inner| {
        let list = (inner.clone(), 0..4_usize).prop_map(|((schema, value), n)| {
            let items = vec![value; n];
            (json!({ "type": "array", "items": schema }), json!(items))
        });
        let map = (inner.clone(), proptest::collection::btree_set(name(), 0..3)).prop_map(
            |((schema, value), names)| {
                let map: Map<_, _> = names.into_iter().map(|it| (it, value.clone())).collect();
                (
                    json!({ "type": "object", "additionalProperties": schema }),
                    Value::Object(map),
                )
            },
        );
        prop_oneof![list, map, object(inner.boxed())]
    })
}

fn object(inner: BoxedStrategy<Pair>) -> impl Strategy<Value = Pair> {
    proptest::collection::btree_map(name(), (inner, any::<bool>()), 0..4).prop_map(|all| {
        let mut properties = Map::new();
        let mut value = Map::new();
        for (name, ((schema, given), there)) in all {
            properties.insert(name.clone(), schema);
            if there {
                value.insert(name, given);
            }
        }
        (
            json!({ "type": "object", "properties": properties, "additionalProperties": false }),
            Value::Object(value),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn settings_come_back_as_they_were((schema, settings) in object(any_pair().boxed())) {
        let flat = flatten(&schema, &settings);
        let dotted = settings.to_string().contains("a.b") || schema.to_string().contains("a.b");
        prop_assert!(flat.is_some() || dotted, "{schema} {settings}");
        if let Some(flat) = flat {
            let mut errors = KeyErrors::default();
            let entries = flat.iter().map(|(path, text)| (path.as_str(), path.as_str(), text.as_str()));
            let back = nest(&schema, entries, &mut errors);
            prop_assert!(errors.is_empty(), "{errors} of {flat:?}");
            prop_assert_eq!(back, settings, "by {:?}", flat);
        }
    }

    #[test]
    fn whatever_is_given_nothing_breaks(
        (schema, _) in object(any_pair().boxed()),
        given in proptest::collection::btree_map("[a-d.]{0,6}", "\\PC{0,8}", 0..6),
    ) {
        let mut errors = KeyErrors::default();
        let entries = given.iter().map(|(path, text)| (path.as_str(), path.as_str(), text.as_str()));
        let settings = nest(&schema, entries, &mut errors);
        prop_assert!(settings.is_object());
        let known = given.keys().filter(|key| errors.of(key).is_empty()).count();
        let none = settings.as_object().is_some_and(Map::is_empty);
        prop_assert_eq!(known == 0, none, "what is not an error is in the settings");
    }
}

#[test]
fn keys_follow_the_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../../config/tests/schemas/binance.json")).unwrap();
    let settings = json!({
        "market": "spot",
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "endpoints": { "websocket": "wss://a", "rest": "https://b" },
        "start-at": { "BTCUSDT": 5 },
        "trust": false,
    });
    let flat = flatten(&schema, &settings).unwrap();
    let flat: Vec<_> = flat.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        flat,
        [
            "endpoints.rest=https://b",
            "endpoints.websocket=wss://a",
            "market=spot",
            "start-at.BTCUSDT=5",
            "symbols=BTCUSDT,ETHUSDT",
            "trust=false",
        ]
    );
}

#[test]
fn a_value_is_given_once() {
    let schema = json!({ "properties": { "a": { "properties": { "b": { "type": "integer" } } } } });
    let mut errors = KeyErrors::default();
    let given = [
        ("a", "a", "{\"b\":1}"),
        ("a.b", "a.b", "2"),
        ("x", "x", "1"),
        ("a.c", "a.c", "1"),
    ];
    let settings = nest(&schema, given, &mut errors);
    assert_eq!(settings, json!({ "a": { "b": 1 } }));
    assert_eq!(errors.of("a.b"), ["given twice: as a whole and in parts"]);
    assert!(errors.of("a.c")[0].contains("`a` has nothing of this name"));
    assert!(errors.of("x")[0].contains("did you mean `a`?"));
}
