//! Buckets: made when they are first needed, with the lake's options or with what its catalog
//! vends.

use super::error::{CatalogError, StoreError};
use super::http::Connector;
use super::ident::Ident;
use super::uri::{Bucket, BucketKind, ObjectUri};
use super::vended::{Vended, Vendor, Wallet};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

/// Waits between tries of one request, jittered: from 100 ms, doubled up to 5 s.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const BACKOFF_BASE: f64 = 2.0;
/// Tries of one request. What lasts longer is the connector's to bridge: it has a deadline, and a
/// person sees what it waits for.
const RETRIES_MAX: usize = 8;
/// No try begins later than this after the first: a `put` has 30 s.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Buckets that one lake uses: its own, and those of tables that lie elsewhere.
const BUCKETS_MAX: usize = 64;

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

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(ExposeSecret::expose_secret)
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
    connector: Connector,
    made: Mutex<BTreeMap<Bucket, Arc<dyn ObjectStore>>>,
    vendor: OnceLock<Arc<dyn Vendor>>,
    wallet: Mutex<Wallet>,
    /// Of many that find their credentials due, one asks.
    asking: tokio::sync::Mutex<()>,
}

impl Buckets {
    pub(crate) fn new(options: StoreOptions, http: reqwest::Client) -> Self {
        Self {
            options,
            connector: Connector(http),
            made: Mutex::default(),
            vendor: OnceLock::new(),
            wallet: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// From now on, who is asked again for credentials that expire. Set once.
    pub(crate) fn vended_by(&self, vendor: Arc<dyn Vendor>) {
        if self.vendor.set(vendor).is_err() {
            tracing::debug!("a lake has one vendor of credentials, the first");
        }
    }

    /// Takes what the catalog vended with a table.
    pub(crate) fn take(&self, table: &Ident, vended: Vec<Vended>) {
        self.wallet().take(table, vended, SystemTime::now());
    }

    fn wallet(&self) -> MutexGuard<'_, Wallet> {
        self.wallet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store of an object, with the credentials that are for it.
    pub(crate) async fn of(
        &self,
        bucket: &Bucket,
        uri: &ObjectUri,
    ) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let due = |wallet: &mut Wallet| -> Option<Ident> {
            let held = wallet.find(uri)?;
            held.is_due(SystemTime::now()).then(|| held.table.clone())
        };
        if due(&mut self.wallet()).is_some() {
            let _asking = self.asking.lock().await;
            let still = due(&mut self.wallet());
            if let Some(table) = still {
                self.ask_again(uri, &table).await?;
            }
        }
        let mut wallet = self.wallet();
        let Some(held) = wallet.find(uri) else {
            drop(wallet);
            return self.own(bucket);
        };
        if let Some(store) = &held.store {
            return Ok(Arc::clone(store));
        }
        let store = self.with(bucket, &held.vended.options)?;
        // A prefix that names no bucket is for all of them.
        if held.vended.prefix.contains("://") {
            held.store = Some(Arc::clone(&store));
        }
        Ok(store)
    }

    async fn ask_again(&self, uri: &ObjectUri, table: &Ident) -> Result<(), StoreError> {
        let Some(vendor) = self.vendor.get() else {
            return Ok(());
        };
        let error = match vendor.vend(table).await {
            Ok(vended) => {
                self.take(table, vended);
                return Ok(());
            }
            Err(error) => error,
        };
        let now = SystemTime::now();
        if self
            .wallet()
            .find(uri)
            .is_some_and(|it| !it.has_expired(now))
        {
            tracing::debug!(%table, %error, "credentials could not be renewed yet");
            return Ok(());
        }
        let why = format!("the credentials for {table} have expired: {error}");
        Err(match error {
            CatalogError::Denied(_) | CatalogError::Missing | CatalogError::Other(_) => {
                StoreError::Other(why)
            }
            CatalogError::Exists
            | CatalogError::Conflict(_)
            | CatalogError::Unknown(_)
            | CatalogError::Transient(_)
            | CatalogError::Interrupted => StoreError::Transient(why),
        })
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
        let store = self.with(bucket, &StoreOptions::default())?;
        made.insert(bucket.clone(), Arc::clone(&store));
        Ok(store)
    }

    /// A bucket with other credentials.
    fn with(
        &self,
        bucket: &Bucket,
        over: &StoreOptions,
    ) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let options = self.options.overlaid(over);
        let made = match bucket.kind {
            BucketKind::S3 => s3(bucket, &options, self.connector.clone()),
            BucketKind::Gcs => gcs(bucket, &options, self.connector.clone()),
            BucketKind::Azure => azure(bucket, &options, self.connector.clone()),
        };
        made.map_err(|e| StoreError::Other(format!("{bucket} can't be used: {e}")))
    }
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: BACKOFF_FIRST,
            max_backoff: BACKOFF_MAX,
            base: BACKOFF_BASE,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    }
}

