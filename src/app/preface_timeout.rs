//! Closes connections that stay silent, and limits their number. Descriptors are scarce, and `ops` is open to everybody.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// Connections that have sent no preface by then are closed.
pub const HELLO: Duration = Duration::from_secs(10);
/// Length of the HTTP/2 connection preface (RFC 9113 section 3.4). Keep-alive watches what follows.
const PREFACE: usize = 24;

/// A counted connection that must send its preface in time.
///
/// It gathers nothing from several buffers (`writev`): h2 would then send an answer of 256 bytes and more apart from the
/// trailers behind it, in a write of its own, and the proxy would wake up twice. So it copies up to 1 KiB instead, and an
/// answer leaves in one write.
pub struct PrefaceTimeout<S = TcpStream> {
    stream: S,
    /// How much of the preface is missing, and until when; `None`: it has arrived.
    missing: Option<(usize, Pin<Box<Sleep>>)>,
    _place: Option<OwnedSemaphorePermit>,
}

/// Accepted connections that must send their preface in time, at most `many` at once: more wait to be accepted.
/// They send immediately: a response is one small frame, which Nagle's algorithm would delay by 40 ms until an
/// acknowledgement. (tonic sets this only on sockets that it binds itself.)
pub fn prompt(
    stream: impl Stream<Item = io::Result<TcpStream>> + Send,
    many: usize,
) -> impl Stream<Item = io::Result<PrefaceTimeout>> + Send {
    let places = Arc::new(Semaphore::new(many.min(Semaphore::MAX_PERMITS)));
    stream.then(move |accepted| {
        let places = Arc::clone(&places);
        async move {
            let stream = accepted?;
            let _ = stream.set_nodelay(true);
            let mut connection = PrefaceTimeout::new(stream);
            connection._place = places.acquire_owned().await.ok();
            Ok(connection)
        }
    })
}

impl<S> PrefaceTimeout<S> {
    fn new(stream: S) -> Self {
        Self { stream, missing: Some((PREFACE, Box::pin(sleep(HELLO)))), _place: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefaceTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = pin!(&mut self.stream).poll_read(cx, buf);
        let Some((missing, hello)) = &mut self.missing else { return read };
        *missing = missing.saturating_sub(buf.filled().len().saturating_sub(before));
        if *missing == 0 {
            self.missing = None;
        } else if hello.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was said")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefaceTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Connected> Connected for PrefaceTimeout<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests;
