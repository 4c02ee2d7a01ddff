//! Bloom filters inside of lists and maps.

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

#[test]
fn lists_and_maps_have_the_filters_that_a_table_asks_for() {
    const TEXT: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"n","type":"long"},
        {"name":"l","type":{"type":"array","items":"string"}},
        {"name":"m","type":{"type":"map","values":"long"}}]}"#;
    let key =
        |column: &str| format!(r#""write.parquet.bloom-filter-enabled.column.{column}":"true""#);
    let filters = ["l.element", "m.key", "m.value"].map(key).join(",");
    let world = World::new(settings(&format!(
        r#"{{"table":"market.trades","properties":{{{filters}}}}}"#
    )));
    let text = |text: &str| Value::String(text.to_owned());
    let value = Value::Record(vec![
        ("n".to_owned(), Value::Long(1)),
        ("l".to_owned(), Value::Array(vec![text("a"), text("b")])),
        (
            "m".to_owned(),
            Value::Map([("k".to_owned(), Value::Long(7))].into()),
        ),
    ]);
    let schema = world.lake.schemas.avro(TEXT);
    let mut task = world.task();
    let batch = batch_of(schema, &[(0, Some(datum(TEXT, value)))]);
    put(&mut task, &span(0, 0, 1), &batch).unwrap();
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
        .unwrap();
    let object = world.lake.store.object(world.files()[0].file_path());
    let reader = SerializedFileReader::new(Bytes::from(object.unwrap())).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    assert_eq!(columns.len(), 4);
    for column in columns {
        let name = column.column_path().string();
        let filter = column.bloom_filter_offset().is_some();
        assert_eq!(filter, name != "n", "{name}");
    }
}
