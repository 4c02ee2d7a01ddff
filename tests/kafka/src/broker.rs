//! The broker's process and folder.

use crate::answers::answers;
use crate::proxy::Proxy;
use jackfield_test_process::{Process, fetched, free_port};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Longest that a start may take, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(120);
/// Without it a broker would not say that it has started.
const LOGGING: &str = r#"<Configuration status="ERROR"><Appenders><Console name="err" target="SYSTEM_ERR"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders><Loggers><Root level="${sys:log.level:-WARN}"><AppenderRef ref="err"/></Root></Loggers></Configuration>"#;

/// A broker, which runs unless it was killed.
pub struct Broker {
    dir: TempDir,
    libs: PathBuf,
    port: u16,
    secure_port: u16,
    running: Option<Process>,
    /// How often it was started.
    lives: u32,
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
        let libs = fetched("kafka-fetch");
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
            lives: 0,
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
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Stops it with nothing left undone, and returns when it is gone.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Starts it again on its folder, and waits until it answers.
    ///
    /// # Panics
    /// It does not start, with the end of its log.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the broker runs");
        let mut arguments = vec!["-Dlog.level=INFO".to_owned()];
        arguments.extend(self.java());
        arguments.push("kafka.Kafka".to_owned());
        arguments.push(self.config().display().to_string());
        // What an earlier life said may explain what a later one does.
        self.lives += 1;
        let log = self.dir.path().join(format!("broker-{}.log", self.lives));
        let mut process = Process::start("java", arguments, self.dir.path(), &log);
        let at = self.socket();
        // A broker that listens may still be fenced by its controller: a topic can be created only
        // once it says this.
        process.until(START_MAX, |it| {
            it.said().contains("Kafka Server started") && answers(at)
        });
        self.running = Some(process);
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
}
