//! Connections whose answers leave together.
//!
//! h2 flushes each time that it takes in a call, and sends an answer of 256 bytes and more apart from the trailers behind it
//! where it can: the proxy wakes up for each write. Here, what h2 writes is gathered, and leaves when the connection was
//! polled: an answer is one write, and so are all the answers to what one read brought.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where this much is gathered, in bytes, some of it has to leave first. It is the answers to some eighty checks.
const MOST: usize = 64 * 1024;

/// A connection that gathers what is written. Clones share it.
pub struct OneWrite<S>(Arc<Mutex<Gathered<S>>>);

struct Gathered<S> {
    stream: S,
    /// What was written, of which `sent` bytes have left.
    out: Vec<u8>,
    sent: usize,
    /// The stream itself may keep some of it.
    unflushed: bool,
}

impl<S> Clone for OneWrite<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> OneWrite<S> {
    /// Gathers what is written to `stream`.
    pub fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Gathered { stream, out: Vec::new(), sent: 0, unflushed: false })))
    }

    /// Sends what was gathered. To be called each time after the connection was polled.
    ///
    /// # Errors
    /// Of the stream.
    pub fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gathered().send(cx)
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.out.get(self.sent..) {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.sent, self.unflushed) = (self.sent.saturating_add(sent), true);
        }
        self.out.clear();
        self.sent = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for OneWrite<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.gathered().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OneWrite<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut gathered = self.gathered();
        if gathered.out.len() >= MOST {
            ready!(gathered.send(cx))?;
        }
        gathered.out.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    /// Nothing leaves before [`OneWrite::poll_send`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.gathered();
        ready!(gathered.send(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
