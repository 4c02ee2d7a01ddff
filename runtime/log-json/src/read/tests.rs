//! What JSON is read as, and what is refused.

use crate::decimal;
use crate::plan::Plan;
use apache_avro::types::Value;
use proptest::prelude::*;

const ALL: &str = r#"{"type":"record","name":"R","namespace":"n","fields":[
    {"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},
    {"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"y","type":"bytes"},
    {"name":"s","type":"string"},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"x","type":{"type":"fixed","name":"X","size":3}},
    {"name":"p","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"q","type":{"type":"fixed","name":"Q","size":9,"logicalType":"decimal","precision":20,"scale":2}},
    {"name":"a","type":{"type":"array","items":"long"}},
    {"name":"m","type":{"type":"map","values":"string"}},
    {"name":"o","type":["null","string"],"default":null},
    {"name":"u","type":["null","int","n.E"]},
    {"name":"w","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":3}]},
    {"name":"v","type":["double","null"]},
    {"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"r","type":["null","R"],"default":null}]}"#;

fn datum(schema: &str, value: Value) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    apache_avro::to_avro_datum(&schema, value).unwrap()
}

fn text_of(schema: &str, datum: &[u8]) -> String {
    Plan::of(schema).unwrap().json_of(datum).unwrap()
}

fn all(number: i64, text: &str) -> Value {
    let union = |at: u32, value| Value::Union(at, Box::new(value));
    let fields = [
        ("b", Value::Boolean(number % 2 == 0)),
        ("i", Value::Int(number as i32)),
        ("l", Value::Long(number)),
        ("f", Value::Float(0.5)),
        ("d", Value::Double(number as f64 / 3.0)),
        ("y", Value::Bytes(text.as_bytes().to_vec())),
        ("s", Value::String(text.to_owned())),
        ("e", Value::Enum(1, "B".to_owned())),
        ("x", Value::Fixed(3, vec![1, 2, 255])),
        ("p", Value::Decimal(shortest(number).into())),
        ("q", Value::Decimal(padded(number).into())),
        (
            "a",
            Value::Array(vec![Value::Long(1), Value::Long(-number)]),
        ),
        (
            "m",
            Value::Map([("k".to_owned(), Value::String(text.to_owned()))].into()),
        ),
        ("o", union(1, Value::String(text.to_owned()))),
        ("u", union(2, Value::Enum(0, "A".to_owned()))),
        ("w", union(1, Value::Decimal(shortest(number).into()))),
        ("v", union(0, Value::Double(number as f64 / 7.0))),
        ("t", Value::TimestampMicros(number)),
        ("r", union(0, Value::Null)),
    ];
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn shortest(number: i64) -> Vec<u8> {
    decimal::shortest(&i128::from(number).to_be_bytes()).to_vec()
}

fn padded(number: i64) -> Vec<u8> {
    let mut bytes = vec![if number < 0 { 0xff } else { 0 }];
    bytes.extend(number.to_be_bytes());
    bytes
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(number: i64, text: String) {
        let plan = Plan::of(ALL).unwrap();
        let datum = datum(ALL, all(number, &text));
        let json = plan.json_of(&datum).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        let (again, unknown) = plan.datum_of(json.as_bytes()).unwrap();
        prop_assert_eq!(again, datum);
        prop_assert!(unknown.is_empty());
    }

    #[test]
    fn no_bytes_hurt(bytes: Vec<u8>) {
        let plan = Plan::of(ALL).unwrap();
        // Whatever it says, it says something.
        let _either = (plan.json_of(&bytes).is_ok(), plan.datum_of(&bytes).is_ok());
    }
}

#[test]
fn it_is_the_json_that_people_expect() {
    let json = text_of(ALL, &datum(ALL, all(150_000_000, "a\"b\n\u{1}ü")));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "b": true, "i": 150_000_000, "l": 150_000_000, "f": 0.5, "d": 50_000_000.0,
            "y": "YSJiCgHDvA==", "s": "a\"b\n\u{1}ü", "e": "B", "x": "AQL/",
            "p": "1.50000000", "q": "1500000.00", "a": [1, -150_000_000],
            "m": { "k": "a\"b\n\u{1}ü" }, "o": "a\"b\n\u{1}ü", "u": { "n.E": "A" },
            "w": "150000.000", "v": 150_000_000.0 / 7.0, "t": 150_000_000, "r": null
        })
    );
}

#[test]
fn fields_in_any_order_missing_and_unknown() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":"int"},{"name":"b","type":"string","default":"x"},
        {"name":"c","type":["null","long"]},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}}]}"#;
    let plan = Plan::of(schema).unwrap();
    let read = |text: &str| plan.datum_of(text.as_bytes());
    let (whole, _) = read(r#"{"a":1,"b":"x","c":null,"d":"1.50"}"#).unwrap();
    for text in [
        r#"{"d":1.5,"a":1}"#,
        r#" {"c":null,"d":"1.5","b":"x","a":1} "#,
        r#"{"b":"x","a":1,"d":150e-2}"#,
    ] {
        assert_eq!(read(text).unwrap().0, whole, "{text}");
    }
    let (same, unknown) = read(r#"{"a":1,"z":{"y":[1]},"d":"1.5"}"#).unwrap();
    assert_eq!((same, unknown), (whole, vec!["z".to_owned()]));
    for (text, why) in [
        ("{", "EOF"),
        ("7", "an object"),
        (r#"{"d":"1"}"#, "`a` is missing"),
        (r#"{"a":1,"a":2,"d":"1"}"#, "twice"),
        (r#"{"d":"1","d":"1","a":1}"#, "twice"),
        (r#"{"a":3000000000,"d":"1"}"#, "32 bits"),
        (r#"{"a":1.5,"d":"1"}"#, "32 bits"),
        (r#"{"a":"1","d":"1"}"#, "`a`"),
        (r#"{"a":1,"d":"1.555"}"#, "2 of them after the point"),
        (r#"{"a":1,"d":"1"} x"#, "trailing"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn no_plan_for_what_has_no_form() {
    for bad in [
        "",
        "{}",
        r#"{"type":"bytes","logicalType":"decimal","precision":50}"#,
    ] {
        assert!(Plan::of(bad).is_err(), "{bad}");
    }
}
