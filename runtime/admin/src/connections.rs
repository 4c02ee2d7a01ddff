//! Accepts connections: not too many at a time, and none that sits there forever.

use crate::tls::{Stream, Tls};
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Most connections at a time: many more scrapers, probes and people than one process has, and well
/// below the 1024 files that a process is often given. Further ones wait to be accepted.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// A connection on which nothing moves for so long is closed, so that those who open them and
/// say nothing can't keep others out. Longer than the usual scrape interval, and than a component
/// that was uploaded takes to compile on a busy machine.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// A listener with a bound.
pub(crate) struct Connections {
    listener: TcpListener,
    tls: Option<Tls>,
    free: Arc<Semaphore>,
}

/// Who asks: the address that the connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connections {
    pub(crate) fn new(listener: TcpListener, tls: Option<Tls>) -> Self {
        Self {
            listener,
            tls,
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl axum::serve::Listener for Connections {
    type Io = Connection<Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        // axum's accept retries what can be retried, and waits where descriptors have run out.
        let (stream, from) = axum::serve::Listener::accept(&mut self.listener).await;
        let stream = Stream::new(stream, self.tls.as_ref());
        (Connection::new(stream, Some(permit)), from)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is idle for [`IDLE_MAX`].
pub(crate) struct Connection<T> {
    stream: T,
    idle: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T> Connection<T> {
    fn new(stream: T, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            stream,
            idle: Box::pin(tokio::time::sleep(IDLE_MAX)),
            _permit: permit,
        }
    }

    /// Passes on what the stream says; where it says to wait, waits no longer than allowed.
    fn watch<R>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
            return poll;
        }
        self.idle
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(cx, poll)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends() {
        let (near, _far) = tokio::io::duplex(64);
        let mut connection = Connection::new(near, None);
        let started = Instant::now();
        let error = connection.read_u8().await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= IDLE_MAX && started.elapsed() < IDLE_MAX * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_let_go() {
        let (near, _far) = tokio::io::duplex(64);
        let mut connection = Connection::new(near, None);
        let error = connection.write_all(&[0; 65]).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_stays() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut connection = Connection::new(near, None);
        for byte in 0..5 {
            tokio::time::advance(IDLE_MAX * 9 / 10).await;
            far.write_u8(byte).await.unwrap();
            assert_eq!(connection.read_u8().await.unwrap(), byte);
        }
    }
}
