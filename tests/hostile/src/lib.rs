//! What the tests of evil plugins share: the components, and a bench to run each on.

mod components;
mod sink;

pub use components::{component, engraved, sink_component};
pub use sink::{SinkBench, batch, committer, span, task};

use jackfield_plugin::{
    CallError, CallLimits, Connections, Context, Deadlines, Delivery, Engine, Feed, HttpGrant,
    HttpGrants, Inbox, Interrupt, Network, Plugin, PollLimits, Polled, Requests, Role, Slot,
    SourceHost, SourceInstance, Usage, WebSocketGrants,
};
use std::sync::Arc;
use std::time::Duration;

/// Enough for any decent call on a machine that is busy with other tests.
const PATIENT: Duration = Duration::from_secs(60);

/// Settings that tell the component what to do wrong in which call.
pub fn told(call: &str, deed: &str) -> String {
    format!(r#"{{"in": "{call}", "do": "{deed}"}}"#)
}

/// The same with a place to reach for.
pub fn told_with(call: &str, deed: &str, url: &str) -> String {
    format!(r#"{{"in": "{call}", "do": "{deed}", "url": "{url}"}}"#)
}

/// Limits that no decent call meets.
pub fn patient() -> CallLimits {
    CallLimits {
        deadlines: Deadlines::all(PATIENT),
        ..CallLimits::default()
    }
}

/// Limits with a deadline that is soon over in one call: the decent calls around it must not die
/// of it on a busy machine.
///
/// # Panics
/// There is no such call.
pub fn brisk(call: &str, deadline: Duration) -> CallLimits {
    let mut limits = patient();
    let deadlines = &mut limits.deadlines;
    let place = match call {
        "describe" => &mut deadlines.describe,
        "check" => &mut deadlines.check,
        "plan" => &mut deadlines.plan,
        "open" => &mut deadlines.open,
        "poll" => &mut deadlines.poll,
        "settled" => &mut deadlines.settled,
        "save" => &mut deadlines.save,
        "assigned" => &mut deadlines.assigned,
        "put" => &mut deadlines.put,
        "stage" => &mut deadlines.stage,
        "discard" => &mut deadlines.discard,
        "stored" => &mut deadlines.stored,
        "commit" => &mut deadlines.commit,
        "close" => &mut deadlines.close,
        other => panic!("no such call: {other}"),
    };
    *place = deadline;
    limits
}

/// What a decent poll is asked with.
pub const POLL: PollLimits = PollLimits {
    batch_bytes_max: 256 * 1024,
    batch_records_max: 1000,
    wait_ms: 10,
};

/// What a slot keeps over its instances.
pub struct Bench {
    /// The plugin.
    pub plugin: Plugin,
    /// Its inbox.
    pub inbox: Arc<Inbox>,
    /// Its connections.
    pub connections: Arc<Connections>,
    /// Its requests.
    pub requests: Arc<Requests>,
    /// Ends its waits.
    pub interrupt: Interrupt,
    /// What it uses.
    pub usage: Arc<Usage>,
}

impl Bench {
    /// A slot of the hostile component that is granted nothing.
    pub async fn new(engine: &Engine) -> Self {
        Self::granted(engine, &[], &[]).await
    }

    /// A slot with grants.
    ///
    /// # Panics
    /// The component can't be loaded.
    pub async fn granted(engine: &Engine, websocket: &[&str], http: &[&str]) -> Self {
        let plugin = engine
            .load(component(), None)
            .await
            .expect("the component is sound, only its deeds are not");
        let network = Network::new().expect("a network needs no more than certificates");
        let (inbox, usage) = (Inbox::new(1 << 20), Arc::new(Usage::default()));
        let websocket = WebSocketGrants::new(websocket, &network).expect("the tests' own URLs");
        let http = http
            .iter()
            .map(|url| HttpGrant::new(url, Vec::new()).expect("the tests' own URLs"))
            .collect();
        let http = HttpGrants::new(http, &network);
        Self {
            plugin,
            connections: Connections::new(Arc::clone(&inbox), websocket, Arc::clone(&usage)),
            requests: Requests::new(Arc::clone(&inbox), http, Arc::clone(&usage)),
            inbox,
            interrupt: Interrupt::default(),
            usage,
        }
    }

    /// A new instance, not opened.
    ///
    /// # Errors
    /// It died at once.
    pub async fn instance(&self, limits: &CallLimits) -> Result<SourceInstance, CallError> {
        let host = SourceHost {
            connector: "hostile".to_owned(),
            inbox: Arc::clone(&self.inbox),
            connections: Arc::clone(&self.connections),
            requests: Arc::clone(&self.requests),
            interrupt: self.interrupt.clone(),
            usage: Arc::clone(&self.usage),
        };
        SourceInstance::new(&self.plugin, host, limits).await
    }

    /// A new instance, opened.
    ///
    /// # Errors
    /// As it was told to, or it died.
    pub async fn opened(
        &self,
        settings: &str,
        limits: &CallLimits,
    ) -> Result<SourceInstance, CallError> {
        let mut instance = self.instance(limits).await?;
        open(&mut instance, settings).await?;
        Ok(instance)
    }

    /// Shows that a new instance works.
    ///
    /// # Panics
    /// It does not.
    pub async fn works(&self) {
        let mut instance = self
            .opened("{}", &patient())
            .await
            .expect("a decent instance opens");
        let polled = instance.poll(POLL).await.expect("a decent instance polls");
        assert_eq!(values(&polled), ["1"]);
        instance.close().await.expect("a decent instance closes");
    }
}

/// Opens an instance.
///
/// # Errors
/// As it was told to, or it died.
pub async fn open(instance: &mut SourceInstance, settings: &str) -> Result<Vec<Feed>, CallError> {
    let context = Context {
        connector: "hostile".to_owned(),
        delivery: Delivery::ExactlyOnce,
        role: Role::Task(0),
        tasks: 1,
    };
    let slot = Slot {
        id: "only".to_owned(),
        settings: "{}".to_owned(),
    };
    instance
        .open(context, settings.to_owned(), slot, Vec::new(), None)
        .await
}

/// The values of all records.
///
/// # Panics
/// A batch is malformed, which the instance must not let through.
pub fn values(polled: &Polled) -> Vec<String> {
    polled
        .outputs
        .iter()
        .flat_map(|output| {
            let batch =
                jackfield_batch::Batch::parse(&output.records, &jackfield_batch::Limits::default())
                    .expect("batches are checked before they come here");
            batch
                .iter()
                .map(|record| {
                    String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned()
                })
                .collect::<Vec<_>>()
        })
        .collect()
}
