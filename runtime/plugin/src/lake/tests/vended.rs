//! Whose credentials reach a store: vended, of the lake's options, or of the environment.

use super::super::STORE_CHUNK_BYTES_MAX;
use super::super::buckets::Buckets;
use super::super::environment::Environment;
use super::super::error::CatalogError;
use super::super::http;
use super::super::ident::Ident;
use super::super::store::Objects;
use super::super::upload::Upload;
use super::super::uri::{ObjectUri, Root};
use super::super::vended::{Vended, Vending, Vendor};
use super::StoreOptions;
use async_trait::async_trait;
use jackfield_test_lakes::{Fault, Front, S3Server, Seen};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

const AZURE: &str = "abfss://c@one.dfs.core.windows.net/t";

/// Answers everything, and nothing that a store would: what counts is what was sent.
async fn front() -> Front {
    let front = Front::before("http://127.0.0.1:1").await;
    front.decide(|_| Some(Fault::Status(200, String::new())));
    front
}

fn table(name: &str) -> Ident {
    Ident::parse(name).unwrap()
}

fn buckets<const N: usize>(environment: [(&str, &str); N], options: StoreOptions) -> Buckets {
    let variables = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment: Environment = variables.into_iter().collect();
    Buckets::within(environment, options, http::store_client().unwrap())
}

fn vending(place: &str, prefix: &str, options: StoreOptions) -> Vending {
    Vending {
        places: vec![place.to_owned()],
        credentials: vec![Vended {
            prefix: prefix.to_owned(),
            options,
            expires: None,
            is_guessed: false,
        }],
    }
}

/// How an object is put.
async fn sent(buckets: &Buckets, front: &Front, uri: &str) -> Seen {
    let uri = ObjectUri::parse(uri).unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    let store = buckets.of(bucket, &uri).unwrap();
    let put = store.put_opts(uri.object(), "x".into(), Default::default());
    let put = put.await;
    let seen = front.seen().pop();
    seen.unwrap_or_else(|| panic!("nothing was sent: {put:?}"))
}

fn authorization(seen: &Seen) -> &str {
    let header = seen.headers.get("authorization");
    header.map_or("", |it| it.to_str().unwrap())
}

fn keys(key: &str) -> StoreOptions {
    StoreOptions::default()
        .with("access_key_id", key)
        .with("secret_access_key", "secret")
}

fn s3(front: &Front) -> StoreOptions {
    StoreOptions::default().with("endpoint", front.url())
}

/// What a pod with a workload identity has, an account's key, a token, and an endpoint.
const OF_AZURE: [(&str, &str); 7] = [
    ("AZURE_CLIENT_ID", "client"),
    ("AZURE_TENANT_ID", "tenant"),
    ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token"),
    ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
    ("AZURE_STORAGE_TOKEN", "of-the-environment"),
    ("AZURE_STORAGE_ENDPOINT", "https://elsewhere.test"),
];

/// Why there is no store of an object.
fn unusable(buckets: &Buckets, uri: &str) -> String {
    let uri = ObjectUri::parse(uri).unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    buckets.of(bucket, &uri).unwrap_err().to_string()
}

