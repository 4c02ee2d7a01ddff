//! What the source promises, a file each. They are one program: what they share is built once, and
//! what none of them uses is found.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod connections;
mod continuity;
mod storm;
