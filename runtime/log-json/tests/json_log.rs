//! Topics of JSON in the embedded log, written and read as Avro.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Headers, Limits, Record, SchemaIds};
use jackfield_log::{
    Append, Fetched, Identity, Log, Output, ReaderEvent, ReaderSpec, Start, TopicPartition,
    TopicSpec,
};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use jackfield_log_json::{JsonLog, JsonTopics, Plan, REASON};
use jackfield_schema::{EmbeddedRegistry, Registry, Schema, SchemaKind};
use std::sync::Arc;
use tempfile::TempDir;

const FIRST: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"string","default":"x"}]}"#;

struct World {
    _dir: TempDir,
    plain: Arc<dyn Log>,
    json: Arc<dyn Log>,
    registry: Arc<EmbeddedRegistry>,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plain: Arc<dyn Log> =
            EmbeddedLog::open(EmbeddedConfig::new(dir.path().to_owned())).unwrap();
        let registry = EmbeddedRegistry::open(Arc::clone(&plain)).await.unwrap();
        let registry = Arc::new(registry);
        let topics = JsonTopics {
            others: false,
            by_name: [("t".to_owned(), true)].into(),
        };
        let known: Arc<dyn Registry> = registry.clone();
        let json = JsonLog::new(Arc::clone(&plain), known, topics);
        for topic in ["t", "other"] {
            plain.create_topic(&TopicSpec::new(topic, 1)).await.unwrap();
        }
        Self {
            _dir: dir,
            plain,
            json,
            registry,
        }
    }

    async fn schema(&self, text: &str) -> u32 {
        let schema = Schema {
            kind: SchemaKind::Avro,
            text: text.to_owned(),
        };
        self.registry.register("t-value", &schema).await.unwrap()
    }
}

async fn write(log: &Arc<dyn Log>, topic: &str, records: &[(u32, &[u8])]) -> Vec<i64> {
    let mut batch = BatchWriter::new();
    for (schema, value) in records {
        let record = Record {
            timestamp_ms: 5,
            key: Some(b"k"),
            value: Some(value),
            schemas: SchemaIds {
                value: *schema,
                key: 0,
            },
            headers: Headers::of(&[("h", Some(b"v"))]),
        };
        batch.push(&record).unwrap();
    }
    let identity = Identity {
        cluster: "c".into(),
        connector: "w".into(),
        slot: "s".into(),
    };
    let mut writer = log.writer(&identity).await.unwrap();
    let append = Append {
        outputs: vec![Output {
            topic: topic.into(),
            partition: 0,
            batch: Bytes::from(batch.finish()),
        }],
        ..Append::default()
    };
    let appended = writer.append(append).await.unwrap().await.unwrap();
    appended.first_offsets
}

/// Values, schemas and headers of the topic's records, in as many batches as they came in.
async fn read(log: &Arc<dyn Log>, topic: &str, count: usize) -> (Vec<Fetched>, Vec<Value>) {
    let spec = ReaderSpec {
        group: "g".into(),
        member: "m".into(),
        topics: vec![topic.to_owned()],
        start: Start::Earliest,
    };
    let mut reader = log.reader(&spec).await.unwrap();
    let at = TopicPartition::new(topic, 0);
    let mut batches = Vec::new();
    let mut values = Vec::new();
    while values.len() < count {
        match reader.next().await.unwrap() {
            ReaderEvent::Assigned(_) => reader.seek(&at, 0).unwrap(),
            ReaderEvent::Batch(fetched) => {
                let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
                for (index, record) in (0u32..).zip(batch.iter()) {
                    values.push(Value {
                        offset: batch.offset(index).unwrap(),
                        bytes: record.value.unwrap().to_vec(),
                        schema: record.schemas.value,
                        reason: record
                            .headers
                            .iter()
                            .find(|(name, _)| *name == REASON)
                            .map(|(_, why)| String::from_utf8(why.unwrap().to_vec()).unwrap()),
                    });
                }
                batches.push(fetched);
            }
            other => panic!("{other:?}"),
        }
    }
    (batches, values)
}

#[derive(Debug, PartialEq)]
struct Value {
    offset: i64,
    bytes: Vec<u8>,
    schema: u32,
    reason: Option<String>,
}

fn datum(schema: &str, json: &str) -> Vec<u8> {
    let plan = Plan::of(schema).unwrap();
    plan.datum_of(json.as_bytes()).unwrap().0
}