/// How the store of an object shows itself: the library has no other way to tell its address.
fn shown(buckets: &Buckets, uri: &str) -> String {
    let uri = ObjectUri::parse(uri).unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    format!("{:?}", buckets.of(bucket, &uri).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_is_not_sent_to_the_endpoint_of_the_environment() {
    let of_google = [
        ("GOOGLE_BASE_URL", "https://elsewhere.test"),
        // With it the library does not look for the machine's own.
        ("GOOGLE_SERVICE_ACCOUNT_KEY", ACCOUNT),
    ];
    for (buckets, place, given) in [
        (
            buckets(OF_AZURE, StoreOptions::default()),
            AZURE,
            StoreOptions::default().with("sas_key", "sv=1&sig=vended"),
        ),
        (
            buckets(of_google, StoreOptions::default()),
            "gs://b/t",
            StoreOptions::default().with("bearer_token", "vended"),
        ),
    ] {
        buckets.take(&table("n.t"), vending(place, place, given));
        let vended = shown(&buckets, &format!("{place}/data/x"));
        assert!(!vended.contains("elsewhere.test"), "{vended}");
        let other = format!("{}/x", place.replace("/t", "/other"));
        let own = shown(&buckets, &other);
        assert!(own.contains("elsewhere.test"), "{own}");
    }
    let own = StoreOptions::default().with("sas_key", "sv=1&sig=own");
    let own = shown(&buckets(OF_AZURE, own), &format!("{AZURE}/data/x"));
    assert!(!own.contains("elsewhere.test"), "{own}");
}

/// An account that asks nobody for tokens.
const ACCOUNT: &str = r#"{"private_key": "", "private_key_id": "", "client_email": "",
    "disable_oauth": true}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_is_not_sent_to_the_emulator_of_the_environment() {
    let front = front().await;
    let own = StoreOptions::default().with("endpoint", front.url());
    let buckets = buckets([("AZURE_STORAGE_USE_EMULATOR", "true")], own);
    let vended = StoreOptions::default().with("sas_key", "sv=1&sig=vended");
    buckets.take(&table("n.t"), vending(AZURE, AZURE, vended));
    let seen = sent(&buckets, &front, &format!("{AZURE}/data/x")).await;
    assert!(seen.path.contains("sig=vended"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vended_signature_goes_before_the_lakes_key_and_the_environments_identity() {
    let front = front().await;
    let own = StoreOptions::default()
        .with("endpoint", front.url())
        .with("access_key", "a2V5");
    let buckets = buckets(OF_AZURE, own);
    let vended = StoreOptions::default().with("sas_key", "sv=1&sig=vended");
    buckets.take(&table("n.t"), vending(AZURE, AZURE, vended));
    let seen = sent(&buckets, &front, &format!("{AZURE}/data/x")).await;
    assert!(seen.path.contains("sig=vended"), "{seen:?}");
    assert_eq!(authorization(&seen), "");
    let other = format!("{}/x", AZURE.replace("/t", "/other"));
    let seen = sent(&buckets, &front, &other).await;
    assert!(
        authorization(&seen).starts_with("SharedKey one:"),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_or_key_of_the_file_goes_before_the_environments_identity() {
    let front = front().await;
    let endpoint = || StoreOptions::default().with("endpoint", front.url());
    let uri = format!("{AZURE}/data/x");
    let sas = buckets(OF_AZURE, endpoint().with("sas_key", "sv=1&sig=own"));
    let seen = sent(&sas, &front, &uri).await;
    assert!(seen.path.contains("sig=own"), "{seen:?}");
    assert_eq!(authorization(&seen), "");
    let key = buckets(OF_AZURE, endpoint().with("access_key", "a2V5"));
    let seen = sent(&key, &front, &uri).await;
    assert!(
        authorization(&seen).starts_with("SharedKey one:"),
        "{seen:?}"
    );
    // Where the file has neither, the environment is asked.
    let environment = buckets(OF_AZURE, endpoint());
    let seen = sent(&environment, &front, &uri).await;
    assert_eq!(authorization(&seen), "Bearer of-the-environment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vended_token_goes_before_any_account_of_googles() {
    let front = front().await;
    let own = StoreOptions::default()
        .with("base_url", front.url())
        .with("service_account_key", "no account at all");
    let environment = [
        ("GOOGLE_SERVICE_ACCOUNT", "/nowhere/account"),
        ("GOOGLE_BEARER_TOKEN", "of-the-environment"),
        ("SERVICE_ACCOUNT", "/nowhere/other"),
    ];
    let buckets = buckets(environment, own);
    let vended = StoreOptions::default().with("bearer_token", "vended");
    buckets.take(&table("n.t"), vending("gs://b/t", "gs://b/t", vended));
    let seen = sent(&buckets, &front, "gs://b/t/data/x").await;
    assert_eq!(authorization(&seen), "Bearer vended");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_given_take_the_region_of_the_environment_and_nothing_else() {
    let front = front().await;
    let environment = [
        ("AWS_DEFAULT_REGION", "default-1"),
        ("AWS_REGION", "south-1"),
        ("AWS_SESSION_TOKEN", "of-the-environment"),
        ("AWS_SKIP_SIGNATURE", "true"),
    ];
    let own = s3(&front).overlaid(&keys("own"));
    let buckets = buckets(environment, own.with("session_token", "of-the-lake"));
    let place = "s3://b/t";
    buckets.take(&table("n.t"), vending(place, place, keys("vended")));
    for (uri, key, token) in [
        ("s3://b/t/data/x", "vended", None),
        ("s3://b/other/x", "own", Some("of-the-lake")),
    ] {
        let seen = sent(&buckets, &front, uri).await;
        let signed = authorization(&seen);
        assert!(signed.contains(&format!("Credential={key}/")), "{signed}");
        assert!(signed.contains("/south-1/s3/"), "{signed}");
        let sent = seen.headers.get("x-amz-security-token");
        assert_eq!(sent.map(|it| it.to_str().unwrap()), token);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_prefix_vended_for_two_tables_is_each_ones_own() {
    let front = front().await;
    let buckets = buckets([("AWS_REGION", "r")], s3(&front));
    for name in ["n.t", "n.u", "n.v"] {
        let place = format!("s3://b/{name}");
        buckets.take(&table(name), vending(&place, "s3://b", keys(name)));
    }
    for name in ["n.t", "n.u", "n.v"] {
        let seen = sent(&buckets, &front, &format!("s3://b/{name}/data/x")).await;
        let signed = authorization(&seen);
        assert!(signed.contains(&format!("Credential={name}/")), "{signed}");
    }
}

/// Vends `key1`, `key2`, …, each for an hour.
#[derive(Debug, Default)]
struct Counting(AtomicU32);

#[async_trait]
impl Vendor for Counting {
    async fn vend(&self, _table: &Ident) -> Result<Vending, CatalogError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let mut vending = vending("s3://lake/t", "s3://lake/t", keys(&format!("key{number}")));
        let hour = Duration::from_secs(3600);
        vending.credentials[0].expires = Some(SystemTime::now() + hour);
        Ok(vending)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_outlives_the_credentials_that_it_began_with() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let buckets = buckets([("AWS_REGION", "us-east-1")], s3(&front));
    let buckets = Arc::new(buckets);
    let vendor = Arc::new(Counting::default());
    buckets.vended_by(vendor.clone());
    let first = vendor.vend(&table("n.t")).await.unwrap();
    buckets.take(&table("n.t"), first.clone());

    let objects = Objects::Buckets(Arc::clone(&buckets));
    let uri = ObjectUri::parse("s3://lake/t/data/large").unwrap();
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let mut upload = Upload::begin(&objects, uri, permit).await.unwrap();
    let chunk = || vec![7; STORE_CHUNK_BYTES_MAX];
    for _ in 0..6 {
        upload.write(chunk()).await.unwrap();
    }
    // An hour goes by.
    let mut late = first;
    late.credentials[0].expires = Some(SystemTime::now());
    buckets.take(&table("n.t"), late);
    for _ in 0..6 {
        upload.write(chunk()).await.unwrap();
    }
    let size = 12 * STORE_CHUNK_BYTES_MAX as u64;
    assert_eq!(upload.finish().await, Ok(size));

    let signed = |it: &Seen| authorization(it).contains("Credential=key2/");
    let seen = front.seen();
    let begun = seen.iter().find(|it| it.path.contains("?uploads"));
    assert!(begun.is_some_and(|it| !signed(it)), "{seen:?}");
    let last = seen.iter().filter(|it| it.path.contains("partNumber=3"));
    assert!(last.clone().count() == 1 && last.clone().all(signed));
    let whole = |it: &&Seen| it.method == "POST" && it.path.contains("uploadId=");
    assert!(seen.iter().filter(whole).all(signed));
    assert_eq!(seen.iter().filter(whole).count(), 1);
    assert_eq!(vendor.0.load(Ordering::SeqCst), 2, "asked again once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_one_account_is_not_used_for_another() {
    let warehouse = ObjectUri::parse(AZURE).unwrap();
    let other = ObjectUri::parse("abfss://c@two.dfs.core.windows.net/t/x").unwrap();
    let Root::Bucket(bucket) = other.root() else {
        panic!("{other}")
    };
    for (option, value) in [
        ("endpoint", "https://elsewhere.test"),
        ("access_key", "a2V5"),
        ("sas_key", "sv=1&sig=own"),
    ] {
        let own = StoreOptions::default().with(option, value);
        let buckets = buckets([("AZURE_STORAGE_TOKEN", "t")], own);
        let buckets = buckets.of_warehouse(Some(&warehouse));
        let told = buckets.of(bucket, &other).unwrap_err().to_string();
        assert!(told.contains("that of one.dfs.core.windows.net"), "{told}");
        shown(&buckets, &format!("{AZURE}/data/x"));
    }
    // An identity may be let in by several.
    let identity = buckets([("AZURE_STORAGE_TOKEN", "t")], StoreOptions::default());
    let identity = identity.of_warehouse(Some(&warehouse));
    let shown = shown(&identity, &other.to_string());
    assert!(shown.contains("two.blob.core.windows.net"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_cloud_is_asked_there() {
    let government = "abfss://c@one.dfs.core.usgovcloudapi.net/t";
    let own = StoreOptions::default().with("sas_key", "sv=1&sig=own");
    let buckets = buckets([], own);
    let own = shown(&buckets, &format!("{government}/x"));
    assert!(own.contains("one.blob.core.usgovcloudapi.net"), "{own}");
    let vended = StoreOptions::default().with("sas_key", "sv=1&sig=vended");
    buckets.take(&table("n.t"), vending(government, government, vended));
    let vended = shown(&buckets, &format!("{government}/data/x"));
    assert!(
        vended.contains("one.blob.core.usgovcloudapi.net"),
        "{vended}"
    );
    let told = unusable(&buckets, "abfss://c@account.example/t/x");
    assert!(told.contains("an endpoint must"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_we_are_is_shown_to_azures_hosts_and_to_the_warehouses() {
    let strange = "abfss://c@x.dfs.evil.test/t/x";
    let token = || buckets([("AZURE_STORAGE_TOKEN", "t")], StoreOptions::default());
    let sas = || {
        let own = StoreOptions::default().with("sas_key", "sv=1&sig=own");
        buckets([], own)
    };
    let warehouse = ObjectUri::parse(AZURE).unwrap();
    for buckets in [token(), sas(), token().of_warehouse(Some(&warehouse))] {
        let told = unusable(&buckets, strange);
        assert!(told.contains("an endpoint must"), "{told}");
        let azures = shown(&buckets, &format!("{AZURE}/x"));
        assert!(azures.contains("one.blob.core.windows.net"), "{azures}");
    }
    let own = ObjectUri::parse("abfss://c@x.DFS.private.test/w").unwrap();
    let private = token().of_warehouse(Some(&own));
    let home = shown(&private, "abfss://c@x.dfs.private.test/w/x");
    assert!(home.contains("x.blob.private.test"), "{home}");
    let beside = unusable(&private, "abfss://c@y.dfs.private.test/w/x");
    assert!(beside.contains("an endpoint must"), "{beside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_warehouse_an_accounts_endpoint_is_for_that_account() {
    let other = "abfss://c@two.dfs.core.windows.net/t/x";
    let of = |endpoint: &str| {
        let own = StoreOptions::default().with("endpoint", endpoint);
        buckets([("AZURE_STORAGE_TOKEN", "t")], own)
    };
    let account = of("https://One.blob.core.windows.net");
    let own = shown(&account, &format!("{AZURE}/x"));
    assert!(own.contains("one.blob.core.windows.net"), "{own}");
    let told = unusable(&account, other);
    assert!(told.contains("that of https://one.blob."), "{told}");
    // It names no account: whoever is behind it knows which are there.
    let proxy = of("https://proxy.test");
    for uri in [AZURE, other] {
        let shown = shown(&proxy, &format!("{uri}/x"));
        assert!(shown.contains("proxy.test"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_of_the_environment_needs_no_endpoint() {
    for on in ["true", "1", "Yes"] {
        let emulated = buckets(
            [("AZURE_STORAGE_USE_EMULATOR", on)],
            StoreOptions::default(),
        );
        let shown = shown(&emulated, "abfss://c@devstoreaccount1/t/x");
        assert!(shown.contains("is_emulator: true"), "{shown}");
    }
    let off = buckets(
        [("AZURE_STORAGE_USE_EMULATOR", "false")],
        StoreOptions::default(),
    );
    let told = unusable(&off, "abfss://c@devstoreaccount1/t/x");
    assert!(told.contains("an endpoint must"), "{told}");
}
