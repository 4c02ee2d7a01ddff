//! A reader says what serde says: the same datums, the same unknown names, the same errors.

use super::flat::FlatReader;
use super::{DatumReader, ODD_IN_A_ROW_MAX};
use crate::plan::Plan;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeSet;

const FLAT: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"b","type":"boolean"},
    {"name":"i","type":"int","default":5},
    {"name":"l","type":"long"},
    {"name":"f","type":["null","float"]},
    {"name":"d","type":["double","null"],"default":1.5},
    {"name":"text","type":"string"},
    {"name":"tex","type":["null","string"],"default":null},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"y","type":"bytes","default":""},
    {"name":"x","type":{"type":"fixed","name":"X","size":3}},
    {"name":"p","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"q","type":["null",{"type":"fixed","name":"Q","size":9,"logicalType":"decimal","precision":20,"scale":2}]},
    {"name":"w","type":["null",{"type":"bytes","logicalType":"decimal","precision":5,"scale":3}]}]}"#;

/// Values that fit each field, as regular expressions.
const FITTING: [(&str, &str); 13] = [
    ("b", "true|false"),
    ("i", "0|-?[1-9][0-9]{0,8}"),
    ("l", "0|-?[1-9][0-9]{0,17}"),
    ("f", "null|-?[0-9]\\.[0-9]{1,6}(e-?[0-9])?"),
    ("d", "null|\"NaN\"|\"-?Infinity\"|[1-9][0-9]{0,20}"),
    (
        "text",
        "\"[a-z ü€\u{7f}]{0,20}(\\\\n|\\\\u00e9|\\\\\"|/)?\"",
    ),
    ("tex", "null|\"[A-Za-z]{0,9}\""),
    ("e", "\"[AB]\""),
    (
        "y",
        "\"([A-Za-z0-9+/]{4}){0,5}([A-Za-z0-9]Q==|[A-Za-z0-9]{2}A=)?\"",
    ),
    ("x", "\"[A-Za-z0-9+/]{4}\""),
    (
        "p",
        "\"-?[0-9]{1,12}(\\.[0-9]{1,8})?\"|[1-9][0-9]{0,5}\\.[0-9]{1,8}",
    ),
    ("q", "null|\"-?[0-9]{1,17}\\.[0-9]{2}\""),
    ("w", "null|\"[0-9](e-?[01])?\"|[1-9](\\.[0-9]{1,3})?"),
];

/// Types of which every value is tried, each in a record of its own.
const TYPES: [&str; 16] = [
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""string""#,
    r#""bytes""#,
    r#"["null","boolean"]"#,
    r#"["null","long"]"#,
    r#"["string","null"]"#,
    r#"["null","double"]"#,
    r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
    r#"{"type":"fixed","name":"X","size":3}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}"#,
    r#"{"type":"fixed","name":"Q","size":2,"logicalType":"decimal","precision":20,"scale":2}"#,
];

const ODD: [&str; 95] = [
    "-0",
    "0",
    "-0.0",
    "0e0",
    "1e5",
    "1E+2",
    "1e-2",
    "150e-2",
    "1e",
    "1e+",
    "1e400",
    "1e-400",
    "0.10",
    "0.1",
    "-0.5",
    "00",
    "007",
    "01.5",
    "-",
    "--1",
    "+1",
    "1.",
    ".5",
    "1..2",
    "1.2.3",
    "127",
    "128",
    "-128",
    "-129",
    "32768",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "100000000000000000000000000000000000000",
    "170141183460469231731687303715884105728",
    "true",
    "false",
    "null",
    "nul",
    "nulll",
    "truex",
    "True",
    "NaN",
    "Infinity",
    "\"\"",
    "\"",
    "\"\"\"",
    "\"NaN\"",
    "\"Infinity\"",
    "\"-Infinity\"",
    "\"inf\"",
    "\"-inf\"",
    "\"nan\"",
    "\"infinity\"",
    "\"1e2\"",
    "\"1E2\"",
    "\"+1\"",
    "\".5\"",
    "\"5.\"",
    "\".\"",
    "\"-\"",
    "\"-0\"",
    "\" 1\"",
    "\"1 \"",
    "\"00.10\"",
    "\"null\"",
    "\"A\"",
    "\"\\u0041\"",
    "\"C\"",
    "\"AQL/\"",
    "\"AQI=\"",
    "\"AQI\"",
    "\"AQ==\"",
    "\"====\"",
    "\"a\\\"b\\\\\"",
    "\"\\u00e9\\n\\/\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\u12\"",
    "\"\\x\"",
    "\"ü€\"",
    "\"a\u{1}b\"",
    "\"\u{7f}\"",
    "{}",
    "[1,{\"b\":[]}]",
    "{\"b\":true}",
];

