//! WebSocket frames as bytes, server side. By hand, because a replay writes
//! frames rendered once, thousands in one write, and a half-open connection must
//! be able to leave a ping without an answer.

use bytes::{Buf, BytesMut};

/// Largest message a client may send: a SUBSCRIBE of 1024 streams is 40 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client sent.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Message {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

/// The client broke the protocol; the code to close with.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

/// Joins fragments; one a connection.
#[derive(Default)]
pub(crate) struct Parser {
    fragments: Option<(u8, Vec<u8>)>,
}

impl Parser {
    /// Takes the next whole message from the front of `buffer`, if there is one.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, Violation> {
        loop {
            let Some((end, opcode, payload)) = take_frame(buffer)? else {
                return Ok(None);
            };
            match opcode {
                PING => return Ok(Some(Message::Ping(payload))),
                PONG => return Ok(Some(Message::Pong(payload))),
                CLOSE => return Ok(Some(Message::Close)),
                _ => {}
            }
            let (first, mut whole) = match (self.fragments.take(), opcode) {
                (Some(open), 0) => open,
                (None, 1 | 2) => (opcode, Vec::new()),
                _ => return Err(violation(1002, "unexpected frame")),
            };
            if whole.len() + payload.len() > MESSAGE_BYTES_MAX {
                return Err(violation(1009, "message too big"));
            }
            whole.extend_from_slice(&payload);
            if !end {
                self.fragments = Some((first, whole));
                continue;
            }
            if first != TEXT {
                return Ok(Some(Message::Binary));
            }
            return String::from_utf8(whole)
                .map(|text| Some(Message::Text(text)))
                .map_err(|_| violation(1007, "text is not UTF-8"));
        }
    }
}

fn violation(code: u16, reason: &'static str) -> Violation {
    Violation { code, reason }
}

fn take_frame(buffer: &mut BytesMut) -> Result<Option<(bool, u8, Vec<u8>)>, Violation> {
    let [first, second, ..] = **buffer else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(violation(1002, "reserved bits are set"));
    }
    if second & 0x80 == 0 {
        return Err(violation(1002, "a client's frame must be masked"));
    }
    let (length_bytes, length) = match second & 0x7f {
        126 => match buffer.get(2..4) {
            Some(bytes) => (2, usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))),
            None => return Ok(None),
        },
        127 => return Err(violation(1009, "message too big")),
        short => (0, usize::from(short)),
    };
    let header = 2 + length_bytes + 4;
    if buffer.len() < header + length {
        return Ok(None);
    }
    let mask = [
        buffer[header - 4],
        buffer[header - 3],
        buffer[header - 2],
        buffer[header - 1],
    ];
    buffer.advance(header);
    let mut payload = buffer.split_to(length).to_vec();
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok(Some((first & 0x80 != 0, first & 0x0f, payload)))
}

fn put(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(u8::try_from(short).expect("at most 125")),
        middle @ 126..=65_535 => {
            out.push(126);
            out.extend_from_slice(&u16::try_from(middle).expect("at most 65,535").to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    put(TEXT, text.as_bytes(), out);
}

pub(crate) fn put_ping(payload: &[u8], out: &mut Vec<u8>) {
    put(PING, payload, out);
}

pub(crate) fn put_pong(payload: &[u8], out: &mut Vec<u8>) {
    put(PONG, payload, out);
}

/// A control frame holds 125 bytes, two of them for the code.
const CLOSE_REASON_BYTES_MAX: usize = 123;

pub(crate) fn put_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    put(CLOSE, &payload, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        if payload.len() < 126 {
            frame.push(0x80 | payload.len() as u8);
        } else {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        let mask = [1, 2, 3, 4];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    #[test]
    fn fragments_join_around_a_ping_and_arrive_in_pieces() {
        let long = "x".repeat(300);
        let mut bytes = masked(0x01, b"hel");
        bytes.extend(masked(0x89, b"p"));
        bytes.extend(masked(0x80, b"lo"));
        bytes.extend(masked(0x81, long.as_bytes()));
        let mut parser = Parser::default();
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for byte in bytes {
            buffer.extend_from_slice(&[byte]);
            while let Some(message) = parser.next(&mut buffer).unwrap() {
                seen.push(message);
            }
        }
        assert_eq!(
            seen,
            [
                Message::Ping(b"p".to_vec()),
                Message::Text("hello".into()),
                Message::Text(long)
            ]
        );
    }

    #[test]
    fn violations_name_their_code() {
        for (bytes, code) in [
            (vec![0x81, 0x01, b'x'], 1002),
            (masked(0xf1, b"x"), 1002),
            (masked(0x80, b"x"), 1002),
            (masked(0x81, &[0xff]), 1007),
            (vec![0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0], 1009),
        ] {
            let mut buffer = BytesMut::from(&bytes[..]);
            let error = Parser::default().next(&mut buffer).unwrap_err();
            assert_eq!(error.code, code);
        }
    }
}
