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
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections that have sent no preface by then are closed.
pub const HELLO: Duration = Duration::from_secs(10);
/// Length of the HTTP/2 connection preface (RFC 9113 section 3.4). Keep-alive watches what follows.
const PREFACE: usize = 24;

/// A counted connection that must send its preface in time.
pub struct PrefaceTimeout {
    stream: TcpStream,
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
            let hello = Box::pin(sleep(HELLO));
            let place = places.acquire_owned().await.ok();
            Ok(PrefaceTimeout { stream, missing: Some((PREFACE, hello)), _place: place })
        }
    })
}

impl AsyncRead for PrefaceTimeout {
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

impl AsyncWrite for PrefaceTimeout {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for PrefaceTimeout {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
