//! A running Prometheus with the rules of deploy/prometheus, in which time passes faster.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::{PATIENCE, http, repository};

/// So many times shorter than in the rules are all times in the tests' copy of them: a minute is a
/// second. Thresholds and everything else stay as they are.
const FASTER: u64 = 60;
/// Between two scrapes, and two looks at the rules: 15 s, as much shorter.
const EVERY: &str = "250ms";
/// Between two looks at an alert.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server; it is killed when this is dropped.
pub struct Prometheus {
    _child: Child,
    _folder: TempDir,
    url: String,
    http: reqwest::Client,
}

impl Prometheus {
    /// Scrapes these addresses, as `127.0.0.1:8083`.
    ///
    /// # Panics
    /// There is no `prometheus`, or it does not start.
    pub async fn start(targets: &[&str]) -> Prometheus {
        let folder = tempfile::Builder::new()
            .prefix("jackfield-prometheus-")
            .tempdir()
            .unwrap();
        for name in ["alerts.yml", "recording.yml"] {
            let rules = faster(&rules(name));
            std::fs::write(folder.path().join(name), rules.to_string()).unwrap();
        }
        let mut config = read("prometheus.yml");
        config["global"] = json!({ "scrape_interval": EVERY, "evaluation_interval": EVERY });
        config["scrape_configs"][0]["static_configs"] = json!([{ "targets": targets }]);
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--query.lookback-delta=10s",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is missing: on Debian, run: sudo apt-get install prometheus");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("\"Listening on\" address=") {
                    return address.trim().to_owned();
                }
            }
            panic!("prometheus ended before it listened");
        };
        let address = timeout(PATIENCE, listening)
            .await
            .expect("prometheus listens");
        // What it says later is read, so that it can go on saying it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let prometheus = Prometheus {
            _child: child,
            _folder: folder,
            url: format!("http://{address}"),
            http: http(),
        };
        prometheus.until_ready().await;
        prometheus
    }

    async fn until_ready(&self) {
        let begin = Instant::now();
        loop {
            let answer = self.http.get(format!("{}/-/ready", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "prometheus is never ready");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut url = url::Url::parse(&format!("{}{path}", self.url)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.http.get(url).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// The samples of an expression now.
    ///
    /// # Panics
    /// It is no PromQL.
    pub async fn query(&self, expr: &str) -> Vec<Value> {
        let answer = self.get("/api/v1/query", &[("query", expr)]).await;
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The alert as it fires for a connector, or for any where it names none.
    pub async fn firing(&self, alert: &str, connector: Option<&str>) -> Option<Value> {
        let answer = self.get("/api/v1/alerts", &[]).await;
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let mut fires = alerts.iter().filter(|it| {
            it["state"] == "firing"
                && it["labels"]["alertname"] == alert
                && connector.is_none_or(|connector| it["labels"]["connector"] == connector)
        });
        fires.next().cloned()
    }

    /// Waits until the alert fires, and gives it.
    pub async fn until_firing(&self, alert: &str, connector: Option<&str>) -> Value {
        let begin = Instant::now();
        loop {
            if let Some(fires) = self.firing(alert, connector).await {
                return fires;
            }
            let late = begin.elapsed() > PATIENCE;
            assert!(
                !late,
                "{alert} does not fire: {}",
                self.get("/api/v1/alerts", &[]).await
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the alert does not fire any more.
    pub async fn until_over(&self, alert: &str, connector: Option<&str>) {
        let begin = Instant::now();
        while let Some(fires) = self.firing(alert, connector).await {
            assert!(begin.elapsed() < PATIENCE, "{alert} goes on: {fires}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the expression gives a sample.
    pub async fn until_some(&self, expr: &str) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            let samples = self.query(expr).await;
            if !samples.is_empty() {
                return samples;
            }
            assert!(begin.elapsed() < PATIENCE, "never: {expr}");
            sleep(LOOK_EVERY).await;
        }
    }
}

fn read(name: &str) -> Value {
    let path: PathBuf = repository().join("deploy/prometheus").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_yaml::from_str(&text).unwrap()
}

/// The groups of rules of a file in deploy/prometheus.
pub fn rules(name: &str) -> Value {
    read(name)
}

/// The same with all times shorter.
fn faster(rules: &Value) -> Value {
    let mut rules = rules.clone();
    for group in rules["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            if let Some(lasts) = rule["for"].as_str().map(shorter) {
                rule["for"] = json!(lasts);
            }
            rule["expr"] = json!(faster_expr(rule["expr"].as_str().unwrap()));
        }
    }
    rules
}

/// An expression with all its times shorter: the ranges in brackets, and how far ahead a line is
/// drawn.
pub fn faster_expr(expr: &str) -> String {
    let mut out = String::new();
    let mut rest = expr;
    while let Some((before, after)) = rest.split_once('[') {
        let (range, after) = after
            .split_once(']')
            .expect("a bracket that opens is closed");
        out.push_str(&format!("{before}[{}]", shorter(range)));
        rest = after;
    }
    out.push_str(rest);
    let ahead = 4 * 3600;
    out.replace(&format!(", {ahead})"), &format!(", {})", ahead / FASTER))
}

/// `10m` → `10000ms`.
fn shorter(time: &str) -> String {
    // A range of a subquery and its step.
    if let Some((range, step)) = time.split_once(':') {
        return format!("{}:{}", shorter(range), shorter(step));
    }
    let unit = time.chars().last().expect("a time has a unit");
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        other => panic!("no unit of time that the rules have: {other}"),
    };
    let number: u64 = time.trim_end_matches(unit).parse().unwrap();
    format!("{}ms", number * seconds * 1000 / FASTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shorter_and_nothing_else_is() {
        let expr = "predict_linear(free[1h], 14400) < 0 and rate(a[1m]) > 60";
        let faster = "predict_linear(free[60000ms], 240) < 0 and rate(a[1000ms]) > 60";
        assert_eq!(faster_expr(expr), faster);
        let expr = "max_over_time(a[1h:15s])";
        assert_eq!(faster_expr(expr), "max_over_time(a[60000ms:250ms])");
    }
}
