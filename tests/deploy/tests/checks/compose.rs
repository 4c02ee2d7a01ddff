//! deploy/compose.yaml: valid, and its wiring tried with the real programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jackfield_exchange::{Exchange, Options, Running, Speed};
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, http, python, repository};
use jackfield_test_kafka::Broker;
use jackfield_test_lakes::PostgresServer;
use jackfield_test_registry::ApicurioRegistry;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{deploy, free_address};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// `stop_grace_period` of the compose file, and of a pod: who takes longer is killed.
const STOP_GRACE: Duration = Duration::from_secs(45);
/// All trades of the recording.
const ALL: &str = "15863 15863\n";

async fn services() -> Value {
    let file = deploy("compose.yaml");
    let found = python("check_deploy.py", &["compose", file.to_str().unwrap()], "").await;
    serde_json::from_str::<Value>(&found).unwrap()["services"].take()
}

/// What a service finds in its environment.
fn environment(services: &Value, service: &str) -> BTreeMap<String, String> {
    let environment = services[service]["environment"].as_object().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    environment
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// The user, the password and the bucket of the service that makes the bucket, as its shell has them.
fn bucket(services: &Value) -> [String; 3] {
    let command = services["bucket"]["entrypoint"][2].as_str().unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[..4], ["mc", "alias", "set", "lake"], "{command}");
    assert_eq!(words[4], "http://minio:9000");
    assert_eq!(words[6], "\"$S3_SECRET_KEY\"", "{command}");
    let secret = environment(services, "bucket")["S3_SECRET_KEY"].clone();
    let made = words.last().unwrap().strip_prefix("lake/").unwrap();
    [words[5].to_owned(), secret, made.to_owned()]
}

/// One variable sets a password wherever it is wanted: two of one value would part once one is set.
#[test]
fn each_password_has_one_variable() {
    let text = std::fs::read_to_string(deploy("compose.yaml")).unwrap();
    let mut defaults = BTreeMap::new();
    for variable in text.split("${").skip(1) {
        let variable = variable.split('}').next().unwrap();
        let (name, default) = variable.split_once(":-").unwrap();
        let other = defaults.insert(default, name);
        assert!(other.is_none_or(|it| it == name), "{name} and {other:?}");
    }
    let head = text.split("\nname:").next().unwrap();
    for name in ["CATALOG_PASSWORD", "S3_SECRET_KEY", "GRAFANA_PASSWORD"] {
        let set = defaults.values().any(|it| *it == name);
        assert!(set && head.contains(name), "{name}");
    }
}

/// Grafana itself can't be had here: what it is to read is where it looks for it.
#[tokio::test(flavor = "multi_thread")]
async fn grafana_finds_its_data_source_and_its_dashboards() {
    let services = services().await;
    let read = |path: &str| std::fs::read_to_string(deploy(path)).unwrap();
    let source = read("compose/grafana/datasource.yml");
    assert!(source.contains("url: http://prometheus:9090\n"));
    assert!(services["prometheus"].is_object());
    let provider = read("grafana/provisioning/dashboards/jackfield.yml");
    let path = provider.split("path: ").nth(1).unwrap().trim();
    let mounts: Vec<&str> = services["grafana"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount.as_str().unwrap())
        .collect();
    for wanted in [
        format!("./grafana/dashboards:{path}:ro"),
        "./grafana/provisioning/dashboards:/etc/grafana/provisioning/dashboards:ro".to_owned(),
        "./compose/grafana/datasource.yml:/etc/grafana/provisioning/datasources/prometheus.yml:ro"
            .to_owned(),
    ] {
        assert!(mounts.contains(&wanted.as_str()), "{wanted}: {mounts:?}");
    }
    let environment = environment(&services, "grafana");
    assert!(environment.contains_key("GF_SECURITY_ADMIN_PASSWORD"));
}

