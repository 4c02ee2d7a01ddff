//! Credentials that a catalog vends for the files of a table: which apply to an object, and when
//! they have to be asked for again.

use super::buckets::StoreOptions;
use super::error::CatalogError;
use super::ident::Ident;
use super::uri::{Bucket, BucketKind, ObjectUri, Root, authority_of};
use async_trait::async_trait;
use object_store::ObjectStore;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Credentials are asked for again so long before they expire: a request is tried again with those
/// that it was first signed with, and clocks differ.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Of credentials that live shorter than that, at least so much of what is left is used: asking
/// at each object would be a request for a request. Also the pause after a catalog did not answer.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// Tables that credentials are kept for: as many as two instances may load. Those that were vended
/// longest ago make room.
const TABLES_MAX: usize = 20_000;
/// Prefixes of one table: it has one, seldom a few.
const PREFIXES_MAX: usize = 64;
/// Buckets that the credentials of one prefix are used in: all but always one.
const BUCKETS_MAX: usize = 16;

/// Credentials for everything whose URI begins with a prefix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vended {
    pub(crate) prefix: String,
    pub(crate) options: StoreOptions,
    /// None: they last.
    pub(crate) expires: Option<SystemTime>,
    /// Nobody said when they expire: past that time they may be good for long.
    pub(crate) is_guessed: bool,
}

impl Vended {
    fn opens(&self, kind: BucketKind) -> bool {
        match kind {
            BucketKind::S3 => {
                self.options.has("access_key_id") && self.options.has("secret_access_key")
            }
            BucketKind::Gcs => self.options.has("bearer_token"),
            BucketKind::Azure => self.options.has("sas_key"),
        }
    }
}

/// What comes with a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Vending {
    /// Where its files are.
    pub(crate) places: Vec<String>,
    pub(crate) credentials: Vec<Vended>,
}

/// Who vends.
#[async_trait]
pub(crate) trait Vendor: fmt::Debug + Send + Sync {
    /// The credentials for a table's files, as of now.
    async fn vend(&self, table: &Ident) -> Result<Vending, CatalogError>;
}

/// Names some of the credentials that are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) table: Ident,
    pub(crate) prefix: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) vended: Vended,
    asked: SystemTime,
    /// Made when the credentials are first used.
    pub(crate) stores: BTreeMap<Bucket, Arc<dyn ObjectStore>>,
}

impl Held {
    /// Whether to ask again before using them.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let Some(expires) = self.vended.expires else {
            return false;
        };
        let soon = now + REFRESH_BEFORE >= expires;
        let rested = now
            .duration_since(self.asked)
            .is_ok_and(|it| it >= REFRESH_PAUSE);
        soon && (rested || self.has_expired(now))
    }

    /// Whether they are certainly of no use any more.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        !self.vended.is_guessed && self.vended.expires.is_some_and(|it| now >= it)
    }
}

/// What was vended with one table.
#[derive(Debug, Default)]
struct Pocket {
    /// Of two tables the one with the greater was vended for later.
    turn: u64,
    places: Vec<String>,
    /// By prefix.
    held: BTreeMap<String, Held>,
}

impl Pocket {
    /// The longest prefix wins.
    fn longest(&self, text: &str, kind: BucketKind) -> Option<(&String, &Held)> {
        let all = self.held.iter();
        all.filter(|(prefix, held)| held.vended.opens(kind) && text.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
    }
}

/// What was vended, by table: a catalog may name the same prefix for two, and means other
/// credentials for each.
#[derive(Debug, Default)]
pub(crate) struct Wallet {
    pockets: BTreeMap<Ident, Pocket>,
    /// Which tables have files in a place.
    places: BTreeMap<String, BTreeSet<Ident>>,
    /// Tables by their turns, the first of which makes room.
    turns: BTreeMap<u64, Ident>,
    /// Turns so far.
    turn: u64,
    /// Some table had to make room: a place that is not known may be its own.
    is_partial: bool,
}

impl Wallet {
    /// Takes what was vended for a table, in place of what it had.
    pub(crate) fn take(&mut self, table: &Ident, vending: Vending, now: SystemTime) {
        let mut before = self.remove(table);
        if self.pockets.len() >= TABLES_MAX {
            self.make_room();
        }
        self.turn += 1;
        let mut pocket = Pocket {
            turn: self.turn,
            ..Pocket::default()
        };
        for place in &vending.places {
            // What can't be read as a place can't be asked for either.
            if let Ok(place) = ObjectUri::parse(place) {
                pocket.places.push(place.to_string());
            }
        }
        for vended in vending.credentials {
            if pocket.held.len() >= PREFIXES_MAX {
                tracing::warn!(%table, "credentials of {PREFIXES_MAX} prefixes are kept, no more are");
                break;
            }
            let prefix = canonical(&vended.prefix);
            // Where the place is the same, the stores stay: they ask for the credentials.
            let place = vended.options.without_credentials();
            let stores = before
                .held
                .remove(&prefix)
                .filter(|it| it.vended.options.without_credentials() == place)
                .map(|it| it.stores)
                .unwrap_or_default();
            let held = Held {
                vended,
                asked: now,
                stores,
            };
            pocket.held.insert(prefix, held);
        }
        for place in &pocket.places {
            let tables = self.places.entry(place.clone()).or_default();
            tables.insert(table.clone());
        }
        self.turns.insert(pocket.turn, table.clone());
        self.pockets.insert(table.clone(), pocket);
    }

