//! The sink world's bindings, and the way between them and [`Sink`]. Only in a component.

#![allow(missing_docs, unreachable_pub)]

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use jackfield_batch::{Batch, Limits};

use super::{Ports, Sink};
use super::{ports, types};
use crate::{Context, Counts, Delivery, Failure, Finding, Rejection, Role, Saved, Severity};

mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({
        path: "../wit",
        world: "sink-connector",
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "jackfield_sdk::sink::glue",
        generate_all,
    });
}

pub use bindings::*;

use bindings::exports::jackfield::connector::sink as wit;
use bindings::jackfield::connector::{
    catalog, http, http_types, log, schemas, store, types as wit_types,
};

thread_local! {
    /// A component is one instance of one connector: the exports are free functions, so this is
    /// where it has to be.
    static INSTANCE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Exports the connector `T`.
#[derive(Debug)]
pub struct Component<T>(PhantomData<T>);

fn with<T: Sink, R>(
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

impl<T: Sink> wit::Guest for Component<T> {
    fn describe() -> wit::Description {
        let d = T::describe();
        wit::Description {
            name: d.name,
            version: d.version,
            summary: d.summary,
            settings_schema: crate::settings_schema::<T::Settings>(),
            delivery: match d.delivery {
                Delivery::AtLeastOnce => wit_types::Delivery::AtLeastOnce,
                Delivery::ExactlyOnce => wit_types::Delivery::ExactlyOnce,
            },
            saved_version: d.saved_version,
            saved_version_min: d.saved_version_min,
            staged_version: d.staged_version,
            staged_version_min: d.staged_version_min,
        }
    }

    fn check(settings: String) -> Vec<wit::Finding> {
        match crate::parse_settings::<T::Settings>(&settings) {
            Ok(settings) => T::check(&settings).into_iter().map(finding).collect(),
            Err(found) => vec![finding(found)],
        }
    }

    fn open(
        context: wit::Context,
        settings: String,
        state: Option<wit::Saved>,
    ) -> Result<(), wit::Failure> {
        let settings = crate::parse_settings::<T::Settings>(&settings).map_err(|found| {
            failure(Failure::Misconfigured(format!(
                "{}: {}",
                found.path, found.message
            )))
        })?;
        let context = Context {
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
        };
        let state = state.map(|it| Saved {
            version: it.version,
            bytes: it.bytes,
        });
        let opened = T::open(imports(), context, settings, state).map_err(failure)?;
        INSTANCE.with(|instance| *instance.borrow_mut() = Some(Box::new(opened)));
        Ok(())
    }

    fn assigned(held: Vec<wit::Holding>) -> Result<(), wit::Failure> {
        let held = held
            .into_iter()
            .map(|it| types::Holding {
                target: it.target,
                positions: it
                    .positions
                    .into_iter()
                    .map(|at| types::LogPosition {
                        topic: at.topic,
                        topic_id: at.topic_id,
                        partition: at.partition,
                        next_offset: at.next_offset,
                    })
                    .collect(),
            })
            .collect();
        with::<T, _>(|it| it.assigned(held))
    }

    fn put(at: wit::Span, records: Vec<u8>) -> Result<wit::Taken, wit::Failure> {
        let at = span(at);
        with::<T, _>(|it| {
            let batch = Batch::parse(&records, &Limits::default())
                .map_err(|e| Failure::Broken(format!("the host's batch is malformed: {e}")))?;
            it.put(&at, &batch)
        })
        .map(|it| wit::Taken {
            counts: counts(it.counts),
            stage_now: it.stage_now,
        })
    }

    fn stage() -> Result<Vec<wit::Piece>, wit::Failure> {
        with::<T, _>(Sink::stage).map(|pieces| {
            pieces
                .into_iter()
                .map(|it| wit::Piece {
                    target: it.target,
                    version: it.version,
                    bytes: it.bytes,
                })
                .collect()
        })
    }

    fn discard() {
        INSTANCE.with(|instance| {
            if let Some(it) = instance
                .borrow_mut()
                .as_mut()
                .and_then(|it| it.downcast_mut::<T>())
            {
                it.discard();
            }
        });
    }

    fn stored(known: Vec<String>) -> Result<Vec<wit::Holding>, wit::Failure> {
        with::<T, _>(|it| it.stored(&known)).map(|held| {
            held.into_iter()
                .map(|it| wit::Holding {
                    target: it.target,
                    positions: it
                        .positions
                        .into_iter()
                        .map(|at| wit::LogPosition {
                            topic: at.topic,
                            topic_id: at.topic_id,
                            partition: at.partition,
                            next_offset: at.next_offset,
                        })
                        .collect(),
                })
                .collect()
        })
    }

    fn commit(
        target: String,
        pieces: Vec<wit::Piece>,
        spans: Vec<wit::Span>,
        id: String,
    ) -> Result<wit::Committed, wit::Failure> {
        let pieces: Vec<_> = pieces
            .into_iter()
            .map(|it| types::Piece {
                target: it.target,
                version: it.version,
                bytes: it.bytes,
            })
            .collect();
        let spans: Vec<_> = spans.into_iter().map(span).collect();
        with::<T, _>(|it| it.commit(&target, &pieces, &spans, &id)).map(|it| wit::Committed {
            rows: it.rows,
            files: it.files,
            bytes: it.bytes,
        })
    }

    fn save() -> Result<wit::Saved, wit::Failure> {
        with::<T, _>(Sink::save).map(|it| wit::Saved {
            version: it.version,
            bytes: it.bytes,
        })
    }

    fn close() {
        let taken = INSTANCE.with(|instance| instance.borrow_mut().take());
        if let Some(it) = taken.and_then(|it| it.downcast::<T>().ok()) {
            it.close();
        }
    }
}

fn span(it: wit::Span) -> types::Span {
    types::Span {
        topic: it.topic,
        topic_id: it.topic_id,
        partition: it.partition,
        first_offset: it.first_offset,
        next_offset: it.next_offset,
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

/// The world's imports as ports.
fn imports() -> Ports {
    Ports {
        store: Arc::new(Imports),
        catalog: Arc::new(Imports),
        schemas: Arc::new(Imports),
        http: Arc::new(Imports),
        log: Arc::new(Imports),
    }
}

#[derive(Debug, Clone, Copy)]
struct Imports;

struct ImportedUpload(store::Upload);

impl ports::Upload for ImportedUpload {
    fn write(&mut self, chunk: &[u8]) -> Result<(), ports::StoreError> {
        self.0.write(chunk).map_err(store_error)
    }

    fn finish(&mut self) -> Result<u64, ports::StoreError> {
        self.0.finish().map_err(store_error)
    }
}

fn store_error(it: store::Error) -> ports::StoreError {
    match it {
        store::Error::Denied(why) => ports::StoreError::Denied(why),
        store::Error::Missing => ports::StoreError::Missing,
        store::Error::TooLarge(bytes) => ports::StoreError::TooLarge(bytes),
        store::Error::Transient(why) => ports::StoreError::Transient(why),
        store::Error::Interrupted => ports::StoreError::Interrupted,
        store::Error::Other(why) => ports::StoreError::Other(why),
    }
}

fn entry(it: store::Entry) -> ports::Entry {
    ports::Entry {
        uri: it.uri,
        bytes: it.bytes,
        modified_ms: it.modified_ms,
    }
}

impl ports::Store for Imports {
    fn create(&self, uri: &str) -> Result<Box<dyn ports::Upload>, ports::StoreError> {
        let upload = store::create(uri).map_err(store_error)?;
        Ok(Box::new(ImportedUpload(upload)))
    }

    fn put(&self, uri: &str, bytes: &[u8]) -> Result<(), ports::StoreError> {
        store::put(uri, bytes).map_err(store_error)
    }

    fn get(&self, uri: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, ports::StoreError> {
        store::get(uri, range).map_err(store_error)
    }

    fn head(&self, uri: &str) -> Result<Option<ports::Entry>, ports::StoreError> {
        store::head(uri)
            .map(|it| it.map(entry))
            .map_err(store_error)
    }

    fn delete(&self, uri: &str) -> Result<(), ports::StoreError> {
        store::delete(uri).map_err(store_error)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: u32,
    ) -> Result<Vec<ports::Entry>, ports::StoreError> {
        store::list(prefix, after, max)
            .map(|entries| entries.into_iter().map(entry).collect())
            .map_err(store_error)
    }
}

fn catalog_error(it: catalog::Error) -> ports::CatalogError {
    match it {
        catalog::Error::Denied(why) => ports::CatalogError::Denied(why),
        catalog::Error::Missing => ports::CatalogError::Missing,
        catalog::Error::Exists => ports::CatalogError::Exists,
        catalog::Error::Conflict(why) => ports::CatalogError::Conflict(why),
        catalog::Error::Unknown(why) => ports::CatalogError::Unknown(why),
        catalog::Error::Transient(why) => ports::CatalogError::Transient(why),
        catalog::Error::Interrupted => ports::CatalogError::Interrupted,
        catalog::Error::Other(why) => ports::CatalogError::Other(why),
    }
}

fn table(it: catalog::Table) -> ports::CatalogTable {
    ports::CatalogTable {
        metadata_location: it.metadata_location,
        metadata: it.metadata,
        location: it.location,
    }
}

impl ports::Catalog for Imports {
    fn load(
        &self,
        ident: &str,
        known: Option<&str>,
    ) -> Result<Option<ports::CatalogTable>, ports::CatalogError> {
        catalog::load(ident, known)
            .map(|it| it.map(table))
            .map_err(catalog_error)
    }

    fn create(
        &self,
        ident: &str,
        creation: &str,
    ) -> Result<ports::CatalogTable, ports::CatalogError> {
        catalog::create(ident, creation)
            .map(table)
            .map_err(catalog_error)
    }

    fn commit(
        &self,
        ident: &str,
        expected_location: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<ports::CatalogTable, ports::CatalogError> {
        catalog::commit(ident, expected_location, requirements, updates)
            .map(table)
            .map_err(catalog_error)
    }
}

impl ports::Schemas for Imports {
    fn get(&self, id: u32) -> Result<crate::Schema, ports::SchemasError> {
        match schemas::get(id) {
            Ok(it) => Ok(crate::Schema {
                kind: match it.kind {
                    wit_types::SchemaKind::Avro => crate::SchemaKind::Avro,
                    wit_types::SchemaKind::Json => crate::SchemaKind::Json,
                    wit_types::SchemaKind::None => crate::SchemaKind::None,
                },
                text: it.text,
            }),
            Err(schemas::Error::Missing) => Err(ports::SchemasError::Missing),
            Err(schemas::Error::Refused(why)) => Err(ports::SchemasError::Refused(why)),
            Err(schemas::Error::Transient(why)) => Err(ports::SchemasError::Transient(why)),
        }
    }
}

impl ports::Http for Imports {
    fn fetch(
        &self,
        request: &ports::HttpRequest,
        timeout_ms: u32,
    ) -> Result<ports::HttpResponse, ports::HttpError> {
        let request = http_types::Request {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        };
        match http::fetch(&request, timeout_ms) {
            Ok(it) => Ok(ports::HttpResponse {
                status: it.status,
                headers: it.headers,
                body: it.body,
            }),
            Err(http_types::Error::Denied(why)) => Err(ports::HttpError::Denied(why)),
            Err(http_types::Error::Unreachable(why)) => Err(ports::HttpError::Unreachable(why)),
            Err(http_types::Error::TooLarge(bytes)) => Err(ports::HttpError::TooLarge(bytes)),
            Err(http_types::Error::Timeout) => Err(ports::HttpError::Timeout),
            Err(http_types::Error::Interrupted) => Err(ports::HttpError::Interrupted),
        }
    }
}

impl ports::Log for Imports {
    fn write(&self, level: ports::LogLevel, message: &str) {
        let level = match level {
            ports::LogLevel::Debug => log::Level::Debug,
            ports::LogLevel::Info => log::Level::Info,
            ports::LogLevel::Warn => log::Level::Warn,
            ports::LogLevel::Error => log::Level::Error,
        };
        log::write(level, message);
    }
}
