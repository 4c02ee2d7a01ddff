//! What goes in comes out, in every column.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use iceberg::spec::{Literal, PrimitiveType, Transform, Type};

use super::*;

#[test]
fn every_column_of_a_trade_comes_back() {
    let world = World::new(by_day_and_symbol());
    let mut those: Vec<_> = (0..700).map(|id| Trade::new("BTCUSDT", id)).collect();
    for trade in those.iter_mut().filter(|it| it.trade_id % 2 == 1) {
        trade.symbol = "ETHUSDT".to_owned();
    }
    let pieces = world.staged(0, &those);
    let committed = world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 700)], "c1")
        .unwrap();
    assert_eq!((committed.rows, committed.files), (700, 2));
    assert!(committed.bytes > 0);

    let mut back = Vec::new();
    for rows in world.rows() {
        let column = |name: &str| rows.column_by_name(name).unwrap();
        let symbol = column("symbol").as_string::<i32>();
        let id = column("trade_id").as_primitive::<Int64Type>();
        let price = column("price").as_primitive::<Decimal128Type>();
        let quantity = column("quantity").as_primitive::<Decimal128Type>();
        let time = column("trade_time").as_primitive::<TimestampMicrosecondType>();
        let event = column("event_time").as_primitive::<TimestampMicrosecondType>();
        let maker = column("is_buyer_maker").as_boolean();
        let received = column("received_at").as_primitive::<TimestampMicrosecondType>();
        for at in 0..rows.num_rows() {
            let trade = Trade {
                symbol: symbol.value(at).to_owned(),
                trade_id: id.value(at),
                price: price.value(at),
                trade_time: time.value(at),
                event_time: (!event.is_null(at)).then(|| event.value(at)),
            };
            assert_eq!(quantity.value(at), -trade.price);
            assert_eq!(maker.value(at), trade.trade_id % 2 == 0);
            assert_eq!(received.value(at), trade.trade_time + 11);
            back.push(trade);
        }
    }
    back.sort_by_key(|it| it.trade_id);
    assert_eq!(back, those);
}

#[test]
fn the_table_is_made_from_the_topics_schema() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let metadata = world.metadata();
    let schema = metadata.current_schema();
    let field = |name: &str| schema.field_by_name(name).unwrap();
    assert_eq!(field("symbol").doc.as_deref(), Some("The pair."));
    assert_eq!(
        *field("price").field_type,
        Type::Primitive(PrimitiveType::Decimal {
            precision: 38,
            scale: 8
        })
    );
    assert_eq!(
        *field("trade_time").field_type,
        Type::Primitive(PrimitiveType::Timestamptz)
    );
    assert!(field("trade_time").required && !field("event_time").required);
    let fields: Vec<_> = metadata
        .default_partition_spec()
        .fields()
        .iter()
        .map(|it| (it.name.clone(), it.transform))
        .collect();
    assert_eq!(
        fields,
        [
            ("trade_time_day".to_owned(), Transform::Day),
            ("symbol".to_owned(), Transform::Identity)
        ]
    );
    assert_eq!(metadata.format_version(), iceberg::spec::FormatVersion::V2);
    assert_eq!(metadata.properties()["write.format.default"], "parquet");
}

#[test]
fn files_are_in_their_partition_and_say_what_is_in_them() {
    let world = World::new(by_day_and_symbol());
    let mut those: Vec<_> = (0..100).map(|id| Trade::new("BTC/../USDT", id)).collect();
    for trade in &mut those[50..] {
        trade.trade_time += DAY;
    }
    let pieces = world.staged(0, &those);
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 100)], "c1")
        .unwrap();
    let mut files = world.files();
    files.sort_by_key(|it| it.file_path().to_owned());
    assert_eq!(files.len(), 2);
    for (file, (day, folder)) in files
        .iter()
        .zip([(19_943, "2024-08-08"), (19_944, "2024-08-09")])
    {
        assert_eq!(file.record_count(), 50);
        assert_eq!(
            file.partition().fields(),
            [
                Some(Literal::date(day)),
                Some(Literal::string("BTC/../USDT"))
            ]
        );
        let start = format!(
            "memory://warehouse/market/trades/data/trade_time_day={folder}/symbol=BTC_.._USDT/"
        );
        assert!(file.file_path().starts_with(&start), "{}", file.file_path());
        let stored = world.lake.store.object(file.file_path()).unwrap();
        assert_eq!(file.file_size_in_bytes(), stored.len() as u64);
        assert_eq!(file.lower_bounds().len(), 8);
    }
}

#[test]
fn the_snapshot_and_the_table_say_the_same() {
    let world = World::new(by_day_and_symbol());
    world.land(3, 100, 110, "c1").unwrap();
    let metadata = world.metadata();
    let summary = &metadata
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    let offsets = format!(r#"{{"{TOPIC_ID}":{{"topic":"{TOPIC}","partitions":{{"3":110}}}}}}"#);
    for said in [summary, metadata.properties()] {
        assert_eq!(said["jackfield.offsets.trades-lake"], offsets);
        assert_eq!(said["jackfield.commit-id.trades-lake"], "c1");
    }
    assert_eq!(summary["total-records"], "10");
}

#[test]
fn a_commit_needs_no_more_than_its_pieces() {
    let world = World::new(by_day_and_symbol());
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].version, 4);
    assert!(pieces[0].bytes.len() < 4096, "{}", pieces[0].bytes.len());
    let sent: serde_json::Value = serde_json::from_slice(&pieces[0].bytes).unwrap();
    assert_eq!(sent["rows"], 1);
}

#[test]
fn nothing_put_is_nothing_staged() {
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    assert_eq!(task.stage().unwrap(), vec![]);
    put(&mut task, &span(0, 0, 10), &batch_of(world.schema, &[])).unwrap();
    assert_eq!(task.stage().unwrap(), vec![]);
    assert!(world.lake.catalog.table(TABLE).is_none());
}

#[test]
fn what_the_table_holds_is_dropped() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let mut task = world.task();
    task.assigned(world.held()).unwrap();
    let those: Vec<_> = (5..15).map(|it| Trade::new("BTCUSDT", it)).collect();
    let taken = put(&mut task, &span(0, 5, 15), &trades(world.schema, &those)).unwrap();
    assert_eq!((taken.counts.records, taken.counts.duplicates), (5, 5));
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 10, 15)], "c2")
        .unwrap();
    assert_eq!(world.trade_ids(), (0..15).collect::<Vec<_>>());
}
