//! The Kafka implementation of the log port.
