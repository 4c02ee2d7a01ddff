//! What comes with the events that are not frames.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_batch::event::{Closed, Event, Kind, RequestError, RequestFailed, Response};

#[test]
fn a_closing_comes_back() {
    let closed = Closed {
        code: 1006,
        reason: "gone – far",
    };
    assert_eq!(Closed::parse(&closed.encode()).unwrap(), closed);
    assert!(Closed::parse(&[1]).is_err());
    assert!(Closed::parse(&[1, 0, 0xff]).is_err());
}

#[test]
fn a_response_comes_back() {
    let headers = vec![("x-mbx-used-weight", "25"), ("empty", "")];
    let response = Response {
        status: 200,
        note: b"note",
        headers,
        body: b"[]",
    };
    let bytes = response.encode();
    assert_eq!(Response::parse(&bytes).unwrap(), response);
    // All but the body has a length of its own.
    for len in 0..bytes.len() - 2 {
        assert!(Response::parse(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn a_count_of_headers_that_are_not_there_allocates_nothing() {
    let mut bytes = Response {
        status: 200,
        note: b"",
        headers: Vec::new(),
        body: b"",
    }
    .encode();
    bytes[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Response::parse(&bytes).is_err());
}

#[test]
fn a_failed_request_comes_back() {
    for error in [
        RequestError::Denied,
        RequestError::Unreachable,
        RequestError::TooLarge,
        RequestError::Timeout,
        RequestError::Interrupted,
    ] {
        let failed = RequestFailed {
            note: b"n",
            error,
            message: "no route",
        };
        assert_eq!(RequestFailed::parse(&failed.encode()).unwrap(), failed);
    }
    assert!(
        RequestFailed::parse(&[6, 0, 0, 0, 0])
            .unwrap_err()
            .to_string()
            .contains("request error 6 is not known")
    );
}

#[test]
fn an_event_knows_its_share() {
    let event = Event {
        number: 1,
        kind: Kind::Text,
        id: 2,
        received_ns: 3,
        body: b"abc",
    };
    let mut writer = jackfield_batch::event::EventWriter::new();
    let empty = writer.encoded_len();
    writer.push(&event);
    assert_eq!(writer.encoded_len() - empty, event.encoded_len());
}
