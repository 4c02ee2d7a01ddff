//! The admin server's view of this process.

use super::not_taken::NotTaken;
use super::{Kept, Loader, Wanted, named, view};
use crate::progress;
use crate::state::{SHADOWS, UPLOADED};
use jackfield_admin::{
    Answer, Component, Objection, Operator, RecordCall, Recorded, Snapshot, SwapCall, Topics,
};
use jackfield_pipeline::{
    Pipelines, RECORDING_BYTES_MAX, RecordOptions, Refused, ShadowOptions, Status, SwapOptions,
};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long an old version stays ready when nobody says otherwise: several commits of a sink, and
/// what a source does in a quiet minute.
pub(crate) const PROBATION: Duration = Duration::from_secs(60);

/// The connectors that run.
pub(crate) struct Running {
    pub(crate) loader: Arc<Loader>,
    pub(crate) pipelines: Pipelines,
    /// Where connectors run: loading and compiling is not for the server's own thread.
    pub(crate) runtime: Handle,
    /// For what is uploaded, until it is loaded.
    pub(crate) state_dir: PathBuf,
    /// Whose files a swap may name.
    pub(crate) components: Option<PathBuf>,
    /// When the pipelines' clock started, ms since the epoch.
    pub(crate) started_ms: i64,
    /// The log, for whoever wants to see what it holds.
    pub(crate) kept: Arc<Kept>,
}

impl Operator for Running {
    fn status(&self, connector: Option<&str>) -> Result<Value, Objection> {
        match connector {
            None => {
                let statuses = self.pipelines.statuses();
                Ok(statuses.iter().map(|it| self.describe(it)).collect())
            }
            Some(name) => {
                let status = self.pipelines.status(name);
                let status = status.ok_or_else(|| objection(&Refused::Unknown(name.to_owned())))?;
                Ok(self.describe(&status))
            }
        }
    }

    fn swaps(&self, connector: &str) -> Result<Value, Objection> {
        let history = self.loader.controls().history(connector);
        Ok(json!(history.map_err(|refused| objection(&refused))?))
    }

    fn snapshot(&self) -> Snapshot {
        let controls = self.loader.controls();
        let statuses = self.pipelines.statuses().into_iter();
        let versions = statuses.map(|status| {
            // One that was taken away meanwhile has neither.
            let running = controls.running(status.connector()).ok().flatten();
            let swap = controls.last(status.connector()).ok().flatten();
            (status, running, swap)
        });
        // Looked at before the lock is taken.
        let versions: Vec<_> = versions.collect();
        let applied = self.loader.applied();
        let connectors = versions.into_iter().map(|(status, running, swap)| {
            let declared = applied.get(status.connector());
            let figures = view::figures(&status, declared, running, swap.as_ref(), self.started_ms);
            (status.connector().to_owned(), figures)
        });
        Snapshot {
            connectors: connectors.collect(),
            process: json!({
                "version": env!("CARGO_PKG_VERSION"),
                "started_ms": self.started_ms,
            }),
        }
    }

    fn details(&self, connector: &str) -> Result<Value, Objection> {
        let status = self.pipelines.status(connector);
        let unknown = || objection(&Refused::Unknown(connector.to_owned()));
        let status = status.ok_or_else(unknown)?;
        let version = self.loader.controls().version(connector);
        let version = version.map_err(|refused| objection(&refused))?;
        let declared = self.loader.declared(connector);
        Ok(view::details(
            &status,
            declared.as_ref(),
            version.as_deref(),
        ))
    }

    fn topics(&self) -> Arc<dyn Topics> {
        Arc::<Kept>::clone(&self.kept)
    }

    fn shadows(&self, connector: &str) -> Result<Value, Objection> {
        let shadows = self.loader.controls().shadows(connector);
        Ok(json!(shadows.map_err(|refused| objection(&refused))?))
    }

    fn record(&self, call: RecordCall) -> Recorded {
        let loader = Arc::clone(&self.loader);
        let begin = self.runtime.spawn(async move {
            let options = RecordOptions {
                span: call.span,
                bytes_max: call.bytes_max.unwrap_or(RECORDING_BYTES_MAX),
            };
            let begun = loader.controls().record(&call.connector, options).await;
            begun.map_err(|refused| objection(&refused))
        });
        Box::pin(async move {
            begin.await.unwrap_or_else(|panicked| {
                Err(Objection {
                    status: 500,
                    code: "panicked",
                    message: format!("the recording broke: {panicked}"),
                })
            })
        })
    }

