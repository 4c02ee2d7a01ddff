//! The credentials that a lake's catalog vends, as of now: whoever uses some asks here at each
//! request, and those that are about to expire are asked for again.

use super::buckets::StoreOptions;
use super::error::{CatalogError, StoreError};
use super::ident::Ident;
use super::uri::{Bucket, BucketKind, ObjectUri};
use super::vended::{Key, Vending, Vendor, Wallet};
use async_trait::async_trait;
use object_store::{CredentialProvider, ObjectStore};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

/// Longest wait for a catalog that is asked again: whoever needs the credentials is in the middle
/// of a request to the store, of which a part is left.
pub(super) const ASKING_MAX: Duration = Duration::from_secs(10);

/// What was vended, and who vends.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    vendor: OnceLock<Arc<dyn Vendor>>,
    wallet: Mutex<Wallet>,
    /// Of many that find their credentials due, one asks.
    asking: tokio::sync::Mutex<()>,
}

impl Purse {
    /// From now on, who is asked again for credentials that expire. Set once.
    pub(crate) fn vended_by(&self, vendor: Arc<dyn Vendor>) {
        if self.vendor.set(vendor).is_err() {
            tracing::debug!("a lake has one vendor of credentials, the first");
        }
    }

    /// Takes what the catalog vended with a table.
    pub(crate) fn take(&self, table: &Ident, vending: Vending) {
        self.wallet().take(table, vending, SystemTime::now());
    }

    /// The catalog has no such table any more: what it vended is for nobody.
    pub(crate) fn forget(&self, table: &Ident) {
        self.wallet().forget(table);
    }

    /// Which credentials are for an object.
    pub(crate) fn find(&self, uri: &ObjectUri) -> Option<Key> {
        self.wallet().find(uri)
    }

    /// The store that was made for these credentials, or what to make it of.
    pub(crate) fn store(
        &self,
        key: &Key,
        bucket: &Bucket,
    ) -> Result<Arc<dyn ObjectStore>, StoreOptions> {
        let wallet = self.wallet();
        let held = wallet.get(key);
        match held.and_then(|it| it.stores.get(bucket)) {
            Some(store) => Ok(Arc::clone(store)),
            None => Err(held.map(|it| it.vended.options.clone()).unwrap_or_default()),
        }
    }

    /// Keeps a store for as long as the credentials are for the same place.
    pub(crate) fn keep(
        &self,
        key: &Key,
        bucket: &Bucket,
        made_of: &StoreOptions,
        store: &Arc<dyn ObjectStore>,
    ) {
        self.wallet().keep(key, bucket, made_of, store);
    }

    fn wallet(&self) -> MutexGuard<'_, Wallet> {
        self.wallet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credentials that stand under a key, whether they are due or not.
    fn held(&self, key: &Key, kind: BucketKind) -> Option<Now> {
        let (wallet, now) = (self.wallet(), SystemTime::now());
        let held = wallet.successor(key, kind)?;
        Some(Now {
            options: held.vended.options.clone(),
            is_due: held.is_due(now),
            has_expired: held.has_expired(now),
        })
    }

    /// The credentials that stand under a key, renewed if they are due.
    async fn current(&self, key: &Key, kind: BucketKind) -> Result<StoreOptions, StoreError> {
        let fresh = |it: &Now| !it.is_due;
        let held = self.held(key, kind);
        if let Some(held) = held.filter(fresh) {
            return Ok(held.options);
        }
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            // Another one asks, and what is held is good for a while.
            Err(_) => match self.held(key, kind).filter(|it| !it.has_expired) {
                Some(held) => return Ok(held.options),
                None => self.asking.lock().await,
            },
        };
        if let Some(held) = self.held(key, kind).filter(fresh) {
            return Ok(held.options);
        }
        let asked = self.ask(&key.table).await;
        match (asked, self.held(key, kind)) {
            (Ok(()), Some(held)) => Ok(held.options),
            (Ok(()), None) => Err(StoreError::Other(format!(
                "the catalog vends no credentials for {} any more",
                key.prefix
            ))),
            (Err(error), Some(held)) if !held.has_expired => {
                let table = &key.table;
                tracing::debug!(%table, %error, "credentials could not be renewed yet");
                Ok(held.options)
            }
            (Err(error), _) => Err(expired(&key.table, &error)),
        }
    }

    async fn ask(&self, table: &Ident) -> Result<(), CatalogError> {
        let Some(vendor) = self.vendor.get() else {
            return Ok(());
        };
        let vended = tokio::time::timeout(ASKING_MAX, vendor.vend(table)).await;
        let late = |_| CatalogError::Transient(format!("no answer within {ASKING_MAX:?}"));
        match vended.map_err(late).flatten() {
            Ok(vending) => {
                self.take(table, vending);
                Ok(())
            }
            Err(CatalogError::Missing) => {
                self.forget(table);
                Err(CatalogError::Missing)
            }
            Err(error) => {
                self.wallet().asked(table, SystemTime::now());
                Err(error)
            }
        }
    }
}

