//! docs/OPERATIONS.md is followed word for word: as a service here, as a container by
//! scripts/test-image. What needs a cluster or compose is held against what the commands name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jackfield_exchange::{Exchange, Options, Running, Speed};
use jackfield_system_tests::{Artifacts, PATIENCE, both, repository};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::kubernetes::{VERSIONS, kinds};
use crate::page::{Block, blocks, commands};
use crate::{deploy, free_address, run};

/// Longest that a block takes on a busy machine: a start, a stop and a backup in it have limits of
/// their own, and this is longer than all of them.
const BLOCK_MAX: std::time::Duration = std::time::Duration::from_secs(3600);
/// Between two looks at a condition.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
/// All trades of the recording, as tests/python/count_trades.py prints them.
const ALL: &str = "15863 15863\n";
/// What the service does, in the page's order.
const STEPS: [&str; 8] = [
    "Install",
    "Configure",
    "Configure",
    "Run",
    "Upgrade",
    "Back up",
    "Restore",
    "Remove",
];

/// A machine's root folder, in a folder.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// With a release beside it, made of the binary and the components that the tests run.
    fn with_release() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::get();
        let (tree, dist) = (folder.path().join("tree"), folder.path().join("dist"));
        for made in [&tree, &dist, &folder.path().join("root")] {
            std::fs::create_dir(made).unwrap();
        }
        run(Command::new(repository().join("scripts/lay-out"))
            .arg(tree.join("rootfs"))
            .args([&artifacts.jackfield, &artifacts.plugins]));
        run(Command::new(repository().join("scripts/package")).args([&tree, &dist]));
        run(Command::new(repository().join("scripts/test-dist"))
            .arg("--of-tests")
            .arg(&dist));
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// The same with every path of the machine below this one's root.
    fn moved(&self, text: &str) -> String {
        let mut text = text.replace("--directory /\n", "--directory \0/\n");
        for path in ["/usr/", "/etc/", "/var/"] {
            text = text.replace(path, &format!("\0{path}"));
        }
        text.replace('\0', self.root().to_str().unwrap())
    }

    /// Runs a block, of which every command must work.
    async fn follow(&self, block: &Block) {
        let (well, said) = self.paste(block).await;
        assert!(well, "{}: {said}", block.heading);
    }

    /// Runs a block that something is wrong with: it has to say so by how it ends. Gives what it said.
    async fn stops(&self, block: &Block) -> String {
        let (well, said) = self.paste(block).await;
        assert!(!well, "{}: {said}", block.heading);
        said
    }

    /// Runs a block as somebody does who pastes it: that shell goes on after an error. Gives whether
    /// all that it was told worked, and what was said. Programs that only root may run have stand-ins.
    async fn paste(&self, block: &Block) -> (bool, String) {
        let root = self.root();
        // As long as a busy machine wants.
        let text = self.moved(&block.text).replace("60s", "600s");
        // A path that is not moved would be the machine's own.
        for word in text.split([' ', '\n', '"', '=']) {
            let ours = !word.starts_with('/') || Path::new(word).starts_with(&root);
            assert!(ours, "{word} of `{}`", block.heading);
        }
        let path = std::env::var("PATH").unwrap();
        let stand_ins = repository().join("tests/deploy/stand-ins");
        let path = format!("{}:{}/usr/bin:{path}", stand_ins.display(), root.display());
        // Told of by a trap, which stops nothing.
        let typed = format!("trap failed=1 ERR\n{text}\nexit ${{failed:-0}}");
        let pasting = tokio::process::Command::new("bash")
            .args(["-c", &typed])
            .current_dir(self.folder.path().join("dist"))
            .env("PATH", path)
            .env("ROOT", &root)
            .env("COMPILED", Artifacts::get().state.join("plugins"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let pasted = timeout(BLOCK_MAX, pasting).await;
        let pasted = pasted.unwrap_or_else(|_| panic!("{} does not end", block.heading));
        let pasted = pasted.unwrap();
        let said = String::from_utf8_lossy(&pasted.stdout);
        let errors = String::from_utf8_lossy(&pasted.stderr);
        (pasted.status.success(), format!("{text}{said}{errors}"))
    }

    /// What the page says with "edit that file": where things are here, and an exchange of ours.
    fn edit(&self, exchange: &Running) {
        let (ws, rest) = (exchange.ws_url(), exchange.rest_url());
        let file = self.at("etc/jackfield/connectors.yaml");
        let text = self.moved(&std::fs::read_to_string(&file).unwrap());
        let settings = format!(
            "streams: [trade], start-at: {}, endpoints: {{ websocket: \"{ws}\", rest: \"{rest}\" }} }}",
            both()
        );
        let edited = text
            .replace("127.0.0.1:8083", &free_address().to_string())
            .replace("streams: [trade] }", &settings)
            .replace("wss://data-stream.binance.vision", &ws)
            .replace("https://data-api.binance.vision", &rest)
            .replace("every: 60s", "every: 1s");
        std::fs::write(&file, edited).unwrap();
    }

    /// Until each trade is in the table once.
    async fn all_land(&self) {
        let (data, begin) = (self.at("var/lib/jackfield"), Instant::now());
        loop {
            let counted = tokio::process::Command::new(repository().join("scripts/python"))
                .arg(repository().join("tests/python/count_trades.py"))
                .arg("--catalog")
                .arg(data.join("catalog.db"))
                .arg("--warehouse")
                .arg(data.join("warehouse"))
                .output()
                .await
                .unwrap();
            let rows = String::from_utf8_lossy(&counted.stdout);
            if rows == ALL {
                return;
            }
            let errors = String::from_utf8_lossy(&counted.stderr);
            assert!(begin.elapsed() < PATIENCE, "{rows}{errors}");
            sleep(LOOK_EVERY).await;
        }
    }

    fn runs(&self) -> bool {
        self.at("pid").exists()
    }

    /// Makes every checksum of the release a wrong one, and gives what puts them back.
    fn spoil_checksums(&self) -> impl FnOnce() {
        let sums = self.folder.path().join("dist/SHA256SUMS");
        let good = std::fs::read_to_string(&sums).unwrap();
        let wrong = good.lines().map(|line| {
            let (_, name) = line.split_once("  ").unwrap();
            format!("{}  {name}\n", "0".repeat(64))
        });
        std::fs::write(&sums, wrong.collect::<String>()).unwrap();
        move || std::fs::write(&sums, good).unwrap()
    }

    fn backups(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.at("var/backups/jackfield")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Machine {
    /// A test that failed leaves the service running.
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.at("pid")) {
            // It may have ended.
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).output();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_followed_word_for_word_as_a_service() {
    let service: Vec<Block> = blocks()
        .into_iter()
        .filter(|block| block.kind == "sh service")
        .collect();
    let steps: Vec<&str> = service.iter().map(|block| &*block.heading).collect();
    assert_eq!(steps, STEPS);
    let made = tokio::task::spawn_blocking(Machine::with_release);
    let machine = made.await.unwrap();
    let mut options = Options::spot().unwrap();
    options.speed = Speed::PerSecond(1500.0);
    let exchange = Exchange::start(options).await.unwrap();
    let release_notes = machine.at("usr/share/doc/jackfield/CHANGELOG.md");
    let older = "what an older release said";

    let put_back = machine.spoil_checksums();
    machine.stops(&service[0]).await;
    assert!(!machine.at("usr").exists(), "a wrong tarball is unpacked");
    assert!(!machine.at("user").exists());
    put_back();
    machine.follow(&service[0]).await;
    assert!(machine.at("user").exists(), "no user was made");
    machine.follow(&service[1]).await;
    machine.edit(&exchange);
    machine.follow(&service[2]).await;
    machine.follow(&service[3]).await;
    assert!(machine.runs());
    exchange.reached(3000).await;

    std::fs::write(&release_notes, older).unwrap();
    let put_back = machine.spoil_checksums();
    machine.stops(&service[4]).await;
    assert_eq!(std::fs::read_to_string(&release_notes).unwrap(), older);
    assert!(machine.runs() && machine.backups().is_empty());
    put_back();
    machine.follow(&service[4]).await;
    assert_ne!(std::fs::read_to_string(&release_notes).unwrap(), older);
    assert!(machine.runs());
    assert!(machine.backups()[0].starts_with("before-"));

    machine.follow(&service[5]).await;
    assert!(machine.backups().contains(&"2026-11-27".to_owned()));
    assert!(machine.runs());
    exchange.reached(9000).await;

    // A backup that is not there: what there was is kept, and nothing runs on an empty folder.
    let [backup, elsewhere] =
        ["2026-11-27", "elsewhere"].map(|name| machine.at("var/backups/jackfield").join(name));
    let [new, lost] = ["jackfield", "jackfield.lost"].map(|name| machine.at("var/lib").join(name));
    std::fs::rename(&backup, &elsewhere).unwrap();
    let said = machine.stops(&service[6]).await;
    assert!(!machine.runs(), "it runs on nothing: {said}");
    assert!(lost.join("log").exists(), "{said}");
    assert!(!new.join("log").exists(), "{said}");
    // Another try does not move what is left into what there was.
    machine.stops(&service[6]).await;
    assert!(!machine.runs() && !lost.join("jackfield").exists());
    std::fs::rename(&elsewhere, &backup).unwrap();
    std::fs::remove_dir_all(&new).unwrap();
    std::fs::rename(&lost, &new).unwrap();

    machine.follow(&service[6]).await;
    assert!(lost.join("log").exists());
    exchange.finished().await;
    machine.all_land().await;

    machine.follow(&service[7]).await;
    assert!(!machine.runs());
    for gone in [
        "user",
        "usr/bin/jackfield",
        "usr/lib/jackfield",
        "usr/lib/systemd/system/jackfield.service",
        "usr/share/doc/jackfield",
        "etc/jackfield",
        "var/lib/jackfield",
    ] {
        assert!(!machine.at(gone).exists(), "{gone} is left");
    }
    assert_eq!(machine.backups().len(), 2, "backups stay");
}

#[test]
fn every_block_of_the_page_is_one_that_somebody_follows() {
    for block in blocks() {
        let known = match block.kind.as_str() {
            "sh service" | "sh compose" | "sh kubectl" => true,
            "sh container" => block.text.contains("docker "),
            // The tests of backups take a table back with it.
            "python" => block.text.contains("rollback_to_timestamp"),
            // Part of an example, which the tests run.
            "yaml" => {
                let example = std::fs::read_to_string(deploy("systemd/connectors.yaml")).unwrap();
                let lines: Vec<&str> = example.lines().map(str::trim).collect();
                block.text.lines().all(|line| lines.contains(&line.trim()))
            }
            _ => false,
        };
        assert!(known, "`{}` of {}", block.kind, block.heading);
    }
    let image = std::fs::read_to_string(repository().join("scripts/test-image")).unwrap();
    assert!(image.contains("```sh container"));
}

/// The words behind an option, wherever it stands.
fn given<'a>(command: &'a str, option: &str) -> Vec<&'a str> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == option);
    pairs.map(|pair| pair[1]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_is_to_touch_is_in_the_manifests() {
    let kinds = kinds("embedded-log", VERSIONS[1]).await;
    let mut known = vec![
        "pod/jackfield-0".to_owned(),
        "persistentvolumeclaim/state-jackfield-0".to_owned(),
    ];
    for (kind, objects) in kinds.as_object().unwrap() {
        let names = objects.as_array().unwrap().iter();
        known.extend(names.map(|object| {
            let name = object["metadata"]["name"].as_str().unwrap();
            format!("{}/{name}", kind.to_lowercase())
        }));
    }
    let commands = commands("sh kubectl");
    assert!(commands.len() > 15, "{commands:?}");
    let made = commands.iter().flat_map(|it| given(it, "job"));
    known.extend(made.map(|name| format!("job/{name}")));
    for command in &commands {
        assert!(command.starts_with("kubectl "), "{command}");
        let paths = [given(command, "--kustomize"), given(command, "--filename")].concat();
        // `-` is what the command before it has made.
        for path in paths.into_iter().filter(|path| *path != "-") {
            assert!(repository().join(path).exists(), "{command}");
        }
        for namespace in given(command, "--namespace") {
            assert_eq!(namespace, kinds["Namespace"][0]["metadata"]["name"]);
        }
        // What is behind `--` is the program's own.
        let own = command.split(" -- ").next().unwrap();
        let paths = [given(own, "--kustomize"), given(own, "--filename")].concat();
        for word in own.split_whitespace() {
            let patch = word.starts_with('\'');
            let object = word.contains('/') && !paths.contains(&word) && !patch;
            assert!(!object || known.iter().any(|it| it == word), "{command}");
        }
    }
}

/// A job's volume is the pod's, and the one that is made for a restore is what the pod would make.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_backups_have_the_pods_volume_and_its_rights() {
    for overlay in ["embedded-log", "kafka-log"] {
        let kinds = kinds(overlay, VERSIONS[1]).await;
        let set = &kinds["StatefulSet"][0]["spec"];
        let pod = &set["template"]["spec"];
        let jobs = kinds["CronJob"].as_array().unwrap();
        let mut verbs = Vec::new();
        for job in jobs {
            assert_eq!(job["spec"]["suspend"], true);
            let copied = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
            assert_eq!(copied["securityContext"], pod["securityContext"]);
            let (container, own) = (&copied["containers"][0], &pod["containers"][0]);
            assert_eq!(container["image"], own["image"]);
            assert_eq!(container["securityContext"], own["securityContext"]);
            assert_eq!(container["args"][1], own["args"][1]);
            verbs.push(container["args"][0].as_str().unwrap());
            // Its file, its secrets and its volume, where the pod has them.
            for at in 0..3 {
                assert_eq!(container["volumeMounts"][at], own["volumeMounts"][at]);
            }
            for at in 0..2 {
                assert_eq!(copied["volumes"][at], pod["volumes"][at]);
            }
            let claimed = &copied["volumes"][2]["persistentVolumeClaim"]["claimName"];
            assert_eq!(claimed, "state-jackfield-0");
        }
        assert_eq!(verbs, ["backup", "restore"]);

        let by_hand = std::fs::read_to_string(deploy("kubernetes/state-volume.yaml")).unwrap();
        let template = &set["volumeClaimTemplates"][0]["spec"];
        let size = template["resources"]["requests"]["storage"].as_str();
        assert!(by_hand.contains(&format!("storage: {}\n", size.unwrap())));
        let mode = template["accessModes"][0].as_str().unwrap();
        assert!(by_hand.contains(&format!("accessModes: [{mode}]\n")));
        assert!(by_hand.contains("name: state-jackfield-0\n"));
    }
}

#[test]
fn what_compose_is_told_is_in_its_file() {
    let described = std::fs::read_to_string(deploy("compose.yaml")).unwrap();
    let makefile = std::fs::read_to_string(repository().join("Makefile")).unwrap();
    for command in commands("sh compose") {
        if let Some(target) = command.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}:")), "{command}");
            continue;
        }
        assert!(command.starts_with("docker compose "), "{command}");
        assert_eq!(given(&command, "--file"), ["deploy/compose.yaml"]);
        let profiles = given(&command, "--profile");
        assert!(!profiles.is_empty(), "{command}");
        for profile in profiles {
            let named = format!("profiles: [{profile}]");
            assert!(described.contains(&named), "{command}");
        }
    }
}