/// Editors write a new file and rename it: a file that is mounted alone stays the one before, so that
/// no change of it is ever taken.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_pipelines_is_mounted_with_its_folder() {
    let services = services().await;
    for service in ["jackfield", "jackfield-recorded"] {
        let mounts = services[service]["volumes"].as_array().unwrap();
        let mounts: Vec<&str> = mounts.iter().map(|it| it.as_str().unwrap()).collect();
        let mut folders = mounts
            .iter()
            .filter_map(|it| it.strip_suffix(":/etc/jackfield:ro"));
        let folder = deploy(folders.next().expect("a folder is mounted there"));
        assert!(folder.join("connectors.yaml").exists(), "{service}");
        let mut files = mounts.iter().flat_map(|it| it.split(':'));
        let alone = files.find(|it| it.ends_with("connectors.yaml"));
        assert_eq!(alone, None, "{service}");
    }
    let page = std::fs::read_to_string(repository().join("docs/OPERATIONS.md")).unwrap();
    assert!(page.contains(":/etc/jackfield:ro"));
    assert!(!page.contains("connectors.yaml:/etc/jackfield"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compose_file_is_valid_and_each_profile_runs_one_jackfield() {
    let services = services().await;
    for (service, profile) in [("jackfield", "live"), ("jackfield-recorded", "recorded")] {
        assert_eq!(services[service]["profiles"][0], profile);
        assert_eq!(services[service]["read_only"], true);
        assert_eq!(services[service]["cap_drop"][0], "ALL");
        // Docker kills what takes longer; a worker takes 30 s at most.
        let period = format!("{}s", STOP_GRACE.as_secs());
        assert_eq!(services[service]["stop_grace_period"], period);
    }
    let ports = services.as_object().unwrap().values();
    for port in ports
        .filter_map(|service| service["ports"].as_array())
        .flatten()
    {
        assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}");
    }
}

/// The broker as the image `apache/kafka` would set it up: `KAFKA_SOME_KEY` is `some.key`. Where it
/// is and what it is called stay the test's own.
fn broker(services: &Value) -> Broker {
    let own = [
        "KAFKA_NODE_ID",
        "KAFKA_PROCESS_ROLES",
        "KAFKA_LISTENERS",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_CONTROLLER_QUORUM_VOTERS",
        "KAFKA_LOG_DIRS",
    ];
    let settings: Vec<(String, String)> = environment(services, "kafka")
        .into_iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| {
            let name = name.strip_prefix("KAFKA_").unwrap();
            (name.to_lowercase().replace('_', "."), value)
        })
        .collect();
    assert!(settings.len() > 5, "{settings:?}");
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Broker::with(&settings)
}

/// The servers that compose starts as containers, as processes.
struct Platform {
    broker: Broker,
    registry: ApicurioRegistry,
    postgres: PostgresServer,
    s3: S3WithKeys,
    exchange: Running,
}

/// An S3 server that lets in who has the keys of the compose file's MinIO, and nobody else.
struct S3WithKeys {
    url: String,
    _process: tokio::process::Child,
}

impl S3WithKeys {
    async fn start(services: &Value) -> Self {
        let minio = environment(services, "minio");
        let address = free_address();
        let process = tokio::process::Command::new(repository().join("scripts/python"))
            .arg(repository().join("tests/python/s3_with_keys.py"))
            .args(["serve", &address.port().to_string()])
            .args([&minio["MINIO_ROOT_USER"], &minio["MINIO_ROOT_PASSWORD"]])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("scripts/python is there");
        let url = format!("http://{address}");
        let begin = Instant::now();
        // Who brings no keys is told to leave, as soon as somebody answers.
        loop {
            if let Ok(answer) = http().get(format!("{url}/lake")).send().await {
                assert_eq!(answer.status(), 403);
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "the S3 server does not start");
            sleep(LOOK_EVERY).await;
        }
        let [user, secret, bucket] = bucket(services);
        let arguments = ["make-bucket", &url, &user, &secret, &bucket];
        python("s3_with_keys.py", &arguments, "").await;
        Self {
            url,
            _process: process,
        }
    }
}

impl Platform {
    async fn start(services: &Value) -> Self {
        let described = services.clone();
        let started = tokio::task::spawn_blocking(move || {
            let postgres = PostgresServer::with_password("of-the-tests");
            // What the image does with POSTGRES_USER and its kin.
            let given = environment(&described, "postgres");
            let (user, database) = (&given["POSTGRES_USER"], &given["POSTGRES_DB"]);
            let password = &given["POSTGRES_PASSWORD"];
            postgres.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'"));
            postgres.execute(&format!("CREATE DATABASE {database} OWNER {user}"));
            let broker = broker(&described);
            let settings: Vec<(String, String)> = environment(&described, "schema-registry")
                .into_iter()
                .map(|(name, value)| (name, value.replace("kafka:9092", &broker.address())))
                .collect();
            let registry = ApicurioRegistry::with(&settings);
            (broker, registry, postgres)
        });
        let (broker, registry, postgres) = started.await.unwrap();
        let mut options = Options::spot().unwrap();
        options.speed = Speed::PerSecond(4000.0);
        Self {
            broker,
            registry,
            postgres,
            s3: S3WithKeys::start(services).await,
            exchange: Exchange::start(options).await.unwrap(),
        }
    }

