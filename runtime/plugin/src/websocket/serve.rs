//! One open connection: frames in, messages out, pings, and the end.

use super::Job;
use super::connect::Socket;
use crate::inbox::{Arrival, Closed, Inbox};
use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt};
use jackfield_batch::event::Kind;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Frames taken in a row before anything else gets its turn.
const FRAMES_IN_A_ROW_MAX: usize = 256;

type End = (u16, String);

/// When the next ping is due, or its answer.
struct Pulse {
    every: Duration,
    within: Duration,
    due: Instant,
    awaiting: bool,
}

impl Pulse {
    fn new(every: Duration, within: Duration) -> Self {
        Self {
            every,
            within,
            due: Instant::now() + every,
            awaiting: false,
        }
    }

    /// Something was heard, whatever it was: the socket is alive.
    fn heard(&mut self) {
        if self.awaiting {
            self.calm();
        }
    }

    /// Begins anew: nothing is awaited.
    fn calm(&mut self) {
        self.awaiting = false;
        self.due = Instant::now() + self.every;
    }

    fn pinged(&mut self) {
        self.awaiting = true;
        self.due = Instant::now() + self.within;
    }
}

struct Serving<'a> {
    job: &'a mut Job,
    socket: Socket,
    pulse: Pulse,
    /// A frame that found no room. While there is one the socket is not read.
    blocked: Option<Arrival>,
    /// When waiting for the peer's close frame ends.
    goodbye: Option<Instant>,
    /// What the peer said when it closed.
    farewell: Option<End>,
}

/// Serves a connection until it ends; says how it ended.
pub(super) async fn serve(job: &mut Job, socket: Socket) -> End {
    let pulse = Pulse::new(job.patience.ping_every, job.patience.pong_within);
    let mut serving = Serving {
        job,
        socket,
        pulse,
        blocked: None,
        goodbye: None,
        farewell: None,
    };
    loop {
        if let Some(end) = serving.turn().await {
            return end;
        }
    }
}

impl Serving<'_> {
    async fn turn(&mut self) -> Option<End> {
        let Self {
            job,
            socket,
            pulse,
            blocked,
            goodbye,
            ..
        } = self;
        let Job {
            close,
            outbox,
            inbox,
            ..
        } = &mut **job;
        let far = pulse.due + Duration::from_secs(3600);
        tokio::select! {
            biased;
            () = close.cancelled(), if goodbye.is_none() => self.say_goodbye().await,
            () = sleep_until(goodbye.unwrap_or(far)), if goodbye.is_some() => Some(self.given_up()),
            Some(text) = outbox.recv(), if goodbye.is_none() => self.send(Message::Text(text)).await,
            () = sleep_until(pulse.due), if goodbye.is_none() => self.check_pulse().await,
            () = room(inbox, blocked.as_ref()), if blocked.is_some() => self.unblock(),
            message = socket.next(), if blocked.is_none() => self.take_all(message),
        }
    }

    async fn say_goodbye(&mut self) -> Option<End> {
        self.goodbye = Some(Instant::now() + self.job.patience.goodbye);
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        self.send(Message::Close(Some(frame))).await
    }

    async fn send(&mut self, message: Message) -> Option<End> {
        let patience = self.job.patience.send;
        match timeout(patience, self.socket.send(message)).await {
            Ok(Ok(())) => None,
            Ok(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => Some(self.ended()),
            Ok(Err(error)) => Some((0, error.to_string())),
            Err(_) => Some((
                0,
                format!("the peer took nothing for {} ms", patience.as_millis()),
            )),
        }
    }

    async fn check_pulse(&mut self) -> Option<End> {
        if self.blocked.is_some() {
            // Not reading, so silence is our own doing.
            self.pulse.calm();
            return None;
        }
        if self.pulse.awaiting {
            return Some((
                0,
                format!(
                    "nothing heard within {} ms of a ping",
                    self.pulse.within.as_millis()
                ),
            ));
        }
        self.pulse.pinged();
        self.send(Message::Ping(Bytes::new())).await
    }

    fn unblock(&mut self) -> Option<End> {
        let arrival = self.blocked.take()?;
        self.pulse.calm();
        self.keep(arrival)
    }

    /// Takes a message and those that are already there.
    fn take_all(&mut self, first: Option<Result<Message, Error>>) -> Option<End> {
        self.pulse.heard();
        let mut end = self.take_one(first);
        for _ in 1..FRAMES_IN_A_ROW_MAX {
            if end.is_some() || self.blocked.is_some() {
                break;
            }
            let Some(next) = self.socket.next().now_or_never() else {
                break;
            };
            end = self.take_one(next);
        }
        end
    }

    fn take_one(&mut self, next: Option<Result<Message, Error>>) -> Option<End> {
        match next {
            Some(Ok(message)) => self.take(message),
            Some(Err(error)) => Some(self.broken(&error)),
            None => Some(self.ended()),
        }
    }

    fn take(&mut self, message: Message) -> Option<End> {
        match message {
            Message::Text(text) => self.frame(Kind::Text, text.into()),
            Message::Binary(bytes) => self.frame(Kind::Binary, bytes),
            Message::Close(frame) => {
                // The library answers it; the stream ends once the answer has left.
                let (code, reason) = frame.map_or((0, String::new()), |f| {
                    (f.code.into(), f.reason.to_string())
                });
                self.farewell = Some((code, reason));
                self.goodbye
                    .get_or_insert_with(|| Instant::now() + self.job.patience.goodbye);
                None
            }
            // Pings are answered by the library as it goes on reading.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        }
    }

    fn frame(&mut self, kind: Kind, body: Bytes) -> Option<End> {
        self.job.usage.frame(body.len());
        self.keep(Arrival::now(kind, self.job.id, body))
    }

    fn keep(&mut self, arrival: Arrival) -> Option<End> {
        match self.job.inbox.try_push(arrival) {
            Ok(Ok(_)) => None,
            Ok(Err(arrival)) => {
                self.blocked = Some(arrival);
                None
            }
            Err(Closed) => Some((0, "the slot is stopping".to_owned())),
        }
    }

    fn given_up(&mut self) -> End {
        self.farewell.take().unwrap_or_else(|| {
            (
                0,
                "closed from this side, and the peer did not answer".to_owned(),
            )
        })
    }

    fn ended(&mut self) -> End {
        self.farewell
            .take()
            .unwrap_or_else(|| (0, "the connection ended".to_owned()))
    }

    fn broken(&mut self, error: &Error) -> End {
        match (error, self.farewell.take()) {
            // What the peer said before it hung up is worth more than how it hung up.
            (_, Some(farewell)) => farewell,
            (Error::ConnectionClosed | Error::AlreadyClosed, None) => {
                (0, "the connection ended".to_owned())
            }
            (error, None) => (0, error.to_string()),
        }
    }
}

async fn room(inbox: &Inbox, blocked: Option<&Arrival>) {
    match blocked {
        Some(arrival) => inbox.room(arrival).await,
        None => std::future::pending().await,
    }
}
