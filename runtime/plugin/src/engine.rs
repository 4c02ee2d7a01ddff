//! The WASM engine, its clock, and the way from a file to a plugin.

mod loaded;

use crate::cache::Cache;
use crate::error::LoadError;
use crate::limits::EPOCH_TICK;
use crate::linkers::{Linkers, imports_of};
use crate::plugin::{Plugin, PluginInner};
use crate::precompiled::Precompiled;
use crate::state::State;
use loaded::Loaded;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;
use wasmtime::{Config, Store, StoreContextMut, UpdateDeadline};

/// Largest plugin file: a component with a whole Python inside has 18 MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Stack of a guest. Rust keeps large values in linear memory, but a Parquet writer nests deeply.
const WASM_STACK_BYTES_MAX: usize = 1024 * 1024;
/// Stack of the fiber that a call runs on: the guest's, and what host functions need above it.
const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// What an engine needs.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where plugins are copied to and kept compiled. Private to this user; made if missing.
    pub cache_dir: PathBuf,
    /// Plugins that were compiled beforehand. What is not there is compiled into the cache.
    pub compiled: Option<CompiledConfig>,
}

/// A folder that [`compile_into`](crate::compile_into) has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledConfig {
    /// The folder.
    pub dir: PathBuf,
    /// The user beside root who may be able to write there: what they put there runs as this
    /// process. A folder that anybody else may write to is not used.
    pub owner: u32,
}

impl CompiledConfig {
    /// A folder that only root may write to, such as an image's.
    pub fn roots(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            owner: 0,
        }
    }
}

/// Loads plugins. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: wasmtime::Engine,
    linkers: Linkers,
    cache: Cache,
    precompiled: Option<Precompiled>,
    loaded: Loaded<PluginInner>,
    _ticker: Ticker,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("cache", &self.inner.cache)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with its private cache.
    ///
    /// # Errors
    /// The cache can't be used, or the machine can't run the engine.
    pub fn new(config: &EngineConfig) -> Result<Self, LoadError> {
        let engine =
            wasmtime::Engine::new(&settings()).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        let linkers = Linkers::new(&engine).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        let cache = Cache::open(&config.cache_dir)?;
        let precompiled = config.compiled.as_ref().and_then(|compiled| {
            Precompiled::open(compiled)
                .inspect_err(|reason| {
                    tracing::warn!(folder = %compiled.dir.display(), reason, "no code that was compiled beforehand is used");
                })
                .ok()
        });
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linkers,
                cache,
                precompiled,
                loaded: Loaded::default(),
                _ticker: ticker,
            }),
        })
    }

    /// Loads a plugin: the file is copied by its content's hash, so that it may be overwritten
    /// afterwards, and compiled unless that was done before. Whoever loads another one does not
    /// wait for that.
    ///
    /// # Errors
    /// The file is not the expected one or changed meanwhile, damaged, or no connector of this
    /// version.
    pub async fn load(&self, file: &Path, sha256: Option<&str>) -> Result<Plugin, LoadError> {
        let (path, expected) = (file.to_owned(), sha256.map(str::to_owned));
        let read_once = blocking(move || Ok(read(&path, expected.as_deref())?.1));
        let digest: String = read_once.await?;
        let (engine, path, of) = (Arc::clone(&self.inner), file.to_owned(), digest.clone());
        // Read again when it has its turn: those that wait for theirs hold no file.
        let compiling = blocking(move || {
            let (bytes, _) = read(&path, Some(&of))?;
            engine.compile(&path, &bytes, of)
        });
        let plugin = self.inner.loaded.get_or_make(&digest, compiling).await?;
        Ok(Plugin::of(plugin))
    }
}

