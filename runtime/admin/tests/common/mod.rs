//! Connectors that live in a map, as a herder would run them.
#![allow(dead_code, unused_imports, reason = "each test uses its part of it")]

mod lines;
mod nobody;
mod site;

pub(crate) use lines::Lines;
pub(crate) use nobody::{NoLog, nobody};
pub(crate) use site::Site;

use async_trait::async_trait;
use jackfield_admin::{Connect, Herder, Objection, Put, Restart};
use jackfield_connect::entities::{
    ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo, ConnectorInfo, ConnectorOffset,
    ConnectorOffsets, ConnectorState, ConnectorStateInfo, ConnectorType, Message, PluginInfo,
    TaskId, TaskInfo, TaskState, WorkerStatus,
};
use jackfield_connect::{FlatConfig, TargetState};
use jackfield_telemetry::logging::{self, Format};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Barrier;

/// A connector that exists from the start and belongs to a file.
pub(crate) const DECLARED: &str = "declared";

#[derive(Default)]
pub(crate) struct Fake {
    made: Mutex<BTreeMap<String, Made>>,
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) health: Mutex<&'static str>,
    /// Where states wait for each other, if they are to.
    pub(crate) together: Mutex<Option<Arc<Barrier>>>,
}

struct Made {
    config: FlatConfig,
    target: TargetState,
    offsets: Vec<ConnectorOffset>,
    failed: bool,
}

impl Made {
    fn new(config: FlatConfig, target: TargetState) -> Self {
        let value = json!([{ "partition": { "kafka_topic": "t", "kafka_partition": 0 }, "offset": { "kafka_offset": 7 } }]);
        Self {
            failed: config.contains_key("fails"),
            config,
            target,
            offsets: serde_json::from_value(value).unwrap(),
        }
    }

    fn state(&self) -> &'static str {
        match (self.target, self.failed) {
            (TargetState::Started, true) => "FAILED",
            (TargetState::Started, false) => "RUNNING",
            (TargetState::Paused, _) => "PAUSED",
            (TargetState::Stopped, _) => "STOPPED",
        }
    }
}

pub(crate) fn objection(status: u16, message: impl Into<String>) -> Objection {
    Objection {
        status,
        code: "of-the-test",
        message: message.into(),
    }
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        let fake = Self::default();
        *fake.health.lock().unwrap() = "healthy";
        let config = FlatConfig::from([("name".to_owned(), DECLARED.to_owned())]);
        let declared = Made::new(config, TargetState::Started);
        fake.made
            .lock()
            .unwrap()
            .insert(DECLARED.to_owned(), declared);
        Arc::new(fake)
    }

    fn with<T>(
        &self,
        call: String,
        connector: &str,
        of: impl FnOnce(&mut Made) -> Result<T, Objection>,
    ) -> Result<T, Objection> {
        self.calls.lock().unwrap().push(call);
        let mut made = self.made.lock().unwrap();
        let found = made.get_mut(connector);
        of(found.ok_or_else(|| objection(404, format!("Connector {connector} not found")))?)
    }

    fn changeable(connector: &str) -> Result<(), Objection> {
        if connector == DECLARED {
            return Err(objection(409, "connectors.yaml declares it"));
        }
        Ok(())
    }

    fn info_of(name: &str, made: &Made) -> ConnectorInfo {
        ConnectorInfo {
            name: name.to_owned(),
            config: made.config.clone(),
            tasks: vec![TaskId {
                connector: name.to_owned(),
                task: 0,
            }],
            end: ConnectorType::Sink,
        }
    }
}

fn check(config: &FlatConfig) -> Result<(), Objection> {
    match config.get("bad") {
        Some(why) => Err(objection(
            400,
            format!(
                "Connector configuration is invalid and contains the following 1 error(s):\nbad: {why}"
            ),
        )),
        None => Ok(()),
    }
}

#[async_trait]
impl Herder for Fake {
    fn cluster(&self) -> String {
        "the-cluster".to_owned()
    }

    fn health(&self) -> WorkerStatus {
        WorkerStatus {
            status: (*self.health.lock().unwrap()).to_owned(),
            message: "said by the test".to_owned(),
        }
    }

