//! The admin server: health, metrics, and changing connectors over HTTP.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 as long as the process can answer at all |
//! | `/readyz` | each connector's state as JSON; 200 when none has failed or begins, else 503 |
//! | `/metrics` | the metrics in Prometheus' text format |
//! | `/health` | whether connectors can be made and changed, as Kafka Connect says it |
//! | `/`, `/connectors`, `/connector-plugins`, `/admin/loggers` | Kafka Connect's REST API |
//! | `/status`, `/status/{c}` | states, counts and versions |
//! | `/connectors/{c}/details` | what a connector is made of, and its last failures |
//! | `/connectors/{c}/swap` | POST: the component as the body, or `?file=` in the folder of components, changes the connector to it |
//! | `/connectors/{c}/swaps` | its last swaps |
//! | `/topics`, `/topics/{t}`, `/topics/{t}/records` | what the log holds |
//! | `/` | to whoever asks for HTML: the page for people, made of `/page/…` |
//! | `/events` | what the page shows, once a second, as server-sent events |
//! | `/connectors/{c}/shadows` | its last shadows |
//! | `/connectors/{c}/record` | POST: what it is given from now on, as a file |
//!
//! All but health, metrics and the page's files need the token, unless the file says that nobody is
//! asked; nothing is for pages of other sites. Changes are limited in number, and each is written into
//! the log; so are wrong tokens, of which an address may try a few.
//!
//! It has a thread and a runtime of its own: a pipeline that is stuck can't silence it, and whoever
//! asks it too much gets in nobody else's way. It knows nothing of pipelines: who starts it gives a
//! function that tells the states, and that function may be as slow as it likes.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod changes;
mod connect;
mod connections;
mod connectors;
mod events;
mod guard;
mod guesses;
mod health;
mod metrics;
mod operator;
mod page;
mod server;
mod tls;
mod topics;

pub use connect::{Connect, Herder, Put, Restart};
pub use health::ConnectorState;
pub use operator::{
    Answer, Chunks, Component, Objection, Operator, RecordCall, Recorded, Snapshot, SwapCall,
};
pub use server::{AdminConfig, AdminError, AdminServer, Certificate};
pub use topics::{BadBegin, Begin, Lines, LinesAnswer, RecordsCall, Topics};