    fn swap(&self, call: SwapCall) -> Answer {
        let (loader, dir) = (Arc::clone(&self.loader), self.state_dir.clone());
        let swap = swap(loader, dir, self.components.clone(), call);
        let swap = self.runtime.spawn(swap);
        Box::pin(async move {
            swap.await.unwrap_or_else(|panicked| {
                Err(Objection {
                    status: 500,
                    code: "panicked",
                    message: format!("the swap broke: {panicked}"),
                })
            })
        })
    }
}

impl Running {
    fn describe(&self, status: &Status) -> Value {
        let report = status.report();
        // It has no name of its own before it runs.
        let plugin = self.loader.controls().running(&report.connector);
        json!({
            "name": report.connector,
            "pipeline": report.pipeline,
            "type": if report.source { "source" } else { "sink" },
            "connector": { "state": progress::word(&report.state), "trace": report.state.trace() },
            "plugin": plugin.ok().flatten(),
            "records": report.records,
            "lag": report.lag,
            "open": report.open,
            "committed": report.committed,
            "failed_targets": report.failed_targets,
        })
    }
}

/// Where a new component lies; what was uploaded goes when this is dropped.
enum Lies {
    Uploaded(tempfile::NamedTempFile),
    Named(PathBuf),
}

impl Lies {
    fn path(&self) -> &std::path::Path {
        match self {
            Lies::Uploaded(file) => file.path(),
            Lies::Named(path) => path,
        }
    }
}

async fn swap(
    loader: Arc<Loader>,
    dir: PathBuf,
    components: Option<PathBuf>,
    call: SwapCall,
) -> Result<Value, Objection> {
    let broken = |error: &dyn std::fmt::Display| Objection {
        status: 500,
        code: "not-stored",
        message: format!("the component could not be stored: {error}"),
    };
    let shadows = dir.join(SHADOWS);
    let component = match call.component {
        None => None,
        Some(Component::Uploaded(bytes)) => {
            let stored = tokio::task::spawn_blocking(move || store(&dir, &bytes)).await;
            let stored = stored.map_err(|e| broken(&e))?.map_err(|e| broken(&e))?;
            Some(Lies::Uploaded(stored))
        }
        Some(Component::Named(name)) => {
            let found = tokio::task::spawn_blocking(move || named::find(components, &name)).await;
            Some(Lies::Named(found.map_err(|e| broken(&e))??))
        }
    };
    let wanted = Wanted {
        file: component.as_ref().map(Lies::path),
        sha256: call.sha256.as_deref(),
        settings: call.settings,
    };
    let by = "request".to_owned();
    if let Some(span) = call.shadow {
        let options = ShadowOptions {
            span,
            by,
            scratch: shadows,
        };
        let report = loader.shadow(&call.connector, wanted, options).await;
        return Ok(json!(report.map_err(|refused| not_taken(&refused))?));
    }
    let options = SwapOptions {
        probation: call.probation.unwrap_or(PROBATION),
        dry_run: call.dry_run,
        by,
    };
    let report = loader.swap(&call.connector, wanted, options).await;
    Ok(json!(report.map_err(|refused| not_taken(&refused))?))
}

fn store(dir: &std::path::Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(UPLOADED)
        .suffix(".wasm")
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn not_taken(why: &NotTaken) -> Objection {
    match why {
        NotTaken::Refused(refused) => objection(refused),
        NotTaken::Reaches(_) => Objection {
            status: 422,
            code: why.code(),
            message: why.to_string(),
        },
    }
}

fn objection(refused: &Refused) -> Objection {
    let status = match refused {
        Refused::Unknown(_) => 404,
        Refused::NotRunning(_)
        | Refused::Busy(_)
        | Refused::Same
        | Refused::KnownBad(_)
        | Refused::NotAtRest { .. } => 409,
        Refused::NotLoadable(_)
        | Refused::WrongDigest(_)
        | Refused::WrongWorld { .. }
        | Refused::WeakerDelivery
        | Refused::StateVersion { .. }
        | Refused::Grant(_)
        | Refused::Settings(_)
        | Refused::Fails(_) => 422,
    };
    Objection {
        status,
        code: refused.code(),
        message: refused.to_string(),
    }
}
