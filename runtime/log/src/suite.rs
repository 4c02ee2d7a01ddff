//! The conformance suite: what every log must show.
