//! The store of a bucket: where it is and who we are, by the lake's options, the environment and
//! what a catalog vended.
//!
//! Who is given credentials, in the options or vended, takes nothing of the environment, but for
//! the region of S3: neither others, nor an endpoint that these would be sent to.

use super::azure_hosts::{account_url, is_azures};
use super::buckets::StoreOptions;
use super::environment::{Environment, IDENTITY_ENDPOINT, SERVICE_ACCOUNT};
use super::http::{Connector, STORE_SILENCE_MAX};
use super::uri::Bucket;
use crate::limits::USUAL;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::azure::{
    AzureConfigKey, AzureCredential, AzureCredentialProvider, MicrosoftAzureBuilder, split_sas,
};
use object_store::gcp::{
    GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder, GoogleConfigKey,
};
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Waits between tries of one request, jittered: from 100 ms, doubled up to 2 s.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
const BACKOFF_BASE: f64 = 2.0;
/// Tries of one request. What lasts longer is the connector's to bridge: it has a deadline, and a
/// person sees what it waits for.
const RETRIES_MAX: usize = 8;
/// No try begins later than this and a wait after the first. A store that is silent gets a second
/// one, and with that the last has failed before a `put` is over.
const RETRY_TIMEOUT: Duration = Duration::from_secs(13);
const _: () = assert!(RETRY_TIMEOUT.as_secs() > STORE_SILENCE_MAX.as_secs());
const _: () = assert!(
    RETRY_TIMEOUT.as_secs() + BACKOFF_MAX.as_secs() + STORE_SILENCE_MAX.as_secs() < USUAL.as_secs()
);

pub(super) fn aws_keys(options: &StoreOptions) -> object_store::Result<AwsCredential> {
    let text = |key: &str| options.get(key).map(str::to_owned);
    Ok(AwsCredential {
        key_id: text("access_key_id").unwrap_or_default(),
        secret_key: text("secret_access_key").unwrap_or_default(),
        token: text("session_token"),
    })
}

pub(super) fn gcp_token(options: &StoreOptions) -> object_store::Result<GcpCredential> {
    let bearer = options.get("bearer_token").unwrap_or_default().to_owned();
    Ok(GcpCredential { bearer })
}

