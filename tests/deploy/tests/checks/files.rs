//! Every file of pipelines that `deploy/` holds is one that `jackfield check` takes.

use std::process::Command;

use jackfield_system_tests::Artifacts;

use crate::{deploy, output};

#[test]
fn every_file_of_pipelines_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let artifacts = Artifacts::get();
    for secret in ["catalog-password", "s3-secret-key", "kafka-password"] {
        std::fs::write(folder.path().join(secret), "secret").unwrap();
    }
    for path in [
        "systemd/connectors.yaml",
        "image/connectors.yaml",
        "compose/connectors.yaml",
        "kubernetes/overlays/embedded-log/connectors.yaml",
        "kubernetes/overlays/kafka-log/connectors.yaml",
    ] {
        let text = std::fs::read_to_string(deploy(path)).unwrap();
        // As it would lie in a container, but for where that keeps things.
        let state = artifacts.state.to_str().unwrap();
        let text = text
            .replace("/var/lib/jackfield/state", state)
            .replace("/var/lib/jackfield", at)
            .replace("/run/secrets/jackfield", at)
            .replace(
                "/usr/lib/jackfield/plugins",
                artifacts.plugins.to_str().unwrap(),
            );
        let file = folder.path().join("connectors.yaml");
        std::fs::write(&file, text).unwrap();
        let checked = output(
            Command::new(&artifacts.jackfield)
                .arg("check")
                .arg(&file)
                .env_remove("JACKFIELD_PLUGINS")
                .env_remove("JACKFIELD_LISTEN")
                .env("HOSTNAME", "jackfield-0")
                .env("CATALOG_PASSWORD", "secret")
                .env("S3_ACCESS_KEY", "key")
                .env("S3_SECRET_KEY", "secret"),
        );
        let said = String::from_utf8_lossy(&checked.stdout);
        let errors = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{path}: {said}{errors}");
        assert!(!said.contains("nothing grants"), "{path}: {said}");
    }
}

/// On a machine only loopback is right without a token; in a container nobody would reach that.
#[test]
fn each_listens_where_it_is_reached() {
    for (path, address) in [
        ("systemd/connectors.yaml", "127.0.0.1:8083"),
        ("image/connectors.yaml", "0.0.0.0:8083"),
        ("compose/connectors.yaml", "0.0.0.0:8083"),
        (
            "kubernetes/overlays/embedded-log/connectors.yaml",
            "0.0.0.0:8083",
        ),
        (
            "kubernetes/overlays/kafka-log/connectors.yaml",
            "0.0.0.0:8083",
        ),
    ] {
        let text = std::fs::read_to_string(deploy(path)).unwrap();
        let listen = text.lines().find(|line| line.contains("listen:"));
        assert!(listen.unwrap().contains(address), "{path}: {listen:?}");
    }
}
