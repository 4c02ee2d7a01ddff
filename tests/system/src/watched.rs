//! A running `jackfield` looked at from outside, for the benches: how far it has come, and what it
//! has used by then.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{Artifacts, Jackfield, PATIENCE, Site, http, metric};

/// Clock ticks in a second of CPU time, as Linux tells it.
const TICKS_PER_S: f64 = 100.0;

/// When it was, and how much CPU time a process had used by then.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By this machine's clock.
    pub at: Instant,
    /// User and system seconds of all threads.
    pub cpu_s: f64,
}

impl Moment {
    /// Now, of the process with this id.
    pub fn of(pid: u32) -> Moment {
        Moment {
            at: Instant::now(),
            cpu_s: cpu_s(pid),
        }
    }
}

/// Records a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// By the clock.
    pub wall: f64,
    /// By the CPU time of the process.
    pub cpu: f64,
}

impl Rates {
    /// So many records from one moment to another.
    pub fn between(from: Moment, to: Moment, records: u64) -> Rates {
        let records = records as f64;
        Rates {
            wall: records / to.at.duration_since(from.at).as_secs_f64(),
            cpu: records / (to.cpu_s - from.cpu_s),
        }
    }

    /// How much of another's these are.
    pub fn beside(self, alone: Rates) -> String {
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

/// The process.
pub struct Watched {
    /// Itself.
    pub jackfield: Jackfield,
    /// Where its admin server is: `http://…`.
    pub admin: String,
    /// A client that asks there.
    pub http: reqwest::Client,
    /// Just before it was started.
    pub began: Instant,
    /// The most memory that was seen while waiting.
    pub peak_mib: f64,
    pid: u32,
    look_every: Duration,
}

impl Watched {
    /// Starts it on a site. So much time passes between two looks at its metrics: rates are as exact
    /// as that is short, and each look takes the process CPU time.
    pub async fn run(site: &Site, look_every: Duration) -> Watched {
        let began = Instant::now();
        let mut jackfield = Jackfield::run(site, &["--log-format", "text"]);
        let admin = jackfield.admin().await;
        let pid = jackfield.pid().expect("it runs");
        Watched {
            jackfield,
            admin,
            http: http(),
            began,
            peak_mib: 0.0,
            pid,
            look_every,
        }
    }

    /// Its metrics.
    pub async fn page(&self) -> String {
        let page = self.http.get(format!("{}/metrics", self.admin)).send();
        page.await.unwrap().text().await.unwrap()
    }

    /// Waits until a connector's counter has come so far: when it had, and how far it was then.
    pub async fn until(&mut self, name: &str, connector: &str, reaches: u64) -> (Moment, u64) {
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            let now = metric(&self.page().await, name, connector) as u64;
            self.peak_mib = self.peak_mib.max(self.resident_mib());
            if now >= reaches {
                return (self.now(), now);
            }
            if now > before {
                (before, moved) = (now, Instant::now());
            }
            assert!(
                moved.elapsed() < PATIENCE,
                "{connector}: {name} stays {now}"
            );
            sleep(self.look_every).await;
        }
    }

    /// What it has used so far.
    pub fn now(&self) -> Moment {
        Moment::of(self.pid)
    }

    /// What it has in memory.
    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<f64>().unwrap() / 1024.0
    }

    /// What its admin server asks of whoever changes anything.
    pub fn token(&self) -> String {
        let token = std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap();
        token.trim().to_owned()
    }

    /// Has a connector drain: a sink commits at once what it was put.
    pub async fn pause(&self, connector: &str) {
        let url = format!("{}/connectors/{connector}/pause", self.admin);
        let request = self.http.put(url).bearer_auth(self.token());
        assert_eq!(request.send().await.unwrap().status(), 202);
    }

    /// Ends it, and all is drained.
    pub async fn stop(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

/// User and system seconds of all threads so far.
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name before it may hold anything, blanks and brackets too.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_S
}
