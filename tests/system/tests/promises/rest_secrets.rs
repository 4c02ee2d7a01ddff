//! Secrets never leave: whatever is asked of the admin server, of the command line, and whatever is
//! logged.

use std::path::Path;
use std::process::Stdio;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, http};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Duration, sleep, timeout};

use crate::exchange;
use crate::lakes::in_s3;

/// The environment variable of the file's `${…}`.
const VARIABLE: &str = "JACKFIELD_TEST_SECRET";
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What must be nowhere, by where it stands.
const SECRETS: [(&str, &str); 9] = [
    ("an environment variable", "sesame-of-the-environment"),
    ("a file", "sesame-of-a-file"),
    ("the admin token", "sesame-of-the-admin"),
    ("a lake", "sesame-of-the-lake"),
    ("a setting of the file", "sesame-of-a-setting"),
    ("a nested setting of the file", "sesame-nested-deep"),
    ("a URL of the file", "sesame-in-a-url"),
    ("a config over REST", "sesame-over-rest"),
    ("a config that is only validated", "sesame-validated"),
];

fn secret(of: &str) -> &'static str {
    let found = SECRETS.iter().find(|(place, _)| *place == of);
    found.expect("it is one of them").1
}

fn assert_none(what: &str, text: &str) {
    for (place, secret) in SECRETS {
        assert!(!text.contains(secret), "{what} tells {place}: {text}");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    format!("${{file:{}}}", path.display())
}

/// Secrets wherever a file may have them, and where it should not.
fn hide(site: &mut Site) {
    let folder = site.path().to_owned();
    let of_file = write(&folder, "file-secret", secret("a file"));
    let token = write(&folder, "admin-secret", secret("the admin token"));
    let of_lake = write(&folder, "lake-secret", secret("a lake"));
    site.set("/admin", json!({ "token": token }));
    let mut lake = in_s3("http://127.0.0.1:1");
    lake["s3"]["secret-access-key"] = json!(of_lake);
    site.set("/lakes/away", lake);
    let headers = json!({ "authorization": of_file, "x-key": format!("${{{VARIABLE}}}") });
    let http = json!([{ "url": "http://127.0.0.1:1", "headers": headers }]);
    site.set("/grants", json!({ "away": { "http": http } }));
    let otlp = json!({ "endpoint": "http://127.0.0.1:1", "interval": "100ms", "headers": headers });
    site.set("/telemetry", json!({ "otlp": otlp }));
    let plugin = json!({ "file": Artifacts::get().plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", plugin);
    // It fails again and again, so that failures are told, too.
    let settings = json!({
        "in": "poll",
        "do": "panic",
        "api-key": secret("a setting of the file"),
        "token": format!("${{{VARIABLE}}}"),
        "database": { "accounts": [{ "password": secret("a nested setting of the file") }] },
        "feed": format!("postgres://me:{}@127.0.0.1:1/db", secret("a URL of the file")),
    });
    let pipeline = json!({
        "retry": { "deadline": "1h" },
        "source": { "plugin": "hostile", "settings": settings, "allow": { "http": http } },
        "topics": { "only": { "name": "evil.only" } }
    });
    site.set("/pipelines/evil", pipeline);
}

/// A config as somebody makes it who should not.
fn config(secret: &str) -> Value {
    let settings = json!({ "in": "poll", "do": "panic", "login": { "password": secret } });
    json!({
        "connector.class": "hostile",
        "jackfield.grant": "away",
        "topic.only": "evil.made",
        "errors.retry.timeout": "3600000",
        "settings": settings.to_string(),
    })
}

/// The admin server of a process, for who has the token.
struct Door {
    url: String,
    client: Client,
}

impl Door {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.url);
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request.json(body);
        }
        let request = request.bearer_auth(secret("the admin token"));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        let text = answer.text().await.unwrap();
        assert_none(path, &headers);
        assert_none(path, &text);
        (status, text)
    }

    async fn json(&self, path: &str) -> Value {
        let (status, text) = self.ask("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn until(&self, path: &str, done: impl Fn(&Value) -> bool) {
        let waiting = async {
            while !done(&self.json(path).await) {
                sleep(LOOK_EVERY).await;
            }
        };
        let in_time = timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "never at {path}");
    }

    /// The first events of the page.
    async fn events(&self) -> String {
        let request = self.client.get(format!("{}/events", self.url));
        let request = request.bearer_auth(secret("the admin token"));
        let mut answer = request.send().await.unwrap();
        let mut heard = String::new();
        let hearing = async {
            while !heard.contains("event: change") {
                let piece = answer.chunk().await.unwrap().expect("it does not end");
                heard += &String::from_utf8_lossy(&piece);
            }
        };
        timeout(PATIENCE, hearing).await.expect("events come");
        heard
    }
}

