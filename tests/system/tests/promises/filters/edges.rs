//! Rows around edges, as a topic is sent them and as filters name them.

use serde_json::{Value, json};

/// Values of a column around edges. Each column has as many, and null.
const EDGES: usize = 15;
/// Different rows: of each column one edge, or null.
pub(super) const ROWS: usize = EDGES + 1;
/// In UTC, and in µs.
const MOMENTS: [(&str, i64); EDGES] = [
    ("0002-03-01T00:00:00.000001", -62_098_963_199_999_999),
    ("1968-02-29T23:59:59.999999", -57_974_400_000_001),
    ("1968-03-01T00:00:00", -57_974_400_000_000),
    ("1968-12-31T23:59:59.999999", -31_536_000_000_001),
    ("1969-01-01T00:00:00", -31_536_000_000_000),
    ("1969-12-31T22:59:59.999999", -3_600_000_001),
    ("1969-12-31T23:00:00", -3_600_000_000),
    ("1969-12-31T23:59:59.999999", -1),
    ("1970-01-01T00:00:00", 0),
    ("1970-01-01T00:00:00.000001", 1),
    ("1970-01-01T01:00:00", 3_600_000_000),
    ("2024-02-29T12:59:59.999999", 1_709_211_599_999_999),
    ("2024-02-29T13:00:00", 1_709_211_600_000_000),
    ("2024-12-31T23:59:59.999999", 1_735_689_599_999_999),
    ("9998-10-31T23:59:59.999999", 253_365_494_399_999_999),
];

const DAYS: [(&str, i64); EDGES] = [
    ("0002-03-01", -718_738),
    ("1968-02-29", -672),
    ("1968-03-01", -671),
    ("1968-12-31", -366),
    ("1969-01-01", -365),
    ("1969-12-30", -2),
    ("1969-12-31", -1),
    ("1970-01-01", 0),
    ("1970-01-02", 1),
    ("1970-01-31", 30),
    ("1970-02-01", 31),
    ("2024-02-29", 19_782),
    ("2024-12-31", 20_088),
    ("2025-01-01", 20_089),
    ("9998-10-31", 2_932_470),
];

const WHOLE: [i64; EDGES] = [
    -4_611_686_018_427_387_904,
    -1_000_000,
    -21,
    -20,
    -11,
    -10,
    -9,
    -1,
    0,
    1,
    9,
    10,
    11,
    1_000_000_000,
    i64::MAX,
];

/// Ten thousandths.
const PRICES: [i64; EDGES] = [
    -100_000_000_000_000_000,
    -10_001,
    -10_000,
    -9999,
    -101,
    -100,
    -99,
    -1,
    0,
    1,
    99,
    100,
    101,
    10_000,
    100_000_000_000_000_000,
];

/// Quarters, which a double has whole.
const QUARTERS: [i32; EDGES] = [
    i32::MIN,
    -1_000_001,
    -9,
    -8,
    -7,
    -2,
    -1,
    0,
    1,
    2,
    7,
    8,
    9,
    1_000_001,
    i32::MAX,
];

/// Around 16 characters, where the bounds of a manifest are cut, and 64 bytes, where those of a row
/// group are; up to the last character, which no bound can go beyond.
fn texts() -> [String; EDGES] {
    let l = "l".repeat(64);
    [
        String::new(),
        "abc".to_owned(),
        "abcd".to_owned(),
        "abcde".to_owned(),
        "b".to_owned(),
        l.clone(),
        "m".repeat(65),
        format!("{l}m"),
        "l".repeat(100),
        "sixteen-letters-".to_owned(),
        "sixteen-letters-a".to_owned(),
        "sixteen-letters-b".to_owned(),
        "é".repeat(40),
        "😀".repeat(17),
        "\u{10ffff}".repeat(17),
    ]
}

/// How values of a column are ordered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Number(i64),
    Text(String),
}

/// A value.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) rank: Rank,
    /// In a filter.
    pub(super) written: String,
    /// In a record, in the form of write_topic.py.
    pub(super) sent: Value,
}

impl Edge {
    fn number(rank: i64, written: String, sent: Value) -> Option<Self> {
        let rank = Rank::Number(rank);
        Some(Self {
            rank,
            written,
            sent,
        })
    }
}

pub(super) struct Column {
    pub(super) name: &'static str,
    avro: Value,
    /// One a row, none for null.
    pub(super) values: Vec<Option<Edge>>,
}

/// The edges go round by another number of rows in each column, so that no two are in one order.
fn column(
    name: &'static str,
    avro: Value,
    round: usize,
    edges: impl IntoIterator<Item = Option<Edge>>,
) -> Column {
    let mut values = vec![None];
    values.extend(edges);
    assert_eq!(values.len(), ROWS, "{name}");
    values.rotate_left(round);
    Column { name, avro, values }
}

pub(super) fn columns() -> Vec<Column> {
    let moment = |zone: &'static str| {
        move |(text, us): (&str, i64)| Edge::number(us, format!("'{text}{zone}'"), json!(us))
    };
    let price = |price: i64| {
        let (sign, size) = (if price < 0 { "-" } else { "" }, price.unsigned_abs());
        let text = format!("{sign}{}.{:04}", size / 10_000, size % 10_000);
        let sent = json!({ "$decimal": text });
        Edge::number(price, text, sent)
    };
    let quarters = |quarters: i32| {
        let wide = f64::from(quarters) / 4.0;
        Edge::number(quarters.into(), format!("{wide:.2}"), json!(wide))
    };
    let text = |text: String| {
        Some(Edge {
            written: format!("'{text}'"),
            sent: json!(text),
            rank: Rank::Text(text),
        })
    };
    let flag = |flag: i64| Edge::number(flag, (flag == 1).to_string(), json!(flag == 1));
    let logical = |of: &str, logical: &str| json!({ "type": of, "logicalType": logical });
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4 });
    let local = logical("long", "local-timestamp-micros");
    let zoned = logical("long", "timestamp-micros");
    let day = |(text, day): (&str, i64)| Edge::number(day, format!("'{text}'"), json!(day));
    let whole = |whole: i64| Edge::number(whole, whole.to_string(), json!(whole));
    let flags = (0..).take(EDGES).map(|it| flag(it % 2));
    vec![
        column("moment", zoned, 0, MOMENTS.map(moment("+00:00"))),
        column("clock", local, 3, MOMENTS.map(moment(""))),
        column("day", logical("int", "date"), 5, DAYS.map(day)),
        column("whole", json!("long"), 7, WHOLE.map(whole)),
        column("text", json!("string"), 9, texts().map(text)),
        column("price", decimal, 11, PRICES.map(price)),
        column("wide", json!("double"), 13, QUARTERS.map(quarters)),
        column("flag", json!("boolean"), 0, flags),
    ]
}

pub(super) fn schema(columns: &[Column]) -> String {
    let mut fields = vec![json!({ "name": "id", "type": "long" })];
    let optional = columns.iter();
    fields.extend(optional.map(|it| json!({ "name": it.name, "type": ["null", it.avro] })));
    json!({ "type": "record", "name": "Edges", "fields": fields }).to_string()
}

pub(super) fn record(columns: &[Column], id: usize, row: usize) -> Value {
    let mut value = json!({ "id": id });
    for column in columns {
        let sent = column.values[row].as_ref().map(|it| &it.sent);
        value[column.name] = json!(sent);
    }
    json!({ "key": "k", "value": value, "partition": 0 })
}
