//! Plugin files that are damaged, exchanged, or no plugins at all.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_hostile_tests::{component, patient};
use jackfield_plugin::{Engine, EngineConfig, LoadError, World};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
        }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn engine(&self) -> Engine {
        Engine::new(&EngineConfig {
            cache_dir: self.cache(),
            compiled: None,
        })
        .unwrap()
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("plugin.wasm");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn compiled(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).unwrap();
        entries
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "cwasm"))
            .collect()
    }
}

fn hostile() -> Vec<u8> {
    fs::read(component()).unwrap()
}

async fn refused(bytes: &[u8]) -> LoadError {
    let place = Place::new();
    let file = place.file(bytes);
    let error = place.engine().load(&file, None).await.unwrap_err();
    assert!(error.to_string().contains("plugin.wasm"), "{error}");
    assert_eq!(
        place.compiled(),
        [] as [PathBuf; 0],
        "nothing is kept compiled of what is refused"
    );
    error
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    for bytes in [
        &b""[..],
        b"\0asm",
        b"#!/bin/sh\n",
        b"\0asm\x01\0\0\0",
        b"(component)",
    ] {
        let error = refused(bytes).await;
        assert!(
            matches!(error, LoadError::NotAComponent { .. }),
            "{bytes:?}: {error}"
        );
    }
}

#[tokio::test]
async fn damaged_components_are_refused() {
    let whole = hostile();
    for keep in [whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        let error = refused(&whole[..keep]).await;
        assert!(matches!(error, LoadError::NotAComponent { .. }), "{error}");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2..whole.len() / 2 + 64].fill(0xff);
    assert!(matches!(
        refused(&flipped).await,
        LoadError::NotAComponent { .. }
    ));
}

#[tokio::test]
async fn native_code_of_others_is_never_loaded() {
    let place = Place::new();
    let engine = place.engine();
    engine.load(&place.file(&hostile()), None).await.unwrap();
    let native = fs::read(&place.compiled()[0]).unwrap();
    let error = engine.load(&place.file(&native), None).await.unwrap_err();
    assert!(matches!(error, LoadError::NotAComponent { .. }), "{error}");
}

#[tokio::test]
async fn a_component_that_is_no_connector_is_told_what_it_exports() {
    let place = Place::new();
    let empty = b"\0asm\x0d\0\x01\0";
    let error = place
        .engine()
        .load(&place.file(empty), None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, LoadError::WrongWorld { reason, .. } if reason.contains("exports nothing")),
        "{error}"
    );
}

#[tokio::test]
async fn another_digest_than_asked_for_is_refused_before_anything_is_compiled() {
    let place = Place::new();
    let engine = place.engine();
    let file = place.file(&hostile());
    let plugin = engine.load(&file, None).await.unwrap();
    let digest = plugin.digest().to_owned();
    assert_eq!(
        engine
            .load(&file, Some(&digest.to_uppercase()))
            .await
            .unwrap()
            .digest(),
        digest
    );
    let mut tampered = hostile();
    tampered.push(0);
    let elsewhere = Place::new();
    let error = elsewhere
        .engine()
        .load(&elsewhere.file(&tampered), Some(&digest))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, LoadError::Digest { expected, found, .. } if *expected == digest && *found != digest)
    );
    assert_eq!(elsewhere.compiled(), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn overwriting_the_file_of_a_plugin_in_use_changes_nothing() {
    let place = Place::new();
    let file = place.file(&hostile());
    let plugin = place.engine().load(&file, None).await.unwrap();
    fs::write(&file, b"rubbish").unwrap();
    assert_eq!(plugin.world(), World::Source);
    assert_eq!(plugin.describe(&patient()).await.unwrap().name, "hostile");
    assert_eq!(plugin.check("{}", &patient()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn compiled_code_is_used_again_and_a_damaged_one_is_not() {
    let place = Place::new();
    let file = place.file(&hostile());
    place.engine().load(&file, None).await.unwrap();
    let compiled = place.compiled();
    assert_eq!(compiled.len(), 1);
    let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let first = written(&compiled[0]);
    place.engine().load(&file, None).await.unwrap();
    assert_eq!(written(&compiled[0]), first, "it was compiled again");
    let whole = fs::read(&compiled[0]).unwrap();
    for cut in [0, 100, whole.len() / 2] {
        fs::write(&compiled[0], &whole[..cut]).unwrap();
        let plugin = place.engine().load(&file, None).await.unwrap();
        assert_eq!(plugin.check("{}", &patient()).await, Ok(Vec::new()));
        assert_eq!(fs::read(&compiled[0]).unwrap().len(), whole.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_loads_compile_once() {
    let place = Place::new();
    let file = place.file(&hostile());
    let engine = place.engine();
    let loads: Vec<_> = (0..8)
        .map(|_| {
            let (engine, file) = (engine.clone(), file.clone());
            tokio::spawn(async move { engine.load(&file, None).await.unwrap() })
        })
        .collect();
    for load in loads {
        load.await.unwrap();
    }
    assert_eq!(place.compiled().len(), 1);
    let leftovers = fs::read_dir(place.cache()).unwrap().count();
    assert_eq!(
        leftovers, 2,
        "the copy and the compiled code, nothing unfinished"
    );
}

#[tokio::test]
async fn a_cache_that_others_may_write_to_is_refused() {
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Engine::new(&EngineConfig {
        cache_dir: place.cache(),
        compiled: None,
    })
    .unwrap_err();
    assert!(
        matches!(&error, LoadError::Cache { reason, .. } if reason.contains("chmod 700")),
        "{error}"
    );
}

#[tokio::test]
async fn a_cache_that_is_a_link_is_refused() {
    let place = Place::new();
    let real = place.dir.path().join("real");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, place.cache()).unwrap();
    assert!(matches!(
        Engine::new(&EngineConfig {
            cache_dir: place.cache(),
            compiled: None,
        }),
        Err(LoadError::Cache { .. })
    ));
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let place = Place::new();
    let error = place
        .engine()
        .load(&place.dir.path().join("nowhere.wasm"), None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, LoadError::Unreadable { path, .. } if path.ends_with("nowhere.wasm")),
        "{error}"
    );
}
