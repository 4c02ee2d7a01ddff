//! A broker that wants to know who it is.

use crate::broker::Broker;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A broker with one more listener: TLS with certificates of an authority of its own, also of
/// clients, and `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` and `OAUTHBEARER` over it.
pub struct SecureBroker {
    dir: TempDir,
    broker: Broker,
}

impl SecureBroker {
    /// Who `PLAIN` knows, and the password.
    pub const PLAIN_USER: (&str, &str) = ("alice", "alice-secret");
    /// Who both kinds of SCRAM know, and the password.
    pub const SCRAM_USER: (&str, &str) = ("bob", "bob-secret");
    /// The kinds of SCRAM.
    pub const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

    /// Starts a new one, and waits until it answers.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder for certificates");
        certificates(dir.path());
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (store, trust) = (at("server.pem"), at("ca.pem"));
        let login = "org.apache.kafka.common.security";
        let (user, password) = Self::PLAIN_USER;
        let plain = format!(r#"{login}.plain.PlainLoginModule required user_{user}="{password}";"#);
        let scram = format!("{login}.scram.ScramLoginModule required;");
        let scram_of = Self::SCRAM.map(|kind| {
            let kind = kind.to_lowercase();
            format!("listener.name.secure.{kind}.sasl.jaas.config")
        });
        let oauth = format!(
            "{login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"
        );
        let broker = Broker::with(&[
            ("listeners", "{listeners},SECURE://127.0.0.1:{secure}"),
            (
                "advertised.listeners",
                "PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}",
            ),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
            ),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", &store),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &trust),
            ("listener.name.secure.ssl.client.auth", "required"),
            (
                "listener.name.secure.sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            ),
            ("listener.name.secure.plain.sasl.jaas.config", &plain),
            (&scram_of[0], &scram),
            (&scram_of[1], &scram),
            ("listener.name.secure.oauthbearer.sasl.jaas.config", &oauth),
        ]);
        let (user, password) = Self::SCRAM_USER;
        // One request takes one kind of credential of a user.
        for kind in Self::SCRAM {
            broker.tool(
                "kafka.admin.ConfigCommand",
                &[
                    "--bootstrap-server",
                    &broker.address(),
                    "--alter",
                    "--entity-type",
                    "users",
                    "--entity-name",
                    user,
                    "--add-config",
                    &format!("{kind}=[password={password}]"),
                ],
            );
        }
        Self { dir, broker }
    }

    /// Where clients connect to that say who they are, as `host:port`.
    pub fn address(&self) -> String {
        self.broker.secure_address()
    }

    /// Where nobody is asked.
    pub fn open_address(&self) -> String {
        self.broker.address()
    }

    /// The folder with `ca.pem`, and with `client.crt` and `client.key`.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A file of that folder.
    pub fn file(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }
}

/// An authority, and a server's and a client's certificate by it.
fn certificates(dir: &Path) {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").current_dir(dir).args(args).output();
        let output = output.expect("openssl is missing: scripts/deps installs it");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {args:?}: {errors}");
    };
    let key = ["-newkey", "rsa:2048", "-nodes"];
    let mut ca = vec![
        "req",
        "-x509",
        "-subj",
        "/CN=authority",
        "-keyout",
        "ca.key",
    ];
    ca.extend(key);
    ca.extend(["-out", "ca.pem"]);
    openssl(&ca);
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1").expect("the server's address");
    for name in ["server", "client"] {
        let (own_key, request, own) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.crt"),
        );
        let subject = format!("/CN={name}");
        let mut req = vec![
            "req", "-subj", &*subject, "-keyout", &*own_key, "-out", &*request,
        ];
        req.extend(key);
        openssl(&req);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &*request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "san",
            "-out",
            &*own,
        ]);
    }
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("openssl wrote it");
    let both = read("server.key") + &read("server.crt");
    std::fs::write(dir.join("server.pem"), both).expect("the server's certificate");
}
