//! Whose the metadata documents in a table's folder are. A table that was renamed keeps its folder,
//! and another engine may make a new one of its old name in there: then files that nothing in the
//! one table refers to are the other's.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use iceberg::table::Table;
use jackfield_sdk::sink::{Entry, STORE_CHUNK_BYTES_MAX, Store};
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::orphans::{Until, canonical};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What some documents tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All of them are the table's own.
    Own,
    /// Those that there was time for are.
    Untold,
    /// One is another table's: its URI.
    Other(String),
}

/// A document that says nothing.
#[derive(Debug, thiserror::Error)]
#[error("nobody can tell whose document {uri} is: {why}")]
pub(crate) struct Unread {
    uri: String,
    why: io::Error,
}

/// What is looked at of a document, whatever else its version of the format has.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    table_uuid: Uuid,
    #[serde(default)]
    metadata_log: Vec<Logged>,
    snapshots: Option<Vec<IgnoredAny>>,
}

impl Document {
    /// Whether its table never had a row, so that no file is its own. A catalog leaves such a one
    /// where two made a table at once, and the later one was refused.
    fn is_of_nothing(&self) -> bool {
        self.metadata_log.is_empty() && self.snapshots.as_ref().is_none_or(Vec::is_empty)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Logged {
    metadata_file: String,
}

/// Whether these are documents of the table, as far as that can be told until then. `own` are names
/// of some that are, and gets those that are found to be. `strange` gets those of tables that have
/// no file yet, which may be in use.
pub(crate) fn whose(
    store: &dyn Store,
    table: &Table,
    documents: &[Entry],
    own: &mut HashSet<String>,
    strange: &mut HashSet<String>,
    until: Until,
) -> Result<Whose, Unread> {
    let metadata = table.metadata();
    let logged = metadata.metadata_log().iter();
    let known = logged.map(|it| it.metadata_file.as_str());
    own.extend(known.map(|it| canonical(it).to_owned()));
    own.extend(table.metadata_location().map(|it| canonical(it).to_owned()));
    // Later ones first: each names many that were before it, which then need not be read.
    for entry in documents.iter().rev() {
        if own.contains(canonical(&entry.uri)) {
            continue;
        }
        if until.is_over() {
            return Ok(Whose::Untold);
        }
        let document = read(store, entry).map_err(|why| Unread {
            uri: entry.uri.clone(),
            why,
        })?;
        if document.table_uuid != metadata.uuid() {
            if !document.is_of_nothing() {
                return Ok(Whose::Other(entry.uri.clone()));
            }
            strange.insert(canonical(&entry.uri).to_owned());
            continue;
        }
        own.insert(canonical(&entry.uri).to_owned());
        let before = document.metadata_log.into_iter();
        own.extend(before.map(|it| canonical(&it.metadata_file).to_owned()));
    }
    Ok(Whose::Own)
}

fn read(store: &dyn Store, entry: &Entry) -> io::Result<Document> {
    let object = Object {
        store,
        entry,
        at: 0,
    };
    let mut document = BufReader::with_capacity(STORE_CHUNK_BYTES_MAX, object);
    if document.fill_buf()?.starts_with(&GZIP_MAGIC) {
        let unpacked = BufReader::new(GzDecoder::new(document));
        return Ok(serde_json::from_reader(unpacked)?);
    }
    Ok(serde_json::from_reader(document)?)
}

/// An object, read in pieces: a document with a long history is larger than what may cross at once.
struct Object<'a> {
    store: &'a dyn Store,
    entry: &'a Entry,
    at: u64,
}

impl Read for Object<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.entry.bytes.saturating_sub(self.at);
        let length = left.min(to.len() as u64).min(STORE_CHUNK_BYTES_MAX as u64);
        if length == 0 {
            return Ok(0);
        }
        let bytes = self.store.get(&self.entry.uri, Some((self.at, length)));
        let bytes = bytes.map_err(io::Error::other)?;
        let got = bytes.len().min(to.len());
        to[..got].copy_from_slice(&bytes[..got]);
        self.at += got as u64;
        Ok(got)
    }
}
