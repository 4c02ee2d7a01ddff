//! What the exchange promises, a file each. They are one program: what they share is built once, and
//! what none of them uses is found.
#![allow(clippy::unwrap_used, missing_docs)]

mod binary;
mod faults;
mod protocol;
mod rest;
mod support;
