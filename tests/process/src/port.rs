//! Ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

/// Ports to choose from: below those that the kernel gives to clients, so that none of them takes
/// a server's while it is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A port that nobody listens at.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = nanos.map_or(0, |since| since.subsec_nanos());
    let count = u32::from(PORTS.end - PORTS.start);
    // Others look for one at the same time.
    let first = nanos.wrapping_add(std::process::id().wrapping_mul(7919)) % count;
    (0..count)
        .map(|step| {
            let port = (first + step) % count;
            PORTS.start + u16::try_from(port).unwrap_or(0)
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}
