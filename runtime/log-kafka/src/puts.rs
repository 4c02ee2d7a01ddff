//! Single records, written at once and not within a transaction: keyed topics, positions by hand.

use crate::consequence;
use crate::context::Telling;
use crate::positions::Put;
use crate::shared::Shared;
use jackfield_log::LogError;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// The producer of such records, made when it is first needed.
#[derive(Default)]
pub(crate) struct Puts(Mutex<Option<Arc<ThreadedProducer<PutContext>>>>);

type Outcome = Result<(), KafkaError>;

/// Tells of each record to whoever waits for it.
pub(crate) struct Answers;

type PutContext = Telling<Answers>;

impl ProducerContext for PutContext {
    type DeliveryOpaque = Box<oneshot::Sender<Outcome>>;

    fn delivery(&self, result: &DeliveryResult<'_>, outcome: Self::DeliveryOpaque) {
        let said = result.as_ref().map(|_| ()).map_err(|(e, _)| e.clone());
        // Nobody waits for it any more.
        outcome.send(said).ok();
    }
}

impl Puts {
    async fn producer(
        &self,
        shared: &Shared,
    ) -> Result<Arc<ThreadedProducer<PutContext>>, LogError> {
        let mut held = self.0.lock().await;
        let broken = held.as_ref().is_some_and(|it| {
            rdkafka::producer::Producer::client(&**it)
                .fatal_error()
                .is_some()
        });
        if broken {
            *held = None;
        }
        if let Some(producer) = &*held {
            return Ok(Arc::clone(producer));
        }
        let config = shared.config.producer(&[]);
        let context = PutContext::new(shared.context(), Answers);
        let made = ThreadedProducer::from_config_and_context(&config, context)
            .map_err(|e| consequence::kafka("a Kafka producer can't be made", &e))?;
        let made = Arc::new(made);
        *held = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Writes records in their order, and waits until all are acknowledged.
    pub(crate) async fn put(
        &self,
        shared: &Shared,
        topic: &str,
        puts: &[Put],
    ) -> Result<(), LogError> {
        let producer = self.producer(shared).await?;
        let what = || format!("the topic {topic} can't be written");
        let mut outcomes = Vec::with_capacity(puts.len());
        for (key, value) in puts {
            let (outcome, said) = oneshot::channel();
            let mut record = BaseRecord::with_opaque_to(topic, Box::new(outcome)).key(key);
            if let Some(value) = value {
                record = record.payload(value);
            }
            producer
                .send(record)
                .map_err(|(e, _)| consequence::kafka(&what(), &e))?;
            outcomes.push(said);
        }
        for said in outcomes {
            match said.await {
                Ok(Ok(())) => {}
                // Whether it is there after a time without an answer, nobody knows.
                Ok(Err(e)) => match consequence::kafka(&what(), &e) {
                    LogError::Retriable(text) => return Err(LogError::Unknown(text)),
                    error => return Err(error),
                },
                Err(_) => return Err(LogError::Unknown(what())),
            }
        }
        Ok(())
    }
}
