//! What a release is made of, and what makes images where no registry is reached.

use std::process::Command;

use jackfield_system_tests::repository;

use crate::{output, run};

fn assets() -> Command {
    Command::new(repository().join("scripts/release-assets"))
}

#[test]
fn what_is_one_architectures_own_overwrites_no_other_in_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (dist, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        std::fs::create_dir(at(dist)).unwrap();
        for end in ["tar.gz", "cdx.json"] {
            let name = format!("jackfield-1.2.3-{machine}-linux.{end}");
            std::fs::write(at(dist).join(name), machine).unwrap();
        }
        // Two builds of a component may differ by a byte.
        for name in ["iceberg-sink-1.2.3.wasm", "SHA256SUMS"] {
            std::fs::write(at(dist).join(name), machine).unwrap();
        }
    }
    run(assets().args([at("assets"), at("amd64"), at("arm64")]));
    let mut names: Vec<String> = std::fs::read_dir(at("assets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let wanted = [
        "SHA256SUMS",
        "iceberg-sink-1.2.3.wasm",
        "jackfield-1.2.3-aarch64-linux.cdx.json",
        "jackfield-1.2.3-aarch64-linux.tar.gz",
        "jackfield-1.2.3-x86_64-linux.cdx.json",
        "jackfield-1.2.3-x86_64-linux.tar.gz",
    ];
    assert_eq!(names, wanted);
    let component = at("assets").join("iceberg-sink-1.2.3.wasm");
    assert_eq!(std::fs::read_to_string(component).unwrap(), "x86_64");
    run(Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(at("assets")));

    let twice = output(assets().args([at("again"), at("amd64"), at("amd64")]));
    assert_eq!(twice.status.code(), Some(1));
    let said = String::from_utf8_lossy(&twice.stderr);
    assert!(said.contains("would overwrite"), "{said}");
}

/// The bill of materials of the binary is named by what the release takes apart.
#[test]
fn the_workflow_of_a_release_checks_what_it_publishes() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let bill = read("scripts/sbom");
    assert!(bill.contains("\"jackfield-$version-$(uname -m)-linux\""));
    let workflow = read(".github/workflows/release.yml");
    for wanted in [
        "run: make test-dist\n",
        "make test-image\n",
        "scripts/release-assets assets dist/dist-amd64 dist/dist-arm64\n",
        "docker buildx imagetools create --tag \"$image\" \"$image-amd64\" \"$image-arm64\"\n",
        "needs: [dist, manifest]\n",
    ] {
        assert!(workflow.contains(wanted), "{wanted}");
    }
    let named = "\" ${GITHUB_REF_NAME#v} (${GITHUB_SHA::12})\"";
    let checked = workflow.matches(named).count();
    assert_eq!(checked, 2, "the tarball and the image are the tag's own");
    for arch in ["amd64", "arm64"] {
        let machines = workflow.matches(&format!("arch: {arch} }}")).count();
        assert_eq!(
            machines, 2,
            "{arch}: one for the tarball, one for the image"
        );
    }
}

#[test]
fn whoever_can_not_make_the_base_images_is_told_what_is_missing() {
    let nothing = tempfile::tempdir().unwrap();
    let refused = output(
        Command::new("/bin/bash")
            .arg(repository().join("scripts/image-bases"))
            .args(["rust", "runtime"])
            .env("PATH", nothing.path()),
    );
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for wanted in ["mmdebstrap", "buildah", "rustup", "apt-get install"] {
        assert!(said.contains(wanted), "{said}");
    }
}
