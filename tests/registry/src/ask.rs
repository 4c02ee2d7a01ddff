//! The few requests that the fixture itself sends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long one try may take: the first answers of a Java process are slow.
const TRY_MAX: Duration = Duration::from_secs(10);

/// Whether the request was answered with 200.
pub(crate) fn ok(port: u16, method: &str, path: &str, body: &str) -> bool {
    let asked = || -> std::io::Result<String> {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&to, TRY_MAX)?;
        stream.set_read_timeout(Some(TRY_MAX))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
