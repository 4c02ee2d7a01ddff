//! One who runs no connectors and holds no records.

use super::objection;
use jackfield_admin::{
    Answer, LinesAnswer, Objection, Operator, RecordCall, Recorded, RecordsCall, Snapshot,
    SwapCall, Topics,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Swaps nothing.
struct NoSwaps;

impl Operator for NoSwaps {
    fn status(&self, _: Option<&str>) -> Result<Value, Objection> {
        Ok(json!([]))
    }

    fn swaps(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!([]))
    }

    fn shadows(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!([]))
    }

    fn record(&self, _: RecordCall) -> Recorded {
        Box::pin(async {
            Err(Objection {
                status: 409,
                code: "not-running",
                message: "not in this test".to_owned(),
            })
        })
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    fn details(&self, _: &str) -> Result<Value, Objection> {
        Ok(json!({}))
    }

    fn topics(&self) -> Arc<dyn Topics> {
        Arc::new(NoLog)
    }

    fn swap(&self, _: SwapCall) -> Answer {
        Box::pin(async { Err(objection(409, "not in this test")) })
    }
}

/// Holds nothing.
pub(crate) struct NoLog;

impl Topics for NoLog {
    fn list(&self) -> Answer {
        Box::pin(async { Ok(json!([])) })
    }

    fn describe(&self, _: String) -> Answer {
        Box::pin(async { Err(objection(404, "not in this test")) })
    }

    fn records(&self, _: RecordsCall) -> LinesAnswer {
        Box::pin(async { Err(objection(404, "not in this test")) })
    }
}

/// For tests that are about something else.
pub(crate) fn nobody() -> Arc<dyn Operator> {
    Arc::new(NoSwaps)
}
