//! A server's process: never outlives the test, however that ends.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest that a start may take, on a machine that is busy with other tests; the first one also
/// fetches what it runs.
const START_MAX: Duration = Duration::from_secs(300);
/// How often it is looked whether the server answers.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Ports to choose from: below those that the kernel gives to clients.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Runs a program, and kills it when our end of its input is closed.
const WATCHED: &str = r#"exec 3<&0; "$@" </dev/null >"$LOG" 2>&1 & p=$!; (cat <&3 >/dev/null; kill -9 $p) 2>/dev/null >&2 & wait $p"#;

pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts a program, and waits until something listens at the port.
    pub(crate) fn start(program: &Path, arguments: &[String], log: &Path, port: u16) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", WATCHED, "sh"])
            .arg(program)
            .args(arguments)
            .env("LOG", log)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // The shell would say that it was killed.
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let mut process = Self {
            input: child.stdin.take(),
            child,
            log: log.to_owned(),
        };
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = process.child.try_wait().expect("the child can be asked");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{} does not start ({ended:?}):\n{}",
                program.display(),
                process.said()
            );
            std::thread::park_timeout(LOOK_EVERY);
        }
        process
    }

    fn said(&self) -> String {
        let mut said = String::new();
        match File::open(&self.log).and_then(|mut it| it.read_to_string(&mut said)) {
            Ok(_) => said,
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // It has been told; that it can't be waited for changes nothing.
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |it| it.subsec_nanos());
    let count = u32::from(PORTS.end - PORTS.start);
    let first = nanos.wrapping_add(std::process::id().wrapping_mul(7919)) % count;
    (0..count)
        .map(|step| {
            let port = (first + step) % count;
            PORTS.start + u16::try_from(port).unwrap_or(0)
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}
