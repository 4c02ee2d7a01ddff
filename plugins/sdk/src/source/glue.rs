//! The source world's bindings, and the way between them and [`Source`]. Only in a component.

#![allow(missing_docs, unreachable_pub)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Host, Source, host as ports, types};
use crate::{Context, Counts, Delivery, Failure, Finding, Rejection, Role, Saved, Severity};

mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({
        path: "../wit",
        world: "source-connector",
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "jackfield_sdk::source::glue",
        generate_all,
    });
}

pub use bindings::*;

use bindings::exports::jackfield::connector::source as wit;
use bindings::jackfield::connector::{
    http_types, inbox, log, requests, types as wit_types, websocket,
};

thread_local! {
    /// A component is one instance of one connector: the exports are free functions, so this is
    /// where it has to be.
    static INSTANCE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Exports the connector `T`.
#[derive(Debug)]
pub struct Component<T>(PhantomData<T>);

fn with<T: Source, R>(
    call: impl FnOnce(&mut T) -> Result<R, Failure>,
) -> Result<R, wit_types::Failure> {
    INSTANCE.with(|instance| {
        instance
            .borrow_mut()
            .as_mut()
            .and_then(|it| it.downcast_mut::<T>())
            .ok_or_else(|| Failure::Broken("called before `open`".to_owned()))
            .and_then(call)
            .map_err(failure)
    })
}

fn settings<T: Source>(json: &str) -> Result<T::Settings, wit_types::Failure> {
    crate::parse_settings(json).map_err(|found: Finding| {
        failure(Failure::Misconfigured(format!(
            "{}: {}",
            found.path, found.message
        )))
    })
}

impl<T: Source> wit::Guest for Component<T> {
    fn describe() -> wit::Description {
        let it = T::describe();
        wit::Description {
            name: it.name,
            version: it.version,
            summary: it.summary,
            settings_schema: crate::settings_schema::<T::Settings>(),
            delivery: match it.delivery {
                Delivery::AtLeastOnce => wit_types::Delivery::AtLeastOnce,
                Delivery::ExactlyOnce => wit_types::Delivery::ExactlyOnce,
            },
            saved_version: it.saved_version,
            saved_version_min: it.saved_version_min,
            staged_version: it.staged_version,
            staged_version_min: it.staged_version_min,
        }
    }

    fn check(json: String) -> Vec<wit::Finding> {
        match crate::parse_settings::<T::Settings>(&json) {
            Ok(settings) => T::check(&settings).into_iter().map(finding).collect(),
            Err(found) => vec![finding(found)],
        }
    }

    fn plan(json: String, slots_max: u32) -> Result<Vec<wit::Slot>, wit::Failure> {
        let slots = T::plan(&host(), &settings::<T>(&json)?, slots_max).map_err(failure)?;
        Ok(slots
            .into_iter()
            .map(|it| wit::Slot {
                id: it.id,
                settings: it.settings,
            })
            .collect())
    }

    fn open(
        context: wit::Context,
        json: String,
        slot: wit::Slot,
        positions: Vec<wit::Position>,
        state: Option<wit::Saved>,
    ) -> Result<Vec<wit::Feed>, wit::Failure> {
        let opening = types::Opening {
            context: Context {
                connector: context.connector,
                delivery: match context.delivery {
                    wit_types::Delivery::AtLeastOnce => Delivery::AtLeastOnce,
                    wit_types::Delivery::ExactlyOnce => Delivery::ExactlyOnce,
                },
                role: match context.role {
                    wit_types::Role::Task(n) => Role::Task(n),
                    wit_types::Role::Committer => Role::Committer,
                },
                tasks: context.tasks,
            },
            settings: settings::<T>(&json)?,
            slot: types::Slot {
                id: slot.id,
                settings: slot.settings,
            },
            positions: positions.into_iter().map(position_in).collect(),
            state: state.map(saved_in),
        };
        let opened = T::open(host(), opening).map_err(failure)?;
        let feeds = opened.feeds().into_iter().map(feed).collect();
        INSTANCE.with(|instance| *instance.borrow_mut() = Some(Box::new(opened)));
        Ok(feeds)
    }

    fn poll(limits: wit::Limits) -> Result<wit::Polled, wit::Failure> {
        let limits = types::PollLimits {
            batch_bytes_max: limits.batch_bytes_max,
            batch_records_max: limits.batch_records_max,
            wait_ms: limits.wait_ms,
        };
        with::<T, _>(|it| it.poll(&limits)).map(polled)
    }

    fn settled(positions: Vec<wit::Position>) -> Result<(), wit::Failure> {
        let positions: Vec<_> = positions.into_iter().map(position_in).collect();
        with::<T, _>(|it| it.settled(&positions))
    }

    fn save() -> Result<wit::Saved, wit::Failure> {
        with::<T, _>(Source::save).map(saved_out)
    }

    fn close() {
        let taken = INSTANCE.with(|instance| instance.borrow_mut().take());
        if let Some(it) = taken.and_then(|it| it.downcast::<T>().ok()) {
            it.close();
        }
    }
}

fn polled(it: types::Polled) -> wit::Polled {
    wit::Polled {
        feeds: it.feeds.into_iter().map(feed).collect(),
        outputs: it
            .outputs
            .into_iter()
            .map(|it| wit::Output {
                feed: it.feed,
                records: it.records,
            })
            .collect(),
        rejected: it
            .rejected
            .into_iter()
            .map(|it| wit::RejectedEvent {
                event: it.event,
                reason: it.reason,
                excerpt: it.excerpt,
            })
            .collect(),
        positions: it
            .positions
            .into_iter()
            .map(|it| wit::Position {
                partition: it.partition,
                offset: it.offset,
            })
            .collect(),
        done_through: it.done_through,
        counts: counts(it.counts),
        behind: it.behind,
        replan: it.replan,
        ended: it.ended,
    }
}

fn position_in(it: wit::Position) -> types::Position {
    types::Position {
        partition: it.partition,
        offset: it.offset,
    }
}

fn feed(it: types::Feed) -> wit::Feed {
    wit::Feed {
        name: it.name,
        value: schema(it.value),
        key: it.key.map(schema),
    }
}

fn schema(it: crate::Schema) -> wit_types::Schema {
    wit_types::Schema {
        kind: match it.kind {
            crate::SchemaKind::Avro => wit_types::SchemaKind::Avro,
            crate::SchemaKind::Json => wit_types::SchemaKind::Json,
            crate::SchemaKind::None => wit_types::SchemaKind::None,
        },
        text: it.text,
    }
}

fn saved_in(it: wit_types::Saved) -> Saved {
    Saved {
        version: it.version,
        bytes: it.bytes,
    }
}

fn saved_out(it: Saved) -> wit_types::Saved {
    wit_types::Saved {
        version: it.version,
        bytes: it.bytes,
    }
}

fn counts(it: Counts) -> wit_types::Counts {
    wit_types::Counts {
        records: it.records,
        duplicates: it.duplicates,
        missing: it.missing,
        recovered: it.recovered,
        event_time_max_ms: it.event_time_max_ms,
    }
}

fn finding(it: Finding) -> wit_types::Finding {
    wit_types::Finding {
        severity: match it.severity {
            Severity::Error => wit_types::Severity::Error,
            Severity::Warning => wit_types::Severity::Warning,
        },
        path: it.path,
        message: it.message,
        mend: it.mend,
    }
}

fn failure(it: Failure) -> wit_types::Failure {
    match it {
        Failure::Retry { after_ms, reason } => {
            wit_types::Failure::Retry(wit_types::Retry { after_ms, reason })
        }
        Failure::Rewind(why) => wit_types::Failure::Rewind(why),
        Failure::Rejected(bad) => wit_types::Failure::Rejected(
            bad.into_iter()
                .map(|Rejection { index, reason }| wit_types::Rejection { index, reason })
                .collect(),
        ),
        Failure::Misconfigured(why) => wit_types::Failure::Misconfigured(why),
        Failure::Fenced(why) => wit_types::Failure::Fenced(why),
        Failure::Broken(why) => wit_types::Failure::Broken(why),
    }
}

/// The world's imports as the port.
fn host() -> Host {
    // Seeds its hashers from WASI's random.
    let seed = RandomState::new().build_hasher().finish();
    Host::new(Imported {
        since: Instant::now(),
        random: Cell::new(seed),
    })
}

struct Imported {
    since: Instant,
    random: Cell<u64>,
}

fn websocket_error(it: websocket::Error) -> ports::WebSocketError {
    match it {
        websocket::Error::Denied(why) => ports::WebSocketError::Denied(why),
        websocket::Error::Invalid(why) => ports::WebSocketError::Invalid(why),
        websocket::Error::Limit(why) => ports::WebSocketError::Limit(why),
    }
}

impl ports::Imports for Imported {
    fn receive(&self, bytes_max: u32, wait_ms: u32) -> Vec<u8> {
        inbox::receive(bytes_max, wait_ms)
    }

    fn open(&self, name: &str, url: &str) -> Result<u64, ports::WebSocketError> {
        websocket::open(name, url).map_err(websocket_error)
    }

    fn send(&self, connection: u64, text: &str) -> Result<(), ports::WebSocketError> {
        websocket::send(connection, text).map_err(websocket_error)
    }

    fn close(&self, connection: u64) {
        websocket::close(connection);
    }

    fn connections(&self) -> Vec<ports::Connection> {
        websocket::list()
            .into_iter()
            .map(|it| ports::Connection {
                id: it.id,
                name: it.name,
                url: it.url,
                state: match it.state {
                    websocket::State::Opening => ports::ConnectionState::Opening,
                    websocket::State::Live => ports::ConnectionState::Live,
                    websocket::State::Closed => ports::ConnectionState::Closed,
                },
                age: Duration::from_millis(it.age_ms),
                note: it.note.map(saved_in),
            })
            .collect()
    }

    fn note(&self, connection: u64, note: &Saved) -> Result<(), ports::WebSocketError> {
        websocket::note(connection, &saved_out(note.clone())).map_err(websocket_error)
    }

    fn request(
        &self,
        request: &ports::HttpRequest,
        timeout_ms: u32,
        note: &[u8],
    ) -> Result<u64, ports::HttpError> {
        let request = http_types::Request {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        };
        requests::start(&request, timeout_ms, note).map_err(|error| match error {
            http_types::Error::Denied(why) => ports::HttpError::Denied(why),
            http_types::Error::Unreachable(why) => ports::HttpError::Unreachable(why),
            http_types::Error::TooLarge(bytes) => ports::HttpError::TooLarge(bytes),
            http_types::Error::Timeout => ports::HttpError::Timeout,
            http_types::Error::Interrupted => ports::HttpError::Interrupted,
        })
    }

    fn log(&self, level: ports::LogLevel, message: &str) {
        let level = match level {
            ports::LogLevel::Debug => log::Level::Debug,
            ports::LogLevel::Info => log::Level::Info,
            ports::LogLevel::Warn => log::Level::Warn,
            ports::LogLevel::Error => log::Level::Error,
        };
        log::write(level, message);
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    fn wall_us(&self) -> i64 {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        super::host::mix(state)
    }
}
