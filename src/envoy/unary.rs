//! One message in, one message out, in the framing of gRPC over HTTP/2.
//!
//! Written by hand because the server of tonic decodes and limits messages before a handler runs, and refuses them with a
//! gRPC error. Source: gRPC over HTTP2, "Requests" and "Responses" (`PROTOCOL-HTTP2.md` of grpc/grpc).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Frame;
use tonic::codegen::Bytes;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response};

use super::wire::{PREFIX, Wire};

/// The most bytes of an oversized message that are read and discarded, so that a caller that reads only after sending
/// gets the answer. By default Envoy buffers no larger body.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// The only message of a call, while it is received.
#[derive(Debug)]
pub(super) struct Receiving<B> {
    body: B,
    limit: usize,
    framed: Bytes,
    seen: usize,
    ended: bool,
}

impl<B> Receiving<B>
where
    B: tonic::codegen::Body<Data = Bytes> + Unpin,
{
    /// The message in `body`, of at most `limit` bytes.
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self { body, limit, framed: Bytes::new(), seen: 0, ended: false }
    }

    /// Reads to the end of the body. A message that was read once can be read again.
    ///
    /// # Errors
    /// The reason, if there is not exactly one such message.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, &'static str>> {
        while !self.ended {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err("message is truncated")),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.add(data);
                    }
                    // Asking costs less than another poll, which would only find the end.
                    self.ended |= self.seen > MAX_DISCARDED || self.body.is_end_stream();
                }
            }
        }
        Poll::Ready(match self.seen > self.most() {
            true => Err("message is too large"),
            false => unframe(self.framed.clone()),
        })
    }

    /// The most bytes of a message with its prefix.
    fn most(&self) -> usize {
        self.limit.saturating_add(PREFIX)
    }

    fn add(&mut self, data: Bytes) {
        self.seen = self.seen.saturating_add(data.len());
        if self.framed.is_empty() {
            // Nearly always the whole message: read in place.
            self.framed = data;
        } else if self.seen <= self.most() {
            let mut joined = Vec::from(std::mem::take(&mut self.framed));
            joined.extend_from_slice(&data);
            self.framed = joined.into();
        }
    }
}

fn unframe(mut framed: Bytes) -> Result<Bytes, &'static str> {
    let Some((&[compressed, a, b, c, d], rest)) = framed.split_first_chunk::<PREFIX>() else {
        return Err("no message");
    };
    if compressed != 0 {
        // We advertise no encoding, so none may be used.
        return Err("message is compressed");
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(rest.len()) {
        return Err("message does not have the length in its prefix");
    }
    Ok(framed.split_off(PREFIX))
}

/// The response of a successful call, with its message.
pub(super) fn respond(message: Wire) -> Response<Answer> {
    let mut response = Response::new(Answer { left: Left::Message(message.framed().into()) });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The timeout in `grpc-timeout`: at most eight digits and a unit. `None` if it is absent or malformed.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get("grpc-timeout")?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(count.saturating_mul(3600))),
        b'M' => Some(Duration::from_secs(count.saturating_mul(60))),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The body of a response: the message, then the trailers with the status OK.
#[derive(Debug)]
pub struct Answer {
    left: Left,
}

#[derive(Debug)]
enum Left {
    Message(Bytes),
    Trailers,
    Nothing,
}

impl tonic::codegen::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match std::mem::replace(&mut self.left, Left::Nothing) {
            Left::Message(message) => {
                self.left = Left::Trailers;
                Some(Frame::data(message))
            }
            Left::Trailers => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Frame::trailers(trailers))
            }
            Left::Nothing => None,
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_alone_and_is_as_long_as_it_says() {
        let read = |framed: &[u8]| unframe(Bytes::copy_from_slice(framed)).map(Vec::from);
        assert_eq!(read(&[0, 0, 0, 0, 2, 7, 8]), Ok(vec![7, 8]));
        assert_eq!(read(&[0, 0, 0, 0, 0]), Ok(vec![]), "an empty message is one");
        assert_eq!(read(&[]), Err("no message"));
        assert_eq!(read(&[0, 0, 0]), Err("no message"));
        assert_eq!(read(&[1, 0, 0, 0, 1, 7]), Err("message is compressed"));
        assert_eq!(read(&[0, 0, 0, 0, 2, 7]), Err("message does not have the length in its prefix"));
        assert_eq!(read(&[0, 0, 0, 0, 1, 7, 0]), Err("message does not have the length in its prefix"));
        assert_eq!(read(&[0, 255, 255, 255, 255, 7]), Err("message does not have the length in its prefix"));
    }

    #[test]
    fn a_timeout_is_read_in_every_unit() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_str(text).unwrap());
            timeout(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert_eq!(read("200m"), Some(Duration::from_millis(200)));
        assert_eq!(read("50000u"), Some(Duration::from_millis(50)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for odd in ["", "m", "200", "-1m", "+1m", "1.5S", "123456789m", "200x", "2 m"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
