//! The tree → [`Config`]: everything is looked at, whatever was found before.

mod admin;
mod connectors;
mod grants;
mod kafka;
mod lakes;
mod memory;
mod pipelines;
mod process;
mod topics;

use crate::catalogue::FILE;
use crate::context::ParseContext;
use crate::fields::{Fields, Place};
use crate::finding::{Finding, Findings, Kind, Pos};
use crate::tree::{Content, Node, Path};
use crate::types::Config;
use crate::{variables, yaml};

impl Config {
    /// Validates a text, touching nothing but what `context` offers. Every error is found at once.
    pub fn parse(text: &str, context: &ParseContext<'_>) -> Result<Config, Findings> {
        let mut findings = Findings::new(context.file);
        let config = yaml::parse(text, &mut findings).and_then(|mut root| {
            variables::replace(&mut root, context, &mut findings);
            file(&root, context, &mut findings)
        });
        let findings = findings.sorted();
        match config {
            Some(config) if !findings.has_errors() => Ok(Config {
                warnings: findings,
                ..config
            }),
            Some(_) | None => Err(findings),
        }
    }
}

fn file(root: &Node, context: &ParseContext<'_>, findings: &mut Findings) -> Option<Config> {
    let place = Place {
        node: root,
        path: Path::default(),
    };
    let is_empty = match &root.content {
        Content::Scalar(_) => root.is_nothing(),
        Content::Map(entries) => entries.is_empty(),
        Content::List(_) => false,
    };
    if is_empty {
        findings.push(nothing("", root.at, yaml::EMPTY).mend(yaml::EMPTY_MEND));
        return None;
    }
    let fields = Fields::open(&place, &FILE, findings)?;
    let process = process::read(&fields, context.base_dir, findings);
    let pipelines = pipelines::read(
        &fields,
        context.file,
        process.as_ref().map(|it| &it.log),
        findings,
    );
    let (process, (pipelines, grants)) = (process?, pipelines?);
    if !findings.has_errors() {
        memory::check(
            &fields,
            process.memory_bytes_max,
            &process.plugins,
            &pipelines,
            findings,
        );
    }
    Some(Config {
        base_dir: context.base_dir.to_owned(),
        state_dir: process.state_dir,
        memory_bytes_max: process.memory_bytes_max,
        log: process.log,
        admin: process.admin,
        telemetry: process.telemetry,
        lakes: process.lakes,
        plugins: process.plugins,
        pipelines,
        grants,
        warnings: Findings::default(),
    })
}

/// Nothing to run.
fn nothing(path: impl Into<String>, at: Pos, message: &str) -> Finding {
    Finding::error(Kind::Empty, path, at, message)
}
