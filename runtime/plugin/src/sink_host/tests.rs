//! The imports of a sink, called as a component would.

use super::{Patience, SinkGiven};
use crate::bindings::sink::jackfield::connector::catalog::{self, Host as Catalog};
use crate::bindings::sink::jackfield::connector::http::{self, Host as Http};
use crate::bindings::sink::jackfield::connector::schemas::{self, Host as Schemas};
use crate::bindings::sink::jackfield::connector::store::{self, Host as Store, HostUpload};
use crate::lake::{CatalogConfig, Lake, LakeConfig, RestAuth, RestCatalogConfig, StoreOptions};
use crate::state::{Given, State};
use crate::{HttpGrant, HttpGrants, Interrupt, Network, Usage};
use async_trait::async_trait;
use jackfield_schema::{Registry, Schema, SchemaError, SchemaKind};
use rustls::RootCertStore;
use sqlx::{Connection, Executor, SqliteConnection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;
use wasmtime::component::Resource;

/// Knows every id below 1,000, unless it is down.
#[derive(Default)]
struct FakeRegistry {
    asked: AtomicU32,
    down: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Registry for FakeRegistry {
    async fn register(&self, _: &str, _: &Schema) -> Result<u32, SchemaError> {
        Err(SchemaError::Transient("read only".to_owned()))
    }

    async fn get(&self, id: u32) -> Result<Schema, SchemaError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(SchemaError::Transient("down".to_owned()));
        }
        match id {
            ..1000 => {}
            1000 => return Err(SchemaError::Missing(id)),
            1001 => return Err(SchemaError::Invalid("PROTOBUF".to_owned())),
            1002 => return Err(SchemaError::Denied("who are you".to_owned())),
            _ => return Err(SchemaError::Missing(id)),
        }
        Ok(Schema {
            kind: SchemaKind::Avro,
            text: format!("\"schema {id}\""),
        })
    }

    async fn latest(&self, _: &str) -> Result<Option<(u32, Schema)>, SchemaError> {
        Err(SchemaError::Transient("by id only".to_owned()))
    }
}

struct Sink {
    dir: TempDir,
    registry: Arc<FakeRegistry>,
    interrupt: Interrupt,
    usage: Arc<Usage>,
    state: State,
}

impl Sink {
    async fn new(with_lake: bool, grants: Vec<HttpGrant>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalog.db");
        let config = LakeConfig {
            name: "local".to_owned(),
            catalog: CatalogConfig::Sql {
                uri: format!("sqlite://{}", file.display()).into(),
            },
            warehouse: Some(Url::from_file_path(dir.path().join("w")).unwrap()),
            store: StoreOptions::default(),
        };
        let lake = if with_lake {
            Some(Lake::open(config).await.unwrap())
        } else {
            None
        };
        Self::given(dir, lake, grants)
    }

    fn given(dir: TempDir, lake: Option<Arc<Lake>>, grants: Vec<HttpGrant>) -> Self {
        let registry = Arc::new(FakeRegistry::default());
        let network = Network::with_roots(RootCertStore::empty()).unwrap();
        let (interrupt, usage) = (Interrupt::default(), Arc::new(Usage::default()));
        let given = SinkGiven::new(
            lake,
            registry.clone(),
            HttpGrants::new(grants, &network),
            interrupt.clone(),
        );
        let state = State::new(Given::Sink(given), "trades-lake", usage.clone(), 1 << 20);
        Self {
            dir,
            registry,
            interrupt,
            usage,
            state,
        }
    }

    fn uri(&self, below: &str) -> String {
        format!("file://{}/{below}", self.dir.path().display())
    }
}

