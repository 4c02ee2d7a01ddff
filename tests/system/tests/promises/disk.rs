//! A full disk stops the pipeline with a clear error, and loses nothing acknowledged.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Jackfield, Site};
use serde_json::json;

use crate::{assert_landed, exchange, run_until_idle};

/// Room for the log and no more than a few copies of it.
const SIZE: &str = "size=192m";

/// A small file system of its own; unmounted when this is dropped.
pub(crate) struct Small {
    pub(crate) at: PathBuf,
}

impl Small {
    pub(crate) fn mount(at: PathBuf) -> Small {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(&at)
            .output()
            .expect("missing: mount: on Debian, run: apt-get install mount");
        assert!(
            mounted.status.success(),
            "missing: the right to mount a small file system: run the tests as root ({})",
            String::from_utf8_lossy(&mounted.stderr).trim()
        );
        Small { at }
    }

    /// Takes the room that is left, but for this share of the disk.
    pub(crate) fn fill_but(&self, share: f64) -> PathBuf {
        let df = Command::new("df")
            .args(["--output=size,avail", "-B1"])
            .arg(&self.at)
            .output()
            .unwrap();
        let text = String::from_utf8(df.stdout).unwrap();
        let figures = text.lines().nth(1).unwrap().split_whitespace();
        let [size, free] = figures.map(|it| it.parse().unwrap()).collect::<Vec<f64>>()[..] else {
            panic!("df says {text}");
        };
        let path = self.at.join("filler");
        let bytes = (free - size * share) as usize;
        std::fs::write(&path, vec![0; bytes]).unwrap();
        path
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.at.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a process that was killed may not have let go yet.
        let unmounted = Command::new("umount").arg("-l").arg(&self.at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.at.display());
        }
    }
}

fn has_no_space(log: &str, dir: &Path) -> bool {
    log.lines().any(|line| {
        line.to_lowercase().contains("no space left") && line.contains(&*dir.to_string_lossy())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_clearly_and_keeps_what_was_acknowledged() {
    // Slow enough for trades to come when the disk is full, on a busy machine too.
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let small = Small::mount(site.path().join("small"));
    let dir = small.at.join("log");
    site.set("/log/embedded/dir", json!(dir));
    site.set("/pipelines/trades/retry", json!({ "deadline": "3s" }));
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "8s"]);
    exchange.reached(4000).await;
    let filler = small.fill();
    let code = jackfield.wait_within(Duration::from_secs(60)).await;
    assert_eq!(code, 1, "a connector FAILED");
    let log = jackfield.log();
    assert!(
        has_no_space(&log, &dir),
        "the error names the folder and says why"
    );
    exchange.finished().await;

    std::fs::remove_file(filler).unwrap();
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// The same before anything was written: it does not start, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_from_the_start_is_said() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let small = Small::mount(site.path().join("small"));
    let dir = small.at.join("log");
    site.set("/log/embedded/dir", json!(dir));
    site.set("/pipelines/trades/retry", json!({ "deadline": "3s" }));
    small.fill();
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    assert_eq!(jackfield.wait_within(Duration::from_secs(60)).await, 1);
    assert!(
        has_no_space(&jackfield.log(), &small.at),
        "the error names the folder and says why"
    );
}
