//! That the broker for tests is one.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_test_kafka::{Broker, Fate, Proxy, Side};
use std::net::TcpStream;

#[test]
fn a_broker_starts_dies_and_comes_back() {
    let mut broker = Broker::start();
    let servers = broker.address();
    let topics = "org.apache.kafka.tools.TopicCommand";
    let create = [
        "--bootstrap-server",
        &*servers,
        "--create",
        "--topic",
        "kept",
    ];
    broker.tool(topics, &create);
    broker.kill();
    assert!(TcpStream::connect(broker.address()).is_err());
    broker.restart();
    let list = ["--bootstrap-server", &*servers, "--list"];
    assert!(broker.tool(topics, &list).contains("kept"));
    broker.stop();
    assert!(TcpStream::connect(broker.address()).is_err());
}

#[test]
fn a_cut_connection_passes_nothing_until_it_is_mended() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::listen();
    proxy.to(server.local_addr().unwrap().port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    proxy.cut();
    client.write_all(b"x").unwrap();
    accepted.set_nonblocking(true).unwrap();
    assert!(accepted.read(&mut [0]).is_err());
    proxy.mend();
    accepted.set_nonblocking(false).unwrap();
    let mut byte = [0];
    accepted.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn a_proxy_that_is_shut_ends_connections_until_it_is_mended() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::listen();
    proxy.to(server.local_addr().unwrap().port());
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let mut client = connect();
    let (mut accepted, _) = server.accept().unwrap();
    proxy.shut();
    client.write_all(b"x").unwrap();
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0, "it has ended");
    // Whether it ends orderly or is reset is the system's.
    assert!(!matches!(connect().read(&mut [0]), Ok(1..)));
    proxy.mend();
    let _client = connect();
    server.accept().unwrap();
}

#[test]
fn bytes_that_are_waited_for_are_held_up_or_end_their_connection() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::listen();
    proxy.to(server.local_addr().unwrap().port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    let mut heard = [0; 2];

    // Also where they come in two parts, of which the first has passed.
    proxy.when(Side::Client, b"yz", Fate::Cut);
    client.write_all(b"xy").unwrap();
    accepted.read_exact(&mut heard).unwrap();
    assert!(!proxy.has_met());
    client.write_all(b"z!").unwrap();
    while !proxy.has_met() {
        std::thread::yield_now();
    }
    accepted.set_nonblocking(true).unwrap();
    assert!(accepted.read(&mut heard).is_err());
    accepted.set_nonblocking(false).unwrap();
    proxy.mend();
    accepted.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"z!");

    proxy.when(Side::Server, b"done", Fate::Ended);
    client.write_all(b"done").unwrap();
    accepted.read_exact(&mut heard).unwrap();
    assert!(!proxy.has_met(), "it was the client that said it");
    accepted.write_all(b"done").unwrap();
    assert_eq!(client.read(&mut heard).unwrap(), 0, "nothing of it came");
    assert!(proxy.has_met());
}
