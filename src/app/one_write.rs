//! Connections whose answers leave in one write each.
//!
//! Where a connection takes several buffers at once (`writev`), h2 sends an answer of 256 bytes and more apart from the
//! trailers behind it, and the proxy wakes up twice for it. Where it does not, h2 copies up to 1 KiB into the buffer of its
//! frames: an answer is one write.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// A connection that takes one buffer at a time.
pub struct OneWrite<S>(pub S);

impl<S: AsyncRead + Unpin> AsyncRead for OneWrite<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OneWrite<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: Connected> Connected for OneWrite<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.0.connect_info()
    }
}

#[cfg(test)]
mod tests;