fn agree(reader: &mut DatumReader<'_>, text: &[u8]) -> Result<(), TestCaseError> {
    let shown = String::from_utf8_lossy(text);
    // The quick way is tried with every text.
    reader.odd_in_a_row = 0;
    let mut unknown = BTreeSet::new();
    let said = reader.read(text, &mut unknown).map(<[u8]>::to_vec);

    let plan = reader.plan;
    let (mut datum, mut names) = (Vec::new(), Vec::new());
    let serde = plan.read(plan.root, text, &mut datum, &mut names);
    if serde.is_err() {
        names.clear();
    }
    let names: BTreeSet<String> = names.into_iter().collect();
    prop_assert_eq!(said, serde.map(|()| datum), "{}", shown);
    prop_assert_eq!(unknown, names, "{}", shown);
    Ok(())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(ODD.to_vec()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
        1 => any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
        2 => "-?[0-9]{1,40}(\\.[0-9]{1,20})?",
        2 => "\"-?[0-9]{1,40}(\\.[0-9]{0,20})?\"",
        1 => "\"[A-Za-z0-9+/=]{0,9}\"",
        1 => "[-+.eE0-9\"\\\\ntrufalsx{}\\[\\],: ]{0,12}",
    ]
}

/// A key and its value, or none where the field is missing.
fn entry((name, fitting): (&'static str, &'static str)) -> BoxedStrategy<Option<Entry>> {
    let fitting = fitting.prop_map(move |value| Some((name.to_owned(), value)));
    let odd = value().prop_map(move |value| Some((name.to_owned(), value)));
    prop_oneof![40 => fitting, 1 => odd, 1 => Just(None::<Entry>)].boxed()
}

type Entry = (String, String);

/// Keys of no field, keys that are there twice, keys that are written in another way.
fn stranger() -> impl Strategy<Value = Entry> {
    let names = [
        "z", "te", "texts", "é", "", "b", "text", "\\u0062", "a\\\"", "\u{1}",
    ];
    let plain = "\"[a-z ü]{0,12}\"|-?[1-9][0-9]{0,5}(\\.[0-9]{1,3})?|true|false|null";
    (
        select(names.to_vec()).prop_map(str::to_owned),
        prop_oneof![3 => plain.boxed(), 1 => value().boxed()],
    )
}

