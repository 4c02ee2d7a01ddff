//! The client against a server of the tests' own, which fails in every way. What a real registry
//! does is in `tests/real.rs`.

mod certificates;
mod credentials;
mod fake;
mod faults;
mod kept;
mod refusals;
mod schemas;

use super::{Auth, ConfluentRegistry, ConfluentSettings, Pace, SettingsError, Tls};
use crate::{Schema, SchemaKind};
use std::time::Duration;

/// Far longer than any test takes, so that what is to be mended by a retry is.
const PATIENT: Pace = Pace {
    connect: Duration::from_secs(10),
    answer: Duration::from_secs(10),
    whole: Duration::from_secs(60),
};
/// For tests in which time is to run out.
const HASTY: Pace = Pace {
    connect: Duration::from_millis(1000),
    answer: Duration::from_millis(500),
    whole: Duration::from_millis(2000),
};

const TRADE: &str = r#"{"fields":[],"name":"Trade","type":"record"}"#;

fn avro(text: &str) -> Schema {
    Schema {
        kind: SchemaKind::Avro,
        text: text.to_owned(),
    }
}

fn settings(urls: &str) -> ConfluentSettings {
    ConfluentSettings {
        addresses: urls.parse().unwrap(),
        auth: Auth::None,
        tls: Tls::default(),
        auto_register: true,
    }
}

fn client(urls: &str, pace: Pace) -> ConfluentRegistry {
    ConfluentRegistry::with(&settings(urls), pace).unwrap()
}

fn with_auth(urls: &str, auth: Auth) -> Result<ConfluentRegistry, SettingsError> {
    let settings = ConfluentSettings {
        auth,
        ..settings(urls)
    };
    ConfluentRegistry::with(&settings, PATIENT)
}
