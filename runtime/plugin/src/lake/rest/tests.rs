//! What is asked of a server, on one that answers as the test says.

use super::super::buckets::{Buckets, StoreOptions};
use super::super::config::{RestAuth, RestCatalogConfig};
use super::super::http;
use super::super::purse::ASKING_MAX;
use super::super::store::Objects;
use super::super::tables::Tables;
use super::super::uri::{ObjectUri, Root};
use super::super::vended::Vended;
use super::*;
use jackfield_test_lakes::{Fault, Front, Seen};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use url::Url;

fn config(front: &Front, auth: RestAuth) -> RestCatalogConfig {
    RestCatalogConfig {
        uri: Url::parse(&format!("{}/catalog", front.url())).unwrap(),
        warehouse: Some("my warehouse".to_owned()),
        prefix: Some("mine".to_owned()),
        auth,
        headers: BTreeMap::from([("x-tenant".to_owned(), "t".into())]),
        vended_credentials: true,
    }
}

fn catalog(config: &RestCatalogConfig) -> RestCatalog {
    RestCatalog::new(config, http::client().unwrap()).unwrap()
}

fn oauth() -> RestAuth {
    RestAuth::OAuth {
        client_id: "me".to_owned(),
        client_secret: "s&cret".into(),
        uri: None,
        scope: "catalog".to_owned(),
    }
}

fn ok(body: Value) -> Option<Fault> {
    Some(Fault::Status(200, body.to_string()))
}

/// A server that gives out tokens `t1`, `t2`, … and a table.
async fn server(
    config: Value,
    mut told: impl FnMut(&Seen, usize) -> Option<Fault> + Send + 'static,
) -> Front {
    let front = Front::before("http://127.0.0.1:1").await;
    let mut tokens = 0;
    front.decide(move |seen| {
        if seen.path.ends_with("/oauth/tokens") {
            tokens += 1;
            return ok(json!({"access_token": format!("t{tokens}"), "expires_in": 3600}));
        }
        if seen.path.contains("/v1/config") {
            return ok(config.clone());
        }
        told(seen, tokens)
    });
    front
}

/// A server that answers each request for a token so, by its number from 1 on, and has a table.
async fn giving(mut token: impl FnMut(usize) -> Option<Fault> + Send + 'static) -> Front {
    let front = Front::before("http://127.0.0.1:1").await;
    let mut tokens = 0;
    front.decide(move |seen| {
        if seen.path.ends_with("/oauth/tokens") {
            tokens += 1;
            return token(tokens);
        }
        if seen.path.contains("/v1/config") {
            return ok(json!({}));
        }
        ok(table(json!([])))
    });
    front
}

fn table(credentials: Value) -> Value {
    json!({"metadata-location": "s3://b/t/metadata/1.json",
        "metadata": {"location": "s3://b/t", "table-uuid": "x"},
        "storage-credentials": credentials})
}

