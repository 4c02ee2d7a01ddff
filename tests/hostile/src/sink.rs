//! A bench for the evil sink: a lake in a folder of its own, and a registry that knows every id.

use crate::sink_component;
use async_trait::async_trait;
use jackfield_batch::{BatchWriter, Record};
use jackfield_plugin::lake::{CatalogConfig, Lake, LakeConfig, StoreOptions};
use jackfield_plugin::{
    CallError, CallLimits, Context, Delivery, Engine, HttpGrants, Interrupt, Network, Plugin, Role,
    SinkHost, SinkInstance, Span, Usage,
};
use jackfield_schema::{Registry, Schema, SchemaError, SchemaKind};
use std::sync::Arc;
use tempfile::TempDir;
use url::Url;

const TOPIC: &str = "t";
const TOPIC_ID: &str = "0198f2b0-0000-7000-8000-000000000000";

struct AnyId;

#[async_trait]
impl Registry for AnyId {
    async fn register(&self, _: &str, _: &Schema) -> Result<u32, SchemaError> {
        Ok(1)
    }

    async fn get(&self, _: u32) -> Result<Schema, SchemaError> {
        Ok(Schema {
            kind: SchemaKind::None,
            text: String::new(),
        })
    }

    async fn latest(&self, _: &str) -> Result<Option<(u32, Schema)>, SchemaError> {
        Ok(None)
    }
}

/// What a sink connector keeps over its instances.
pub struct SinkBench {
    /// The plugin.
    pub plugin: Plugin,
    /// What it uses.
    pub usage: Arc<Usage>,
    lake: Arc<Lake>,
    network: Network,
    folder: TempDir,
}

impl SinkBench {
    /// The evil sink with a lake of its own.
    ///
    /// # Panics
    /// The component can't be loaded, or the lake not be made.
    pub async fn new(engine: &Engine) -> Self {
        let plugin = engine
            .load(sink_component(), None)
            .await
            .expect("the component is sound, only its deeds are not");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = folder.path().join("catalog.db");
        let warehouse = Url::from_file_path(folder.path().join("warehouse"));
        let lake = Lake::open(LakeConfig {
            name: "local".to_owned(),
            catalog: CatalogConfig::Sql {
                uri: format!("sqlite://{}", catalog.display()).into(),
            },
            warehouse: Some(warehouse.expect("an absolute path")),
            store: StoreOptions::default(),
        })
        .await
        .expect("a lake in an empty folder");
        Self {
            plugin,
            usage: Arc::new(Usage::default()),
            lake,
            network: Network::new().expect("a network needs no more than certificates"),
            folder,
        }
    }

    /// A folder that is granted.
    pub fn root(&self) -> String {
        format!("file://{}/warehouse/x", self.folder.path().display())
    }

    /// Files of the store, unfinished ones too.
    pub fn files(&self) -> usize {
        let folder = self.folder.path().join("warehouse/x");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// A new instance, not opened.
    ///
    /// # Errors
    /// It died at once.
    pub async fn instance(&self, limits: &CallLimits) -> Result<SinkInstance, CallError> {
        let host = SinkHost {
            connector: "hostile".to_owned(),
            lake: Some(Arc::clone(&self.lake)),
            schemas: Arc::new(AnyId),
            http: HttpGrants::new(Vec::new(), &self.network),
            interrupt: Interrupt::default(),
            usage: Arc::clone(&self.usage),
        };
        SinkInstance::new(&self.plugin, host, limits).await
    }

    /// A new instance, opened.
    ///
    /// # Errors
    /// As it was told to, or it died.
    pub async fn opened(
        &self,
        settings: &str,
        limits: &CallLimits,
    ) -> Result<SinkInstance, CallError> {
        let mut instance = self.instance(limits).await?;
        instance.open(task(), settings.to_owned(), None).await?;
        Ok(instance)
    }

    /// Shows that new instances work, a task's and a committer's.
    ///
    /// # Panics
    /// They do not.
    pub async fn works(&self) {
        let limits = crate::patient();
        let mut task = self
            .opened("{}", &limits)
            .await
            .expect("a decent one opens");
        task.assigned(Vec::new()).await.expect("it takes note");
        let taken = task.put(span(3), batch(3).into()).await;
        assert_eq!(taken.expect("it takes").counts.records, 3);
        let pieces = task.stage().await.expect("it stages");
        let mut committer = self.instance(&limits).await.expect("it begins");
        let opened = committer.open(crate::committer(), "{}".to_owned(), None);
        opened.await.expect("a decent one opens");
        let committed = committer
            .commit("lines".to_owned(), pieces, vec![span(3)], "id".to_owned())
            .await;
        assert_eq!(committed.expect("it commits").rows, 3);
        task.close().await.expect("a decent one closes");
    }
}

fn context(role: Role) -> Context {
    Context {
        connector: "hostile".to_owned(),
        delivery: Delivery::ExactlyOnce,
        role,
        tasks: 1,
    }
}

/// The only task.
pub fn task() -> Context {
    context(Role::Task(0))
}

/// The committer.
pub fn committer() -> Context {
    context(Role::Committer)
}

/// The first records of a partition.
pub fn span(next_offset: i64) -> Span {
    Span {
        topic: TOPIC.to_owned(),
        topic_id: TOPIC_ID.to_owned(),
        partition: 0,
        first_offset: 0,
        next_offset,
    }
}

/// So many records, from offset 0 on.
///
/// # Panics
/// They don't fit.
pub fn batch(records: i64) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for offset in 0..records {
        let record = Record {
            value: Some(b"value"),
            ..Record::default()
        };
        writer
            .push_at(offset, &record)
            .expect("few small records fit");
    }
    writer.finish()
}