impl Inner {
    fn compile(
        self: &Arc<Self>,
        path: &Path,
        bytes: &[u8],
        digest: String,
    ) -> Result<PluginInner, LoadError> {
        let precompiled = self.precompiled.as_ref();
        let component = match precompiled.and_then(|it| it.component(&self.engine, &digest)) {
            Some(component) => component,
            None => self.cache.component(&self.engine, path, bytes, &digest)?,
        };
        let pre = self.linkers.recognise(&self.engine, &component, path)?;
        let imports = imports_of(&self.engine, &component);
        Ok(PluginInner::new(Arc::clone(self), digest, pre, imports))
    }

    /// A store for one instance.
    pub(crate) fn store(&self, state: State) -> Store<State> {
        let crossing_bytes_max = state.crossing_bytes_max;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(at_tick);
        store.set_hostcall_fuel(crossing_bytes_max);
        store
    }
}

/// A guest that computes lets others run at each tick, until its call's deadline; one that called
/// the host too often rests.
fn at_tick(mut context: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let (now, state) = (Instant::now(), context.data_mut());
    let left = state.deadline.saturating_duration_since(now);
    if left.is_zero() {
        return Ok(UpdateDeadline::Interrupt);
    }
    let rest = state.host_calls.debt(now).min(left);
    if !rest.is_zero() {
        state.usage.held_back(rest);
        let rested = Box::pin(tokio::time::sleep(rest));
        return Ok(UpdateDeadline::YieldCustom(1, rested));
    }
    Ok(UpdateDeadline::YieldCustom(
        1,
        Box::pin(tokio::task::yield_now()),
    ))
}

fn settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // The default doubles to quadruples what each call costs; nothing here needs it.
        .concurrency_support(false)
        // Costs a parse-heavy guest 26 %, fuel 37 %.
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES_MAX)
        .async_stack_size(FIBER_STACK_BYTES);
    config
}

/// The engine for code that runs on every CPU of this machine's architecture: a target that is
/// named has none of the features that this CPU has beyond.
pub(crate) fn baseline() -> wasmtime::Result<wasmtime::Engine> {
    let mut config = settings();
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
    wasmtime::Engine::new(&config)
}

pub(crate) fn read(path: &Path, expected: Option<&str>) -> Result<(Vec<u8>, String), LoadError> {
    let unreadable = |e: std::io::Error| LoadError::Unreadable {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge {
            path: path.to_owned(),
            bytes,
            bytes_max: FILE_BYTES_MAX,
        });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let found = hex(&Sha256::digest(&bytes));
    match expected {
        Some(expected)
            if !expected
                .trim_start_matches("sha256:")
                .eq_ignore_ascii_case(&found) =>
        {
            Err(LoadError::Digest {
                path: path.to_owned(),
                expected: expected.to_owned(),
                found,
            })
        }
        Some(_) | None => Ok((bytes, found)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string can't fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// Files and compilation are no work for the threads that serve connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(LoadError::Engine(format!("the compiler gave up: {panic}"))),
    }
}

/// The engine's clock: one thread, which ends with the engine.
struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> Result<Self, LoadError> {
        let (stop, stopped) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new()
            .name("wasm-epoch".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(EPOCH_TICK) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })
            .map_err(|e| LoadError::Engine(format!("no thread for the clock: {e}")))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the clock of the WASM engine had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::pin::pin;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Longer than reading a file that is no component takes on any machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_file_is_loaded_while_another_one_is_being_compiled() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(&EngineConfig {
            cache_dir: folder.path().join("cache"),
            compiled: None,
        });
        let engine = engine.unwrap();
        let file = folder.path().join("none.wasm");
        std::fs::write(&file, "no component").unwrap();
        let never = pending::<Result<PluginInner, LoadError>>();
        let mut compiling = pin!(engine.inner.loaded.get_or_make("another", never));
        tokio::select! {
            biased;
            _ = &mut compiling => unreachable!("its compilation never ends"),
            loaded = timeout(PATIENCE, engine.load(&file, None)) => {
                let error = loaded.expect("it waits for nobody").unwrap_err();
                assert!(matches!(error, LoadError::NotAComponent { .. }), "{error}");
            }
        }
    }
}
