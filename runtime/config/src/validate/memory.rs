//! Whether all components fit into the memory that the process may take for them.

use crate::fields::Fields;
use crate::finding::{Findings, Kind};
use crate::quantity::show_bytes;
use crate::types::{Config, PipelineConfig, PluginConfig};
use std::collections::BTreeMap;

pub(super) fn check(
    fields: &Fields<'_>,
    memory_bytes_max: Option<u64>,
    plugins: &BTreeMap<String, PluginConfig>,
    pipelines: &BTreeMap<String, PipelineConfig>,
    findings: &mut Findings,
) {
    let (Some(allowed), Some(place)) = (memory_bytes_max, fields.given("memory")) else {
        return;
    };
    let needed = needed(plugins, pipelines.values());
    if needed > allowed {
        findings.push(
            place
                .error(Kind::Conflict, "the components may take more memory together than the process allows")
                .value(show_bytes(allowed))
                .mend(format!(
                    "allow {}, or lower `memory` of plugins, `slots` or `tasks` (each sink has one instance more than tasks)",
                    show_bytes(needed)
                )),
        );
    }
}

impl Config {
    /// Most memory that the instances of these pipelines may take together, bytes.
    pub fn memory_of<'a>(&self, pipelines: impl Iterator<Item = &'a PipelineConfig>) -> u64 {
        needed(&self.plugins, pipelines)
    }
}

fn needed<'a>(
    plugins: &BTreeMap<String, PluginConfig>,
    pipelines: impl Iterator<Item = &'a PipelineConfig>,
) -> u64 {
    let instances = pipelines.flat_map(|pipeline| {
        let source = pipeline
            .source
            .iter()
            .map(|source| (&source.plugin, source.slots_max));
        // The committer is an instance of its own.
        let sinks = pipeline
            .sinks
            .values()
            .map(|sink| (&sink.plugin, sink.tasks + 1));
        source.chain(sinks)
    });
    instances
        .filter_map(|(plugin, instances)| {
            let each = plugins.get(plugin)?.memory_bytes_max;
            Some(each.saturating_mul(instances.into()))
        })
        .fold(0, u64::saturating_add)
}
