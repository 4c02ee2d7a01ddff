//! A connection's streams, and the control messages that change them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// What a connection is subscribed to.
pub(crate) struct Subscriptions {
    streams: Vec<String>,
    combined: bool,
}

#[derive(Deserialize)]
struct Request {
    method: Method,
    #[serde(default)]
    params: Vec<Value>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Method {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

/// The replies, their fields in the documented order.
#[derive(Serialize)]
struct Done {
    result: Value,
    id: Value,
}

#[derive(Serialize)]
struct Refused {
    code: i32,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
}

fn refused(code: i32, msg: impl Into<String>) -> Refused {
    Refused {
        code,
        msg: msg.into(),
        id: None,
    }
}

fn invalid(reason: &str) -> Refused {
    refused(2, format!("Invalid request: {reason}"))
}

impl Subscriptions {
    pub(crate) fn new(streams: Vec<String>, combined: bool) -> Subscriptions {
        let mut new = Subscriptions {
            streams: Vec::new(),
            combined,
        };
        streams.into_iter().for_each(|stream| new.subscribe(stream));
        new
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn combined(&self) -> bool {
        self.combined
    }

    pub(crate) fn contains(&self, stream: &str) -> bool {
        self.streams.iter().any(|known| known == stream)
    }

    fn subscribe(&mut self, stream: String) {
        // An unknown stream is taken as well, as the exchange does.
        if !self.contains(&stream) {
            self.streams.push(stream);
        }
    }

    /// Carries out a control message and gives the reply.
    pub(crate) fn handle(&mut self, text: &str) -> String {
        let reply = match self.answer(text) {
            Ok(done) => serde_json::to_string(&done),
            Err(refused) => serde_json::to_string(&refused),
        };
        reply.expect("a reply holds JSON values only")
    }

    fn answer(&mut self, text: &str) -> Result<Done, Refused> {
        let request: Request = serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                invalid(&error.to_string())
            } else {
                refused(3, format!("Invalid JSON: {error}"))
            }
        })?;
        let id = request
            .id
            .clone()
            .filter(is_id)
            .ok_or_else(|| invalid("request ID must be an unsigned integer"))?;
        match self.carry_out(request) {
            Ok(result) => Ok(Done { result, id }),
            Err(refused) => Err(Refused {
                id: Some(id),
                ..refused
            }),
        }
    }

    fn carry_out(&mut self, request: Request) -> Result<Value, Refused> {
        let params = request.params;
        match request.method {
            Method::Subscribe => {
                for stream in stream_names(params)? {
                    self.subscribe(stream);
                }
                Ok(Value::Null)
            }
            Method::Unsubscribe => {
                let names = stream_names(params)?;
                self.streams.retain(|stream| !names.contains(stream));
                Ok(Value::Null)
            }
            Method::ListSubscriptions if params.is_empty() => Ok(json!(self.streams)),
            Method::GetProperty if params.len() <= 1 => {
                property(params.first())?;
                Ok(json!(self.combined))
            }
            Method::SetProperty if params.len() <= 2 => {
                property(params.first())?;
                self.combined = params
                    .get(1)
                    .and_then(Value::as_bool)
                    .ok_or_else(|| refused(1, "Invalid value type: expected Boolean"))?;
                Ok(Value::Null)
            }
            Method::ListSubscriptions | Method::GetProperty | Method::SetProperty => {
                Err(invalid("too many parameters"))
            }
        }
    }
}

fn stream_names(params: Vec<Value>) -> Result<Vec<String>, Refused> {
    params
        .into_iter()
        .map(|param| match param {
            Value::String(name) => Ok(name),
            _ => Err(invalid("stream name must be a string")),
        })
        .collect()
}

/// `combined` is the only property there is.
fn property(name: Option<&Value>) -> Result<(), Refused> {
    match name.and_then(Value::as_str) {
        None => Err(invalid("property name must be a string")),
        Some("combined") => Ok(()),
        Some(_) => Err(refused(0, "Unknown property")),
    }
}

/// An i64, an alphanumeric text of up to 36 characters, or null.
fn is_id(id: &Value) -> bool {
    match id {
        Value::Null => true,
        Value::Number(number) => number.is_i64(),
        Value::String(text) => {
            text.len() <= 36 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_replies() {
        let mut subscriptions = Subscriptions::new(vec!["ethusdt@trade".into()], false);
        for (text, reply) in [
            (
                r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","nosuch@trade"],"id":1}"#,
                r#"{"result":null,"id":1}"#,
            ),
            (
                r#"{"method":"LIST_SUBSCRIPTIONS","id":"a3"}"#,
                r#"{"result":["ethusdt@trade","btcusdt@trade","nosuch@trade"],"id":"a3"}"#,
            ),
            (
                r#"{"method":"UNSUBSCRIBE","params":["nosuch@trade"],"id":null}"#,
                r#"{"result":null,"id":null}"#,
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#,
                r#"{"result":false,"id":2}"#,
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#,
                r#"{"result":null,"id":5}"#,
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined","yes"],"id":5}"#,
                r#"{"code":1,"msg":"Invalid value type: expected Boolean","id":5}"#,
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["colour"],"id":6}"#,
                r#"{"code":0,"msg":"Unknown property","id":6}"#,
            ),
            (
                r#"{"method":"GET_PROPERTY","params":[7],"id":6}"#,
                r#"{"code":2,"msg":"Invalid request: property name must be a string","id":6}"#,
            ),
            (
                r#"{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":6}"#,
                r#"{"code":2,"msg":"Invalid request: too many parameters","id":6}"#,
            ),
            (
                r#"{"method":"SUBSCRIBE","params":[],"id":1.5}"#,
                r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
            ),
            (
                r#"{"method":"SUBSCRIBE","params":[]}"#,
                r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
            ),
        ] {
            assert_eq!(subscriptions.handle(text), reply, "{text}");
        }
        assert!(subscriptions.combined());
        assert!(subscriptions.contains("btcusdt@trade"));
        assert_eq!(subscriptions.len(), 2);
        let reply = subscriptions.handle("{");
        assert!(
            reply.contains(r#""code":3,"msg":"Invalid JSON: "#),
            "{reply}"
        );
        let reply = subscriptions.handle(r#"{"id":1}"#);
        assert!(
            reply.contains("Invalid request: missing field `method` at line 1"),
            "{reply}"
        );
        let reply = subscriptions.handle(r#"{"method":"BUY","id":1}"#);
        assert!(reply.contains("unknown variant `BUY`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"), "{reply}");
    }
}
