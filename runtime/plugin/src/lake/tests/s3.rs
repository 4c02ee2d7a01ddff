//! The same over S3: a server of the test's own, and one that has a bad day.

use super::super::buckets::Buckets;
use super::super::uri::{ObjectUri, Root};
use super::super::{LIST_ENTRIES_MAX, STORE_CHUNK_BYTES_MAX, StoreError};
use super::{
    CatalogConfig, CatalogError, Lake, LakeAccess, LakeConfig, Place, StoreOptions, commit, create,
    load, race,
};
use jackfield_test_lakes::{Fault, Front, S3Server, Seen};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use url::Url;

fn options(endpoint: &str) -> StoreOptions {
    StoreOptions::default()
        .with("endpoint", endpoint)
        .with("region", "us-east-1")
        .with("access_key_id", "key")
        .with("secret_access_key", "secret")
        .with("checksum_algorithm", "crc64nvme")
}

async fn lake(place: &Place, endpoint: &str) -> Arc<Lake> {
    let config = LakeConfig {
        name: "local".to_owned(),
        catalog: CatalogConfig::Sql {
            uri: place.sqlite().into(),
        },
        warehouse: Some(Url::parse("s3://lake/w").unwrap()),
        store: options(endpoint),
    };
    Lake::open(config).await.unwrap()
}

