//! Single records, written at once and not within a transaction: keyed topics, positions by hand.

use crate::consequence;
use crate::context::Context;
use crate::positions::Put;
use crate::shared::Shared;
use jackfield_log::LogError;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use std::error::Error;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// The producer of such records, made when it is first needed.
#[derive(Default)]
pub(crate) struct Puts(Mutex<Option<Arc<ThreadedProducer<PutContext>>>>);

type Outcome = Result<(), KafkaError>;

pub(crate) struct PutContext(Context);

impl ClientContext for PutContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        self.0.log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.0.generate_oauth_token(config)
    }
}

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
        let made = ThreadedProducer::from_config_and_context(&config, PutContext(shared.context()))
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
