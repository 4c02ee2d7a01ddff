//! Each connector as it is declared: all that decides what runs under its name.

use jackfield_config::{
    Config, Delivery, FeedTopic, LakeConfig, PipelineConfig, PluginConfig, RetryConfig, Settings,
    SinkConfig, SourceConfig, TransactionConfig,
};
use jackfield_plugin::World;
use std::collections::BTreeMap;

/// One connector, with everything it refers to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) pipeline: String,
    pub(crate) delivery: Delivery,
    pub(crate) retry: RetryConfig,
    pub(crate) plugin: PluginConfig,
    pub(crate) end: End,
}

/// What only one end has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Source {
        config: SourceConfig,
        topics: BTreeMap<String, FeedTopic>,
        transaction: TransactionConfig,
    },
    Sink {
        config: SinkConfig,
        lake: Option<LakeConfig>,
    },
}

/// How a connector becomes what is declared now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing has changed.
    None,
    /// Only its component or its settings have.
    Swap,
    /// It has to end and begin anew.
    Replace,
}

impl Declared {
    pub(crate) fn connector(&self) -> &str {
        match &self.end {
            End::Source { config, .. } => &config.connector,
            End::Sink { config, .. } => &config.connector,
        }
    }

    /// The name of its plugin.
    pub(crate) fn plugin_name(&self) -> &str {
        match &self.end {
            End::Source { config, .. } => &config.plugin,
            End::Sink { config, .. } => &config.plugin,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        match &self.end {
            End::Source { config, .. } => &config.settings,
            End::Sink { config, .. } => &config.settings,
        }
    }

    pub(crate) fn world(&self) -> World {
        match &self.end {
            End::Source { .. } => World::Source,
            End::Sink { .. } => World::Sink,
        }
    }

    /// The way from here to `to`, under the same name.
    pub(crate) fn way(&self, to: &Declared) -> Way {
        if self == to {
            return Way::None;
        }
        if self.with_version_of(to) == *to {
            return Way::Swap;
        }
        Way::Replace
    }

    /// This, with the component and the settings of another: what a swap changes.
    fn with_version_of(&self, other: &Declared) -> Declared {
        let mut swapped = self.clone();
        swapped.plugin.file.clone_from(&other.plugin.file);
        swapped.plugin.sha256.clone_from(&other.plugin.sha256);
        let (plugin, settings) = match &mut swapped.end {
            End::Source { config, .. } => (&mut config.plugin, &mut config.settings),
            End::Sink { config, .. } => (&mut config.plugin, &mut config.settings),
        };
        other.plugin_name().clone_into(plugin);
        settings.clone_from(other.settings());
        swapped
    }
}

/// All connectors of a file, by name.
pub(crate) fn all(config: &Config) -> BTreeMap<String, Declared> {
    let pipelines = config.pipelines.iter();
    pipelines
        .flat_map(|(name, pipeline)| of(name, pipeline, config))
        .collect()
}

/// The connectors of one pipeline, which refers to what the file declares.
pub(crate) fn of(
    pipeline_name: &str,
    pipeline: &PipelineConfig,
    config: &Config,
) -> BTreeMap<String, Declared> {
    let mut all = BTreeMap::new();
    let declared = |plugin: &str, end: End| Declared {
        pipeline: pipeline_name.to_owned(),
        delivery: pipeline.delivery,
        retry: pipeline.retry,
        plugin: config
            .plugins
            .get(plugin)
            .cloned()
            .expect("a checked configuration refers to declared plugins"),
        end,
    };
    if let Some(source) = &pipeline.source {
        let end = End::Source {
            config: source.clone(),
            topics: pipeline.topics.clone(),
            transaction: pipeline.transaction,
        };
        all.insert(source.connector.clone(), declared(&source.plugin, end));
    }
    for sink in pipeline.sinks.values() {
        let lake = sink.allow.lake.as_ref();
        let end = End::Sink {
            config: sink.clone(),
            lake: lake.and_then(|name| config.lakes.get(name)).cloned(),
        };
        all.insert(sink.connector.clone(), declared(&sink.plugin, end));
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jackfield_config::ParseContext;

    fn connectors(text: &str) -> BTreeMap<String, Declared> {
        let context = ParseContext {
            file: "connectors.yaml",
            base_dir: "/etc/jackfield".as_ref(),
            env: &|_| None,
            read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        };
        all(&Config::parse(text, &context).unwrap())
    }

    const FILE: &str = r"
log: { embedded: { dir: log } }
lakes: { local: { catalog: { sql: 'sqlite://catalog.db' }, warehouse: warehouse } }
plugins: { binance: source.wasm, iceberg: { file: sink.wasm, memory: 512MiB } }
pipelines:
  trades:
    source:
      plugin: binance
      settings: { symbols: [BTCUSDT] }
    topics: { trade: { name: trades, partitions: 4 } }
    sinks:
      lake:
        plugin: iceberg
        topics: [trade]
        settings: { table: market.trades }
        allow: { lake: local }
";

    #[track_caller]
    fn ways(from: &str, to: &str, source: Way, sink: Way) {
        let (old, new) = (connectors(FILE), connectors(&FILE.replace(from, to)));
        let way = |name: &str| old[name].way(&new[name]);
        assert_eq!(
            (way("trades-source"), way("trades-lake")),
            (source, sink),
            "{from} → {to}"
        );
    }

    #[test]
    fn what_is_the_same_stays() {
        ways("plugins:", "# a remark\nplugins:", Way::None, Way::None);
    }

    #[test]
    fn settings_and_components_are_swapped() {
        ways("[BTCUSDT]", "[ETHUSDT]", Way::Swap, Way::None);
        ways("market.trades", "market.all", Way::None, Way::Swap);
        ways("source.wasm", "newer.wasm", Way::Swap, Way::None);
    }

    #[test]
    fn everything_else_begins_anew() {
        ways("512MiB", "256MiB", Way::None, Way::Replace);
        ways("name: trades", "name: all", Way::Replace, Way::Replace);
        ways(
            "warehouse: warehouse",
            "warehouse: other",
            Way::None,
            Way::Replace,
        );
        ways(
            "  trades:",
            "  trades:\n    delivery: exactly-once",
            Way::Replace,
            Way::Replace,
        );
    }
}
