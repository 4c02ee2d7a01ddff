//! The process: log, lakes, plugins, and what it tells of itself.

use super::grants;
use super::lakes::lakes;
use crate::catalogue::PLUGIN;
use crate::fields::{Fields, Place};
use crate::finding::{Findings, Kind};
use crate::types::{
    AdminConfig, EmbeddedLogConfig, LakeConfig, LogConfig, LogFormat, LogLevel, OtlpConfig,
    OtlpProtocol, PluginConfig, TelemetryConfig,
};
use crate::{leaf, places};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// All of the file but the pipelines.
pub(super) struct Process {
    pub(super) state_dir: PathBuf,
    pub(super) memory_bytes_max: Option<u64>,
    pub(super) log: LogConfig,
    pub(super) admin: AdminConfig,
    pub(super) telemetry: TelemetryConfig,
    pub(super) lakes: BTreeMap<String, LakeConfig>,
    pub(super) plugins: BTreeMap<String, PluginConfig>,
}

pub(super) fn read(fields: &Fields<'_>, base: &Path, findings: &mut Findings) -> Option<Process> {
    let log = log(fields, base, findings);
    let lakes = lakes(fields, base, findings);
    let plugins = plugins(fields, base, findings);
    let state_dir = fields.read("state", findings, |shape, place, findings| {
        places::path(base, shape, place, findings)
    });
    let memory_bytes_max = fields.read("memory", findings, leaf::size);
    let admin = super::admin::read(fields, base, findings);
    let telemetry = telemetry(fields, findings);
    Some(Process {
        state_dir: state_dir?,
        memory_bytes_max,
        log: log?,
        admin: admin?,
        telemetry: telemetry?,
        lakes,
        plugins,
    })
}

fn log(fields: &Fields<'_>, base: &Path, findings: &mut Findings) -> Option<LogConfig> {
    let log = fields.section("log", findings)?;
    if let Some(kafka) = log.given("kafka") {
        if log.given("embedded").is_some() {
            let both = "there is one log: `embedded` or `kafka`";
            findings.push(kafka.error(Kind::Conflict, both).mend("remove one"));
        }
        return Some(LogConfig::Kafka(Box::new(super::kafka::read(
            &log, base, findings,
        )?)));
    }
    let embedded = log.section("embedded", findings)?;
    let dir = embedded.read("dir", findings, |shape, place, findings| {
        places::path(base, shape, place, findings)
    });
    let retention = embedded.read("retention", findings, leaf::time);
    let retention_bytes = embedded.read("retention-bytes", findings, leaf::size);
    Some(LogConfig::Embedded(EmbeddedLogConfig {
        dir: dir?,
        retention: retention?,
        retention_bytes,
    }))
}

fn telemetry(fields: &Fields<'_>, findings: &mut Findings) -> Option<TelemetryConfig> {
    let telemetry = fields.section("telemetry", findings)?;
    let otlp = match telemetry.given("otlp") {
        Some(_) => Some(otlp(&telemetry, findings)?),
        None => None,
    };
    let logs = telemetry.section("logs", findings)?;
    let format = logs
        .read("format", findings, leaf::choice)
        .map(|word| match word {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => LogFormat::Auto,
        });
    let level = logs
        .read("level", findings, leaf::choice)
        .map(|word| match word {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => LogLevel::Info,
        });
    Some(TelemetryConfig {
        format: format?,
        level: level?,
        otlp,
    })
}

fn otlp(telemetry: &Fields<'_>, findings: &mut Findings) -> Option<OtlpConfig> {
    let fields = telemetry.section("otlp", findings)?;
    let endpoint = fields.read("endpoint", findings, places::url);
    let protocol = fields
        .read("protocol", findings, leaf::choice)
        .map(|word| match word {
            "grpc" => OtlpProtocol::Grpc,
            "http-json" => OtlpProtocol::HttpJson,
            _ => OtlpProtocol::Http,
        });
    let headers = grants::headers(&fields, findings);
    let interval = fields.read("interval", findings, leaf::bounded_time);
    let sample = fields.read("sample", findings, leaf::whole)?;
    Some(OtlpConfig {
        endpoint: endpoint?,
        protocol: protocol?,
        headers,
        interval: interval?,
        sample: NonZeroU32::new(u32::try_from(sample).unwrap_or(u32::MAX)),
    })
}

fn plugins(
    fields: &Fields<'_>,
    base: &Path,
    findings: &mut Findings,
) -> BTreeMap<String, PluginConfig> {
    let named = fields.named("plugins", findings);
    named
        .into_iter()
        .filter_map(|named| Some((named.name.to_owned(), plugin(&named.place, base, findings)?)))
        .collect()
}

fn plugin(place: &Place<'_>, base: &Path, findings: &mut Findings) -> Option<PluginConfig> {
    let fields = Fields::short_or_open(place, "file", &PLUGIN, findings)?;
    let file = fields.read("file", findings, |shape, place, findings| {
        places::path(base, shape, place, findings)
    });
    let sha256 = fields.read("sha256", findings, places::sha256);
    let memory = fields.read("memory", findings, leaf::size);
    let call_time_max = fields.read("call-time", findings, leaf::bounded_time);
    Some(PluginConfig {
        file: file?,
        sha256,
        memory_bytes_max: memory?,
        call_time_max,
    })
}
