//! What sources import: inbox, websocket, requests. One module a capability.

mod inbox;
mod requests;
mod websocket;

pub(crate) use requests::{from_request, into_http_error};
