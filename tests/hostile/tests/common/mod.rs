//! An engine of this test binary; compiled code is shared between the binaries.

use jackfield_plugin::{Engine, EngineConfig};
use std::path::Path;

pub(crate) fn engine() -> Engine {
    let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    Engine::new(&EngineConfig {
        cache_dir,
        compiled: None,
    })
    .unwrap()
}
