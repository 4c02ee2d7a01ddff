//! Keys of a bucket that the file does not have: those of the environment, or of the machine.

use std::sync::Arc;

use jackfield_exchange::{Recording, Speed};
use jackfield_system_tests::{Artifacts, Jackfield, Place, Site, compare, read_pyiceberg_at};
use jackfield_test_lakes::{Fault, Front, S3Server, Seen};
use serde_json::json;
use tokio::process::Command;

use crate::exchange;
use crate::lakes::TABLE;

/// Enough for a commit.
const TRADES: usize = 2000;

/// What a machine of Amazon's is asked for the name of its role, and then for the role's keys.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Lands trades in a bucket, with these variables in the environment and no keys in the file. What
/// the store was asked.
async fn lands_with(variables: &[(&str, &str)]) -> Vec<Seen> {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let exchange = exchange(Speed::Unlimited, |o| {
        o.recording = Arc::new(Recording::spot().unwrap().first(TRADES));
    })
    .await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({
        "catalog": { "sql": "sqlite://data/catalog.db" },
        "warehouse": "s3://lake/w",
        "s3": { "endpoint": front.url() }
    });
    site.set("/lakes/local", lake);
    let mut command = Command::new(&Artifacts::get().jackfield);
    command
        .arg("run")
        .arg(site.file())
        .args(["--listen", "127.0.0.1:0", "--until-idle", "2s"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    let mut jackfield = Jackfield::spawn(command);
    let code = jackfield.wait().await;
    assert_eq!(code, 0);
    let data = site.path().join("data");
    let place = Place::in_s3(&data, "s3://lake/w", &server.url());
    let table = read_pyiceberg_at(&place, TABLE).await;
    let difference = compare(&exchange.trades(), &table.rows);
    assert!(difference.is_none(), "{difference}");
    front.seen()
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    let value = seen.headers.get(name).and_then(|it| it.to_str().ok());
    value.unwrap_or_default()
}

/// Who signed a request.
fn signed_by(seen: &Seen, key: &str) -> bool {
    header(seen, "authorization").contains(&format!("Credential={key}/"))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_open_a_bucket() {
    let seen = lands_with(&[
        ("AWS_ACCESS_KEY_ID", "from-env"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
    ])
    .await;
    for it in &seen {
        assert!(signed_by(it, "from-env"), "{it:?}");
        assert_eq!(header(it, "x-amz-security-token"), "session");
    }
}

/// The machine gives keys for a while, and others when they are over.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_machine_open_a_bucket_and_are_renewed() {
    let machine = Front::before("http://127.0.0.1:1").await;
    let mut number = 0;
    machine.decide(move |seen| {
        let say = |text: String| Some(Fault::Status(200, text));
        if seen.method == "PUT" && seen.path == "/latest/api/token" {
            return say("a-token".to_owned());
        }
        if header(seen, "x-aws-ec2-metadata-token") != "a-token" {
            return Some(Fault::Status(401, String::new()));
        }
        match seen.path.strip_prefix(ROLES) {
            Some("") => say("role".to_owned()),
            Some("role") => {
                number += 1;
                // The first are over when they come.
                let year = if number == 1 { 2020 } else { 2099 };
                let keys = json!({
                    "Code": "Success",
                    "AccessKeyId": format!("from-machine-{number}"),
                    "SecretAccessKey": "secret",
                    "Token": format!("session-{number}"),
                    "Expiration": format!("{year}-01-01T00:00:00Z")
                });
                say(keys.to_string())
            }
            _ => Some(Fault::Status(404, String::new())),
        }
    });
    let endpoint = machine.url();
    let seen = lands_with(&[("AWS_METADATA_ENDPOINT", endpoint.as_str())]).await;
    let by = |key: &str| seen.iter().filter(|it| signed_by(it, key)).count();
    assert!(by("from-machine-1") >= 1);
    assert!(by("from-machine-2") > 1, "they are renewed, and then kept");
    for it in &seen {
        let authorization = header(it, "authorization");
        assert!(authorization.contains("Credential=from-machine-"), "{it:?}");
        assert!(header(it, "x-amz-security-token").starts_with("session-"));
    }
}
