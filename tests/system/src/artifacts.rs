//! The binary and the components under test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What most tests run.
const COMPONENTS: [&str; 4] = ["binance-source", "iceberg-sink", "hostile", "hostile-sink"];

/// Where they are.
#[derive(Debug)]
pub struct Artifacts {
    /// `jackfield`.
    pub jackfield: PathBuf,
    /// The folder of `binance-source.wasm` and the others.
    pub plugins: PathBuf,
    /// A state folder in which they are compiled already; see [`crate::Site`].
    pub state: PathBuf,
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where cargo builds, and where tests leave what people may look at.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

impl Artifacts {
    /// Finds or builds them, once a process.
    ///
    /// # Panics
    /// When one is missing and can't be built: no test can go on then.
    pub fn get() -> &'static Artifacts {
        static FOUND: OnceLock<Artifacts> = OnceLock::new();
        FOUND.get_or_init(find)
    }

    /// A component by name, such as `hostile`.
    pub fn plugin(&self, name: &str) -> PathBuf {
        self.plugins.join(format!("{name}.wasm"))
    }
}

fn find() -> Artifacts {
    let target = target();
    let jackfield = std::env::var_os("JACKFIELD_BIN")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let status = Command::new(cargo)
                .args(["build", "--quiet", "-p", "jackfield"])
                .current_dir(repository())
                .status()
                .expect("cargo runs, as it runs these tests");
            assert!(status.success(), "`cargo build -p jackfield` failed");
            target.join("debug/jackfield")
        });
    let plugins = std::env::var_os("JACKFIELD_PLUGINS_TEST_DIR")
        .map_or_else(|| target.join("plugins-test"), PathBuf::from);
    for name in COMPONENTS {
        let file = plugins.join(format!("{name}.wasm"));
        assert!(
            file.exists(),
            "{} is missing: run scripts/build-plugins test",
            file.display()
        );
    }
    let state = target.join("system-tests-state");
    compile(&jackfield, &plugins, &state);
    Artifacts {
        jackfield,
        plugins,
        state,
    }
}

/// Compiling the sink takes seconds, loading what is compiled a millisecond: so it is done once,
/// and by one of the test processes that may run beside each other.
fn compile(jackfield: &Path, plugins: &Path, state: &Path) {
    std::fs::create_dir_all(state).unwrap();
    let lock = File::create(state.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    for name in COMPONENTS {
        let output = Command::new(jackfield)
            .args(["plugin", "compile"])
            .arg(plugins.join(format!("{name}.wasm")))
            .arg("--state")
            .arg(state)
            .output()
            .unwrap_or_else(|error| panic!("{} does not run: {error}", jackfield.display()));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "compiling {name}: {text}");
    }
}