struct Now {
    options: StoreOptions,
    is_due: bool,
    has_expired: bool,
}

fn expired(table: &Ident, error: &CatalogError) -> StoreError {
    let why = format!("the credentials for {table} have expired: {error}");
    match error {
        CatalogError::Denied(_) | CatalogError::Other(_) => StoreError::Other(why),
        // Its files may be those of the table that it was renamed to, whose credentials are found
        // at the next request. Whether it is gone is the catalog's to say.
        CatalogError::Missing => StoreError::Transient(format!(
            "the credentials for {table} can't be renewed: {error}"
        )),
        CatalogError::Exists
        | CatalogError::Conflict(_)
        | CatalogError::Unknown(_)
        | CatalogError::Transient(_)
        | CatalogError::Interrupted => StoreError::Transient(why),
    }
}

/// Vended credentials for the stores' library, which asks for them at each request: a store, and
/// an upload that has begun, outlive those that they began with.
#[derive(Debug)]
pub(crate) struct Current<C> {
    /// The purse has the stores, which have this.
    purse: Weak<Purse>,
    key: Key,
    kind: BucketKind,
    read: fn(&StoreOptions) -> object_store::Result<C>,
}

impl<C> Current<C> {
    pub(crate) fn new(
        purse: &Arc<Purse>,
        key: Key,
        kind: BucketKind,
        read: fn(&StoreOptions) -> object_store::Result<C>,
    ) -> Self {
        Self {
            purse: Arc::downgrade(purse),
            key,
            kind,
            read,
        }
    }
}

#[async_trait]
impl<C: fmt::Debug + Send + Sync + 'static> CredentialProvider for Current<C> {
    type Credential = C;

    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        let gone = || StoreError::Transient("the lake is closed".to_owned());
        let current = match self.purse.upgrade() {
            Some(purse) => purse.current(&self.key, self.kind).await,
            None => Err(gone()),
        };
        let options = current.map_err(|error| refused(&self.key, error))?;
        (self.read)(&options).map(Arc::new)
    }
}

