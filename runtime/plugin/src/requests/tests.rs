//! Requests against a local server that behaves and misbehaves.

use super::*;
use crate::grants::HttpGrant;
use crate::testing::{Seen, acceptor, distrusting, eventually, receive_all, trusting};
use jackfield_batch::event;
use secrecy::SecretString;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENT: Duration = Duration::from_secs(30);

/// What a server was asked, head by head.
type Asked = Arc<Mutex<Vec<String>>>;

struct Slot {
    inbox: Arc<Inbox>,
    requests: Arc<Requests>,
    usage: Arc<Usage>,
    url: String,
    asked: Asked,
}

impl Slot {
    /// Requests to a server; `granted` below it, with a key.
    async fn new(granted: &str) -> Self {
        let (url, asked) = server(false).await;
        let key = vec![("X-API-KEY".to_owned(), SecretString::from("secret-key"))];
        let grant = HttpGrant::new(&format!("{url}{granted}"), key).unwrap();
        let grants = HttpGrants::new(vec![grant], &distrusting());
        Self::of(url, asked, grants)
    }

    fn of(url: String, asked: Asked, grants: HttpGrants) -> Self {
        let (inbox, usage) = (Inbox::new(1 << 20), Arc::new(Usage::default()));
        let requests = Requests::new(Arc::clone(&inbox), grants, Arc::clone(&usage));
        Self {
            inbox,
            requests,
            usage,
            url,
            asked,
        }
    }

    fn get(&self, path: &str) -> HttpRequest {
        HttpRequest {
            method: "GET".to_owned(),
            url: format!("{}{path}", self.url),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    async fn outcome(&self, path: &str, timeout: Duration) -> Seen {
        let id = self
            .requests
            .start(self.get(path), timeout, b"note".to_vec())
            .unwrap();
        let seen = receive_all(&self.inbox, 1).await.remove(0);
        assert_eq!(seen.id, id);
        seen
    }

    async fn fails(&self, path: &str, timeout: Duration) -> (RequestError, String) {
        let seen = self.outcome(path, timeout).await;
        assert_eq!(seen.kind, Kind::RequestFailed, "{seen:?}");
        let failed = event::RequestFailed::parse(&seen.body).unwrap();
        assert_eq!(failed.note, b"note");
        (failed.error, failed.message.to_owned())
    }
}

/// Answers by path; returns its URL and what it is asked.
async fn server(tls: bool) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let record = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let record = Arc::clone(&record);
            tokio::spawn(async move {
                if tls {
                    if let Ok(stream) = acceptor().accept(stream).await {
                        answer(stream, &record).await;
                    }
                } else {
                    answer(stream, &record).await;
                }
            });
        }
    });
    let url = if tls {
        format!("https://localhost:{port}")
    } else {
        format!("http://127.0.0.1:{port}")
    };
    (url, asked)
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, asked: &Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(head);
    let reply = match path.as_str() {
        "/api/moved" => "HTTP/1.1 302 Found\r\nLocation: /api/here\r\nContent-Length: 0\r\n",
        "/api/escape" => "HTTP/1.1 302 Found\r\nLocation: /admin\r\nContent-Length: 0\r\n",
        "/api/circle" => "HTTP/1.1 302 Found\r\nLocation: /api/circle\r\nContent-Length: 0\r\n",
        "/api/large" => "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n",
        "/api/endless" => "HTTP/1.1 200 OK\r\n",
        "/api/never" => return std::future::pending().await,
        "/api/busy" => "HTTP/1.1 418 I'm a teapot\r\nRetry-After: 9\r\nContent-Length: 4\r\n",
        _ => "HTTP/1.1 200 OK\r\nX-Weight: 25\r\nContent-Length: 4\r\n",
    };
    let reply = format!("{reply}Connection: close\r\n\r\nbody");
    if stream.write_all(reply.as_bytes()).await.is_err() || path != "/api/endless" {
        return;
    }
    while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
}

#[tokio::test]
async fn a_response_arrives_whole_with_its_note() {
    let slot = Slot::new("/api").await;
    let seen = slot.outcome("/api/here?x=1", PATIENT).await;
    assert_eq!((seen.kind, seen.number), (Kind::Response, 1));
    let response = event::Response::parse(&seen.body).unwrap();
    assert_eq!(
        (response.status, response.note, response.body),
        (200, &b"note"[..], &b"body"[..])
    );
    assert!(
        response.headers.contains(&("x-weight", "25")),
        "{:?}",
        response.headers
    );
}

#[tokio::test]
async fn a_refusal_of_the_server_is_a_response() {
    let slot = Slot::new("/api").await;
    let seen = slot.outcome("/api/busy", PATIENT).await;
    let response = event::Response::parse(&seen.body).unwrap();
    assert_eq!(response.status, 418);
    assert!(response.headers.contains(&("retry-after", "9")));
}

#[tokio::test]
async fn the_grants_headers_are_added_and_cannot_be_replaced() {
    let slot = Slot::new("/api").await;
    let mut request = slot.get("/api/here");
    request.headers = vec![
        ("x-api-key".to_owned(), "forged".to_owned()),
        ("x-own".to_owned(), "1".to_owned()),
    ];
    slot.requests.start(request, PATIENT, Vec::new()).unwrap();
    let seen = receive_all(&slot.inbox, 1).await;
    assert_eq!(seen[0].kind, Kind::Response);
    let head = slot.asked.lock().unwrap()[0].to_ascii_lowercase();
    assert!(
        head.contains("x-api-key: secret-key") && head.contains("x-own: 1"),
        "{head}"
    );
    assert!(!head.contains("forged"), "{head}");
}