    /// Where each host of the compose file is here.
    fn moved(&self, value: &str) -> String {
        let registry = self.registry.url();
        let registry = registry.trim_end_matches("/apis/ccompat/v7");
        value
            .replace("kafka:9092", &self.broker.address())
            .replace("http://schema-registry:8080", registry)
            .replace(
                "postgres:5432",
                &format!("127.0.0.1:{}", self.postgres.port()),
            )
            .replace("http://minio:9000", &self.s3.url)
            .replace("ws://exchange:9000", &self.exchange.ws_url())
            .replace("http://exchange:9001", &self.exchange.rest_url())
    }

    /// As a reader counts them who has what the servers were given.
    async fn rows(&self, services: &Value) -> String {
        let postgres = environment(services, "postgres");
        let catalog = format!(
            "postgresql+psycopg2://{}:{}@127.0.0.1:{}/{}",
            postgres["POSTGRES_USER"],
            postgres["POSTGRES_PASSWORD"],
            self.postgres.port(),
            postgres["POSTGRES_DB"]
        );
        let minio = environment(services, "minio");
        let endpoint = format!("s3.endpoint={}", self.s3.url);
        let key = format!("s3.access-key-id={}", minio["MINIO_ROOT_USER"]);
        let secret = format!("s3.secret-access-key={}", minio["MINIO_ROOT_PASSWORD"]);
        let arguments = [
            ["--catalog", &catalog],
            ["--warehouse", "s3://lake/warehouse"],
            ["--name", "lake"],
            ["--table", "recorded.trades"],
            ["--property", &endpoint],
            ["--property", &key],
            ["--property", &secret],
            ["--property", "s3.region=us-east-1"],
        ];
        python("count_trades.py", &arguments.concat(), "").await
    }
}

/// The compose file's Kafka, registry, catalog and object store with its `connectors.yaml`, and its
/// Prometheus with the rules.
#[tokio::test(flavor = "multi_thread")]
async fn the_platform_lands_every_trade_once_and_prometheus_sees_it() {
    let services = services().await;
    let platform = Platform::start(&services).await;
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&Artifacts::get().jackfield);
        command
            .args(["run", deploy("compose/connectors.yaml").to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("JACKFIELD_PLUGINS", &Artifacts::get().plugins)
            .env("JACKFIELD_STATE", &Artifacts::get().state);
        for (name, value) in environment(&services, "jackfield-recorded") {
            command.env(name, platform.moved(&value));
        }
        Jackfield::spawn(command.into())
    };
    let mut jackfield = run(&[]);
    let admin = jackfield.admin().await;
    let prometheus = Prometheus::start(folder.path(), admin.trim_start_matches("http://"));
    prometheus.sees_jackfield().await;
    // By the name that the other services call it: the token is asked for, the name is not refused.
    let asked = http()
        .get(format!("{admin}/connectors"))
        .header("host", "jackfield:8083")
        .send()
        .await;
    assert_eq!(asked.unwrap().status(), 401);
    let stopping = Instant::now();
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    println!("drained in {:?}", stopping.elapsed());
    assert!(stopping.elapsed() < STOP_GRACE);
    assert_eq!(run(&["--until-idle", "5s"]).wait().await, 0);
    platform.exchange.finished().await;
    assert_eq!(platform.rows(&services).await, ALL);
}

struct Prometheus {
    url: String,
    _process: tokio::process::Child,
}

impl Prometheus {
    /// With the compose file's settings, but for where things are, and a shorter wait.
    fn start(folder: &Path, target: &str) -> Self {
        let settings = std::fs::read_to_string(deploy("compose/prometheus.yml")).unwrap();
        let rules = deploy("prometheus");
        let settings = settings
            .replace("jackfield:8083", target)
            .replace("/etc/prometheus/rules", rules.to_str().unwrap())
            .replace("15s", "1s");
        assert!(settings.contains(target), "{settings}");
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, settings).unwrap();
        let address = free_address();
        let process = tokio::process::Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .current_dir(repository())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is installed by scripts/deps");
        Self {
            url: format!("http://{address}"),
            _process: process,
        }
    }

    async fn sees_jackfield(&self) {
        let begin = Instant::now();
        loop {
            let up = self.ask("/api/v1/query?query=up{job=\"jackfield\"}").await;
            let rules = self.ask("/api/v1/rules").await;
            let groups = rules["data"]["groups"].as_array().map_or(0, Vec::len);
            if up["data"]["result"][0]["value"][1] == "1" && groups > 0 {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{up} {rules}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Null while it does not answer.
    async fn ask(&self, path: &str) -> Value {
        let answer = http().get(format!("{}{path}", self.url)).send().await;
        match answer {
            Ok(answer) => answer.json().await.unwrap_or(Value::Null),
            Err(_not_yet) => Value::Null,
        }
    }
}
