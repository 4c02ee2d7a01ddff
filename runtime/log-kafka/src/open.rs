//! Opening a writer: fences every earlier one of its identity.

use crate::consequence;
use crate::context::Telling;
use crate::deliveries::Deliveries;
use crate::prepare::APPEND_COST_BYTES;
use crate::shared::Shared;
use crate::transactions::{Transactions, WriterProducer};
use crate::writer::{Delivery, IN_FLIGHT_BYTES_MAX, KafkaWriter};
use jackfield_log::{Identity, LogError};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer, ThreadedProducer};
use std::cell::Cell;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long fencing may take: the brokers first end what the earlier writer had begun.
const FENCE_MAX: Duration = Duration::from_secs(45);
/// How long one step of it may take.
const STEP: Duration = Duration::from_secs(5);

/// The id that fences: parts are escaped, so that no two identities share one.
pub(crate) fn transactional_id(identity: &Identity) -> String {
    let escaped = |part: &str| part.replace('%', "%25").replace('/', "%2F");
    format!(
        "{}/{}/{}",
        escaped(&identity.cluster),
        escaped(&identity.connector),
        escaped(&identity.slot)
    )
}

pub(crate) async fn writer(
    shared: &Arc<Shared>,
    identity: &Identity,
    delivery: Delivery,
    positions_topic: String,
) -> Result<KafkaWriter, LogError> {
    let id = transactional_id(identity);
    let (transactional, records) = shared
        .blocking(move |shared| {
            let records = match delivery {
                Delivery::ExactlyOnce => None,
                Delivery::AtLeastOnce => Some(producer(shared, &[])?),
            };
            Ok((fencing(shared, &id)?, records))
        })
        .await?;
    // Room for all that the semaphore lets through, and for closing.
    let appends_max = IN_FLIGHT_BYTES_MAX / APPEND_COST_BYTES;
    let (commands, served) = sync_channel(appends_max + 1);
    let ended = Arc::new(OnceLock::new());
    let transactions = Transactions {
        shared: Arc::clone(shared),
        positions_topic,
        transactional,
        records,
        commands: served,
        ended: Arc::clone(&ended),
        rest_until: Cell::default(),
    };
    std::thread::Builder::new()
        .name("log-writer".into())
        .spawn(move || transactions.run())
        .map_err(|e| LogError::Retriable(format!("a writer's thread can't be started: {e}")))?;
    Ok(KafkaWriter {
        shared: Arc::clone(shared),
        identity: identity.clone(),
        commands,
        in_flight: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX)),
        ended,
    })
}

fn producer(shared: &Shared, own: &[(&str, &str)]) -> Result<WriterProducer, LogError> {
    let config = shared.config.producer(own);
    let context = Telling::new(shared.context(), Deliveries::default());
    ThreadedProducer::from_config_and_context(&config, context)
        .map_err(|e| consequence::kafka("a Kafka producer can't be made", &e))
}

/// A producer whose id is the newest of its identity's.
fn fencing(shared: &Shared, id: &str) -> Result<WriterProducer, LogError> {
    let timeout = shared.config.transaction_timeout().as_millis().to_string();
    let own = [
        ("transactional.id", id),
        ("transaction.timeout.ms", &*timeout),
    ];
    let producer = producer(shared, &own)?;
    let deadline = Instant::now() + FENCE_MAX;
    loop {
        let error = match producer.init_transactions(STEP) {
            Ok(()) => return Ok(producer),
            Err(error) => error,
        };
        let again = matches!(&error, KafkaError::Transaction(e) if e.is_retriable());
        if again && Instant::now() < deadline {
            continue;
        }
        let what = format!("the writer {id} can't be opened");
        return Err(match producer.client().fatal_error() {
            Some((code, text)) => consequence::error(code, format!("{what}: {text}")),
            None => consequence::kafka(&what, &error),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_identities_share_an_id() {
        let id = |cluster: &str, connector: &str, slot: &str| {
            transactional_id(&Identity {
                cluster: cluster.into(),
                connector: connector.into(),
                slot: slot.into(),
            })
        };
        assert_eq!(id("a", "b", "c"), "a/b/c");
        assert_ne!(id("a/b", "c", "d"), id("a", "b/c", "d"));
        assert_ne!(id("a%2Fb", "c", "d"), id("a/b", "c", "d"));
    }
}
