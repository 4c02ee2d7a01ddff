//! Appends: Avro datums become JSON.

use crate::log::Shared;
use crate::plan::Plan;
use async_trait::async_trait;
use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Full, Limits, Record, SchemaIds};
use jackfield_log::{Append, Appended, LogError, Output, Pending, Writer};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct JsonWriter {
    pub(crate) inner: Box<dyn Writer>,
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl Writer for JsonWriter {
    async fn append(&mut self, append: Append) -> Result<Pending, LogError> {
        if !append.outputs.iter().any(|it| self.is_json(it)) {
            return self.inner.append(append).await;
        }
        let mut outputs = Vec::with_capacity(append.outputs.len());
        // Of each output, as it was given, the first of those that it has become.
        let mut firsts = Vec::with_capacity(append.outputs.len());
        for output in append.outputs {
            firsts.push(outputs.len());
            if self.is_json(&output) {
                outputs.extend(as_json(&self.shared, output).await?);
            } else {
                outputs.push(output);
            }
        }
        let split = outputs.len() != firsts.len();
        let append = Append { outputs, ..append };
        let pending = self.inner.append(append).await?;
        Ok(match split {
            true => numbered(pending, firsts),
            false => pending,
        })
    }

    async fn close(self: Box<Self>) -> Result<(), LogError> {
        self.inner.close().await
    }
}

/// The same outcome, with an offset for each output as it was given.
fn numbered(pending: Pending, firsts: Vec<usize>) -> Pending {
    let (resolver, told) = Pending::channel();
    tokio::spawn(async move {
        let outcome = pending.await.map(|appended| {
            let offsets = firsts
                .iter()
                .filter_map(|at| appended.first_offsets.get(*at));
            Appended {
                first_offsets: offsets.copied().collect(),
            }
        });
        resolver.resolve(outcome);
    });
    told
}

impl JsonWriter {
    fn is_json(&self, output: &Output) -> bool {
        self.shared.topics.contains(&output.topic)
    }
}

/// The same records as JSON, in as many batches as they need.
async fn as_json(shared: &Shared, output: Output) -> Result<Vec<Output>, LogError> {
    let malformed = |e: &dyn std::fmt::Display| {
        LogError::Rejected(format!("a batch for {}: {e}", output.topic))
    };
    let batch = Batch::parse(&output.batch, &Limits::default()).map_err(|e| malformed(&e))?;
    let mut plans: HashMap<u32, Arc<Plan>> = HashMap::new();
    for run in batch.runs() {
        for id in [run.schemas.value, run.schemas.key] {
            if id != 0 && !plans.contains_key(&id) {
                plans.insert(id, shared.schemas.plan(id).await?);
            }
        }
    }
    // What is no datum of its schema stays as it is: a dead letter may be just that.
    let mut malformed_values = 0u32;
    let mut text = |id: u32, bytes: Option<&[u8]>| {
        let json = plans.get(&id)?.json_of(bytes?);
        malformed_values += u32::from(json.is_err());
        json.ok()
    };
    let mut batches = Vec::new();
    let mut writer = BatchWriter::new();
    for record in batch.iter() {
        let value = text(record.schemas.value, record.value);
        let key = text(record.schemas.key, record.key);
        let json = Record {
            value: value.as_deref().map(str::as_bytes).or(record.value),
            key: key.as_deref().map(str::as_bytes).or(record.key),
            schemas: SchemaIds::default(),
            ..record
        };
        match writer.push(&json) {
            Ok(()) => {}
            Err(Full::BatchIsFull) => {
                batches.push(writer.finish());
                writer.push(&json).map_err(|e| malformed(&e))?;
            }
            Err(full) => return Err(malformed(&full)),
        }
    }
    batches.push(writer.finish());
    if malformed_values > 0 {
        tracing::warn!(topic = %output.topic, count = malformed_values, "no datums of their schemas: written as they are");
    }
    let outputs = batches.into_iter().map(|batch| Output {
        topic: Arc::clone(&output.topic),
        partition: output.partition,
        batch: Bytes::from(batch),
    });
    Ok(outputs.collect())
}
