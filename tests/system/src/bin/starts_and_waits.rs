//! Starts a server and a `jackfield`, says their process ids, and waits for the end of its input.
//! `tests/left_behind.rs` kills it.
#![allow(clippy::unwrap_used)]

use jackfield_exchange::{Exchange, Options};
use jackfield_system_tests::{Jackfield, Site};
use jackfield_test_lakes::PostgresServer;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() {
    let exchange = Exchange::start(Options::spot().unwrap()).await.unwrap();
    let site = Site::new(&exchange).await;
    let server = spawn_blocking(PostgresServer::start).await.unwrap();
    let jackfield = Jackfield::run(&site, &[]);
    println!("{} {}", server.pid(), jackfield.pid().unwrap());
    let input = spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    input.await.unwrap().unwrap();
}