    /// The catalog has no such table any more. What stands in its place now has its own.
    pub(crate) fn forget(&mut self, table: &Ident) {
        self.remove(table);
    }

    fn make_room(&mut self) {
        let Some(oldest) = self.turns.values().next().cloned() else {
            return;
        };
        if !self.is_partial {
            tracing::warn!("credentials of {TABLES_MAX} tables are kept, the oldest make room");
        }
        self.is_partial = true;
        self.remove(&oldest);
    }

    fn remove(&mut self, table: &Ident) -> Pocket {
        let pocket = self.pockets.remove(table).unwrap_or_default();
        self.turns.remove(&pocket.turn);
        for place in &pocket.places {
            if let Some(tables) = self.places.get_mut(place) {
                tables.remove(table);
                if tables.is_empty() {
                    self.places.remove(place);
                }
            }
        }
        pocket
    }

    /// The credentials of the table that the object is of, and of these the longest prefix. Of two
    /// tables in one place the one that was vended for last has it: the other may have been renamed
    /// to it. An object that no table has takes the longest prefix of all.
    pub(crate) fn find(&self, uri: &ObjectUri) -> Option<Key> {
        let Root::Bucket(bucket) = uri.root() else {
            return None;
        };
        let text = uri.to_string();
        let mut is_of_a_table = false;
        for place in ancestors(&text) {
            let tables = self.places.get(place);
            is_of_a_table |= tables.is_some();
            let keys = tables.into_iter().flatten().filter_map(|table| {
                let turn = self.pockets.get(table)?.turn;
                Some((turn, self.longest(table, &text, bucket.kind)?))
            });
            if let Some((_, key)) = keys.max_by_key(|(turn, _)| *turn) {
                return Some(key);
            }
        }
        if is_of_a_table || self.is_partial {
            // Another table's credentials are not for its files.
            return None;
        }
        let tables = self.pockets.keys();
        tables
            .filter_map(|table| self.longest(table, &text, bucket.kind))
            .max_by_key(|key| key.prefix.len())
    }

    fn longest(&self, table: &Ident, text: &str, kind: BucketKind) -> Option<Key> {
        let (prefix, _) = self.pockets.get(table)?.longest(text, kind)?;
        Some(Key {
            table: table.clone(),
            prefix: prefix.clone(),
        })
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Held> {
        self.pockets.get(&key.table)?.held.get(&key.prefix)
    }

    /// What stands under a key, or what has taken its place: a catalog may cut its prefixes
    /// otherwise when it is asked again.
    pub(crate) fn successor(&self, key: &Key, kind: BucketKind) -> Option<&Held> {
        let pocket = self.pockets.get(&key.table)?;
        pocket.longest(&key.prefix, kind).map(|(_, held)| held)
    }

    /// Keeps a store that was made of such options, unless by now the credentials are for another
    /// place.
    pub(crate) fn keep(
        &mut self,
        key: &Key,
        bucket: &Bucket,
        made_of: &StoreOptions,
        store: &Arc<dyn ObjectStore>,
    ) {
        let pocket = self.pockets.get_mut(&key.table);
        let held = pocket.and_then(|it| it.held.get_mut(&key.prefix));
        if let Some(held) = held
            && held.stores.len() < BUCKETS_MAX
            && held.vended.options.without_credentials() == made_of.without_credentials()
        {
            held.stores.insert(bucket.clone(), Arc::clone(store));
        }
    }

    /// The catalog was asked in vain, and is left alone for a while.
    pub(crate) fn asked(&mut self, table: &Ident, now: SystemTime) {
        let pocket = self.pockets.get_mut(table);
        for held in pocket.into_iter().flat_map(|it| it.held.values_mut()) {
            held.asked = now;
        }
    }
}

/// A URI, and the folders that it lies in, from the innermost.
fn ancestors(uri: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(uri), |it| it.rfind('/').map(|at| &it[..at]))
}

/// Prefixes are texts, and some schemes name the same store.
fn canonical(prefix: &str) -> String {
    let (scheme, rest) = match prefix.split_once("://") {
        Some((scheme, rest)) => (scheme, Some(rest)),
        None => (prefix, None),
    };
    let own = match scheme {
        "s3a" | "s3n" => "s3",
        "gcs" => "gs",
        "abfs" | "wasb" | "wasbs" => "abfss",
        own => own,
    };
    let Some(rest) = rest else {
        return own.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{own}://{}{path}", authority_of(scheme, authority))
}

#[cfg(test)]
mod tests;