/// A record as text, whole or hurt.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let strangers = prop_oneof![3 => vec(stranger(), 0..1), 1 => vec(stranger(), 1..3)];
    let entries = (FITTING.map(entry), strangers).prop_map(|(entries, strangers)| {
        let entries = entries.into_iter().flatten();
        entries.chain(strangers).collect::<Vec<_>>()
    });
    let entries = (entries, any::<bool>()).prop_flat_map(|(entries, shuffled)| {
        if shuffled {
            Just(entries).prop_shuffle().boxed()
        } else {
            Just(entries).boxed()
        }
    });
    let space = select(vec!["", "", "", " ", "\n", "\t\r ", "\u{b}"]);
    let hurts = prop_oneof![
        3 => vec((any::<Index>(), any::<u8>()), 0..1),
        1 => vec((any::<Index>(), select(br#""\{}[]:,-.0 n"#.to_vec())), 1..3),
        1 => vec((any::<Index>(), any::<u8>()), 1..3),
    ];
    let cut = prop_oneof![8 => Just(None::<Index>), 1 => any::<Index>().prop_map(Some)];
    (entries, space, hurts, cut).prop_map(|(entries, space, hurts, cut)| {
        let entries = entries
            .iter()
            .map(|(key, value)| format!("\"{key}\"{space}:{space}{value}"));
        let entries = entries
            .collect::<Vec<_>>()
            .join(&format!("{space},{space}"));
        let mut text = format!("{space}{{{space}{entries}{space}}}{space}").into_bytes();
        for (at, byte) in hurts {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if let Some(at) = cut {
            text.truncate(at.index(text.len()));
        }
        text
    })
}

fn only(kind: &str) -> Plan {
    let fields = format!(r#"[{{"name":"a","type":{kind}}}]"#);
    Plan::of(&format!(
        r#"{{"type":"record","name":"R","fields":{fields}}}"#
    ))
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn of_records_one_after_another(documents in vec(document(), 1..6)) {
        let plan = Plan::of(FLAT).unwrap();
        let mut reader = DatumReader::of(&plan);
        for text in &documents {
            agree(&mut reader, text)?;
        }
    }

    #[test]
    fn of_every_value(kind in select(TYPES.to_vec()), value in value()) {
        let plan = only(kind);
        let mut reader = DatumReader::of(&plan);
        agree(&mut reader, format!("{{\"a\":{value}}}").as_bytes())?;
        agree(&mut reader, format!("{{\"z\":{value},\"a\": {value} }}").as_bytes())?;
    }

    #[test]
    fn of_any_bytes(bytes: Vec<u8>) {
        let plan = Plan::of(FLAT).unwrap();
        agree(&mut DatumReader::of(&plan), &bytes)?;
    }
}

#[test]
fn of_odd_values_in_every_type() {
    for kind in TYPES {
        let plan = only(kind);
        let mut reader = DatumReader::of(&plan);
        for value in ODD {
            agree(&mut reader, format!("{{\"a\":{value}}}").as_bytes()).unwrap();
            agree(&mut reader, format!("{{\"z\":{value}}}").as_bytes()).unwrap();
        }
    }
}

#[test]
fn of_odd_bytes_in_every_place() {
    let plan = Plan::of(FLAT).unwrap();
    let mut reader = DatumReader::of(&plan);
    let whole = br#"{"b":true,"l":1,"f":-0.5,"text":"a\n","e":"A","x":"AQL/","p":"1.5","z":0}"#;
    for at in 0..whole.len() {
        agree(&mut reader, &whole[..at]).unwrap();
        for byte in [
            b'"', b'\\', b'{', b'}', b',', b':', b' ', b'0', b'-', 0, 0x1f, 0xff,
        ] {
            let mut text = whole.to_vec();
            text[at] = byte;
            agree(&mut reader, &text).unwrap();
            text.insert(at + 1, whole[at]);
            agree(&mut reader, &text).unwrap();
        }
    }
}

/// Else all of this would show that serde agrees with itself.
#[test]
fn plain_records_need_no_serde() {
    let plan = Plan::of(FLAT).unwrap();
    let mut flat = FlatReader::of(&plan).unwrap();
    let mut reader = DatumReader::of(&plan);
    for text in [
        r#"{"b":true,"i":-7,"l":1700000000000000000,"f":0.25,"d":"NaN","text":"ü","tex":"x","e":"B","y":"AQ==","x":"AQL/","p":"63042.17000000","q":"-1.50","w":null}"#,
        r#" { "p" : 63042.17 , "x":"AQL/","e":"A", "text":"a \"b\"\n", "l":-1,"b":false } "#,
        r#"{"z":"who","b":true,"zz":-1.5e3,"l":0,"text":"","e":"A","x":"AQL/","p":"0","z":null,"w":"1e1"}"#,
        r#"{"tex":null,"b":true,"l":0,"text":"","e":"A","f":1e-3,"x":"AQL/","p":"-0.00000001"}"#,
    ] {
        let mut datum = Vec::new();
        assert!(flat.read(text.as_bytes(), &mut datum).is_some(), "{text}");
        agree(&mut reader, text.as_bytes()).unwrap();
    }
}

#[test]
fn what_is_never_plain_is_not_tried_for_ever() {
    let plan = only(r#""int""#);
    let mut reader = DatumReader::of(&plan);
    let mut read = |text: &str| {
        let datum = reader.read(text.as_bytes(), &mut BTreeSet::new());
        assert_eq!(datum, Ok([14].as_slice()), "{text}");
        reader.flat.is_some()
    };
    let (plain, odd) = (r#"{"a":7}"#, r#"{"a":7,"z":[]}"#);
    for _ in 1..ODD_IN_A_ROW_MAX {
        assert!(read(odd));
    }
    assert!(read(plain));
    for _ in 1..ODD_IN_A_ROW_MAX {
        assert!(read(odd));
    }
    assert!(!read(odd));
    assert!(!read(plain));
}

#[test]
fn more_strangers_than_are_known() {
    let plan = only(r#""int""#);
    let mut reader = DatumReader::of(&plan);
    for round in 0..3 {
        for number in 0..50 {
            let text = format!("{{\"z{round}-{number}\":1,\"a\":{number},\"z{number}\":[]}}");
            agree(&mut reader, text.as_bytes()).unwrap();
            let text = format!("{{\"a\":{number},\"z{round}-{number}\":{{}}}}");
            agree(&mut reader, text.as_bytes()).unwrap();
            let text = format!("{{\"y{round}-{number}\":\"\",\"a\":{number}}}");
            agree(&mut reader, text.as_bytes()).unwrap();
        }
    }
}

#[test]
fn only_records_of_scalars_are_flat() {
    for kind in [
        r#""null""#,
        r#"{"type":"array","items":"int"}"#,
        r#"["null",{"type":"map","values":"int"}]"#,
        r#"["null","int","string"]"#,
        r#"{"type":"record","name":"S","fields":[]}"#,
    ] {
        let plan = only(kind);
        assert!(FlatReader::of(&plan).is_none(), "{kind}");
    }
    for kind in TYPES {
        let plan = only(kind);
        assert!(FlatReader::of(&plan).is_some(), "{kind}");
    }
    assert!(FlatReader::of(&Plan::of(r#""int""#).unwrap()).is_none());
}
