//! Deeds that only a sink can do: with the store, the catalog and what else it imports.

use crate::bindings::jackfield::connector::http_types::{Error as HttpError, Request};
use crate::bindings::jackfield::connector::{catalog, http, log, schemas, store};
use hostile_deeds::Command;
use std::hint::black_box;

/// More uploads than any sink has open at once.
const MANY_UPLOADS: u32 = 5000;
/// More calls out of the process than an instance may make without being held back.
const MANY_CALLS: u32 = 10_000;

/// Does it, if it is one of these, or one of those that any component can do.
pub(crate) fn act(deed: &str, command: &Command) {
    let root = &command.root;
    match deed {
        "call-the-host" => loop {
            black_box(schemas::get(1).is_ok());
        },
        "call-the-host-often" => {
            for _ in 0..MANY_CALLS {
                black_box(schemas::get(1).is_ok());
            }
        }
        "flood-the-log" => {
            for _ in 0..100_000 {
                log::write(log::Level::Debug, "flood");
            }
        }
        "reach" => reach(root),
        "upload-without-end" => upload_without_end(root),
        "put-too-much" => {
            let too_much = store::put(&format!("{root}/x"), &vec![7; (1 << 20) + 1]);
            assert!(matches!(too_much, Err(store::Error::TooLarge(_))));
        }
        other => hostile_deeds::act(other),
    }
}

/// Asks for what is not granted; every refusal must be of the kind `denied`.
fn reach(root: &str) {
    let up = format!("{root}/../../x");
    for uri in ["file:///etc/passwd", "s3://bucket/x", up.as_str()] {
        let read = store::get(uri, None);
        assert!(
            !matches!(read, Ok(_) | Err(store::Error::Missing)),
            "{uri}: {read:?}"
        );
        let written = store::put(uri, b"x");
        assert!(written.is_err(), "{uri}");
    }
    let creation = r#"{"location": "file:///etc/hostile"}"#;
    assert!(catalog::create("a.b", creation).is_err());
    let request = Request {
        method: "GET".into(),
        url: "http://127.0.0.1:1/".into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let answer = http::fetch(&request, 1000);
    assert!(matches!(answer, Err(HttpError::Denied(_))));
}

/// Opens uploads until there are no more to be had.
fn upload_without_end(root: &str) {
    let mut open = Vec::new();
    while let Ok(upload) = store::create(&format!("{root}/{}", open.len())) {
        open.push(upload);
        assert!(open.len() < MANY_UPLOADS as usize, "nothing bounds them");
    }
    panic!("as told, with {} uploads open", open.len());
}