fn ident() -> Ident {
    Ident::parse("a.b c.t").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn prefix_warehouse_headers_and_delegation_are_sent() {
    let overrides = json!({"defaults": {"prefix": "no"}, "overrides": {"prefix": "ws/1 2"}});
    for (config_said, own, path) in [
        (
            overrides,
            Some("mine"),
            "/catalog/v1/ws/1%202/namespaces/a%1Fb%20c/tables/t",
        ),
        (
            json!({"defaults": {"prefix": "no", "namespace-separator": "%2E"}}),
            Some("mine"),
            "/catalog/v1/mine/namespaces/a.b%20c/tables/t",
        ),
        // Escaped already, as a server says it of a name with a bar in it.
        (
            json!({"defaults": {"prefix": "main%7Cwh"}}),
            None,
            "/catalog/v1/main%7Cwh/namespaces/a%1Fb%20c/tables/t",
        ),
        (
            json!({"defaults": null, "overrides": null}),
            Some("main%7Cwh"),
            "/catalog/v1/main%7Cwh/namespaces/a%1Fb%20c/tables/t",
        ),
    ] {
        let front = server(config_said, |_, _| ok(table(json!([])))).await;
        let mut config = config(&front, RestAuth::Token("fixed".into()));
        config.prefix = own.map(str::to_owned);
        let catalog = catalog(&config);
        catalog.load(&ident()).await.unwrap();
        catalog.load(&ident()).await.unwrap();
        let seen = front.seen();
        let paths: Vec<_> = seen.iter().map(|it| it.path.as_str()).collect();
        let configured = "/catalog/v1/config?warehouse=my%20warehouse";
        assert_eq!(paths, [configured, path, path]);
        for it in &seen {
            assert_eq!(it.headers["authorization"], "Bearer fixed");
            assert_eq!(it.headers["x-tenant"], "t");
            assert_eq!(
                it.headers["x-iceberg-access-delegation"],
                "vended-credentials"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_leads_to_other_paths_is_refused() {
    for prefix in ["..", "ws/../admin", "%2E%2e/admin"] {
        let said = json!({"overrides": {"prefix": prefix}});
        let front = server(said, |_, _| ok(table(json!([])))).await;
        let catalog = catalog(&config(&front, RestAuth::None));
        let told = catalog.load(&ident()).await.map(drop);
        assert!(matches!(told, Err(CatalogError::Other(_))), "{told:?}");
        assert_eq!(front.seen().len(), 1, "nothing but its configuration");
    }
}

/// How tokens were asked for.
fn token_requests(front: &Front) -> Vec<Seen> {
    let seen = front.seen().into_iter();
    seen.filter(|it| it.path.ends_with("/oauth/tokens"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogs_own_token_endpoint_gets_its_headers_and_another_does_not() {
    let foreign = server(json!({}), |_, _| None).await;
    // None: written out nowhere.
    for (is_here, path, gets_headers) in [
        (true, None, true),
        (true, Some("/catalog/v1/oauth/tokens"), true),
        // Of the same host, and of something beside the catalog.
        (true, Some("/oauth/tokens"), false),
        (false, Some("/catalog/v1/oauth/tokens"), false),
    ] {
        let front = server(json!({}), |_, _| ok(table(json!([])))).await;
        let giver = if is_here { &front } else { &foreign };
        let uri = path.map(|it| Url::parse(&format!("{}{it}", giver.url())).unwrap());
        let mut auth = oauth();
        let RestAuth::OAuth { uri: at, .. } = &mut auth else {
            panic!("no OAuth")
        };
        *at = uri;
        let mut config = config(&front, auth);
        let mut configure = |name: &str, value: &str| {
            config.headers.insert(name.to_owned(), value.into());
        };
        configure("authorization", "Basic x");
        configure("content-type", "text/plain");
        catalog(&config).load(&ident()).await.unwrap();
        let asked = token_requests(giver);
        assert_eq!(asked.len(), 1, "{path:?}");
        let sent = |name: &str| asked[0].headers.get(name).map(|it| it.to_str().unwrap());
        assert_eq!(sent("x-tenant"), gets_headers.then_some("t"), "{path:?}");
        assert_eq!(sent("authorization"), None);
        let form = "application/x-www-form-urlencoded";
        assert_eq!(sent("content-type"), Some(form));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_is_used_while_no_other_is_to_be_had() {
    let front = giving(|tokens| match tokens {
        1 => ok(json!({"access_token": "t1", "expires_in": "3600"})),
        _ => Some(Fault::Status(503, String::new())),
    })
    .await;
    let catalog = catalog(&config(&front, oauth()));
    catalog.load(&ident()).await.unwrap();
    assert_eq!(token_requests(&front).len(), 1);
    // It is to be renewed, and good for ten minutes.
    catalog.session.age_token(Duration::from_secs(50 * 60));
    catalog.load(&ident()).await.unwrap();
    assert_eq!(token_requests(&front).len(), 2);
    let last = front.seen().pop().unwrap();
    assert_eq!(last.headers["authorization"], "Bearer t1");
    catalog.session.age_token(Duration::from_secs(10 * 60));
    let told = catalog.load(&ident()).await.map(drop);
    assert!(matches!(told, Err(CatalogError::Transient(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_token_server_does_not_keep_credentials_from_being_renewed() {
    let front = giving(|tokens| match tokens {
        1 => ok(json!({"access_token": "t1", "expires_in": 3600})),
        _ => Some(Fault::Late(Duration::from_secs(3600))),
    })
    .await;
    let catalog = catalog(&config(&front, oauth()));
    catalog.load(&ident()).await.unwrap();
    // It is to be renewed, and good for ten minutes.
    catalog.session.age_token(Duration::from_secs(50 * 60));
    // A machine that is busy may need another try; where the token takes all the time, none helps.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let asked = tokio::time::timeout(ASKING_MAX, catalog.vend(&ident())).await;
        if asked.is_ok_and(|it| it.is_ok()) {
            break;
        }
        assert!(Instant::now() < deadline, "they are not renewed");
    }
    assert!(token_requests(&front).len() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_may_be_said_as_null() {
    let front = server(json!({}), |seen, _| {
        let mut told = table(json!([{"prefix": "s3://b/t", "config": null}]));
        told["config"] = match seen.method.as_str() {
            "POST" => Value::Null,
            _ => json!({"s3.access-key-id": "k", "s3.secret-access-key": "x", "token": null}),
        };
        told["metadata"]["properties"] = Value::Null;
        ok(told)
    })
    .await;
    let catalog = catalog(&config(&front, RestAuth::None));
    let loaded = catalog.load(&ident()).await.unwrap();
    assert_eq!(loaded.vended.unwrap().credentials.len(), 1);
    let committed = catalog.commit(&ident(), "[]", "[]").await.unwrap();
    assert_eq!(committed.table.location, "s3://b/t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_got_kept_and_renewed_once_when_it_is_refused() {
    let front = server(json!({}), |seen, _| {
        let refused = seen.headers["authorization"] == "Bearer t1";
        if refused {
            return Some(Fault::Status(419, String::new()));
        }
        ok(table(json!([])))
    })
    .await;
    let catalog = catalog(&config(&front, oauth()));
    catalog.load(&ident()).await.unwrap();
    catalog.load(&ident()).await.unwrap();
    let tokens = |front: &Front| {
        let seen = front.seen().into_iter();
        seen.filter(|it| it.path.ends_with("/catalog/v1/oauth/tokens"))
            .count()
    };
    assert_eq!(tokens(&front), 2);
    assert!(!format!("{:?}", catalog.session).contains("cret"));

    // One that never lets in is asked twice, not for ever.
    let front = server(json!({}), |_, _| Some(Fault::Status(401, String::new()))).await;
    let told = super::RestCatalog::new(&config(&front, oauth()), http::client().unwrap())
        .unwrap()
        .load(&ident())
        .await;
    assert!(matches!(told, Err(CatalogError::Other(_))));
    assert_eq!(tokens(&front), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_is_refused_and_kept_while_it_lasts() {
    let front = giving(|tokens| {
        // The first is over when it comes.
        let life = if tokens == 1 { 0 } else { 3600 };
        ok(json!({"access_token": format!("t{tokens}"), "expires_in": life}))
    })
    .await;
    let catalog = catalog(&config(&front, oauth()));
    for _ in 0..3 {
        catalog.load(&ident()).await.unwrap();
    }
    let seen = front.seen();
    let brought = seen.iter().filter_map(|it| it.headers.get("authorization"));
    let brought: Vec<_> = brought.map(|it| it.to_str().unwrap()).collect();
    assert_eq!(
        brought,
        ["Bearer t1", "Bearer t2", "Bearer t2", "Bearer t2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_namespace_is_made_level_by_level() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let making = Arc::clone(&made);
    let front = server(json!({}), move |seen, _| {
        let mut made = making.lock().unwrap();
        if seen.path.ends_with("/namespaces") {
            made.push(seen.bytes);
            // The first is there already.
            return match made.len() {
                1 => Some(Fault::Status(409, String::new())),
                _ => ok(json!({})),
            };
        }
        match made.len() {
            2 => ok(table(json!([]))),
            _ => Some(Fault::Status(404, String::new())),
        }
    })
    .await;
    let told = catalog(&config(&front, RestAuth::None))
        .create(&ident(), "{}")
        .await;
    assert_eq!(told.unwrap().table.location, "s3://b/t");
    assert_eq!(made.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn vended_credentials_are_used_and_renewed() {
    let store = Front::before("http://127.0.0.1:1").await;
    store.decide(|_| Some(Fault::Status(200, String::new())));
    let endpoint = store.url();
    let front = server(json!({}), {
        let mut vended = 0;
        move |_, _| {
            vended += 1;
            let ms = |at: SystemTime| {
                at.duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap()
                    .as_millis()
            };
            let now = SystemTime::now();
            // The first has expired when it is used, the second lasts.
            let expires = if vended == 1 {
                ms(now)
            } else {
                ms(now + Duration::from_secs(3600))
            };
            let config = |key: String| {
                json!({"s3.access-key-id": key, "s3.secret-access-key": "x",
                    "s3.session-token": format!("s{vended}"), "s3.region": "r",
                    "s3.endpoint": endpoint, "s3.path-style-access": "true",
                    "s3.session-token-expires-at-ms": expires.to_string()})
            };
            ok(table(json!([
                {"prefix": "s3://b/t", "config": config(format!("short{vended}"))},
                {"prefix": "s3://b/t/data", "config": config(format!("long{vended}"))},
            ])))
        }
    })
    .await;
    let catalog = catalog(&config(&front, RestAuth::None));
    let own = StoreOptions::default()
        .with("access_key_id", "own")
        .with("secret_access_key", "x")
        .with("region", "r")
        .with("endpoint", store.url());
    let buckets = Arc::new(Buckets::new(own, http::client().unwrap()));
    buckets.vended_by(Arc::new(catalog.clone()));
    let vended = catalog.load(&ident()).await.unwrap().vended;
    buckets.take(&ident(), vended.unwrap());
    for (uri, key) in [
        ("s3://b/t/data/x", "Credential=long2/"),
        ("s3://b/t/metadata/x", "Credential=short2/"),
        ("s3://b/u/x", "Credential=own/"),
    ] {
        let uri = ObjectUri::parse(uri).unwrap();
        let Root::Bucket(bucket) = uri.root() else {
            panic!("{uri}")
        };
        let used = buckets.of(bucket, &uri).unwrap();
        let put = used
            .put_opts(uri.object(), "x".into(), Default::default())
            .await;
        // It was answered by nothing that knows objects: what counts is what was sent.
        assert!(put.is_err());
        let seen = store.seen().pop().unwrap();
        let authorization = seen.headers["authorization"].to_str().unwrap().to_owned();
        assert!(authorization.contains(key), "{uri}: {authorization}");
    }
    let loads = front
        .seen()
        .iter()
        .filter(|it| it.path.ends_with("/tables/t"))
        .count();
    assert_eq!(loads, 2, "renewed once, and then kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_catalog_has_no_more_has_no_credentials_any_more() {
    let store = Front::before("http://127.0.0.1:1").await;
    store.decide(|_| Some(Fault::Status(200, String::new())));
    let config_of = json!({"s3.access-key-id": "vended", "s3.secret-access-key": "x"});
    let is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&is_gone);
    let front = server(json!({}), move |_, _| match gone.load(Ordering::SeqCst) {
        true => Some(Fault::Status(404, String::new())),
        false => ok(table(json!([{"prefix": "s3://b/t", "config": config_of}]))),
    })
    .await;
    let own = StoreOptions::default()
        .with("access_key_id", "own")
        .with("secret_access_key", "x")
        .with("region", "r")
        .with("endpoint", store.url());
    let buckets = Arc::new(Buckets::new(own, http::store_client().unwrap()));
    let tables = Tables::Rest {
        catalog: catalog(&config(&front, RestAuth::None)),
        objects: Objects::Buckets(Arc::clone(&buckets)),
    };
    let uri = ObjectUri::parse("s3://b/t/data/x").unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    let signed = async || {
        let used = buckets.of(bucket, &uri).unwrap();
        let body = "x".into();
        // What counts is what was sent.
        let _answer = used.put_opts(uri.object(), body, Default::default()).await;
        let seen = store.seen().pop().unwrap();
        seen.headers["authorization"].to_str().unwrap().to_owned()
    };
    tables.load(&ident(), None).await.unwrap();
    let before = signed().await;
    assert!(before.contains("Credential=vended/"), "{before}");
    is_gone.store(true, Ordering::SeqCst);
    assert_eq!(
        tables.load(&ident(), None).await,
        Err(CatalogError::Missing)
    );
    let after = signed().await;
    assert!(after.contains("Credential=own/"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_commit_has_no_credentials_and_takes_none_away() {
    let config_of = json!({"s3.access-key-id": "k", "s3.secret-access-key": "x"});
    let front = server(json!({}), move |seen, _| match seen.method.as_str() {
        "POST" => ok(json!({"metadata-location": "s3://b/t/metadata/2.json",
            "metadata": {"location": "s3://b/t", "table-uuid": "x"}})),
        _ => ok(table(json!([{"prefix": "s3://b/t", "config": config_of}]))),
    })
    .await;
    let catalog = catalog(&config(&front, RestAuth::None));
    let loaded = catalog.load(&ident()).await.unwrap();
    assert_eq!(loaded.vended.unwrap().credentials.len(), 1);
    let committed = catalog.commit(&ident(), "[]", "[]").await.unwrap();
    assert_eq!(committed.vended, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_on_while_a_catalog_does_not_renew_them() {
    let store = Front::before("http://127.0.0.1:1").await;
    store.decide(|_| Some(Fault::Status(200, String::new())));
    let front = server(json!({}), |_, _| Some(Fault::Status(503, String::new()))).await;
    let catalog = catalog(&config(&front, RestAuth::None));
    let own = StoreOptions::default().with("endpoint", store.url());
    let buckets = Buckets::new(own, http::store_client().unwrap());
    buckets.vended_by(Arc::new(catalog));
    let uri = ObjectUri::parse("s3://b/t/data/x").unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    let vending = |expires: SystemTime| Vending {
        places: vec!["s3://b/t".to_owned()],
        credentials: vec![Vended {
            prefix: "s3://b/t".to_owned(),
            options: StoreOptions::default()
                .with("access_key_id", "k")
                .with("secret_access_key", "x"),
            expires: Some(expires),
            is_guessed: false,
        }],
    };
    let put = async || {
        let used = buckets.of(bucket, &uri).unwrap();
        let body = "x".into();
        used.put_opts(uri.object(), body, Default::default()).await
    };
    // Soon: they are good for a while.
    buckets.take(
        &ident(),
        vending(SystemTime::now() + Duration::from_secs(200)),
    );
    let _answer = put().await;
    assert_eq!(store.seen().len(), 1);
    // Over: it is asked, does not answer, and nothing is sent that must be refused.
    buckets.take(&ident(), vending(SystemTime::now()));
    let told = put().await.unwrap_err().to_string();
    assert!(told.contains("have expired"), "{told}");
    assert_eq!(store.seen().len(), 1);
    assert!(!front.seen().is_empty());
}