async fn access(place: &Place, endpoint: &str) -> LakeAccess {
    lake(place, endpoint).await.access()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_in_a_bucket_are_what_was_put() {
    let (server, place) = (S3Server::start().await, Place::new());
    let lake = access(&place, &server.url()).await;
    let uri = "s3://lake/w/ns/t/data/symbol=A%2FB/x y.parquet";
    assert_eq!(lake.head(uri).await, Ok(None));
    assert_eq!(lake.get(uri, None).await, Err(StoreError::Missing));
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    lake.put(uri, bytes.clone()).await.unwrap();
    assert_eq!(lake.get(uri, None).await.unwrap(), bytes);
    let s3a = uri.replace("s3://", "s3a://");
    assert_eq!(lake.get(&s3a, None).await.unwrap(), bytes);
    assert_eq!(lake.get(uri, Some((10, 20))).await.unwrap(), bytes[10..30]);
    let outside = lake.get(uri, Some((99_990, 20))).await;
    assert!(matches!(outside, Err(StoreError::Other(_))), "{outside:?}");
    let entry = lake.head(uri).await.unwrap().unwrap();
    assert_eq!((entry.uri.as_str(), entry.bytes), (uri, 100_000));
    assert!(entry.modified_ms > 1_700_000_000_000);

    // In order, page by page, and never beyond the folder.
    for n in 0..5 {
        lake.put(&format!("s3://lake/w/l/{n}"), vec![n])
            .await
            .unwrap();
    }
    lake.put("s3://lake/w/l2/0", vec![0]).await.unwrap();
    let page = lake.list("s3://lake/w/l", None, 3).await.unwrap();
    let uris: Vec<_> = page.iter().map(|it| it.uri.as_str()).collect();
    assert_eq!(
        uris,
        ["s3://lake/w/l/0", "s3://lake/w/l/1", "s3://lake/w/l/2"]
    );
    let rest = lake
        .list("s3://lake/w/l", Some(uris[2]), LIST_ENTRIES_MAX)
        .await;
    assert_eq!(rest.unwrap().len(), 2);

    lake.delete(uri).await.unwrap();
    lake.delete(uri).await.unwrap();
    assert_eq!(lake.head(uri).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_with_the_prefix() {
    let (server, place) = (S3Server::start().await, Place::new());
    server.make_bucket("other").await;
    let lake = access(&place, &server.url()).await;
    for outside in [
        "s3://lake/x",
        "s3://lake/w2/x",
        "s3://other/w/x",
        "gs://lake/w/x",
        "file:///etc/passwd",
    ] {
        let told = lake.get(outside, None).await;
        assert!(
            matches!(told, Err(StoreError::Denied(_))),
            "{outside} {told:?}"
        );
    }
    let told = lake.get("s3://lake/w/../x", None).await;
    assert!(matches!(told, Err(StoreError::Denied(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_in_parts_and_appears_whole_or_not_at_all() {
    let (server, place) = (S3Server::start().await, Place::new());
    let front = Front::before(server.url()).await;
    let lake = access(&place, &front.url()).await;
    let chunk = |n: u8| vec![n; STORE_CHUNK_BYTES_MAX];
    let uri = "s3://lake/w/t/data/large.parquet";
    let mut upload = lake.create(uri).await.unwrap();
    for n in 0..13 {
        upload.write(chunk(n)).await.unwrap();
    }
    assert_eq!(lake.head(uri).await, Ok(None));
    assert_eq!(upload.finish().await, Ok(13 * STORE_CHUNK_BYTES_MAX as u64));
    assert_eq!(upload.finish().await, Ok(13 * STORE_CHUNK_BYTES_MAX as u64));
    for n in [0_u8, 7, 12] {
        let at = u64::from(n) * STORE_CHUNK_BYTES_MAX as u64;
        let got = lake
            .get(uri, Some((at, STORE_CHUNK_BYTES_MAX as u64)))
            .await;
        assert_eq!(got.unwrap(), chunk(n), "{n}");
    }
    let parts = || {
        let seen = front.seen().into_iter();
        seen.filter(|it| it.path.contains("partNumber=")).count()
    };
    assert_eq!(parts(), 3, "5, 5 and 3 MiB");
    assert!(
        front
            .seen()
            .iter()
            .any(|it| it.headers.contains_key("x-amz-checksum-crc64nvme")),
        "the store can check what it is sent"
    );

    // A small one takes one request.
    let before = front.seen().len();
    let mut upload = lake.create("s3://lake/w/t/data/small").await.unwrap();
    upload.write(b"one".to_vec()).await.unwrap();
    upload.write(b"two".to_vec()).await.unwrap();
    assert_eq!(upload.finish().await, Ok(6));
    assert_eq!(front.seen().len(), before + 1);
    assert_eq!(
        lake.get("s3://lake/w/t/data/small", None).await.unwrap(),
        b"onetwo"
    );

    // Dropped unfinished, its parts are given up.
    let uri = "s3://lake/w/t/data/dropped";
    let mut upload = lake.create(uri).await.unwrap();
    for n in 0..6 {
        upload.write(chunk(n)).await.unwrap();
    }
    drop(upload);
    let aborted = || {
        let seen = front.seen().into_iter();
        seen.filter(|it| it.method == "DELETE" && it.path.contains("uploadId="))
            .count()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while aborted() == 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(aborted(), 1);
    assert_eq!(lake.head(uri).await, Ok(None));
}

/// Waits for what will be so.
async fn until(so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "it is not so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_within_a_call_takes_its_parts_back() {
    let (server, place) = (S3Server::start().await, Place::new());
    let front = Front::before(server.url()).await;
    let lake = access(&place, &front.url()).await;
    let seen = |method: &str, part: &str| {
        let seen = front.seen().into_iter();
        seen.filter(|it| it.method == method && it.path.contains(part))
            .count()
    };
    let silent = Duration::from_secs(3600);
    let chunk = || vec![7; STORE_CHUNK_BYTES_MAX];

    // No part is answered, and a write waits for them.
    front.decide(move |it| {
        let is_part = it.path.contains("partNumber=");
        is_part.then_some(Fault::Late(silent))
    });
    let mut upload = lake.create("s3://lake/w/t/data/written").await.unwrap();
    let writing = async {
        for _ in 0..16 {
            upload.write(chunk()).await.unwrap();
        }
    };
    tokio::select! {
        () = writing => panic!("it did not wait"),
        () = until(|| seen("PUT", "partNumber=") > 0) => {}
    }
    until(|| seen("DELETE", "uploadId=") == 1).await;
    assert!(upload.finish().await.is_err());

    // The parts are there, and making it whole is not answered.
    front.decide(move |it| {
        let is_whole = it.method == "POST" && it.path.contains("uploadId=");
        is_whole.then_some(Fault::Late(silent))
    });
    let uri = "s3://lake/w/t/data/finished";
    let mut upload = lake.create(uri).await.unwrap();
    for _ in 0..6 {
        upload.write(chunk()).await.unwrap();
    }
    tokio::select! {
        _ = upload.finish() => panic!("it did not wait"),
        () = until(|| seen("POST", "uploadId=") > 0) => {}
    }
    until(|| seen("DELETE", "uploadId=") == 2).await;
    assert!(upload.finish().await.is_err());
    assert_eq!(lake.head(uri).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_store_knows_no_more_is_whole_or_gone() {
    let (server, place) = (S3Server::start().await, Place::new());
    let front = Front::before(server.url()).await;
    let lake = access(&place, &front.url()).await;
    let unknown = || {
        let words = "<Error><Code>NoSuchUpload</Code></Error>";
        Fault::Status(404, words.to_owned())
    };
    let is_upload = |it: &Seen, method: &str| it.method == method && it.path.contains("uploadId=");
    let upload = async |uri: &str| {
        front.mend();
        let mut upload = lake.create(uri).await.unwrap();
        for _ in 0..6 {
            upload.write(vec![7; STORE_CHUNK_BYTES_MAX]).await.unwrap();
        }
        upload
    };
    let size = 6 * STORE_CHUNK_BYTES_MAX as u64;

    // It is made whole and the answer is lost, after which there is nothing to give up.
    let uri = "s3://lake/w/t/data/whole";
    let mut whole = upload(uri).await;
    front.decide(move |it| {
        if is_upload(it, "POST") {
            return Some(Fault::Unheard);
        }
        is_upload(it, "DELETE").then(unknown)
    });
    assert_eq!(whole.finish().await, Ok(size));
    assert_eq!(lake.head(uri).await.unwrap().unwrap().bytes, size);

    // It never was, and nothing, another object or one from before is there.
    let is_gone = |told: Result<u64, StoreError>| {
        let Err(StoreError::Transient(why)) = &told else {
            panic!("{told:?}")
        };
        assert!(why.contains("the upload is gone"), "{why}");
    };
    let refuse_whole = move |it: &Seen| {
        let is_end = is_upload(it, "POST") || is_upload(it, "DELETE");
        is_end.then(unknown)
    };
    for meanwhile in [None, Some(vec![1; 9])] {
        let uri = "s3://lake/w/t/data/gone";
        let mut gone = upload(uri).await;
        if let Some(meanwhile) = meanwhile {
            lake.put(uri, meanwhile).await.unwrap();
        }
        front.decide(refuse_whole);
        is_gone(gone.finish().await);
    }
    let uri = "s3://lake/w/t/data/before";
    assert_eq!(upload(uri).await.finish().await, Ok(size));
    let mut gone = upload(uri).await;
    front.decide(refuse_whole);
    is_gone(gone.finish().await);

    // A part is refused, so it never was, and what is there is another's.
    let uri = "s3://lake/w/t/data/anothers";
    let mut gone = upload(uri).await;
    assert_eq!(upload(uri).await.finish().await, Ok(size));
    front.decide(move |it| it.path.contains("uploadId=").then(unknown));
    is_gone(gone.finish().await);

    // It goes while parts are on their way.
    let mut going = upload("s3://lake/w/t/data/going").await;
    front.decide(move |it| it.path.contains("uploadId=").then(unknown));
    let told = loop {
        let written = going.write(vec![7; STORE_CHUNK_BYTES_MAX]).await;
        if let Err(error) = written {
            break error;
        }
    };
    assert!(matches!(told, StoreError::Transient(_)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_day_of_the_store_is_waited_out() {
    let (server, place) = (S3Server::start().await, Place::new());
    let front = Front::before(server.url()).await;
    let lake = access(&place, &front.url()).await;
    let slow_down = "<Error><Code>SlowDown</Code></Error>".to_owned();
    for fault in [
        Fault::Status(500, String::new()),
        Fault::Status(503, slow_down),
        Fault::Status(429, String::new()),
        Fault::Late(Duration::from_millis(300)),
        Fault::Unheard,
        Fault::Lost,
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let (counted, shown) = (Arc::clone(&count), format!("{fault:?}"));
        // Two of each three requests meet it.
        front.decide(move |_| {
            let n = counted.fetch_add(1, Ordering::SeqCst);
            (n % 3 != 2).then(|| fault.clone())
        });
        let uri = "s3://lake/w/t/x";
        let mut upload = lake.create(uri).await.unwrap();
        upload.write(shown.clone().into_bytes()).await.unwrap();
        // What the store's library does not repeat, the caller does: nothing is half there.
        let finished = upload.finish().await;
        if let Err(error) = &finished {
            assert!(
                matches!(error, StoreError::Transient(_)),
                "{shown}: {error}"
            );
            let put = loop {
                match lake.put(uri, shown.clone().into_bytes()).await {
                    Err(StoreError::Transient(_)) => {}
                    other => break other,
                }
            };
            put.unwrap();
        }
        let got = loop {
            match lake.get(uri, None).await {
                Err(StoreError::Transient(_)) => {}
                other => break other,
            }
        };
        assert_eq!(got.unwrap(), shown.as_bytes(), "{shown}");
        assert!(count.load(Ordering::SeqCst) >= 2, "{shown} was met");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_permission_is_said_at_once() {
    let (server, place) = (S3Server::start().await, Place::new());
    let front = Front::before(server.url()).await;
    let lake = access(&place, &front.url()).await;
    let denied = "<Error><Code>AccessDenied</Code></Error>".to_owned();
    front.decide(move |_| Some(Fault::Status(403, denied.clone())));
    let told = lake.put("s3://lake/w/x", vec![1]).await;
    let Err(StoreError::Other(why)) = told else {
        panic!("{told:?}")
    };
    assert!(why.contains("no permission"), "{why}");
    assert_eq!(front.seen().len(), 1);
    assert!(!format!("{:?}", options("http://x")).contains("secret\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commits_at_once_in_a_bucket_exactly_one_wins() {
    let (server, place) = (S3Server::start().await, Place::new());
    let lake = lake(&place, &server.url()).await;
    let accesses: Vec<_> = (0..3).map(|_| lake.access()).collect();
    race(&accesses, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_stops_a_commit_before_its_row() {
    let (server, place) = (S3Server::start().await, Place::new());
    let front = Front::before(server.url()).await;
    let lake = access(&place, &front.url()).await;
    let at = create(&lake).await.metadata_location;
    front.decide(|seen| (seen.method == "PUT").then(|| Fault::Status(400, "<Error/>".to_owned())));
    let outcome = commit(&lake, &at, "lost").await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    front.mend();
    assert_eq!(load(&lake).await.metadata_location, at);
    commit(&lake, &at, "found").await.unwrap();
}

/// A host that only the client below knows.
const HOST: &str = "lake.store.test";

/// How one small object is put with these options, at `HOST` or at the front itself.
async fn put_with(front: &Front, options: StoreOptions) -> Seen {
    front.decide(|_| Some(Fault::Status(200, String::new())));
    let addresses = Url::parse(&front.url()).unwrap().socket_addrs(|| None);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .resolve(HOST, addresses.unwrap()[0])
        .build()
        .unwrap();
    let uri = ObjectUri::parse("s3://lake/w/x").unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    let store = Buckets::new(options, http).of(bucket, &uri).unwrap();
    // Answered by nothing that knows objects: what counts is what was sent.
    let _answer = store
        .put_opts(uri.object(), "x".into(), Default::default())
        .await;
    front.seen().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_named_by_the_path_or_by_the_host() {
    let front = Front::before("http://127.0.0.1:1").await;
    let port = Url::parse(&front.url()).unwrap().port().unwrap();
    let hosted =
        options(&format!("http://store.test:{port}")).with("virtual_hosted_style_request", "true");
    let own =
        options(&format!("http://{HOST}:{port}")).with("virtual_hosted_style_request", "true");
    let path = options(&front.url()).with("virtual_hosted_style_request", "false");
    for (options, host, path) in [
        (hosted, HOST, "/w/x"),
        (own, HOST, "/w/x"),
        (path, "127.0.0.1", "/lake/w/x"),
    ] {
        let seen = put_with(&front, options).await;
        assert_eq!(seen.headers["host"], format!("{host}:{port}"));
        assert_eq!(seen.path, path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_carries_the_checksum_that_was_asked_for() {
    let front = Front::before("http://127.0.0.1:1").await;
    let plain = || {
        StoreOptions::default()
            .with("endpoint", front.url())
            .with("region", "us-east-1")
            .with("access_key_id", "key")
            .with("secret_access_key", "secret")
    };
    let seen = put_with(&front, plain().with("checksum_algorithm", "sha256")).await;
    // SHA-256 of `x`, in base64.
    let sum = "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=";
    assert_eq!(seen.headers["x-amz-checksum-sha256"], sum);
    let seen = put_with(&front, plain()).await;
    let sums = seen.headers.keys();
    let sums = sums.filter(|it| it.as_str().starts_with("x-amz-checksum-"));
    assert_eq!(sums.count(), 0);
}