#[tokio::test]
async fn records_lie_as_json_and_are_read_as_avro() {
    let world = World::new().await;
    let id = world.schema(FIRST).await;
    let value = datum(FIRST, r#"{"a":7}"#);
    for topic in ["t", "other"] {
        write(&world.json, topic, &[(id, &value), (0, b"plain")]).await;
    }
    let (_, lies) = read(&world.plain, "t", 2).await;
    assert_eq!(
        (lies[0].bytes.as_slice(), lies[0].schema),
        (&br#"{"a":7}"#[..], 0)
    );
    assert_eq!(lies[1].bytes, b"plain");
    let (_, other) = read(&world.plain, "other", 1).await;
    assert_eq!((&other[0].bytes, other[0].schema), (&value, id));

    let (_, seen) = read(&world.json, "t", 2).await;
    assert_eq!((&seen[0].bytes, seen[0].schema), (&value, id));
    // What can't be read stays as it is, with the reason.
    assert_eq!(
        (seen[1].bytes.as_slice(), seen[1].schema),
        (&b"plain"[..], 0)
    );
    assert!(
        seen[1]
            .reason
            .as_ref()
            .unwrap()
            .contains("not the JSON of its schema")
    );
}

#[tokio::test]
async fn a_newer_schema_is_looked_up_before_anything_of_it_is_lost() {
    let world = World::new().await;
    world.schema(FIRST).await;
    write(&world.plain, "t", &[(0, br#"{"a":1}"#)]).await;
    let spec = ReaderSpec {
        group: "g2".into(),
        member: "m".into(),
        topics: vec!["t".to_owned()],
        start: Start::Earliest,
    };
    let mut reader = world.json.reader(&spec).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match reader.next().await.unwrap() {
            ReaderEvent::Assigned(_) => reader.seek(&TopicPartition::new("t", 0), 0).unwrap(),
            ReaderEvent::Batch(fetched) => {
                let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
                for record in batch.iter() {
                    seen.push((record.schemas.value, record.value.unwrap().to_vec()));
                }
                if seen.len() == 1 {
                    // Written only once it is registered, as sources do.
                    world.schema(SECOND).await;
                    let large = br#"{"a":5000000000,"b":"y","z":1}"#;
                    write(&world.plain, "t", &[(0, br#"{"a":2}"#), (0, large)]).await;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let second = world.registry.latest("t-value").await.unwrap().unwrap().0;
    assert_ne!(seen[0].0, second);
    assert_eq!(seen[1], (second, datum(SECOND, r#"{"a":2,"b":"x"}"#)));
    assert_eq!(
        seen[2],
        (second, datum(SECOND, r#"{"a":5000000000,"b":"y"}"#))
    );
}

#[tokio::test]
async fn what_grows_is_split_and_keeps_its_coordinates() {
    let world = World::new().await;
    // As JSON a byte takes four thirds.
    let bytes = r#"{"type":"record","name":"B","fields":[{"name":"y","type":"bytes"}]}"#;
    let id = world.schema(bytes).await;
    let plan = Plan::of(bytes).unwrap();
    let json = format!("{{\"y\":\"{}\"}}", "CQkJ".repeat(3_000));
    let (value, _) = plan.datum_of(json.as_bytes()).unwrap();
    let records: Vec<(u32, &[u8])> = vec![(id, &value); 28];
    let firsts = write(&world.json, "t", &records).await;
    assert_eq!(firsts, [0], "one offset for each output as it was given");
    let (lies, raw) = read(&world.plain, "t", 28).await;
    assert!(lies.len() > 1, "{}", lies.len());
    assert_eq!(raw[27].bytes, json.as_bytes());
    let (seen, values) = read(&world.json, "t", 28).await;
    let offsets: Vec<i64> = values.iter().map(|it| it.offset).collect();
    assert_eq!(offsets, raw.iter().map(|it| it.offset).collect::<Vec<_>>());
    assert!(values.iter().all(|it| it.bytes == value && it.schema == id));
    let mut position = 0;
    for fetched in seen {
        assert_eq!(fetched.position, position);
        position = fetched.next_offset;
    }
}

#[tokio::test]
async fn a_topic_without_a_schema_says_what_to_register() {
    let world = World::new().await;
    write(&world.plain, "t", &[(0, b"{}")]).await;
    let spec = ReaderSpec {
        group: "g".into(),
        member: "m".into(),
        topics: vec!["t".to_owned()],
        start: Start::Earliest,
    };
    let mut reader = world.json.reader(&spec).await.unwrap();
    let error = loop {
        match reader.next().await {
            Ok(ReaderEvent::Assigned(_)) => reader.seek(&TopicPartition::new("t", 0), 0).unwrap(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        error.contains("register its Avro schema under t-value"),
        "{error}"
    );
}