/// In the words of the stores' library, by which the caller of the store tells what to do next.
fn refused(key: &Key, error: StoreError) -> object_store::Error {
    match error {
        StoreError::Transient(_) | StoreError::Interrupted => object_store::Error::Generic {
            store: "vended",
            source: Box::new(error),
        },
        StoreError::Denied(_)
        | StoreError::Missing
        | StoreError::TooLarge(_)
        | StoreError::Other(_) => object_store::Error::Unauthenticated {
            path: key.prefix.clone(),
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::vended::Vended;
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const PREFIX: &str = "s3://b/t";

    fn vending(key: &str, expires: SystemTime) -> Vending {
        Vending {
            places: vec![PREFIX.to_owned()],
            credentials: vec![Vended {
                prefix: PREFIX.to_owned(),
                options: options(key),
                expires: Some(expires),
                is_guessed: false,
            }],
        }
    }

    fn options(key: &str) -> StoreOptions {
        StoreOptions::default()
            .with("access_key_id", key)
            .with("secret_access_key", "x")
    }

    fn key() -> Key {
        Key {
            table: Ident::parse("n.t").unwrap(),
            prefix: PREFIX.to_owned(),
        }
    }

    /// How often it was asked; with nothing to say where it is down, or silent.
    #[derive(Debug)]
    struct Asked(AtomicU32, Mood);

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Mood {
        Well,
        Down,
        Silent,
        Gone,
    }

    #[async_trait]
    impl Vendor for Asked {
        async fn vend(&self, _table: &Ident) -> Result<Vending, CatalogError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            match self.1 {
                Mood::Well => Ok(vending("new", SystemTime::now() + hour())),
                Mood::Down => Err(CatalogError::Transient("down".to_owned())),
                Mood::Silent => std::future::pending().await,
                Mood::Gone => Err(CatalogError::Missing),
            }
        }
    }

    fn hour() -> Duration {
        Duration::from_secs(3600)
    }

    /// A purse whose credentials expire then, and were got an hour ago.
    fn purse(mood: Mood, expires: SystemTime) -> (Purse, Arc<Asked>) {
        let (purse, vendor) = (Purse::default(), Arc::new(Asked(AtomicU32::new(0), mood)));
        purse.vended_by(vendor.clone());
        let begin = SystemTime::now() - hour();
        purse
            .wallet()
            .take(&key().table, vending("old", expires), begin);
        (purse, vendor)
    }

    async fn current(purse: &Purse) -> Result<StoreOptions, StoreError> {
        purse.current(&key(), BucketKind::S3).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_is_renewed_and_good_until_then() {
        let soon = SystemTime::now() + Duration::from_secs(200);
        for (mood, expected) in [
            (Mood::Well, "new"),
            (Mood::Down, "old"),
            (Mood::Silent, "old"),
        ] {
            let (purse, vendor) = purse(mood, soon);
            assert_eq!(current(&purse).await, Ok(options(expected)), "{mood:?}");
            assert_eq!(vendor.0.load(Ordering::SeqCst), 1);
        }
        let (purse, vendor) = purse(Mood::Well, SystemTime::now() + 2 * hour());
        assert_eq!(current(&purse).await, Ok(options("old")));
        assert_eq!(vendor.0.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_expired_is_not_used_while_the_catalog_does_not_answer() {
        for mood in [Mood::Down, Mood::Silent] {
            let (purse, _) = purse(mood, SystemTime::now());
            let told = current(&purse).await;
            assert!(matches!(told, Err(StoreError::Transient(_))), "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_guessed_to_have_expired_is_used_until_the_catalog_has_others() {
        for (mood, expected) in [
            (Mood::Well, "new"),
            (Mood::Down, "guessed"),
            (Mood::Silent, "guessed"),
        ] {
            let (purse, vendor) = purse(mood, SystemTime::now());
            let mut guessed = vending("guessed", SystemTime::now());
            guessed.credentials[0].is_guessed = true;
            let begin = SystemTime::now() - hour();
            purse.wallet().take(&key().table, guessed, begin);
            assert_eq!(current(&purse).await, Ok(options(expected)), "{mood:?}");
            assert_eq!(vendor.0.load(Ordering::SeqCst), 1, "{mood:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_is_gone_leaves_its_place_to_the_one_it_was_renamed_to() {
        let (purse, vendor) = purse(Mood::Gone, SystemTime::now());
        let renamed = Ident::parse("n.t_v2").unwrap();
        purse.take(&renamed, vending("renamed", SystemTime::now() + hour()));
        // As after the old one was asked for last.
        let begin = SystemTime::now() - hour();
        let old = vending("old", SystemTime::now());
        purse.wallet().take(&key().table, old, begin);
        let uri = ObjectUri::parse(&format!("{PREFIX}/data/f")).unwrap();
        assert_eq!(purse.find(&uri), Some(key()));
        let told = current(&purse).await;
        assert!(matches!(told, Err(StoreError::Transient(_))), "{told:?}");
        assert_eq!(vendor.0.load(Ordering::SeqCst), 1);
        let found = purse.find(&uri).unwrap();
        assert_eq!(found.table, renamed);
        let now = purse.current(&found, BucketKind::S3).await;
        assert_eq!(now, Ok(options("renamed")));
        assert_eq!(vendor.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_find_them_expired_one_asks() {
        let (purse, vendor) = purse(Mood::Well, SystemTime::now());
        let all = (0..8).map(|_| current(&purse));
        for told in futures::future::join_all(all).await {
            assert_eq!(told, Ok(options("new")));
        }
        assert_eq!(vendor.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_another_asks_goes_on_with_what_is_good() {
        let soon = SystemTime::now() + Duration::from_secs(200);
        let (purse, vendor) = purse(Mood::Silent, soon);
        let began = tokio::time::Instant::now();
        let asking = current(&purse);
        let waits_for_none = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let told = current(&purse).await;
            (told, began.elapsed())
        };
        let (first, (second, after)) = tokio::join!(asking, waits_for_none);
        assert_eq!((first, second), (Ok(options("old")), Ok(options("old"))));
        assert!(after < ASKING_MAX, "{after:?}");
        assert_eq!(vendor.0.load(Ordering::SeqCst), 1);
    }
}