fn request(url: String) -> http::Request {
    http::Request {
        method: "GET".to_owned(),
        url,
        headers: vec![],
        body: vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_and_checking_are_given_nothing() {
    let usage = Arc::new(Usage::default());
    let mut state = State::new(Given::Nothing, "x", usage.clone(), 1 << 20);
    let got = state.get_bytes("file:///etc/passwd").await;
    assert!(matches!(got, Err(store::Error::Denied(_))), "{got:?}");
    let loaded = Catalog::load(&mut state, "a.b".to_owned(), None).await;
    assert!(matches!(loaded, Err(catalog::Error::Denied(_))));
    let fetched = state.fetch(request("http://a/".to_owned()), 1).await;
    assert!(matches!(fetched, Err(http::Error::Denied(_))));
    assert!(Schemas::get(&mut state, 1).await.is_err());
    let counted = usage.snapshot();
    assert_eq!((counted.host_calls, counted.denials), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lake_the_store_and_the_catalog_are_denied() {
    let mut sink = Sink::new(false, vec![]).await;
    let uri = sink.uri("w/x");
    let state = &mut sink.state;
    let created = Store::create(state, uri.clone()).await.unwrap();
    assert!(matches!(created, Err(store::Error::Denied(_))));
    let listed = Store::list(state, uri, None, 1).await.unwrap();
    assert!(matches!(listed, Err(store::Error::Denied(_))));
    let made = Catalog::create(state, "a.b".to_owned(), "{}".to_owned()).await;
    let Err(catalog::Error::Denied(why)) = made else {
        panic!("{made:?}");
    };
    assert!(why.contains("allow"), "{why}");
    assert_eq!(sink.usage.snapshot().denials, 3);
}

impl State {
    async fn get_bytes(&mut self, uri: &str) -> Result<Vec<u8>, store::Error> {
        Store::get(self, uri.to_owned(), None).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_written_through_its_handle_and_aborted_with_the_store() {
    let mut sink = Sink::new(true, vec![]).await;
    let (whole, half) = (sink.uri("w/whole"), sink.uri("w/half"));
    let state = &mut sink.state;
    let upload = Store::create(state, whole.clone()).await.unwrap().unwrap();
    let again = || Resource::new_borrow(upload.rep());
    let written = HostUpload::write(state, again(), b"all of it".to_vec()).await;
    written.unwrap().unwrap();
    let finished = HostUpload::finish(state, again()).await.unwrap();
    assert!(matches!(finished, Ok(9)), "{finished:?}");
    let finished = HostUpload::finish(state, again()).await.unwrap();
    assert!(matches!(finished, Ok(9)), "{finished:?}");
    HostUpload::drop(state, upload).await.unwrap();
    assert_eq!(state.get_bytes(&whole).await.unwrap(), b"all of it");

    let upload = Store::create(state, half.clone()).await.unwrap().unwrap();
    let written = HostUpload::write(state, upload, b"half".to_vec()).await;
    written.unwrap().unwrap();
    let missing = state.get_bytes(&half).await;
    assert!(matches!(missing, Err(store::Error::Missing)));
    let outside = state.get_bytes("file:///etc/passwd").await;
    assert!(matches!(outside, Err(store::Error::Denied(_))));
    assert_eq!(sink.usage.snapshot().denials, 1);
    // The instance dies, and its table with it.
    let Sink { dir, state, .. } = sink;
    drop(state);
    let left = || std::fs::read_dir(dir.path().join("w")).unwrap().count();
    while left() > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_is_none_is_no_outcome_for_the_guest() {
    let mut sink = Sink::new(true, vec![]).await;
    let forged = Resource::new_borrow(77);
    assert!(
        HostUpload::write(&mut sink.state, forged, vec![])
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_keeps_one_waiting_is_left_when_the_host_wants_the_call_back() {
    let mut sink = Sink::new(true, vec![]).await;
    let missing = Catalog::load(&mut sink.state, "a.b".to_owned(), None).await;
    assert!(matches!(missing, Err(catalog::Error::Missing)));
    let file = sink.dir.path().join("catalog.db");
    let uri = format!("sqlite://{}", file.display());
    let mut other = SqliteConnection::connect(&uri).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let interrupt = sink.interrupt.clone();
    let raised = tokio::spawn(async move {
        // The call under test is waiting by then, or will be: either way it ends.
        tokio::task::yield_now().await;
        interrupt.raise();
    });
    let state = &mut sink.state;
    let loaded = Catalog::load(state, "a.b".to_owned(), None).await;
    assert!(
        matches!(loaded, Err(catalog::Error::Interrupted)),
        "{loaded:?}"
    );
    let args = ["a.b", "x", "[]", "[]"].map(str::to_owned);
    let [ident, expected, requirements, updates] = args;
    let committed = Catalog::commit(state, ident, expected, requirements, updates).await;
    assert!(matches!(committed, Err(catalog::Error::Interrupted)));
    raised.await.unwrap();
    other.execute("ROLLBACK").await.unwrap();
    sink.interrupt.clear();
    let missing = Catalog::load(&mut sink.state, "a.b".to_owned(), None).await;
    assert!(
        matches!(missing, Err(catalog::Error::Missing)),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_repeating_does_not_mend_is_told_apart() {
    let mut sink = Sink::new(true, vec![]).await;
    for id in [1001, 1002] {
        let refused = Schemas::get(&mut sink.state, id).await;
        assert!(
            matches!(refused, Err(schemas::Error::Refused(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_seen_keep_working_while_the_registry_is_down() {
    let mut sink = Sink::new(true, vec![]).await;
    let state = &mut sink.state;
    for _ in 0..3 {
        let schema = Schemas::get(state, 7).await.unwrap();
        assert_eq!(schema.text, "\"schema 7\"");
    }
    assert_eq!(sink.registry.asked.load(Ordering::SeqCst), 1);
    let missing = Schemas::get(state, 1000).await;
    assert!(matches!(missing, Err(schemas::Error::Missing)));
    sink.registry.down.store(true, Ordering::SeqCst);
    assert!(Schemas::get(state, 7).await.is_ok());
    let other = Schemas::get(state, 8).await;
    assert!(matches!(other, Err(schemas::Error::Transient(_))));
    sink.registry.down.store(false, Ordering::SeqCst);
    for id in 100..300 {
        Schemas::get(state, id).await.unwrap();
    }
    let asked = sink.registry.asked.load(Ordering::SeqCst);
    Schemas::get(state, 299).await.unwrap();
    Schemas::get(state, 7).await.unwrap();
    let now = sink.registry.asked.load(Ordering::SeqCst);
    assert_eq!(now, asked + 1, "the oldest had to go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_its_response_and_takes_the_grants_headers_along() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/api", server.local_addr().unwrap());
    let secret = ("X-KEY".to_owned(), "hunter2".into());
    let grant = HttpGrant::new(&base, vec![secret]).unwrap();
    let mut sink = Sink::new(false, vec![grant]).await;
    let served = tokio::spawn(async move {
        let (mut socket, _) = server.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-a: b\r\n\r\nok";
        socket.write_all(answer).await.unwrap();
        (server, String::from_utf8(head).unwrap())
    });
    let state = &mut sink.state;
    let response = state.fetch(request(format!("{base}/x")), 10_000).await;
    let response = response.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (201, &b"ok"[..])
    );
    assert!(
        response
            .headers
            .contains(&("x-a".to_owned(), "b".to_owned()))
    );
    let (server, head) = served.await.unwrap();
    assert!(head.to_lowercase().contains("x-key: hunter2"), "{head}");

    let denied = state
        .fetch(request(base.replace("/api", "/other")), 10_000)
        .await;
    assert!(matches!(denied, Err(http::Error::Denied(_))));
    // Nobody answers from here on.
    let late = state.fetch(request(format!("{base}/y")), 20).await;
    assert!(matches!(late, Err(http::Error::Timeout)), "{late:?}");
    sink.interrupt.raise();
    let state = &mut sink.state;
    let waiting = state.fetch(request(format!("{base}/z")), 60_000);
    let interrupted = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(matches!(
        interrupted.unwrap(),
        Err(http::Error::Interrupted)
    ));
    drop(server);
    let counted = sink.usage.snapshot();
    assert_eq!((counted.requests_failed, counted.denials), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_never_answers_is_left_before_the_call_is_over() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", silent.local_addr().unwrap());
    let rest = RestCatalogConfig {
        uri: Url::parse(&uri).unwrap(),
        warehouse: None,
        prefix: None,
        auth: RestAuth::None,
        headers: BTreeMap::new(),
        vended_credentials: false,
    };
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig {
        name: "local".to_owned(),
        catalog: CatalogConfig::Rest(Box::new(rest)),
        warehouse: None,
        store: StoreOptions::default(),
    };
    let lake = Lake::open(config).await.unwrap();
    let mut sink = Sink::given(dir, Some(lake), vec![]);
    let state = &mut sink.state;
    let call = Duration::from_millis(300);
    // By the call's own bound, and not by the longer one of the way there.
    let is_left = |why: &str| why.contains("did not do it within");
    state.patience = Patience::of_call(call);
    let loaded = Catalog::load(state, "a.b".to_owned(), None).await;
    assert!(
        matches!(&loaded, Err(catalog::Error::Transient(why)) if is_left(why)),
        "{loaded:?}"
    );
    let creation = r#"{"name": "b", "schema": {"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "x", "required": true, "type": "string"}]}}"#;
    state.patience = Patience::of_call(call);
    let created = Catalog::create(state, "a.b".to_owned(), creation.to_owned()).await;
    assert!(
        matches!(&created, Err(catalog::Error::Unknown(why)) if is_left(why)),
        "{created:?}"
    );
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_answers_is_left_before_the_call_is_over() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.db");
    let config = LakeConfig {
        name: "local".to_owned(),
        catalog: CatalogConfig::Sql {
            uri: format!("sqlite://{}", file.display()).into(),
        },
        warehouse: Some(Url::parse("s3://lake/w").unwrap()),
        store: StoreOptions::default()
            .with(
                "endpoint",
                format!("http://{}", silent.local_addr().unwrap()),
            )
            .with("region", "us-east-1")
            .with("access_key_id", "key")
            .with("secret_access_key", "secret"),
    };
    let lake = Lake::open(config).await.unwrap();
    let mut sink = Sink::given(dir, Some(lake), vec![]);
    let state = &mut sink.state;
    let call = Duration::from_millis(300);
    fn is_left<T: std::fmt::Debug>(told: Result<T, store::Error>) {
        let Err(store::Error::Transient(why)) = told else {
            panic!("{told:?}")
        };
        // By the call's own bound, and not by the longer one of the way there.
        assert!(why.contains("did not do it within"), "{why}");
    }
    let uri = || "s3://lake/w/t/x".to_owned();
    state.patience = Patience::of_call(call);
    is_left(Store::put(state, uri(), vec![1]).await.unwrap());
    state.patience = Patience::of_call(call);
    is_left(Store::get(state, uri(), None).await.unwrap());
    state.patience = Patience::of_call(call);
    is_left(Store::delete(state, uri()).await.unwrap());

    // A small file is sent as it is finished, a large one while it is written.
    let small = Store::create(state, uri()).await.unwrap().unwrap();
    let borrowed = |upload: &Resource<_>| Resource::new_borrow(upload.rep());
    let written = HostUpload::write(state, borrowed(&small), vec![1]).await;
    written.unwrap().unwrap();
    state.patience = Patience::of_call(call);
    let finished = HostUpload::finish(state, borrowed(&small)).await;
    is_left(finished.unwrap());
    state.patience = Patience::of_call(call);
    let large = Store::create(state, uri()).await.unwrap().unwrap();
    let told = loop {
        let written = HostUpload::write(state, borrowed(&large), vec![1; 1 << 20]).await;
        if let Err(told) = written.unwrap() {
            break told;
        }
    };
    is_left::<()>(Err(told));
    // What was broken off stays so.
    let finished = HostUpload::finish(state, large).await;
    assert!(finished.unwrap().is_err());
    drop(silent);
}
