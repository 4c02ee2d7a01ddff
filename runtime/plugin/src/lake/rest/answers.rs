//! What a server answers, and what that means.

use super::super::catalog::CatalogTable;
use super::super::error::CatalogError;
use reqwest::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Chars of a server's words that are passed on.
const WORDS_CHARS_MAX: usize = 500;

/// What was asked for: the same status means something else for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Config,
    Token,
    Namespace,
    Load,
    Create,
    Commit,
}

impl Asked {
    /// Whether something may have happened though no answer says so.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Create | Self::Commit => true,
            // Asked again, each of these ends the same.
            Self::Config | Self::Token | Self::Namespace | Self::Load => false,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Config => "its configuration",
            Self::Token => "a token",
            Self::Namespace => "creating a namespace",
            Self::Load => "loading a table",
            Self::Create => "creating a table",
            Self::Commit => "committing",
        }
    }
}

/// The server as the caller must see it, after an answer that is no success.
pub(super) fn refusal(asked: Asked, server: &str, status: StatusCode, body: &[u8]) -> CatalogError {
    let text = format!(
        "{server}, asked for {}, answers {status}: {}",
        asked.what(),
        words(body)
    );
    match (status.as_u16(), asked) {
        (404, Asked::Load | Asked::Create | Asked::Commit) => CatalogError::Missing,
        (409, Asked::Commit) => CatalogError::Conflict(text),
        (409, Asked::Create | Asked::Namespace) => CatalogError::Exists,
        // Turned away before anything was done.
        (429, _) => CatalogError::Transient(text),
        // What stands between may have passed it on: after any of these it may have happened.
        (408 | 500..=599, asked) if asked.changes() => CatalogError::Unknown(text),
        (408 | 500..=599, _) => CatalogError::Transient(text),
        _ => CatalogError::Other(text),
    }
}

/// The same, where no answer came.
pub(super) fn unheard(asked: Asked, server: &str, error: &reqwest::Error) -> CatalogError {
    let mut text = format!("{server}, asked for {}: {error}", asked.what());
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    if asked.changes() && !error.is_connect() {
        CatalogError::Unknown(text)
    } else {
        CatalogError::Transient(text)
    }
}

fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refused {
        error: Error,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Error {
        Iceberg {
            message: String,
            #[serde(rename = "type", default)]
            kind: String,
        },
        OAuth(String),
    }
    let words = match serde_json::from_slice::<Refused>(body).map(|it| it.error) {
        Ok(Error::Iceberg { message, kind }) => format!("{kind}: {message}"),
        Ok(Error::OAuth(error)) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    words
        .chars()
        .take(WORDS_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A mapping of texts. Some servers write `null` where they have none to tell, and for a text that
/// is not there.
pub(super) fn texts<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let all = Option::<BTreeMap<String, Option<String>>>::deserialize(from)?;
    let all = all.unwrap_or_default().into_iter();
    Ok(all.filter_map(|(key, text)| Some((key, text?))).collect())
}

/// What loading, creating and committing answer. It has credentials in plain text, so it can't be
/// shown.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LoadedTable {
    metadata_location: Option<String>,
    metadata: Box<RawValue>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) config: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) storage_credentials: Option<Vec<StorageCredential>>,
    #[serde(skip)]
    pub(super) places: Vec<String>,
}

/// Credentials for all that begins with a prefix.
#[derive(Deserialize)]
pub(super) struct StorageCredential {
    pub(super) prefix: String,
    #[serde(default, deserialize_with = "texts")]
    pub(super) config: BTreeMap<String, String>,
}

/// Properties that name a place of a table's files, if it has another than its location.
const PLACES: [&str; 3] = [
    "write.data.path",
    "write.folder-storage.path",
    "write.metadata.path",
];

/// What of a table's metadata says where its files are.
#[derive(Deserialize)]
struct Places {
    location: String,
    #[serde(default, deserialize_with = "texts")]
    properties: BTreeMap<String, String>,
}

impl LoadedTable {
    pub(super) fn parse(answer: &[u8]) -> Result<Self, String> {
        let mut loaded: Self = serde_json::from_slice(answer).map_err(|e| e.to_string())?;
        let places: Places =
            serde_json::from_str(loaded.metadata.get()).map_err(|e| e.to_string())?;
        loaded.places = vec![places.location];
        for key in PLACES {
            loaded.places.extend(places.properties.get(key).cloned());
        }
        Ok(loaded)
    }

    pub(super) fn into_table(self) -> Option<CatalogTable> {
        Some(CatalogTable {
            metadata_location: self.metadata_location?,
            location: self.places.into_iter().next()?,
            metadata: Box::<str>::from(self.metadata).into_string(),
        })
    }
}
