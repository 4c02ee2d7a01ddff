//! A number, asked of a URL again and again. docs/PLUGINS.md walks through it.

mod reading;

use std::time::Duration;

use jackfield_sdk::source::{
    Feed, Feeds, Host, HttpError, HttpRequest, Inbox, Opening, PollLimits, Polled, Position,
    Source, describe,
};
use jackfield_sdk::{Delivery, Description, Failure};
use reading::Reading;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An answer that takes longer is not waited for.
const ANSWER_WITHIN_MS: u32 = 5000;

/// What a person writes under `settings:`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Answers a GET with a JSON object that has a number `value`.
    url: String,
    /// From one question to the next.
    #[schemars(range(min = 1, max = 86400))]
    every_seconds: u32,
}

/// Where the source stands: the number of the last reading.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Offset {
    number: i64,
}

/// The source.
#[derive(Debug)]
pub struct Gauge {
    host: Host,
    settings: Settings,
    inbox: Inbox,
    feeds: Feeds,
    last: Offset,
    /// When to ask next, on the host's clock.
    due: Duration,
}

impl Source for Gauge {
    type Settings = Settings;

    fn describe() -> Description {
        let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let summary = "A number, asked of a URL again and again.";
        describe(name, version, summary, Delivery::ExactlyOnce)
    }

    fn open(host: Host, opening: Opening<Settings>) -> Result<Self, Failure> {
        let stored = opening.positions.first().and_then(|it| it.offset.as_ref());
        let last = match stored {
            Some(json) => serde_json::from_str(json)
                .map_err(|error| Failure::Misconfigured(format!("the offset {json}: {error}")))?,
            None => Offset::default(),
        };
        Ok(Self {
            due: host.now(),
            host,
            settings: opening.settings,
            inbox: Inbox::new(),
            feeds: Feeds::new(vec![Feed::avro::<Reading>("reading")]),
            last,
        })
    }

    fn feeds(&self) -> Vec<Feed> {
        self.feeds.all()
    }

    fn poll(&mut self, limits: &PollLimits) -> Result<Polled, Failure> {
        self.feeds.begin(limits);
        self.ask_if_due()?;
        self.inbox.refill(&self.host, limits.wait_ms)?;
        let (mut taken, mut polled) = (0, Polled::default());
        for event in self.inbox.events() {
            match reading::of(&self.host, &event, self.last.number + 1) {
                Ok(Some(it)) => {
                    if self.feeds.push(0, it.received_ms, None, &it).is_err() {
                        break; // The batch is full: the next poll goes on with this event.
                    }
                    self.last = Offset { number: it.number };
                    polled.positions = vec![Position::new(&serde_json::json!({}), &self.last)?];
                }
                Ok(None) => {}
                Err(rejected) => polled.rejected.push(rejected),
            }
            taken += 1;
        }
        self.inbox.take(taken);
        polled.done_through = self.inbox.done_through();
        polled.counts.records = self.feeds.len();
        polled.outputs = self.feeds.finish();
        Ok(polled)
    }
}

impl Gauge {
    /// Asks; the answer arrives in the inbox, of whichever instance is there then.
    fn ask_if_due(&mut self) -> Result<(), Failure> {
        let now = self.host.now();
        if now < self.due {
            return Ok(());
        }
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: self.settings.url.clone(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        match self.host.request(&request, ANSWER_WITHIN_MS, &[]) {
            Ok(_) => {
                self.due = now + Duration::from_secs(self.settings.every_seconds.into());
                Ok(())
            }
            Err(HttpError::Denied(why)) => Err(Failure::Misconfigured(why)),
            Err(
                error @ (HttpError::Unreachable(_)
                | HttpError::TooLarge(_)
                | HttpError::Timeout
                | HttpError::Interrupted),
            ) => Err(Failure::Retry {
                after_ms: 1000,
                reason: error.to_string(),
            }),
        }
    }
}

jackfield_sdk::export_source!(Gauge);
