//! Buckets: made when they are first needed, with the lake's options or with what its catalog
//! vends.

use super::cloud_stores::{aws_keys, azure, azure_token, gcp_token, gcs, s3};
use super::environment::Environment;
use super::error::StoreError;
use super::http::Connector;
use super::ident::Ident;
use super::purse::{Current, Purse};
use super::uri::{Bucket, BucketKind, ObjectUri, Root};
use super::vended::{Key, Vending, Vendor};
use object_store::ObjectStore;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Buckets that one lake uses: its own, and those of tables that lie elsewhere.
const BUCKETS_MAX: usize = 64;
/// The options that say who we are, not where the store is.
const CREDENTIALS: [&str; 7] = [
    "access_key",
    "access_key_id",
    "bearer_token",
    "sas_key",
    "secret_access_key",
    "service_account_key",
    "session_token",
];

/// How a store is reached, in the words of the store's library: `access_key_id`, `region`, ….
/// What is not said is looked for in the environment, and then asked of the machine the process
/// runs on.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions(BTreeMap<String, SecretString>);

impl StoreOptions {
    /// With one more, or another value of it.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<SecretString>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// With all of `over`, which go first.
    pub(crate) fn overlaid(&self, over: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(over.0.clone());
        all
    }

    /// Where the store is, and nothing of who we are.
    pub(crate) fn without_credentials(&self) -> Self {
        let mut place = self.clone();
        place
            .0
            .retain(|key, _| !CREDENTIALS.contains(&key.as_str()));
        place
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(ExposeSecret::expose_secret)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(key, value)| (key.as_str(), value.expose_secret()))
    }
}

impl PartialEq for StoreOptions {
    fn eq(&self, other: &Self) -> bool {
        let shown = |it: &Self| -> Vec<(String, String)> {
            let pairs = it.0.iter();
            pairs
                .map(|(key, value)| (key.clone(), value.expose_secret().to_owned()))
                .collect()
        };
        shown(self) == shown(other)
    }
}

/// The buckets of a lake.
#[derive(Debug)]
pub(crate) struct Buckets {
    options: StoreOptions,
    environment: Environment,
    connector: Connector,
    /// The host of the warehouse's account, for a warehouse in Azure.
    home: Option<String>,
    made: Mutex<BTreeMap<Bucket, Arc<dyn ObjectStore>>>,
    purse: Arc<Purse>,
}

impl Buckets {
    pub(crate) fn new(options: StoreOptions, http: reqwest::Client) -> Self {
        Self::within(Environment::of_process(), options, http)
    }

    /// Buckets of a process with such an environment.
    pub(crate) fn within(
        environment: Environment,
        options: StoreOptions,
        http: reqwest::Client,
    ) -> Self {
        Self {
            options,
            environment,
            connector: Connector(http),
            home: None,
            made: Mutex::default(),
            purse: Arc::default(),
        }
    }

    /// The same for a lake with such a warehouse: what is said of one account is not used for
    /// another.
    #[must_use]
    pub(crate) fn of_warehouse(mut self, warehouse: Option<&ObjectUri>) -> Self {
        self.home = match warehouse.map(ObjectUri::root) {
            Some(Root::Bucket(bucket)) => bucket.account().map(str::to_owned),
            Some(Root::Disk) | None => None,
        };
        self
    }

    /// From now on, who is asked again for credentials that expire. Set once.
    pub(crate) fn vended_by(&self, vendor: Arc<dyn Vendor>) {
        self.purse.vended_by(vendor);
    }

    /// Takes what the catalog vended with a table.
    pub(crate) fn take(&self, table: &Ident, vending: Vending) {
        self.purse.take(table, vending);
    }

    /// The catalog has no such table any more.
    pub(crate) fn forget(&self, table: &Ident) {
        self.purse.forget(table);
    }

    /// The store of an object, with the credentials that are for it. Vended ones are looked for at
    /// each of its requests.
    pub(crate) fn of(
        &self,
        bucket: &Bucket,
        uri: &ObjectUri,
    ) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let Some(key) = self.purse.find(uri) else {
            return self.own(bucket);
        };
        let vended = match self.purse.store(&key, bucket) {
            Ok(store) => return Ok(store),
            Err(vended) => vended,
        };
        let store = self.vended(bucket, &key, &vended)?;
        self.purse.keep(&key, bucket, &vended, &store);
        Ok(store)
    }

    /// A bucket with the lake's own credentials.
    fn own(&self, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = made.get(bucket) {
            return Ok(Arc::clone(store));
        }
        if made.len() >= BUCKETS_MAX {
            return Err(StoreError::Other(format!(
                "{BUCKETS_MAX} buckets are in use, no more are"
            )));
        }
        let (environment, options) = (&self.environment, &self.options);
        let connector = self.connector.clone();
        let store = match bucket.kind {
            BucketKind::S3 => s3(bucket, environment, options, None, connector),
            BucketKind::Gcs => gcs(bucket, environment, options, None, connector),
            BucketKind::Azure => {
                let home = self.home.as_deref();
                azure(bucket, environment, options, None, home, connector)
            }
        };
        let store = store.map_err(|e| unusable(bucket, &e))?;
        made.insert(bucket.clone(), Arc::clone(&store));
        Ok(store)
    }

    /// A bucket with vended credentials, and with nothing of the lake's own.
    fn vended(
        &self,
        bucket: &Bucket,
        key: &Key,
        vended: &StoreOptions,
    ) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let (purse, environment) = (&self.purse, &self.environment);
        let (options, connector) = (self.options.without_credentials(), self.connector.clone());
        let (key, kind) = (key.clone(), bucket.kind);
        let made = match kind {
            BucketKind::S3 => {
                // Catalogs say where the store is of S3's alone.
                let options = options.overlaid(&vended.without_credentials());
                let keys = Arc::new(Current::new(purse, key, kind, aws_keys));
                s3(bucket, environment, &options, Some(keys), connector)
            }
            BucketKind::Gcs => {
                let token = Arc::new(Current::new(purse, key, kind, gcp_token));
                gcs(bucket, environment, &options, Some(token), connector)
            }
            BucketKind::Azure => {
                let token = Arc::new(Current::new(purse, key, kind, azure_token));
                let home = self.home.as_deref();
                azure(bucket, environment, &options, Some(token), home, connector)
            }
        };
        made.map_err(|e| unusable(bucket, &e))
    }
}

fn unusable(bucket: &Bucket, error: &object_store::Error) -> StoreError {
    StoreError::Other(format!("{bucket} can't be used: {error}"))
}