/// All that is read of the server: what is there once, and what each connector, plugin and topic has.
async fn everything(door: &Door) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/connectors",
        "/connectors?expand=status&expand=info",
        "/connector-plugins",
        "/connector-plugins?connectorsOnly=false",
        "/admin/loggers",
        "/admin/loggers/root",
        "/status",
        "/topics",
        "/nothing",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    for connector in door.json("/connectors").await.as_array().unwrap() {
        let connector = connector.as_str().unwrap();
        paths.push(format!("/status/{connector}"));
        paths.push(format!("/connectors/{connector}"));
        for of in [
            "config",
            "status",
            "tasks",
            "tasks/0/status",
            "topics",
            "offsets",
            "details",
            "swaps",
            "shadows",
        ] {
            paths.push(format!("/connectors/{connector}/{of}"));
        }
    }
    for plugin in door.json("/connector-plugins").await.as_array().unwrap() {
        let plugin = plugin["class"].as_str().unwrap();
        paths.push(format!("/connector-plugins/{plugin}/config"));
    }
    for topic in door.json("/topics").await.as_array().unwrap() {
        let topic = topic["name"].as_str().unwrap();
        paths.push(format!("/topics/{topic}"));
        paths.push(format!("/topics/{topic}/records"));
    }
    paths
}

/// What a command says.
async fn command(site: &Site, args: &[&str]) -> String {
    let output = Command::new(&Artifacts::get().jackfield)
        .args(args)
        .env(VARIABLE, secret("an environment variable"))
        .current_dir(site.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_answer_no_command_and_no_log_line() {
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    hide(&mut site);
    let file = site.file().to_str().unwrap().to_owned();
    let mut run = Command::new(&Artifacts::get().jackfield);
    run.args(["run", &file, "--listen", "127.0.0.1:0", "--log", "trace"])
        .env(VARIABLE, secret("an environment variable"));
    let mut jackfield = Jackfield::spawn(run);
    // Other lines may speak of metrics, too.
    let line = jackfield.line("states at /readyz").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let door = Door {
        url: format!("http://{}", line["address"].as_str().unwrap()),
        client: http(),
    };
    let made = json!({ "name": "made", "config": config(secret("a config over REST")) });
    let (status, said) = door.ask("POST", "/connectors", &made).await;
    assert_eq!(status, 201, "{said}");
    for connector in ["evil-source", "made"] {
        let path = format!("/connectors/{connector}/details");
        let failed = |now: &Value| now["failures"].as_array().is_some_and(|it| !it.is_empty());
        door.until(&path, failed).await;
    }

    // What is shown of them is masked, and not merely left out.
    let config_of = |name: &str| format!("/connectors/{name}/config");
    assert_eq!(door.json(&config_of("made")).await["settings"], "***");
    let shown = door.json("/connectors/evil-source/details").await;
    assert_eq!(shown["settings"]["api-key"], "***", "{shown}");
    assert_eq!(shown["settings"]["token"], "***", "{shown}");

    for path in everything(&door).await {
        let (status, text) = door.ask("GET", &path, &Value::Null).await;
        let expected = match path.as_str() {
            "/nothing" => status == 404,
            "/readyz" => status == 200 || status == 503,
            _ => status == 200,
        };
        assert!(expected, "{path}: {status} {text}");
    }
    assert_none("/events", &door.events().await);
    let validate = "/connector-plugins/hostile/config/validate";
    let mut wrong = config(secret("a config that is only validated"));
    for (key, value) in [
        ("settings", wrong["settings"].clone()),
        (
            "db.password",
            json!(secret("a config that is only validated")),
        ),
        ("transforms", json!("a")),
    ] {
        wrong[key] = value;
        let (status, said) = door.ask("PUT", validate, &wrong).await;
        assert_eq!(status, 200, "{said}");
        // The same is refused where it is made.
        let path = "/connectors/other/config";
        let (status, said) = door.ask("PUT", path, &wrong).await;
        assert!([200, 201, 400].contains(&status), "{said}");
    }
    let levels = "/admin/loggers/root?scope=cluster";
    let (status, said) = door.ask("PUT", levels, &json!({ "level": "TRACE" })).await;
    assert_eq!(status, 204, "{said}");

    let address = door.url.trim_start_matches("http://").to_owned();
    for args in [
        &["check", &file][..],
        &["doctor", &file],
        &["doctor", &file, "--json"],
        &["status", "--config", &file, "--address", &address, "--json"],
        &["topics", "--config", &file, "--address", &address, "--json"],
    ] {
        let said = command(&site, args).await;
        assert!(!said.is_empty(), "{args:?} says nothing");
        assert_none(&format!("{args:?}"), &said);
    }
    jackfield.terminate().await;
    jackfield.wait().await;
    let log = jackfield.log();
    assert!(log.contains("TRACE"), "nothing was traced");
    for line in log.lines() {
        assert_none("a log line", line);
    }
}
