//! The broker's process and folder.

use crate::answers::answers;
use crate::proxy::Proxy;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Longest that a start may take, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(120);
/// How often it is looked whether the broker answers.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Ports to choose from: below those that the kernel gives to clients, so that none of them takes
/// the broker's while it is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Runs the broker, says its process id, and kills it when our end of its input is closed: so it
/// never outlives the test.
const WATCHED: &str = r#"exec 3<&0; java "$@" </dev/null >"$LOG" 2>&1 & p=$!; echo $p; (cat <&3 >/dev/null; kill -9 $p) 2>/dev/null >&2 & wait $p"#;

/// Without it a broker would not say that it has started.
const LOGGING: &str = r#"<Configuration status="ERROR"><Appenders><Console name="err" target="SYSTEM_ERR"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders><Loggers><Root level="${sys:log.level:-WARN}"><AppenderRef ref="err"/></Root></Loggers></Configuration>"#;

/// A broker, which runs unless it was killed.
pub struct Broker {
    dir: TempDir,
    libs: PathBuf,
    port: u16,
    secure_port: u16,
    running: Option<Running>,
}

struct Running {
    child: Child,
    input: Option<ChildStdin>,
    pid: i32,
}

impl Broker {
    /// Starts a new one, and waits until it answers.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with further settings, which win over those it has by itself. In their values
    /// `{listeners}` stands for its own listeners, `{port}` for its port, and `{secure}` for another
    /// free one.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::begun(settings, None)
    }

    /// The same, told to clients as what lies behind a proxy, which is directed to it.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn behind(proxy: &Proxy) -> Self {
        Self::begun(&[], Some(proxy))
    }

    fn begun(settings: &[(&str, &str)], proxy: Option<&Proxy>) -> Self {
        let libs = fetched();
        let dir = tempfile::tempdir().expect("a folder for the broker");
        let (port, controller) = (free_port(), free_port());
        let log = dir.path().join("log");
        let mut properties = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             log.dirs={}\n\
             broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\n\
             transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n\
             group.initial.rebalance.delay.ms=0\n",
            log.display()
        );
        let told = proxy.map_or(port, Proxy::port);
        properties += &format!("advertised.listeners=PLAINTEXT://127.0.0.1:{told}\n");
        let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
        let secure_port = free_port();
        for (name, value) in settings {
            let value = value
                .replace("{listeners}", &listeners)
                .replace("{port}", &port.to_string())
                .replace("{secure}", &secure_port.to_string());
            properties += &format!("{name}={value}\n");
        }
        if let Some(proxy) = proxy {
            proxy.to(port);
        }
        let mut broker = Self {
            dir,
            libs,
            port,
            secure_port,
            running: None,
        };
        std::fs::write(broker.config(), properties).expect("the broker's settings");
        std::fs::write(broker.logging(), LOGGING).expect("the broker's logging");
        broker.format();
        broker.restart();
        broker
    }

    /// Where clients connect to, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients connect to when the settings have a listener at `{secure}`.
    pub fn secure_address(&self) -> String {
        format!("127.0.0.1:{}", self.secure_port)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as `kill -9` does, and returns when it is gone. Does nothing when it is not running.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.input.take());
            running.child.wait().expect("the broker's process ends");
        }
    }

    /// Stops it with nothing left undone, and returns when it is gone.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // SAFETY: a signal to the process that was started here and was not waited for yet.
            unsafe { libc::kill(running.pid, libc::SIGTERM) };
            running.child.wait().expect("the broker's process ends");
        }
    }

    /// Starts it again on its folder, and waits until it answers.
    ///
    /// # Panics
    /// It does not start, with the end of its log.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the broker runs");
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh", "-Dlog.level=INFO"]);
        command.args(self.java());
        command.arg("kafka.Kafka").arg(self.config());
        command.env("LOG", self.log());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let output = child.stdout.take().expect("the output is piped");
        let mut pid = String::new();
        BufReader::new(output)
            .read_line(&mut pid)
            .expect("the broker's process id");
        self.running = Some(Running {
            input: child.stdin.take(),
            child,
            pid: pid.trim().parse().expect("the broker's process id"),
        });
        let deadline = Instant::now() + START_MAX;
        while !(self.is_started() && answers(self.socket())) {
            let running = self.running.as_mut().expect("it was started");
            let ended = running.child.try_wait().expect("the broker's process");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the broker did not start: {}",
                self.log_end()
            );
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Runs one of Kafka's own tools by its class, and gives what it says.
    ///
    /// # Panics
    /// It fails.
    pub fn tool(&self, class: &str, args: &[&str]) -> String {
        let mut command = Command::new("java");
        let output = command.args(self.java()).arg(class).args(args).output();
        let output = output.expect("java starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} failed: {text} {errors}");
        text
    }

    fn java(&self) -> Vec<String> {
        vec![
            "-Xmx512m".into(),
            "-XX:+UseSerialGC".into(),
            "-XX:TieredStopAtLevel=1".into(),
            format!("-Dlog4j2.configurationFile={}", self.logging().display()),
            "-cp".into(),
            format!("{}/*", self.libs.display()),
        ]
    }

    fn format(&self) {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = nanos.map_or(0, |since| since.as_nanos());
        // An id of 22 characters of base64, of which any are good.
        let id = format!("{:022}", nanos % 10_u128.pow(21));
        let config = self.config().display().to_string();
        self.tool(
            "kafka.tools.StorageTool",
            &["format", "--config", &config, "--cluster-id", &id],
        );
    }

    fn socket(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    fn logging(&self) -> PathBuf {
        self.dir.path().join("log4j2.xml")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("broker.log")
    }

    fn is_started(&self) -> bool {
        // A broker that listens may still be fenced by its controller: a topic can be created only
        // once it says this.
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        log.contains("Kafka Server started")
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of Kafka's jars, fetched when they are missing.
fn fetched() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(root.join("scripts/kafka-fetch"))
        .stderr(Stdio::piped())
        .output()
        .expect("scripts/kafka-fetch runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", errors.trim());
    let libs = String::from_utf8_lossy(&output.stdout);
    libs.trim().into()
}

fn free_port() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut seed = nanos.map_or(0, |since| since.subsec_nanos()) ^ std::process::id();
    loop {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let port =
            PORTS.start + u16::try_from(seed >> 16).expect("16 bits") % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
