//! A running `jackfield`.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jackfield_test_process::Watch;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::{Artifacts, PATIENCE, Site};

/// Shown of the log when a test fails.
const LINES_SHOWN: usize = 80;

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The process; it is killed when this is dropped, or the test's process ends, however that ends.
pub struct Jackfield {
    child: Child,
    /// None when it has been waited for: its id may be another's from then on.
    watch: Option<Watch>,
    lines: Arc<Mutex<Vec<String>>>,
    readers: JoinSet<()>,
}

impl Jackfield {
    /// `jackfield run FILE …` of a site.
    pub fn run(site: &Site, args: &[&str]) -> Jackfield {
        Jackfield::run_file(&site.file(), args)
    }

    /// `jackfield run FILE …`, admin on a free port.
    pub fn run_file(file: &Path, args: &[&str]) -> Jackfield {
        let mut command = Command::new(&Artifacts::get().jackfield);
        command
            .arg("run")
            .arg(file)
            .args(["--listen", "127.0.0.1:0"])
            .args(args);
        Jackfield::spawn(command)
    }

    /// Any command of its kind.
    pub fn spawn(mut command: Command) -> Jackfield {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was found before");
        let watch = child.id().map(Watch::over);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut readers = JoinSet::new();
        readers.spawn(collect(child.stdout.take().unwrap(), lines.clone()));
        readers.spawn(collect(child.stderr.take().unwrap(), lines.clone()));
        Jackfield {
            child,
            watch,
            lines,
            readers,
        }
    }

    /// All it has written so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Its process id, while it has not been waited for.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        let runs = matches!(self.child.try_wait(), Ok(None));
        if !runs {
            drop(self.watch.take());
        }
        runs
    }

    /// Waits for a line that contains `text`, and gives it.
    pub async fn line(&mut self, text: &str) -> String {
        self.nth_line(text, 1).await
    }

    /// Waits until so many lines contain `text`, and gives the last of these.
    pub async fn nth_line(&mut self, text: &str, number: usize) -> String {
        let begin = Instant::now();
        loop {
            let found = self
                .lines
                .lock()
                .unwrap()
                .iter()
                .filter(|line| line.contains(text))
                .nth(number - 1)
                .cloned();
            if let Some(line) = found {
                return line;
            }
            let what = format!("`{text}`, time {number}");
            assert!(self.is_running(), "it ended before it wrote {what}");
            assert!(begin.elapsed() < PATIENCE, "it did not write {what}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// How many lines contain `text` so far.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// `http://…` of the admin server.
    pub async fn admin(&mut self) -> String {
        let line = self.line("/metrics").await;
        let at = line
            .find("127.0.0.1:")
            .expect("the line of the metrics has their address");
        let address = &line[at..];
        let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
        format!("http://{}", &address[..end.unwrap_or(address.len())])
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
        drop(self.watch.take());
    }

    /// SIGTERM.
    pub async fn terminate(&self) {
        let pid = self.child.id().expect("it has not been waited for");
        let status = Command::new("kill")
            .args(["-TERM", &pid.to_string()])
            .status()
            .await;
        assert!(status.unwrap().success());
    }

    /// Waits for its end: the exit code.
    pub async fn wait(&mut self) -> i32 {
        self.wait_within(PATIENCE).await
    }

    /// Waits for its end, but no longer than that.
    pub async fn wait_within(&mut self, patience: Duration) -> i32 {
        let status = timeout(patience, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it did not end within {patience:?}"));
        drop(self.watch.take());
        while self.readers.join_next().await.is_some() {}
        status.unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Jackfield {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.lines.lock().unwrap();
            let from = lines.len().saturating_sub(LINES_SHOWN);
            eprintln!(
                "--- the end of jackfield's log\n{}\n---",
                lines[from..].join("\n")
            );
        }
    }
}

async fn collect(pipe: impl AsyncRead + Unpin, lines: Arc<Mutex<Vec<String>>>) {
    let mut pipe = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = pipe.next_line().await {
        lines.lock().unwrap().push(line);
    }
}

/// Runs `jackfield` with these arguments to its end.
pub async fn output(args: &[&str]) -> Output {
    Command::new(&Artifacts::get().jackfield)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary was found before")
}
