//! Trades as the sink gets them, for the benches.

use jackfield_sdk::batch::{BatchWriter, Headers, Record, SchemaIds};

/// Their schema.
pub(crate) const TRADE: &str = r#"{"type":"record","name":"Trade","namespace":"binance.spot","fields":[
    {"name":"symbol","type":"string"},
    {"name":"trade_id","type":"long"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
    {"name":"is_buyer_maker","type":"boolean"},
    {"name":"received_at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;
const MIDNIGHT: i64 = 1_723_075_200_000_000;
/// Records of a batch.
pub(crate) const BATCH: i64 = 1000;

fn long(value: i64, to: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while bits >= 0x80 {
        to.push((bits & 0x7f) as u8 | 0x80);
        bits >>= 7;
    }
    to.push(bits as u8);
}

fn decimal(value: i64, to: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take_while(|it| **it == 0).count().min(7);
    let skip = if bytes[skip] & 0x80 == 0 {
        skip
    } else {
        skip - 1
    };
    long((8 - skip) as i64, to);
    to.extend_from_slice(&bytes[skip..]);
}

/// A trade much like Binance's: prices wander, quantities are small multiples, times rise.
fn trade(id: i64, symbol: &str) -> Vec<u8> {
    let noise = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let mut to = Vec::new();
    long(symbol.len() as i64, &mut to);
    to.extend_from_slice(symbol.as_bytes());
    long(3_735_683_259 + id, &mut to);
    decimal(
        5_512_000_000_000 + (noise % 5000) as i64 * 1_000_000,
        &mut to,
    );
    decimal((noise % 977) as i64 * 1000, &mut to);
    let at = MIDNIGHT + id * 700 + (noise % 500) as i64;
    long(at, &mut to);
    long(1, &mut to);
    long(at + 300, &mut to);
    to.push((noise & 1) as u8);
    long(at + 30_000 + (noise % 3000) as i64, &mut to);
    to
}

/// So many trades of so many symbols in turn, offsets from 0.
pub(crate) fn batches(rows: i64, symbols: i64, schema: u32) -> Vec<Vec<u8>> {
    (0..rows)
        .step_by(BATCH as usize)
        .map(|first| {
            let mut writer = BatchWriter::new();
            for id in first..first + BATCH {
                let value = trade(id, &format!("SYM{}USDT", (id * 7) % symbols));
                writer
                    .push_at(
                        id,
                        &Record {
                            timestamp_ms: 0,
                            key: None,
                            value: Some(&value),
                            schemas: SchemaIds {
                                value: schema,
                                key: 0,
                            },
                            headers: Headers::default(),
                        },
                    )
                    .unwrap();
            }
            writer.finish()
        })
        .collect()
}
