//! Who is let in, how much of it, and what is written down.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{DECLARED, Fake, connect, nobody};
use jackfield_admin::{AdminConfig, AdminError, AdminServer, Certificate};
use jackfield_telemetry::Telemetry;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

const TOKEN: &str = "the-token-of-the-test";
/// The largest component that is taken.
const COMPONENT_BYTES_MAX: usize = 64 << 20;

fn config() -> AdminConfig {
    AdminConfig::new("127.0.0.1:0".parse().unwrap(), TOKEN)
}

fn start(config: AdminConfig) -> AdminServer {
    let (connect, _lines) = connect(&Fake::new());
    AdminServer::start(
        config,
        Telemetry::new().unwrap(),
        Vec::new,
        nobody(),
        connect,
    )
    .unwrap()
}

fn http() -> Client {
    let _there = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

fn url(server: &AdminServer, path: &str) -> String {
    format!("http://{}{path}", server.local_addr())
}

#[tokio::test]
async fn only_probes_and_metrics_need_no_token() {
    let server = start(config());
    let http = http();
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        let answer = http.get(url(&server, path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    for path in [
        "/",
        "/connectors",
        "/connectors/c",
        "/connector-plugins",
        "/admin/loggers",
        "/status",
    ] {
        let answer = http.get(url(&server, path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(
            answer.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error_code"], 401, "{path}");
    }
    let bearer = http.get(url(&server, "/connectors")).bearer_auth(TOKEN);
    assert_eq!(bearer.send().await.unwrap().status(), StatusCode::OK);
    let basic = http
        .get(url(&server, "/connectors"))
        .basic_auth("anyone", Some(TOKEN));
    assert_eq!(basic.send().await.unwrap().status(), StatusCode::OK);
    let wrong = http
        .get(url(&server, "/connectors"))
        .basic_auth(TOKEN, Some("x"));
    assert_eq!(
        wrong.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing_though_nobody_is_asked() {
    let server = start(AdminConfig {
        token: None,
        ..config()
    });
    let http = http();
    let delete = || http.delete(url(&server, "/connectors/x"));
    assert_eq!(
        delete().send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let elsewhere = delete().header("origin", "http://evil.example");
    assert_eq!(
        elsewhere.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    let browser = delete().header("sec-fetch-site", "cross-site");
    assert_eq!(
        browser.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    let rebound = delete().header("host", "evil.example");
    assert_eq!(
        rebound.send().await.unwrap().status(),
        StatusCode::MISDIRECTED_REQUEST
    );
    // What a form can send is no JSON.
    let form = http
        .post(url(&server, "/connectors"))
        .header("content-type", "text/plain");
    let form = form
        .body(r#"{"name":"x","config":{}}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// By DNS rebinding a page's own name can be made to mean this server: what it says would be that
/// page's to read.
#[tokio::test]
async fn pages_of_other_sites_read_no_metrics_and_no_health() {
    let server = start(config());
    let http = http();
    for path in ["/livez", "/readyz", "/health", "/metrics", "/page/main.js"] {
        let get = || http.get(url(&server, path));
        let own = get().send().await.unwrap();
        assert_eq!(own.status(), StatusCode::OK, "{path}");
        assert!(
            !own.headers().contains_key("access-control-allow-origin"),
            "{path}"
        );
        for (header, value, status) in [
            ("host", "evil.example", StatusCode::MISDIRECTED_REQUEST),
            ("origin", "http://evil.example", StatusCode::FORBIDDEN),
            ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ] {
            let answer = get().header(header, value).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path} {header}");
        }
        let named = get().header("host", "localhost").send().await.unwrap();
        assert_eq!(named.status(), StatusCode::OK, "{path}");
    }
}

/// Probes and scrapers call it by the name of a pod or of a service.
#[tokio::test]
async fn where_others_reach_it_health_and_metrics_are_asked_for_by_any_name() {
    let server = start(AdminConfig::new("0.0.0.0:0".parse().unwrap(), TOKEN));
    let http = http();
    let own = format!("http://127.0.0.1:{}", server.local_addr().port());
    let get = |path: &str, host: &str| {
        let get = http.get(format!("{own}{path}"));
        get.bearer_auth(TOKEN).header("host", host.to_owned())
    };
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        let answer = get(path, "jackfield.flows.svc").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let page = get(path, "127.0.0.1").header("origin", "http://evil.example");
        let answer = page.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let asked = get("/connectors", "jackfield.flows.svc");
    let asked = asked.send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::MISDIRECTED_REQUEST);
    let asked = get("/connectors", "127.0.0.1").send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
}

#[tokio::test]
async fn pages_of_other_sites_swap_nothing_though_nobody_is_asked() {
    let server = start(AdminConfig {
        token: None,
        ..config()
    });
    let http = http();
    let swap = || {
        let post = http.post(url(&server, "/connectors/x/swap"));
        post.body("a component")
    };
    // As the one who swaps answers here.
    assert_eq!(swap().send().await.unwrap().status(), StatusCode::CONFLICT);
    for (header, value, status) in [
        ("origin", "http://evil.example", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("host", "evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let answer = swap().header(header, value).send().await.unwrap();
        assert_eq!(answer.status(), status, "{header}");
    }
}

#[tokio::test]
async fn components_have_a_limit() {
    let server = start(config());
    let http = http();
    for (bytes, status) in [
        (COMPONENT_BYTES_MAX, StatusCode::CONFLICT),
        (COMPONENT_BYTES_MAX + 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let swap = http.post(url(&server, "/connectors/x/swap"));
        let swap = swap.bearer_auth(TOKEN).body(vec![0_u8; bytes]);
        let answer = swap.send().await.unwrap();
        assert_eq!(answer.status(), status, "{bytes} bytes");
    }
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = start(config());
    let body = json!({ "name": "x", "config": { "a": "b".repeat(2 << 20) } });
    let put = http().post(url(&server, "/connectors")).bearer_auth(TOKEN);
    let answer = put.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn changes_have_a_limit_and_looking_has_none() {
    let server = start(config());
    let http = http();
    let path = format!("/connectors/{DECLARED}/resume");
    let mut last = StatusCode::OK;
    for _ in 0..5000 {
        let answer = http.put(url(&server, &path)).bearer_auth(TOKEN);
        let answer = answer.send().await.unwrap();
        last = answer.status();
        if last == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.headers()["retry-after"], "1");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error_code"], 429);
            break;
        }
        assert_eq!(last, StatusCode::ACCEPTED);
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let look = http.get(url(&server, "/connectors")).bearer_auth(TOKEN);
    assert_eq!(look.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn https_is_spoken_with_the_certificate_of_the_file() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = Certificate {
        chain: made.cert.pem().into_bytes(),
        key: made.signing_key.serialize_pem().into_bytes(),
    };
    let server = start(AdminConfig {
        certificate: Some(certificate),
        ..config()
    });
    let port = server.local_addr().port();
    let _there = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let https = Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let get = |path: &str| https.get(format!("https://localhost:{port}{path}"));
    assert_eq!(get("/livez").send().await.unwrap().status(), StatusCode::OK);
    let list = get("/connectors").bearer_auth(TOKEN);
    let list = list.header("origin", format!("https://localhost:{port}"));
    assert_eq!(list.send().await.unwrap().status(), StatusCode::OK);
    let plain = http().get(url(&server, "/livez")).send().await;
    assert!(plain.is_err(), "plain HTTP is not answered");
    // One that says nothing keeps nobody out.
    let _silent = tokio::net::TcpStream::connect(server.local_addr())
        .await
        .unwrap();
    assert_eq!(get("/livez").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_certificate_that_can_not_be_used_is_said() {
    let garbage = Certificate {
        chain: b"no certificate".to_vec(),
        key: b"no key".to_vec(),
    };
    let config = AdminConfig {
        certificate: Some(garbage),
        ..config()
    };
    let (connect, _lines) = connect(&Fake::new());
    let telemetry = Telemetry::new().unwrap();
    let error = AdminServer::start(config, telemetry, Vec::new, nobody(), connect)
        .err()
        .unwrap();
    assert!(matches!(error, AdminError::Tls(_)), "{error}");
}
