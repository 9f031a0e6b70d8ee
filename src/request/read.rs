//! Turns Envoy's message into a [`Request`].

use prost::{DecodeError, Message as _};

use super::message::{Check, Http, Peer, RawHeaders, map};
use super::{Destination, Headers, Path, Request, Transport, host};

/// The key in `context_extensions` by which a route names its service (contract section 3).
const SERVICE_EXTENSION: &str = "service";

/// The most bytes in all header names and values. Envoy accepts 60 KiB by default
/// (`max_request_headers_kb`, envoy.extensions.filters.network.http_connection_manager.v3).
const MAX_HEADER_BYTES: usize = 96 * 1024;

impl Request {
    /// Reads a request from Envoy's message. A malformed request is no error: see [`Request::malformed`] and [`Path::Odd`].
    ///
    /// # Errors
    /// `DecodeError` if the bytes are not a `CheckRequest`.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        Check::decode(message).map(Self::take)
    }

    fn take(check: Check) -> Self {
        let attributes = check.attributes.unwrap_or_default();
        let extensions = map(attributes.context_extensions);
        let destination = Destination {
            extension: extensions.into_iter().find(|entry| entry.key == SERVICE_EXTENSION).map(|entry| entry.value),
            principal: principal(attributes.destination),
            host: None,
        };
        let peer = principal(attributes.source);
        match attributes.request.and_then(|request| request.http) {
            Some(http) => Self { peer, ..Self::http(destination, http) },
            None => Self { destination, peer, path: Path::none(), transport: Transport::Tcp, ..Self::default() },
        }
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
        let pseudo = [(":authority", host), (":method", method), (":path", path)];
        let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
        let pseudo = pseudo.map(|(name, value)| owned((name, value.as_bytes())));
        let headers = pseudo.into_iter().chain(headers.into_iter().map(owned));
        Self::from_parts(Destination::default(), method.to_owned(), host, path, Headers::from_pairs(headers))
    }

    fn http(destination: Destination, http: Http) -> Self {
        let mapped = map(http.headers).into_iter().map(|entry| (entry.key, entry.value.into_bytes()));
        let headers = Headers::from_pairs(mapped.chain(raw(http.header_map)));
        Self::from_parts(destination, http.method, &http.host, &http.path, headers)
    }

    fn from_parts(destination: Destination, method: String, host: &str, path: &str, headers: Headers) -> Self {
        let host = match host {
            "" => pseudo(&headers, ":authority"),
            host => host,
        };
        let (host, odd_host) = match host::read(host) {
            Ok(host) => (host, None),
            Err(why) => (None, Some(why)),
        };
        let path = match path {
            "" => Path::read(&method, pseudo(&headers, ":path")),
            path => Path::read(&method, path),
        };
        let no_method = method.is_empty().then_some("no method");
        Self {
            destination: Destination { host, ..destination },
            path,
            transport: Transport::Http,
            peer: None,
            malformed: examine(&headers).or(no_method).or(odd_host),
            method,
            headers,
        }
    }
}

/// The principal that the proxy verified; for none, Envoy sends an empty one.
fn principal(peer: Option<Peer>) -> Option<String> {
    peer.map(|peer| peer.principal).filter(|principal| !principal.is_empty())
}

/// The headers from a proxy with `encode_raw_headers`, in order, repeated ones separately.
fn raw(map: Option<RawHeaders>) -> impl Iterator<Item = (String, Vec<u8>)> {
    map.unwrap_or_default().headers.into_iter().map(|header| {
        let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
        (header.key, value)
    })
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
    if !headers.names().all(is_name) {
        return Some("header name is not a token");
    }
    // Proxies refuse these (CVE-2019-9900); with one that does not, a value can mean two things.
    // A fold without early exit, so that the compiler compares many bytes at once.
    let ends = |found: bool, byte: &u8| found | matches!(byte, 0 | b'\r' | b'\n');
    headers.iter().any(|(_, value)| value.iter().fold(false, ends)).then_some("header value has NUL, CR or LF")
}

/// A token (RFC 9110 section 5.6.2), or a pseudo header's name.
fn is_name(name: &str) -> bool {
    let name = name.strip_prefix(':').unwrap_or(name);
    !name.is_empty() && name.bytes().all(in_token)
}

/// Any visible character except the delimiters.
fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~')
}