#[tokio::test]
async fn redirects_are_followed_inside_the_grant_only() {
    let slot = Slot::new("/api").await;
    let seen = slot.outcome("/api/moved", PATIENT).await;
    assert_eq!(event::Response::parse(&seen.body).unwrap().status, 200);
    let (error, message) = slot.fails("/api/escape", PATIENT).await;
    assert!(
        error == RequestError::Denied && message.contains("/admin"),
        "{error:?} {message}"
    );
    assert!(
        slot.asked
            .lock()
            .unwrap()
            .iter()
            .all(|head| !head.contains("/admin ")),
        "it was not asked"
    );
    assert_eq!(slot.usage.snapshot().denials, 1);
    let (error, _) = slot.fails("/api/circle", PATIENT).await;
    assert_eq!(error, RequestError::Unreachable);
}

#[tokio::test]
async fn what_is_not_granted_is_not_sent() {
    let slot = Slot::new("/api").await;
    let asking = |request: HttpRequest| slot.requests.start(request, PATIENT, Vec::new());
    let with_header = |name: &str, value: &str| {
        let mut request = slot.get("/api/here");
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    };
    let with_method = |method: &str| HttpRequest {
        method: method.to_owned(),
        ..slot.get("/api/here")
    };
    let denied = [
        slot.get("/admin"),
        slot.get("/apis"),
        slot.get("/api/%2e%2e/admin"),
        HttpRequest {
            url: "http://169.254.169.254/latest".to_owned(),
            ..slot.get("")
        },
        HttpRequest {
            url: "file:///etc/passwd".to_owned(),
            ..slot.get("")
        },
        HttpRequest {
            url: "nonsense".to_owned(),
            ..slot.get("")
        },
        with_header("Host", "elsewhere"),
        with_header("Transfer-Encoding", "chunked"),
        with_header("Proxy-Authorization", "x"),
        with_header("x", "a\r\nHost: elsewhere"),
        with_method("CONNECT"),
        with_method("GET /admin HTTP/1.1\r\n"),
    ];
    let count = denied.len() as u64;
    for request in denied {
        let said = format!("{request:?}");
        assert!(
            matches!(asking(request), Err(HttpError::Denied(_))),
            "{said}"
        );
    }
    assert_eq!(slot.usage.snapshot().denials, count);
    assert!(slot.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_told_or_untold() {
    let slot = Slot::new("/api").await;
    for path in ["/api/large", "/api/endless"] {
        let (error, _) = slot.fails(path, PATIENT).await;
        assert_eq!(error, RequestError::TooLarge, "{path}");
    }
    let request = HttpRequest {
        body: vec![0; 2 << 20],
        ..slot.get("/api/here")
    };
    assert!(matches!(
        slot.requests.start(request, PATIENT, Vec::new()),
        Err(HttpError::TooLarge(_))
    ));
    let note = vec![0; NOTE_BYTES_MAX + 1];
    assert!(matches!(
        slot.requests.start(slot.get("/api/here"), PATIENT, note),
        Err(HttpError::TooLarge(_))
    ));
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout_and_none_is_unreachable() {
    let slot = Slot::new("/api").await;
    let (error, _) = slot.fails("/api/never", Duration::from_millis(100)).await;
    assert_eq!(error, RequestError::Timeout);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let grants = HttpGrants::new(
        vec![HttpGrant::new(&url, Vec::new()).unwrap()],
        &distrusting(),
    );
    let slot = Slot::of(url, Asked::default(), grants);
    let (error, message) = slot.fails("/x", PATIENT).await;
    assert_eq!(error, RequestError::Unreachable);
    assert!(!message.is_empty());
    assert_eq!(slot.usage.snapshot().requests_failed, 1);
}

#[tokio::test]
async fn so_many_are_under_way_and_closing_gives_them_up() {
    let slot = Slot::new("/api").await;
    for _ in 0..UNDER_WAY_MAX {
        slot.requests
            .start(slot.get("/api/never"), PATIENT, Vec::new())
            .unwrap();
    }
    let more = slot
        .requests
        .start(slot.get("/api/here"), PATIENT, Vec::new());
    assert!(matches!(more, Err(HttpError::Unreachable(_))), "{more:?}");
    slot.requests.close();
    eventually("the end of all", || slot.requests.tasks.is_empty()).await;
    assert_eq!(slot.inbox.last(), 0);
    let late = slot
        .requests
        .start(slot.get("/api/here"), PATIENT, Vec::new());
    assert_eq!(late, Err(HttpError::Interrupted));
}

#[tokio::test]
async fn tls_is_checked_against_the_roots() {
    let (url, asked) = server(true).await;
    let granted =
        |network| HttpGrants::new(vec![HttpGrant::new(&url, Vec::new()).unwrap()], network);
    let network = trusting();
    let slot = Slot::of(url.clone(), Arc::clone(&asked), granted(&network));
    assert_eq!(slot.outcome("/x", PATIENT).await.kind, Kind::Response);
    let network = distrusting();
    let slot = Slot::of(url.clone(), asked, granted(&network));
    let (error, message) = slot.fails("/x", PATIENT).await;
    assert!(
        error == RequestError::Unreachable && message.contains("certificate"),
        "{error:?} {message}"
    );
}
