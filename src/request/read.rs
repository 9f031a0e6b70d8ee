//! Turns Envoy's message into a [`Request`].

use tonic::codegen::Bytes;

use crate::domain::method;

use super::fields::{NotACheckRequest, Span};
use super::message::{self, Http};
use super::{Destination, Headers, Path, Request, Transport, host};

/// The most bytes in all header names and values. Envoy accepts 60 KiB by default
/// (`max_request_headers_kb`, envoy.extensions.filters.network.http_connection_manager.v3).
const MAX_HEADER_BYTES: usize = 96 * 1024;

impl Request {
    /// Reads a request from Envoy's message. A malformed request is no error: see [`Request::malformed`] and [`Path::Odd`].
    ///
    /// The headers stay in the message, which the request keeps.
    ///
    /// # Errors
    /// [`NotACheckRequest`] if the bytes are none.
    pub fn decode(message: &Bytes) -> Result<Self, NotACheckRequest> {
        let check = message::check(message)?;
        let destination = Destination {
            extension: check.extension.map(|service| service.text_of(message).to_owned()),
            principal: principal(message, check.destination.principal),
            host: None,
        };
        let peer = principal(message, check.source.principal);
        // A pipe has none, and is nobody's.
        let address = check.source.address.text_of(message).parse().ok();
        Ok(match check.http {
            Some(http) => Self { peer, address, ..Self::http(destination, message, http) },
            None => {
                Self { destination, peer, address, path: Path::none(), transport: Transport::Tcp, ..Self::default() }
            }
        })
    }

    /// A request that nobody sent, for `explain`, read exactly as if Envoy had described it.
    ///
    /// `path` may contain a query. The destination has no extension and no principal; set them if known.
    #[must_use]
    pub fn synthetic<'a>(
        method: &str,
        host: &str,
        path: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let mut pairs =
            vec![(":authority", host.as_bytes()), (":method", method.as_bytes()), (":path", path.as_bytes())];
        headers.into_iter().for_each(|header| pairs.push(header));
        Self::from_parts(Destination::default(), method, host, path, Headers::from_pairs(pairs))
    }

    fn http(destination: Destination, message: &Bytes, http: Http) -> Self {
        let headers = Headers::of_message(message, http.mapped, &http.raw);
        let [method, host, path] = [http.method, http.host, http.path].map(|span| span.text_of(message));
        Self::from_parts(destination, method, host, path, headers)
    }

    fn from_parts(destination: Destination, method: &str, host: &str, path: &str, headers: Headers) -> Self {
        let host = match host {
            "" => pseudo(&headers, ":authority"),
            host => host,
        };
        let (host, odd_host) = match host::read(host) {
            Ok(host) => (host, None),
            Err(why) => (None, Some(why)),
        };
        let path = match path {
            "" => Path::read(method, pseudo(&headers, ":path")),
            path => Path::read(method, path),
        };
        let no_method = method.is_empty().then_some("no method");
        Self {
            destination: Destination { host, ..destination },
            path,
            transport: Transport::Http,
            peer: None,
            address: None,
            malformed: examine(&headers).or(no_method).or(odd_host),
            method: method::shared(method),
            headers,
        }
    }
}

/// The principal that the proxy verified; for none, Envoy sends an empty one.
fn principal(message: &[u8], principal: Span) -> Option<String> {
    Some(principal.text_of(message)).filter(|principal| !principal.is_empty()).map(str::to_owned)
}

/// A pseudo header, for when its own attribute is empty.
fn pseudo<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.exact(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

/// Why the headers make the request malformed, if they do.
fn examine(headers: &Headers) -> Option<&'static str> {
    if headers.is_empty() {
        // Envoy always sends some: either the filter of the proxy hides them, or the message is not Envoy's.
        return Some("no headers");
    }
    if headers.size() > MAX_HEADER_BYTES {
        return Some("headers are too large");
    }
    if !headers.raw_names().all(is_name) {
        return Some("header name is not a token");
    }
    // Proxies refuse these (CVE-2019-9900); with one that does not, a value can mean two things.
    // A fold without early exit, so that the compiler compares many bytes at once.
    let ends = |found: bool, byte: &u8| found | matches!(byte, 0 | b'\r' | b'\n');
    headers.values().any(|value| value.iter().fold(false, ends)).then_some("header value has NUL, CR or LF")
}

/// A token (RFC 9110 section 5.6.2), or a pseudo header's name.
fn is_name(name: &[u8]) -> bool {
    let name = name.strip_prefix(b":").unwrap_or(name);
    !name.is_empty() && name.iter().all(|byte| in_token(*byte))
}

/// Any visible character except the delimiters.
fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~')
}
