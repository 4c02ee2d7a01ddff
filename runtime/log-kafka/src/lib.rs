//! The log over a Kafka cluster.
//!
//! Records lie in topics as single Kafka messages, so that any client reads them: an append unpacks
//! its batches, a reader packs what it fetches. An append is one transaction with its positions, by
//! a producer whose transactional id fences whoever had the identity before; appends that are
//! queued at the same time share one. Readers are members of consumer groups that hand partitions
//! over one by one, and read only what is committed.
//!
//! | module | what lives there |
//! |---|---|
//! | `log` | the log itself: the port |
//! | `config`, `properties` | how it is set up, and what may not be set |
//! | `shared` | what all handles share: the client for questions, what is known of topics |
//! | `topics` | topics created, checked, listed, deleted |
//! | `compacted` | whether a topic of ours keeps what is written to it |
//! | `open`, `writer`, `prepare` | a writer, and what it checks of an append |
//! | `transactions`, `group`, `commit`, `deliveries` | the thread that writes, what shares a transaction, how it ends, what became of its records |
//! | `positions`, `table`, `keyed`, `puts` | compacted topics: positions in Kafka Connect's form, maps |
//! | `reader`, `membership` | a member of a group: its handle, and what it shares with its thread |
//! | `poller`, `cursor`, `pack` | the thread that polls, where it stands in a partition, batches |
//! | `doubt`, `silence` | what errors leave in doubt of where it stands, and whether nothing comes |
//! | `rebalance`, `revocation`, `leave`, `asked`, `stand`, `watch` | what the thread does with the group: what it is told, what it gives back, how it leaves; what it has others ask, and whether topics are the same |
//! | `browse` | records for people, without a group |
//! | `survey` | what brokers say of themselves |
//! | `encoding` | the registry's bytes before keys and values |
//! | `consequence` | what each error of librdkafka means |
//! | `context`, `oauth` | what librdkafka tells by itself, and tokens |
//! | `native` | what the rdkafka crate does not wrap |
//!
//! Calls of librdkafka that block are made on threads of their own or on tokio's blocking threads,
//! never on its workers. docs/KAFKA.md has the table of errors, the formats, and what must be
//! allowed to the log's user.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(unsafe_code)]

// For files that these tests share with those in `tests`.
#[cfg(test)]
extern crate self as jackfield_log_kafka;

mod asked;
mod browse;
mod by_hand;
mod commit;
mod compacted;
mod config;
mod consequence;
mod context;
mod cursor;
mod deliveries;
mod doubt;
mod encoding;
mod group;
mod keyed;
mod leave;
mod log;
mod membership;
mod native;
mod oauth;
mod open;
mod pack;
mod poller;
mod positions;
mod prepare;
mod properties;
mod puts;
mod reader;
mod rebalance;
mod revocation;
mod shared;
mod silence;
mod stand;
mod survey;
mod table;
mod topics;
mod transactions;
mod watch;
mod writer;

pub use config::{Encoding, Format, KafkaConfig, Membership};
pub use log::KafkaLog;
pub use properties::Mistake;
pub use survey::{Survey, SurveyedTopic};
