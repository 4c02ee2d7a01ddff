//! Plans of schemas, by id and by topic.

use crate::plan::Plan;
use jackfield_log::LogError;
use jackfield_schema::{Part, Registry, Schema, SchemaError, SchemaKind, SubjectNaming};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Plans kept by id: a few versions of each topic. Beyond, all are made anew.
const PLANS_MAX: usize = 1024;

/// The newest schema of a topic's values.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub(crate) id: u32,
    pub(crate) plan: Arc<Plan>,
}

/// What both sides ask.
pub(crate) struct Schemas {
    registry: Arc<dyn Registry>,
    by_id: Mutex<HashMap<u32, Arc<Plan>>>,
}

impl Schemas {
    pub(crate) fn new(registry: Arc<dyn Registry>) -> Self {
        Self {
            registry,
            by_id: Mutex::default(),
        }
    }

    /// The plan of a schema.
    pub(crate) async fn plan(&self, id: u32) -> Result<Arc<Plan>, LogError> {
        if let Some(plan) = self.kept().get(&id) {
            return Ok(Arc::clone(plan));
        }
        let schema = self.registry.get(id).await.map_err(consequence)?;
        self.planned(id, &schema)
    }

    /// The newest schema of a topic's values, asked for anew.
    pub(crate) async fn newest(&self, topic: &str) -> Result<Newest, LogError> {
        let nameless = Schema {
            kind: SchemaKind::None,
            text: String::new(),
        };
        // JSON goes by the topic alone, whatever record it is.
        let subject = SubjectNaming::Topic
            .subject(topic, Part::Value, &nameless)
            .map_err(consequence)?;
        let latest = self.registry.latest(&subject).await.map_err(consequence)?;
        let Some((id, schema)) = latest else {
            let why = format!(
                "the JSON of {topic} can't be read: register its Avro schema under {subject}"
            );
            return Err(LogError::Rejected(why));
        };
        let plan = match self.kept().get(&id) {
            Some(plan) => Some(Arc::clone(plan)),
            None => None,
        };
        let plan = match plan {
            Some(plan) => plan,
            None => self.planned(id, &schema)?,
        };
        Ok(Newest { id, plan })
    }

    fn planned(&self, id: u32, schema: &Schema) -> Result<Arc<Plan>, LogError> {
        let unfit = |why: String| LogError::Rejected(format!("schema {id} as JSON: {why}"));
        match schema.kind {
            SchemaKind::Avro => {}
            SchemaKind::Json | SchemaKind::None => return Err(unfit("it is not Avro".into())),
        }
        let plan = Arc::new(Plan::of(&schema.text).map_err(|e| unfit(e.to_string()))?);
        let mut kept = self.kept();
        if kept.len() >= PLANS_MAX {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&plan));
        Ok(plan)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<u32, Arc<Plan>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn consequence(error: SchemaError) -> LogError {
    match error {
        SchemaError::Transient(_) => LogError::Retriable(error.to_string()),
        SchemaError::Missing(_)
        | SchemaError::Incompatible { .. }
        | SchemaError::Invalid(_)
        | SchemaError::Denied(_) => LogError::Rejected(error.to_string()),
    }
}