    async fn connectors(&self) -> Result<Vec<String>, Objection> {
        Ok(self.made.lock().unwrap().keys().cloned().collect())
    }

    async fn info(&self, connector: &str) -> Result<ConnectorInfo, Objection> {
        self.with("info".into(), connector, |made| {
            Ok(Self::info_of(connector, made))
        })
    }

    async fn state(&self, connector: &str) -> Result<ConnectorStateInfo, Objection> {
        let together = self.together.lock().unwrap().clone();
        if let Some(together) = together {
            together.wait().await;
        }
        self.with("state".into(), connector, |made| {
            let trace = made.failed.then(|| "it broke".to_owned());
            let stopped = made.target == TargetState::Stopped;
            Ok(ConnectorStateInfo {
                name: connector.to_owned(),
                connector: ConnectorState {
                    state: made.state().to_owned(),
                    worker_id: "w:1".to_owned(),
                    trace: trace.clone(),
                    version: None,
                },
                tasks: (0..u32::from(!stopped))
                    .map(|id| TaskState {
                        id,
                        state: made.state().to_owned(),
                        worker_id: "w:1".to_owned(),
                        trace: trace.clone(),
                        version: Some("1.0.0".to_owned()),
                    })
                    .collect(),
                end: ConnectorType::Sink,
            })
        })
    }

    async fn tasks(&self, connector: &str) -> Result<Vec<TaskInfo>, Objection> {
        self.with("tasks".into(), connector, |made| {
            Ok(vec![TaskInfo {
                id: TaskId {
                    connector: connector.to_owned(),
                    task: 0,
                },
                config: made.config.clone(),
            }])
        })
    }

    async fn create(
        &self,
        connector: &str,
        config: FlatConfig,
        initial: TargetState,
    ) -> Result<ConnectorInfo, Objection> {
        check(&config)?;
        let mut made = self.made.lock().unwrap();
        if made.contains_key(connector) {
            return Err(objection(
                409,
                format!("Connector {connector} already exists"),
            ));
        }
        let new = Made::new(config, initial);
        let info = Self::info_of(connector, &new);
        made.insert(connector.to_owned(), new);
        Ok(info)
    }

    async fn put(&self, connector: &str, config: FlatConfig) -> Result<Put, Objection> {
        Self::changeable(connector)?;
        check(&config)?;
        let mut made = self.made.lock().unwrap();
        let created = !made.contains_key(connector);
        let new = Made::new(config, TargetState::Started);
        let info = Self::info_of(connector, &new);
        made.insert(connector.to_owned(), new);
        Ok(Put { info, created })
    }

    async fn patch(
        &self,
        connector: &str,
        patch: BTreeMap<String, Option<String>>,
    ) -> Result<ConnectorInfo, Objection> {
        Self::changeable(connector)?;
        self.with("patch".into(), connector, |made| {
            for (key, value) in patch {
                match value {
                    Some(value) => drop(made.config.insert(key, value)),
                    None => drop(made.config.remove(&key)),
                }
            }
            Ok(Self::info_of(connector, made))
        })
    }

    async fn delete(&self, connector: &str) -> Result<(), Objection> {
        Self::changeable(connector)?;
        self.with("delete".into(), connector, |_| Ok(()))?;
        self.made.lock().unwrap().remove(connector);
        Ok(())
    }

    async fn set_target(&self, connector: &str, target: TargetState) -> Result<(), Objection> {
        self.with(format!("{target:?}"), connector, |made| {
            made.target = target;
            Ok(())
        })
    }

    async fn restart(&self, connector: &str, restart: Restart) -> Result<(), Objection> {
        let Restart {
            include_tasks,
            only_failed,
        } = restart;
        let call = format!("restart {include_tasks} {only_failed}");
        self.with(call, connector, |_| Ok(()))
    }

    async fn restart_task(&self, connector: &str, task: u32) -> Result<(), Objection> {
        self.with(format!("restart task {task}"), connector, |_| match task {
            0 => Ok(()),
            task => Err(objection(404, format!("Unknown task: {task}"))),
        })
    }

