//! What connectors are and do, in Kafka Connect's shapes.

use super::objections::{log, unknown};
use super::others::{Looked, Said, certain};
use super::{Herd, ONLY_WORKER};
use crate::declared::{Declared, End};
use crate::progress;
use jackfield_admin::Objection;
use jackfield_config::{Config, FeedTopic};
use jackfield_connect::entities::{
    ConnectorInfo, ConnectorState, ConnectorStateInfo, ConnectorType, TaskId, TaskInfo, TaskState,
};
use jackfield_connect::{FlatConfig, config_of, is_of_runtime, masked};
use jackfield_pipeline::State;
use serde_json::Value;

/// Keys whose values the plugin's author calls secret.
enum Secrets {
    Keys(Vec<String>),
    /// The plugin can't be asked now: any that is not the runtime's own may be one.
    Unknown,
}

impl Secrets {
    fn has(&self, key: &str) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().any(|it| it == key),
            Self::Unknown => !is_of_runtime(key),
        }
    }
}

impl Herd {
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.loader.declared_names();
        names.extend(self.made().keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    pub(super) async fn info_of(&self, connector: &str) -> Result<ConnectorInfo, Objection> {
        let (config, declared) = self.config_of(connector).await?;
        let tasks = declared.as_ref().map_or(0, tasks);
        Ok(ConnectorInfo {
            name: connector.to_owned(),
            config,
            tasks: (0..tasks).map(|task| task_id(connector, task)).collect(),
            end: end(declared.as_ref()),
        })
    }

    pub(super) async fn tasks_of(&self, connector: &str) -> Result<Vec<TaskInfo>, Objection> {
        let info = self.info_of(connector).await?;
        let tasks = info.tasks.into_iter();
        Ok(tasks
            .map(|id| TaskInfo {
                id,
                config: info.config.clone(),
            })
            .collect())
    }

    /// The config as it may be shown, and what runs by it.
    async fn config_of(
        &self,
        connector: &str,
    ) -> Result<(FlatConfig, Option<Declared>), Objection> {
        let made = self.made().get(connector).cloned();
        let declared = self.loader.declared(connector);
        let file = self.loader.config();
        if let Some(made) = made {
            let class = made.config.get("connector.class").cloned();
            let secrets = self.secrets(&file, class.as_deref()).await;
            let shown = masked(&made.config, &|key| secrets.has(key));
            return Ok((shown, declared));
        }
        let declared = declared.ok_or_else(|| unknown(connector))?;
        let class = declared.plugin_name().to_owned();
        let known = self.catalogue.get(&self.loader, &file, &class).await;
        let schema = known.and_then(Result::ok).map(|it| it.schema.clone());
        let pipeline = file.pipelines.get(&declared.pipeline);
        let flat = pipeline.and_then(|it| config_of(connector, it, schema.as_ref()));
        let secrets = self.secrets(&file, Some(&class)).await;
        let flat = flat.ok_or_else(|| unknown(connector))?;
        let shown = masked(&flat, &|key| secrets.has(key));
        Ok((shown, Some(declared)))
    }

    async fn secrets(&self, file: &Config, class: Option<&str>) -> Secrets {
        let Some(class) = class else {
            return Secrets::Unknown;
        };
        let Some(Ok(known)) = self.catalogue.get(&self.loader, file, class).await else {
            return Secrets::Unknown;
        };
        let Some(plugin) = known.described(class) else {
            return Secrets::Unknown;
        };
        let infos = jackfield_connect::key_infos(&plugin).into_iter();
        let secret = infos.filter(|it| it.kind == "PASSWORD");
        Secrets::Keys(secret.map(|it| it.name).collect())
    }

    pub(super) async fn state_of(&self, connector: &str) -> Result<ConnectorStateInfo, Objection> {
        self.known(connector)?;
        let said = match self.said_here(connector) {
            (own, None) => own,
            (own, Some(topic)) => {
                let looked = self.published(topic, connector);
                self.others.shown(own, looked).await
            }
        };
        let declared = self.loader.declared(connector);
        let version = self.version(connector);
        let tasks = match said.state.as_str() {
            // It has none until it goes on.
            "STOPPED" => 0,
            _ => declared.as_ref().map_or(0, tasks),
        };
        let task = |id| TaskState {
            id,
            state: said.state.clone(),
            worker_id: said.worker.clone(),
            trace: said.trace.clone(),
            version: version.clone(),
        };
        Ok(ConnectorStateInfo {
            name: connector.to_owned(),
            connector: ConnectorState {
                state: said.state.clone(),
                worker_id: said.worker.clone(),
                trace: said.trace.clone(),
                version: version.clone(),
            },
            tasks: (0..tasks).map(task).collect(),
            end: end(declared.as_ref()),
        })
    }

    /// Of the component that runs.
    fn version(&self, connector: &str) -> Option<String> {
        let running = self.loader.controls().running(connector).ok().flatten()?;
        Some(running.version)
    }

    /// The state here, and the topic where another worker may tell its own: this one does not have
    /// the connector.
    fn said_here(&self, connector: &str) -> (Said, Option<&str>) {
        let status = self.loader.pipelines().status(connector);
        let Some(report) = status.map(|it| it.report()) else {
            let made = self.made().get(connector).cloned();
            let refused = made.and_then(|it| it.refused);
            let own = Said {
                state: if refused.is_some() {
                    "FAILED"
                } else {
                    "UNASSIGNED"
                }
                .to_owned(),
                trace: refused.map(|(why, _)| why),
                worker: self.worker.clone(),
            };
            return (own, None);
        };
        let own = Said {
            state: progress::word(&report.state).to_owned(),
            trace: report.state.trace().map(str::to_owned),
            worker: self.worker.clone(),
        };
        let topic = self.statuses.as_deref();
        (own, topic.filter(|_| report.state == State::Unassigned))
    }

    async fn published(&self, topic: &str, connector: &str) -> Looked {
        let failed = |error| log("the connector's state can't be looked up", &error);
        let keyed = self.log.keyed(topic).await.map_err(failed)?;
        let key = format!("status-connector-{connector}");
        let text = keyed.get(&key).await.map_err(failed)?;
        let value: Option<Value> = text.and_then(|it| serde_json::from_str(&it).ok());
        Ok(value.and_then(|it| {
            Some(Said {
                state: it.get("state")?.as_str()?.to_owned(),
                trace: it.get("trace").and_then(Value::as_str).map(str::to_owned),
                worker: it
                    .get("worker_id")?
                    .as_str()
                    .unwrap_or(ONLY_WORKER)
                    .to_owned(),
            })
        }))
    }

    /// Whether it is stopped, wherever it ran.
    pub(super) async fn is_stopped(&self, connector: &str) -> Result<bool, Objection> {
        let said = match self.said_here(connector) {
            (own, None) => own,
            (own, Some(topic)) => {
                let looked = self.published(topic, connector);
                certain(own, looked).await?
            }
        };
        Ok(said.state == "STOPPED")
    }

    pub(super) fn topics_of(&self, connector: &str) -> Result<Vec<String>, Objection> {
        self.known(connector)?;
        let status = self.loader.pipelines().status(connector);
        let records = status.map_or(0, |it| it.report().records);
        let forgotten = super::lock(&self.forgotten).get(connector).copied();
        if forgotten.is_some_and(|at| at == records) {
            return Ok(Vec::new());
        }
        let declared = self.loader.declared(connector);
        let mut topics: Vec<String> = match declared.map(|it| it.end) {
            Some(End::Source { topics, .. }) => topics
                .into_values()
                .filter_map(|topic| match topic {
                    FeedTopic::Topic(topic) => Some(topic.name),
                    FeedTopic::Drop => None,
                })
                .collect(),
            Some(End::Sink { config, .. }) => {
                config.topics.into_iter().map(|topic| topic.name).collect()
            }
            None => Vec::new(),
        };
        topics.sort();
        topics.dedup();
        Ok(topics)
    }

    pub(super) fn forget_topics(&self, connector: &str) -> Result<(), Objection> {
        self.known(connector)?;
        let status = self.loader.pipelines().status(connector);
        let records = status.map_or(0, |it| it.report().records);
        super::lock(&self.forgotten).insert(connector.to_owned(), records);
        Ok(())
    }
}

fn task_id(connector: &str, task: u32) -> TaskId {
    TaskId {
        connector: connector.to_owned(),
        task,
    }
}

fn tasks(declared: &Declared) -> u32 {
    match &declared.end {
        End::Source { config, .. } => config.slots_max,
        End::Sink { config, .. } => config.tasks,
    }
}

fn end(declared: Option<&Declared>) -> ConnectorType {
    match declared.map(|it| &it.end) {
        Some(End::Source { .. }) => ConnectorType::Source,
        Some(End::Sink { .. }) | None => ConnectorType::Sink,
    }
}