pub(super) fn azure_token(options: &StoreOptions) -> object_store::Result<AzureCredential> {
    split_sas(options.get("sas_key").unwrap_or_default()).map(AzureCredential::SASToken)
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

pub(super) type Made = object_store::Result<Arc<dyn ObjectStore>>;

pub(super) fn s3(
    bucket: &Bucket,
    environment: &Environment,
    options: &StoreOptions,
    vended: Option<AwsCredentialProvider>,
    connector: Connector,
) -> Made {
    let mut builder = AmazonS3Builder::new();
    let given = vended.is_some() || options.has("access_key_id");
    for (key, value) in environment.known("AWS_") {
        // Keys that are given must not be joined with a session token of the environment, nor be
        // sent to its endpoint.
        let region = AmazonS3ConfigKey::Region == key || AmazonS3ConfigKey::DefaultRegion == key;
        if region || !given {
            builder = builder.with_config(key, value);
        }
    }
    for (key, value) in options.iter() {
        builder = builder.with_config(AmazonS3ConfigKey::from_str(key)?, value);
    }
    if let Some(endpoint) = options.get("endpoint") {
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
        if options.get("virtual_hosted_style_request") == Some("true") {
            // The library takes such an endpoint for the bucket's own.
            builder = builder.with_endpoint(hosted(endpoint, &bucket.authority));
        }
    }
    if let Some(keys) = vended {
        builder = builder.with_credentials(keys);
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

pub(super) fn gcs(
    bucket: &Bucket,
    environment: &Environment,
    options: &StoreOptions,
    vended: Option<GcpCredentialProvider>,
    connector: Connector,
) -> Made {
    let mut builder = GoogleCloudStorageBuilder::new();
    let given =
        vended.is_some() || options.has("service_account_key") || options.has("bearer_token");
    // The environment's identity would go before what is given, and its address get it.
    if !given {
        if let Some(file) = environment.get(SERVICE_ACCOUNT) {
            builder = builder.with_config(GoogleConfigKey::ServiceAccount, file);
        }
        for (key, value) in environment.known("GOOGLE_") {
            builder = builder.with_config(key, value);
        }
    }
    for (key, value) in options.iter() {
        builder = builder.with_config(GoogleConfigKey::from_str(key)?, value);
    }
    if let Some(token) = vended {
        builder = builder.with_credentials(token);
    }
    let store = builder
        .with_bucket_name(&bucket.authority)
        .with_retry(retries())
        .with_http_connector(connector)
        .build()?;
    Ok(Arc::new(store))
}

/// As the stores' library reads a switch.
fn is_on(value: Option<String>) -> bool {
    let value = value.unwrap_or_default().to_ascii_lowercase();
    matches!(value.as_str(), "1" | "true" | "on" | "yes" | "y")
}

/// The account that an endpoint is of, if it is of one: an emulator or a proxy has all of them.
fn account_of(endpoint: &str) -> Option<String> {
    account_url(Url::parse(endpoint).ok()?.host_str()?)
}

/// `home` is the host of the warehouse's account; none where the catalog says where tables are.
/// Then an endpoint that names an account is for that one alone.
pub(super) fn azure(
    bucket: &Bucket,
    environment: &Environment,
    options: &StoreOptions,
    vended: Option<AzureCredentialProvider>,
    home: Option<&str>,
    connector: Connector,
) -> Made {
    let unfit = |why: String| object_store::Error::Generic {
        store: "MicrosoftAzure",
        source: why.into(),
    };
    let mut builder = MicrosoftAzureBuilder::new();
    let given = vended.is_some() || options.has("access_key") || options.has("sas_key");
    // The library takes a token, a key or an identity before a shared access signature, and would
    // send what is given to the environment's endpoint or emulator.
    if !given {
        for (key, value) in environment.known("AZURE_") {
            builder = builder.with_config(key, value);
        }
        if let Some(url) = environment.get(IDENTITY_ENDPOINT) {
            builder = builder.with_config(AzureConfigKey::MsiEndpoint, url);
        }
    }
    for (key, value) in options.iter() {
        builder = builder.with_config(AzureConfigKey::from_str(key)?, value);
    }
    if let Some(endpoint) = options.get("endpoint") {
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    let (container, host) = bucket.authority.split_once('@').unwrap_or_default();
    let is_home = home.is_some_and(|it| it.eq_ignore_ascii_case(host));
    let url = account_url(host);
    let of_one_account = [
        AzureConfigKey::Endpoint,
        AzureConfigKey::AccessKey,
        AzureConfigKey::SasKey,
    ];
    if let Some(home) = home
        && !is_home
        && of_one_account
            .iter()
            .any(|it| builder.get_config_value(it).is_some())
    {
        let why = format!("the endpoint, key or signature of this lake is that of {home}");
        return Err(unfit(why));
    }
    match builder.get_config_value(&AzureConfigKey::Endpoint) {
        Some(endpoint) => {
            if home.is_none()
                && let Some(own) = account_of(&endpoint)
                && url.is_none_or(|it| it != own)
            {
                return Err(unfit(format!("the endpoint of this lake is that of {own}")));
            }
        }
        // The library has a place of its own for it.
        None if is_on(builder.get_config_value(&AzureConfigKey::UseEmulator)) => {}
        None => {
            // The library knows the public cloud's hosts alone.
            let url = url.filter(|_| is_home || is_azures(host));
            let url = url.ok_or_else(|| {
                unfit(format!(
                    "`{host}` is no account in one of Azure's clouds: an endpoint must say where \
                     its blobs are"
                ))
            })?;
            builder = builder.with_endpoint(url);
        }
    }
    if !options.has("account_name") {
        builder = builder.with_account(host.split('.').next().unwrap_or_default());
    }
    if let Some(token) = vended {
        builder = builder.with_credentials(token);
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