    async fn topics(&self, connector: &str) -> Result<Vec<String>, Objection> {
        self.with("topics".into(), connector, |_| Ok(vec!["t".to_owned()]))
    }

    async fn reset_topics(&self, connector: &str) -> Result<(), Objection> {
        self.with("reset topics".into(), connector, |_| Ok(()))
    }

    async fn offsets(&self, connector: &str) -> Result<ConnectorOffsets, Objection> {
        self.with("offsets".into(), connector, |made| {
            Ok(ConnectorOffsets {
                offsets: made.offsets.clone(),
            })
        })
    }

    async fn alter_offsets(
        &self,
        connector: &str,
        offsets: Vec<ConnectorOffset>,
    ) -> Result<Message, Objection> {
        self.with("alter offsets".into(), connector, |made| {
            stopped(made)?;
            made.offsets = offsets
                .into_iter()
                .filter(|it| it.offset.is_some())
                .collect();
            Ok(Message {
                message: "altered".to_owned(),
            })
        })
    }

    async fn reset_offsets(&self, connector: &str) -> Result<Message, Objection> {
        self.with("reset offsets".into(), connector, |made| {
            stopped(made)?;
            made.offsets.clear();
            Ok(Message {
                message: "reset".to_owned(),
            })
        })
    }

    async fn plugins(&self) -> Result<Vec<PluginInfo>, Objection> {
        let plugin = |class: &str, kind: &str| PluginInfo {
            class: class.to_owned(),
            kind: kind.to_owned(),
            version: Some("1.0.0".to_owned()),
        };
        Ok(vec![
            plugin("a-sink", "sink"),
            plugin("a-transform", "transformation"),
        ])
    }

    async fn plugin_config(&self, plugin: &str) -> Result<Vec<ConfigKeyInfo>, Objection> {
        if plugin != "a-sink" {
            return Err(objection(404, format!("Unknown plugin {plugin}.")));
        }
        Ok(vec![key()])
    }

    async fn validate(&self, plugin: &str, config: FlatConfig) -> Result<ConfigInfos, Objection> {
        let errors: Vec<String> = config.get("bad").cloned().into_iter().collect();
        Ok(ConfigInfos {
            name: plugin.to_owned(),
            error_count: errors.len(),
            groups: vec!["Common".to_owned()],
            configs: vec![ConfigInfo {
                definition: key(),
                value: ConfigValueInfo {
                    name: "topics".to_owned(),
                    value: config.get("topics").cloned(),
                    recommended_values: Vec::new(),
                    errors,
                    visible: true,
                },
            }],
        })
    }

    async fn spread_level(&self, logger: &str, level: &str) -> Result<(), Objection> {
        self.calls
            .lock()
            .unwrap()
            .push(format!("spread {logger} {level}"));
        Ok(())
    }
}

fn stopped(made: &Made) -> Result<(), Objection> {
    match made.target {
        TargetState::Stopped => Ok(()),
        TargetState::Started | TargetState::Paused => Err(objection(
            400,
            "Connectors must be in the STOPPED state before their offsets can be modified",
        )),
    }
}

fn key() -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: "topics".to_owned(),
        kind: "LIST".to_owned(),
        required: true,
        default_value: None,
        importance: "HIGH".to_owned(),
        documentation: "Topics.".to_owned(),
        group: Some("Common".to_owned()),
        order: 1,
        width: "LONG".to_owned(),
        display_name: "Topics".to_owned(),
        dependents: Vec::new(),
    }
}

/// What answers with this herder. Log lines go nowhere; the dispatch has to be kept for their
/// levels to be there.
pub(crate) fn connect(fake: &Arc<Fake>) -> (Connect, tracing::Dispatch) {
    let dispatch = logging::dispatch(Format::Text, "info", std::io::sink()).unwrap();
    let connect = Connect {
        herder: Arc::clone(fake) as Arc<dyn Herder>,
        levels: logging::levels(&dispatch).unwrap(),
        commit: "abc".into(),
    };
    (connect, dispatch)
}
