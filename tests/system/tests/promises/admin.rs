//! A running process, changed through its admin API and its command line.

use std::process::Output;
use std::time::Duration;

use jackfield_exchange::Running;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, http, metric, output};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use jackfield_system_tests::changed_copy;

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running process and its admin API.
pub(crate) struct Admin {
    pub(crate) jackfield: Jackfield,
    pub(crate) url: String,
    token: String,
    http: reqwest::Client,
}

impl Admin {
    pub(crate) async fn run(site: &Site, args: &[&str]) -> Admin {
        let mut jackfield = Jackfield::run(site, args);
        let url = jackfield.admin().await;
        let token = std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap();
        Admin {
            jackfield,
            url,
            token,
            http: http(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// `PUT` without a body.
    pub(crate) async fn put(&self, path: &str) {
        let request = self.http.put(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// A connector's figure on the page of metrics.
    pub(crate) async fn figure(&self, name: &str, connector: &str) -> u64 {
        let request = self.http.get(format!("{}/metrics", self.url));
        let page = request.send().await.unwrap().text().await.unwrap();
        metric(&page, name, connector) as u64
    }

    /// Waits until every trade that happened before this call has come, and none is missed.
    pub(crate) async fn until_none_is_missed(&self, exchange: &Running) {
        let happened = exchange.status().position;
        let come = |now: &Value| now["records"].as_u64() >= Some(happened);
        self.until("it has come so far", "/status/trades-source", come)
            .await;
        let begin = Instant::now();
        loop {
            let behind = self.figure("jackfield_behind_records", "trades-source");
            let behind = behind.await;
            if behind == 0 {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{behind} trades are missed");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Orders a swap, again and again while another one is being made.
    pub(crate) async fn swap(&self, connector: &str, component: &[u8], probation_ms: u64) -> Value {
        let url = format!(
            "{}/connectors/{connector}/swap?probation-ms={probation_ms}",
            self.url
        );
        let begin = Instant::now();
        loop {
            let request = self.http.post(&url).bearer_auth(&self.token);
            let answer = request.body(component.to_vec()).send().await.unwrap();
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.unwrap();
            if status == 200 {
                return body;
            }
            let later = body["code"] == "busy" || body["code"] == "too-many";
            assert!(later, "{body}");
            assert!(begin.elapsed() < PATIENCE, "{body}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Orders a swap on the shortest probation; what became of it, if the process answered.
    pub(crate) async fn try_swap(&self, connector: &str, component: &[u8]) -> Option<Value> {
        let url = format!("{}/connectors/{connector}/swap?probation-ms=1", self.url);
        let request = self.http.post(&url).bearer_auth(&self.token);
        let answer = request.body(component.to_vec()).send().await.ok()?;
        answer.json().await.ok()
    }

    pub(crate) async fn until(
        &self,
        what: &str,
        path: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        let waiting = async {
            loop {
                let now = self.get(path).await;
                if done(&now) {
                    return now;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(value) => value,
            Err(_) => panic!("never: {what}: {}", self.get(path).await),
        }
    }

    /// `jackfield swap …` as a person runs it.
    pub(crate) async fn command(&self, site: &Site, args: &[&str]) -> Output {
        let file = site.file();
        let address = self.url.trim_start_matches("http://");
        let own = ["--config", file.to_str().unwrap(), "--address", address];
        output(&[&["swap"], args, &own].concat()).await
    }

    /// Runs it, and compares how it ends.
    pub(crate) async fn expect(&self, site: &Site, args: &[&str], code: i32, word: &str) {
        let output = self.command(site, args).await;
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: no `{word}` in {text}");
    }
}
