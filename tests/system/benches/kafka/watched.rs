//! A running process, looked at from outside.

use std::fmt;
use std::time::{Duration, Instant};

use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, http, metric};
use tokio::time::sleep;

/// Between two looks: rates are as exact as this is short, and each look at the metrics takes the
/// process CPU time.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// When it was, and how much CPU time a process had used by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: Instant,
    cpu_s: f64,
}

impl Moment {
    pub(crate) fn of(pid: u32) -> Moment {
        Moment {
            at: Instant::now(),
            cpu_s: cpu_s(pid),
        }
    }
}

/// Records a second by the clock, and a CPU second of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

impl Rates {
    pub(crate) fn between(from: Moment, to: Moment, records: u64) -> Rates {
        let records = records as f64;
        Rates {
            wall: records / to.at.duration_since(from.at).as_secs_f64(),
            cpu: records / (to.cpu_s - from.cpu_s),
        }
    }

    /// How much of librdkafka's these are.
    pub(crate) fn beside(self, alone: Rates) -> String {
        format!(
            "{:.0} % of its records/s, {:.0} % of its records per CPU second",
            100.0 * self.wall / alone.wall,
            100.0 * self.cpu / alone.cpu
        )
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} records/s, {:.0} records per CPU second",
            self.wall, self.cpu
        )
    }
}

pub(crate) struct Watched {
    pub(crate) jackfield: Jackfield,
    admin: String,
    http: reqwest::Client,
    pid: u32,
    /// The most that was seen.
    pub(crate) peak_mib: f64,
}

impl Watched {
    pub(crate) async fn run(site: &Site) -> Watched {
        let mut jackfield = Jackfield::run(site, &["--log-format", "text"]);
        let admin = jackfield.admin().await;
        let pid = jackfield.pid().expect("it runs");
        Watched {
            jackfield,
            admin,
            http: http(),
            pid,
            peak_mib: 0.0,
        }
    }

    /// Waits until a connector's counter has come so far: when it had, and how far it was then.
    pub(crate) async fn until(
        &mut self,
        name: &str,
        connector: &str,
        reaches: u64,
    ) -> (Moment, u64) {
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            let page = self.http.get(format!("{}/metrics", self.admin)).send();
            let page = page.await.unwrap().text().await.unwrap();
            let now = metric(&page, name, connector) as u64;
            self.peak_mib = self.peak_mib.max(self.resident_mib());
            if now >= reaches {
                return (Moment::of(self.pid), now);
            }
            if now > before {
                (before, moved) = (now, Instant::now());
            }
            assert!(
                moved.elapsed() < PATIENCE,
                "{connector}: {name} stays {now}"
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// Has a connector drain: a sink commits at once what it was put.
    pub(crate) async fn pause(&self, connector: &str) {
        let token = std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap();
        let url = format!("{}/connectors/{connector}/pause", self.admin);
        let request = self.http.put(url).bearer_auth(token.trim());
        assert_eq!(request.send().await.unwrap().status(), 202);
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<f64>().unwrap() / 1024.0
    }

    pub(crate) async fn stop(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

/// User and system seconds of all threads so far.
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // In clock ticks, 100 a second on Linux.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
