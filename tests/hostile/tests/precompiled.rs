//! Code that was compiled beforehand: used as it is from where nobody else can write, else never.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_hostile_tests::component;
use jackfield_plugin::{CallLimits, CompiledConfig, Engine, EngineConfig, compile_into};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use tempfile::TempDir;

/// A user that no file of the tests belongs to.
const STRANGER: u32 = 65534;

/// A folder with the compiled component, and a cache beside it.
struct Place {
    dir: TempDir,
    digest: String,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let digests =
            compile_into(&[component().to_owned()], &dir.path().join("compiled")).unwrap();
        Self {
            digest: digests[0].clone(),
            dir,
        }
    }

    fn compiled(&self) -> PathBuf {
        self.dir.path().join("compiled")
    }

    fn code(&self) -> PathBuf {
        self.compiled().join(format!("{}.cwasm", self.digest))
    }

    fn list(&self) -> PathBuf {
        self.compiled().join("compiled.json")
    }

    fn engine(&self) -> Engine {
        let dir = self.compiled();
        Engine::new(&EngineConfig {
            cache_dir: self.dir.path().join("cache"),
            compiled: Some(CompiledConfig {
                // Tests need not be run by root: whoever runs them is trusted as root is.
                owner: self.dir.path().metadata().unwrap().uid(),
                dir,
            }),
        })
        .unwrap()
    }

    /// Loads the component, which must work, and tells whether it had to be compiled.
    async fn was_compiled(&self) -> bool {
        let plugin = self.engine().load(component(), None).await.unwrap();
        assert_eq!(plugin.digest(), self.digest);
        plugin.describe(&CallLimits::default()).await.unwrap();
        let cached = fs::read_dir(self.dir.path().join("cache")).unwrap();
        cached
            .map(|entry| entry.unwrap().path())
            .any(|path| path.extension().is_some_and(|it| it == "cwasm"))
    }

    fn edit_list(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.list()).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.list(), text.replace(from, to)).unwrap();
    }
}

#[tokio::test]
async fn code_of_a_folder_that_is_only_its_owners_is_used_as_it_is() {
    let place = Place::new();
    assert!(!place.was_compiled().await);
    let cache = fs::read_dir(place.dir.path().join("cache")).unwrap();
    assert_eq!(cache.count(), 0, "nothing is copied either");
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_is_not_used() {
    for what in [Place::compiled, Place::list, Place::code] {
        let place = Place::new();
        let path = what(&place);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, Permissions::from_mode(mode | 0o020)).unwrap();
        assert!(place.was_compiled().await, "{path:?}");
    }
}

#[tokio::test]
async fn a_folder_below_one_that_others_may_write_to_is_not_used() {
    let place = Place::new();
    fs::set_permissions(place.dir.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(place.was_compiled().await);
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_not_used() {
    let place = Place::new();
    let mine = place.dir.path().metadata().unwrap().uid();
    let owner = if mine == 0 {
        chown(place.code(), Some(STRANGER), None).unwrap();
        mine
    } else {
        STRANGER
    };
    let engine = Engine::new(&EngineConfig {
        cache_dir: place.dir.path().join("cache"),
        compiled: Some(CompiledConfig {
            dir: place.compiled(),
            owner,
        }),
    })
    .unwrap();
    engine.load(component(), None).await.unwrap();
    let cache = fs::read_dir(place.dir.path().join("cache")).unwrap();
    assert_eq!(cache.count(), 2, "copied and compiled");
}

#[tokio::test]
async fn code_that_is_not_what_the_list_says_is_not_used() {
    let place = Place::new();
    let mut code = fs::read(place.code()).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(place.code(), code).unwrap();
    assert!(place.was_compiled().await);
}

#[tokio::test]
async fn code_that_the_list_does_not_name_is_not_used() {
    let place = Place::new();
    place.edit_list(&place.digest, &"0".repeat(64));
    assert!(place.was_compiled().await);
}

#[tokio::test]
async fn a_list_of_another_format_or_engine_is_not_used() {
    let place = Place::new();
    place.edit_list(r#""format": 1"#, r#""format": 2"#);
    assert!(place.was_compiled().await);

    let place = Place::new();
    place.edit_list(r#""engine": ""#, r#""engine": "0"#);
    assert!(place.was_compiled().await);
}

#[tokio::test]
async fn a_link_is_not_followed_out_of_the_folder() {
    let place = Place::new();
    let elsewhere = place.dir.path().join("elsewhere");
    fs::rename(place.code(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.code()).unwrap();
    assert!(place.was_compiled().await);
}

#[tokio::test]
async fn no_folder_is_as_good_as_an_empty_one() {
    let place = Place::new();
    fs::remove_dir_all(place.compiled()).unwrap();
    assert!(place.was_compiled().await);
}