type Made = object_store::Result<Arc<dyn ObjectStore>>;

fn s3(bucket: &Bucket, options: &StoreOptions, connector: Connector) -> Made {
    // Keys of the configuration must not be joined with a session token of the environment.
    let mut builder = if options.has("access_key_id") {
        AmazonS3Builder::new()
    } else {
        AmazonS3Builder::from_env()
    };
    for (key, value) in &options.0 {
        builder = builder.with_config(AmazonS3ConfigKey::from_str(key)?, value.expose_secret());
    }
    if let Some(endpoint) = options.get("endpoint") {
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
        if options.get("virtual_hosted_style_request") == Some("true") {
            // The library takes such an endpoint for the bucket's own.
            builder = builder.with_endpoint(hosted(endpoint, &bucket.authority));
        }
    }
    let store = builder
        .with_bucket_name(&bucket.authority)
        .with_retry(retries())
        .with_http_connector(connector)
        .build()?;
    Ok(Arc::new(store))
}

/// An endpoint with the bucket before its host. One that begins with the bucket's name is taken for
/// the bucket's own, since nothing tells it from a host that is called as the bucket is. Amazon's
/// hosts do: behind a bucket comes the service.
fn hosted(endpoint: &str, bucket: &str) -> String {
    let Some((scheme, host)) = endpoint.split_once("://") else {
        return endpoint.to_owned();
    };
    let behind = host
        .strip_prefix(bucket)
        .and_then(|it| it.strip_prefix('.'));
    let of_service = |it: &str| it.starts_with("s3.") || it.starts_with("s3-");
    match behind {
        Some(behind) if !host.contains(".amazonaws.com") || of_service(behind) => {
            endpoint.to_owned()
        }
        Some(_) | None => format!("{scheme}://{bucket}.{host}"),
    }
}

fn gcs(bucket: &Bucket, options: &StoreOptions, connector: Connector) -> Made {
    let mut builder = GoogleCloudStorageBuilder::from_env();
    for (key, value) in &options.0 {
        builder = builder.with_config(GoogleConfigKey::from_str(key)?, value.expose_secret());
    }
    let store = builder
        .with_bucket_name(&bucket.authority)
        .with_retry(retries())
        .with_http_connector(connector)
        .build()?;
    Ok(Arc::new(store))
}

fn azure(bucket: &Bucket, options: &StoreOptions, connector: Connector) -> Made {
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (key, value) in &options.0 {
        builder = builder.with_config(AzureConfigKey::from_str(key)?, value.expose_secret());
    }
    if let Some(endpoint) = options.get("endpoint") {
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    let (container, host) = bucket.authority.split_once('@').unwrap_or_default();
    if !options.has("account_name") {
        builder = builder.with_account(host.split('.').next().unwrap_or_default());
    }
    let store = builder
        .with_container_name(container)
        .with_retry(retries())
        .with_http_connector(connector)
        .build()?;
    Ok(Arc::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_goes_before_the_host_unless_it_is_there() {
        let amazon = "https://s3.eu-west-1.amazonaws.com";
        for (endpoint, bucket, expected) in [
            ("http://store:9000", "lake", "http://lake.store:9000"),
            ("http://lake.store:9000", "lake", "http://lake.store:9000"),
            ("http://lakes.store", "lake", "http://lake.lakes.store"),
            (amazon, "s3", "https://s3.s3.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(hosted(endpoint, bucket), expected);
        }
        let own = "https://lake.s3.eu-west-1.amazonaws.com";
        assert_eq!(hosted(amazon, "lake"), own);
        assert_eq!(hosted(own, "lake"), own);
    }
}
