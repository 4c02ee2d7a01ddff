//! Whether a broker answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one try may take.
const TRY_MAX: Duration = Duration::from_secs(2);
/// Asks which requests the broker knows (ApiVersions, version 0), with correlation id 1.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// Whether what listens there is a broker that answers.
pub(crate) fn answers(at: SocketAddr) -> bool {
    let asked = || -> std::io::Result<[u8; 8]> {
        let mut stream = TcpStream::connect_timeout(&at, TRY_MAX)?;
        stream.set_read_timeout(Some(TRY_MAX))?;
        stream.write_all(&REQUEST)?;
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        Ok(head)
    };
    asked().is_ok_and(|head| head[4..] == [0, 0, 0, 1])
}
