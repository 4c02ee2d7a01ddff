//! Which component is which connector, and what each may import.

use crate::bindings::sink::{SinkConnector, SinkConnectorPre};
use crate::bindings::source::{SourceConnector, SourceConnectorPre};
use crate::bindings::transform::{TransformConnector, TransformConnectorPre};
use crate::error::LoadError;
use crate::state::State;
use std::path::Path;
use wasmtime::component::{Component, HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi::random::WasiRandom;

/// The contract's package.
const PACKAGE: &str = "jackfield:connector/";
/// Exported interfaces, without their version.
const SOURCE: &str = "jackfield:connector/source";
const SINK: &str = "jackfield:connector/sink";
const TRANSFORM: &str = "jackfield:connector/transform";
/// The version of the contract that this host speaks. Patch versions are compatible.
const CONTRACT: &str = "0.1.";

/// What kind of connector a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It exports `source`.
    Source,
    /// It exports `sink`.
    Sink,
    /// It exports `transform`.
    Transform,
}

/// A component whose imports are bound.
pub(crate) enum Pre {
    Source(SourceConnectorPre<State>),
    Sink(SinkConnectorPre<State>),
    Transform(TransformConnectorPre<State>),
}

pub(crate) struct Linkers {
    source: Linker<State>,
    sink: Linker<State>,
    transform: Linker<State>,
}

impl Linkers {
    pub(crate) fn new(engine: &wasmtime::Engine) -> wasmtime::Result<Self> {
        let (mut source, mut sink, mut transform) = (
            Linker::new(engine),
            Linker::new(engine),
            Linker::new(engine),
        );
        for linker in [&mut source, &mut sink, &mut transform] {
            add_wasi(linker)?;
        }
        SourceConnector::add_to_linker::<_, HasSelf<State>>(&mut source, |state| state)?;
        SinkConnector::add_to_linker::<_, HasSelf<State>>(&mut sink, |state| state)?;
        TransformConnector::add_to_linker::<_, HasSelf<State>>(&mut transform, |state| state)?;
        Ok(Self {
            source,
            sink,
            transform,
        })
    }

    /// Binds a component by what it exports.
    pub(crate) fn recognise(
        &self,
        engine: &wasmtime::Engine,
        component: &Component,
        path: &Path,
    ) -> Result<Pre, LoadError> {
        let wrong = |reason: String| LoadError::WrongWorld {
            path: path.to_owned(),
            reason,
        };
        let ty = component.component_type();
        let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
        let world = world_of(&exports).map_err(wrong)?;
        let failed = |error: wasmtime::Error| wrong(format!("{error:#}"));
        Ok(match world {
            World::Source => {
                let pre = self.source.instantiate_pre(component).map_err(failed)?;
                Pre::Source(SourceConnectorPre::new(pre).map_err(failed)?)
            }
            World::Sink => {
                let pre = self.sink.instantiate_pre(component).map_err(failed)?;
                Pre::Sink(SinkConnectorPre::new(pre).map_err(failed)?)
            }
            World::Transform => {
                let pre = self.transform.instantiate_pre(component).map_err(failed)?;
                Pre::Transform(TransformConnectorPre::new(pre).map_err(failed)?)
            }
        })
    }
}

/// What of the contract a component reaches for: interfaces without package and version.
pub(crate) fn imports_of(engine: &wasmtime::Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let named = ty.imports(engine).filter_map(|(name, _)| {
        let interface = name.strip_prefix(PACKAGE)?;
        let interface = interface.split_once('@').map_or(interface, |(it, _)| it);
        Some(interface.to_owned())
    });
    named.collect()
}

/// The one world that these exports make.
fn world_of(exports: &[&str]) -> Result<World, String> {
    let mut worlds = Vec::new();
    for export in exports {
        let (name, version) = export.split_once('@').unwrap_or((export, ""));
        let world = match name {
            SOURCE => World::Source,
            SINK => World::Sink,
            TRANSFORM => World::Transform,
            _ => continue,
        };
        if !version.starts_with(CONTRACT) {
            return Err(format!(
                "it exports {export}, and this host speaks version {CONTRACT}x of the contract"
            ));
        }
        worlds.push(world);
    }
    let listed = if exports.is_empty() {
        "nothing".to_owned()
    } else {
        exports.join(", ")
    };
    match worlds[..] {
        [world] => Ok(world),
        [] => Err(format!(
            "it exports {listed}, and a connector exports one of {SOURCE}, {SINK}, {TRANSFORM}"
        )),
        _ => Err(format!(
            "it exports {listed}, and a connector is one of them"
        )),
    }
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Clocks, random numbers and stderr; streams and polls, which those need; and what the standard
/// library imports whether used or not: an environment that is empty, and a file system without
/// a single folder. No sockets at all.
fn add_wasi(l: &mut Linker<State>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<State, Io>(l, |s| s.ctx().table)?;
    io::poll::add_to_linker::<State, Io>(l, |s| s.ctx().table)?;
    io::streams::add_to_linker::<State, Io>(l, |s| s.ctx().table)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    random::random::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_recognised_by_its_export() {
        assert_eq!(
            world_of(&["jackfield:connector/source@0.1.0"]),
            Ok(World::Source)
        );
        assert_eq!(
            world_of(&["x:y/z", "jackfield:connector/sink@0.1.3"]),
            Ok(World::Sink)
        );
    }

    #[test]
    fn a_wrong_world_is_told_what_it_exports() {
        let nothing = world_of(&["wasi:cli/run@0.2.6"]).unwrap_err();
        assert!(
            nothing.contains("wasi:cli/run@0.2.6") && nothing.contains(SOURCE),
            "{nothing}"
        );
        let later = world_of(&["jackfield:connector/source@0.2.0"]).unwrap_err();
        assert!(
            later.contains("@0.2.0") && later.contains("0.1."),
            "{later}"
        );
        let both = world_of(&[
            "jackfield:connector/source@0.1.0",
            "jackfield:connector/sink@0.1.0",
        ])
        .unwrap_err();
        assert!(both.contains("one of them"), "{both}");
    }
}
