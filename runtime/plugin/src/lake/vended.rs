//! Credentials that a catalog vends for the files of a table: which apply to an object, and when
//! they have to be asked for again.

use super::buckets::StoreOptions;
use super::error::CatalogError;
use super::ident::Ident;
use super::uri::ObjectUri;
use async_trait::async_trait;
use object_store::ObjectStore;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Credentials are asked for again so long before they expire: an upload that has begun with the
/// old ones goes on with them for as long as a `stage` may take, and then some.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Of credentials that live shorter than that, at least so much of what is left is used: asking
/// at each object would be a request for a request.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// Prefixes that credentials are kept for: a table has one, seldom a few.
const VENDED_MAX: usize = 20_000;

/// Credentials for everything whose URI begins with a prefix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vended {
    pub(crate) prefix: String,
    pub(crate) options: StoreOptions,
    /// None: they last.
    pub(crate) expires: Option<SystemTime>,
}

/// Who vends.
#[async_trait]
pub(crate) trait Vendor: fmt::Debug + Send + Sync {
    /// The credentials for a table's files, as of now.
    async fn vend(&self, table: &Ident) -> Result<Vec<Vended>, CatalogError>;
}

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) table: Ident,
    pub(crate) vended: Vended,
    asked: SystemTime,
    /// Made when the credentials are first used.
    pub(crate) store: Option<Arc<dyn ObjectStore>>,
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
        soon && (rested || now >= expires)
    }

    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.vended.expires.is_some_and(|it| now >= it)
    }
}

/// What was vended, by prefix.
#[derive(Debug, Default)]
pub(crate) struct Wallet {
    held: BTreeMap<String, Held>,
}

impl Wallet {
    /// Takes what was vended for a table, in place of what it had.
    pub(crate) fn take(&mut self, table: &Ident, all: Vec<Vended>, now: SystemTime) {
        // What has not changed keeps its store, and so its connections.
        let mut before = BTreeMap::new();
        self.held.retain(|prefix, it| {
            let keep = it.table != *table;
            if !keep {
                before.insert(prefix.clone(), it.clone());
            }
            keep
        });
        for vended in all {
            if self.held.len() >= VENDED_MAX {
                tracing::warn!(%table, "credentials of {VENDED_MAX} prefixes are kept, no more are");
                return;
            }
            let prefix = canonical(&vended.prefix);
            let store = before
                .remove(&prefix)
                .filter(|it| it.vended == vended)
                .and_then(|it| it.store);
            let held = Held {
                table: table.clone(),
                vended,
                asked: now,
                store,
            };
            self.held.insert(prefix, held);
        }
    }

    /// The longest prefix wins.
    pub(crate) fn find(&mut self, uri: &ObjectUri) -> Option<&mut Held> {
        let text = uri.to_string();
        // Among the texts up to this one, the prefixes of it are the last in their order that
        // match: a longer one sorts after a shorter one.
        self.held
            .range_mut(..=text.clone())
            .rev()
            .find(|(prefix, _)| text.starts_with(prefix.as_str()))
            .map(|(_, held)| held)
    }
}

/// Prefixes are texts, and `s3a://` names the same store as `s3://`.
fn canonical(prefix: &str) -> String {
    for other in ["s3a://", "s3n://"] {
        if let Some(rest) = prefix.strip_prefix(other) {
            return format!("s3://{rest}");
        }
    }
    match prefix {
        "s3a" | "s3n" => "s3".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Ident {
        Ident::parse(name).unwrap()
    }

    fn vended(prefix: &str, key: &str) -> Vended {
        Vended {
            prefix: prefix.to_owned(),
            options: StoreOptions::default().with("access_key_id", key),
            expires: None,
        }
    }

    fn key(wallet: &mut Wallet, uri: &str) -> Option<StoreOptions> {
        let uri = ObjectUri::parse(uri).unwrap();
        wallet.find(&uri).map(|it| it.vended.options.clone())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut wallet = Wallet::default();
        let of = |key: &str| Some(StoreOptions::default().with("access_key_id", key));
        let all = vec![
            vended("s3", "any"),
            vended("s3://b/t", "table"),
            vended("s3a://b/t/data/", "data"),
            vended("s3://b/t/data/x/", "deep"),
        ];
        wallet.take(&table("n.t"), all, SystemTime::UNIX_EPOCH);
        assert_eq!(key(&mut wallet, "s3://b/t/data/y/f"), of("data"));
        assert_eq!(key(&mut wallet, "s3a://b/t/data/x/f"), of("deep"));
        assert_eq!(key(&mut wallet, "s3://b/t/metadata/m"), of("table"));
        assert_eq!(key(&mut wallet, "s3://c/t/metadata/m"), of("any"));
        assert_eq!(key(&mut wallet, "gs://b/t/metadata/m"), None);
        // Another table's do not touch these, and new ones of this table replace them.
        wallet.take(
            &table("n.u"),
            vec![vended("s3://b/u", "u")],
            SystemTime::UNIX_EPOCH,
        );
        wallet.take(
            &table("n.t"),
            vec![vended("s3://b/t", "new")],
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(key(&mut wallet, "s3://b/t/data/y/f"), of("new"));
        assert_eq!(key(&mut wallet, "s3://b/u/data/y/f"), of("u"));
    }

    #[test]
    fn they_are_due_before_they_expire_and_not_at_each_object() {
        let begin = SystemTime::UNIX_EPOCH;
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut lasting = Held {
            table: table("n.t"),
            vended: vended("s3://b", "k"),
            asked: begin,
            store: None,
        };
        assert!(!lasting.is_due(at(1_000_000)));
        lasting.vended.expires = Some(at(3600));
        assert!(!lasting.is_due(at(3299)));
        assert!(lasting.is_due(at(3300)) && !lasting.has_expired(at(3300)));
        assert!(lasting.has_expired(at(3600)));
        // Short-lived ones are soon due all the time.
        lasting.vended.expires = Some(at(60));
        assert!(!lasting.is_due(at(9)));
        assert!(lasting.is_due(at(10)));
        lasting.vended.expires = Some(at(5));
        assert!(lasting.is_due(at(5)));
    }
}
