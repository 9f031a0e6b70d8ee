//! What a message says, read in other ways: by generated types with only the fields that are read, and by Envoy's own.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::address;
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use prost::Message;

use crate::request::headers::alike;
use crate::request::{Path, Request, Transport, host};

/// What a `CheckRequest` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    extension: Option<String>,
    source: String,
    address: String,
    destination: String,
    http: Option<SaidOfHttp>,
}

/// What it says of an HTTP request.
#[derive(Debug, Default, PartialEq, Eq)]
struct SaidOfHttp {
    method: String,
    path: String,
    host: String,
    mapped: BTreeMap<String, String>,
    raw: Vec<(String, Vec<u8>)>,
}

impl Said {
    /// Whether a request says the same.
    pub(super) fn is_said_by(&self, request: &Request) -> Result<(), String> {
        let same = |what: &str, same: bool| if same { Ok(()) } else { Err(format!("{what} of {self:?}: {request:?}")) };
        let principal = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        same("extension", request.destination.extension == self.extension)?;
        same("destination", request.destination.principal == principal(&self.destination))?;
        same("source", request.peer == principal(&self.source))?;
        same("address", request.address == self.address.parse().ok())?;
        let Some(http) = &self.http else {
            same("connection", request.transport == Transport::Tcp && request.path == Path::none())?;
            return same("nothing else", request.headers.is_empty() && request.method.is_empty());
        };
        let sent = http.headers();
        same("transport", request.transport == Transport::Http)?;
        same("method", request.method == http.method)?;
        same("headers", request.headers.iter().map(owned).eq(sent.iter().cloned()))?;
        same("look-ups", sent.iter().all(|(name, _)| request.headers.get(name) == Some(&*together(&sent, name))))?;
        let pseudo = |given: &str, name: &str| match given {
            "" => sent.iter().find(|(known, _)| known == name).map_or(Vec::new(), |(_, value)| value.clone()),
            given => given.as_bytes().to_vec(),
        };
        let path = String::from_utf8(pseudo(&http.path, ":path")).unwrap_or_default();
        same("path", request.path == Path::read(&http.method, &path))?;
        let host = host::read(&String::from_utf8(pseudo(&http.host, ":authority")).unwrap_or_default());
        same("host", request.destination.host == host.clone().unwrap_or_default())?;
        let no_method = http.method.is_empty().then_some("no method");
        same("form", request.malformed == malformed(&sent).or(no_method).or(host.err()))
    }
}

/// What makes headers malformed (contract section 3).
fn malformed(sent: &[(String, Vec<u8>)]) -> Option<&'static str> {
    let token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    let is_name = |name: &str| {
        let name = name.strip_prefix(':').unwrap_or(name);
        !name.is_empty() && name.bytes().all(token)
    };
    if sent.is_empty() {
        return Some("no headers");
    }
    if !sent.iter().all(|(name, _)| is_name(name)) {
        return Some("header name is not a token");
    }
    let ends = |value: &[u8]| value.iter().any(|byte| b"\0\r\n".contains(byte));
    sent.iter().any(|(_, value)| ends(value)).then_some("header value has NUL, CR or LF")
}

fn owned((name, value): (&str, &[u8])) -> (String, Vec<u8>) {
    (name.to_owned(), value.to_vec())
}

/// The values of every header whose name is like this one, in the order of the names.
fn together(sent: &[(String, Vec<u8>)], name: &str) -> Vec<u8> {
    let spelled = sent.iter().any(|(other, _)| other.contains('_') && alike(other.as_bytes(), name.as_bytes()));
    let counts = |other: &str| if spelled { alike(other.as_bytes(), name.as_bytes()) } else { other == name };
    let values: Vec<&[u8]> = sent.iter().filter(|(other, _)| counts(other)).map(|(_, value)| &**value).collect();
    values.join(&b',')
}

impl SaidOfHttp {
    fn pairs(&self) -> Vec<(String, Vec<u8>)> {
        let mapped = self.mapped.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes()));
        mapped.chain(self.raw.iter().cloned()).collect()
    }

    /// By lower-case name, with the values of one name joined in order.
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut all: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (name, value) in self.pairs() {
            all.entry(name.to_ascii_lowercase()).or_default().push(value);
        }
        all.into_iter().map(|(name, values)| (name, values.join(&b','))).collect()
    }
}

// ── by types with only the fields that are read: they accept and refuse exactly what the reader does ──────────────────

/// Reads a message by these types.
pub(super) fn by_parts(message: &[u8]) -> Option<Said> {
    let attributes = Check::decode(message).ok()?.attributes.unwrap_or_default();
    let extensions = last(attributes.context_extensions);
    let source = attributes.source.unwrap_or_default();
    let address = match source.address.and_then(|address| address.place) {
        Some(Place::SocketAddress(address)) => address.address,
        _ => String::new(),
    };
    Some(Said {
        extension: extensions.get("service").cloned(),
        source: source.principal,
        address,
        destination: attributes.destination.unwrap_or_default().principal,
        http: attributes.request.and_then(|request| request.http).map(|http| SaidOfHttp {
            method: http.method,
            path: http.path,
            host: http.host,
            mapped: last(http.headers),
            raw: http.header_map.unwrap_or_default().headers.into_iter().map(one).collect(),
        }),
    })
}

fn last(entries: Vec<Entry>) -> BTreeMap<String, String> {
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

fn one(header: RawHeader) -> (String, Vec<u8>) {
    (header.key, if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value })
}

#[derive(Clone, PartialEq, Message)]
struct Check {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "2")]
    destination: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<Asked>,
    #[prost(message, repeated, tag = "10")]
    context_extensions: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
    #[prost(string, tag = "4")]
    principal: String,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(oneof = "Place", tags = "1, 2, 3")]
    place: Option<Place>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Place {
    #[prost(message, tag = "1")]
    SocketAddress(SocketAddress),
    #[prost(message, tag = "2")]
    Pipe(Nothing),
    #[prost(message, tag = "3")]
    Internal(Nothing),
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
}

#[derive(Clone, PartialEq, Message)]
struct Asked {
    #[prost(message, optional, tag = "2")]
    http: Option<Http>,
}

#[derive(Clone, PartialEq, Message)]
struct Http {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(message, repeated, tag = "3")]
    headers: Vec<Entry>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(message, optional, tag = "13")]
    header_map: Option<RawHeaders>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct RawHeaders {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<RawHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct RawHeader {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "vec", tag = "3")]
    raw_value: Vec<u8>,
}

// ── by Envoy's own types: they refuse more, namely what is wrong in a part that is skipped ────────────────────────────

/// Reads a message by Envoy's types.
pub(super) fn by_envoys_types(message: &[u8]) -> Option<Said> {
    let attributes = CheckRequest::decode(message).ok()?.attributes.unwrap_or_default();
    let source = attributes.source.unwrap_or_default();
    let address = match source.address.and_then(|address| address.address) {
        Some(address::Address::SocketAddress(address)) => address.address,
        _ => String::new(),
    };
    Some(Said {
        extension: attributes.context_extensions.get("service").cloned(),
        source: source.principal,
        address,
        destination: attributes.destination.unwrap_or_default().principal,
        http: attributes.request.and_then(|request| request.http).map(of_http),
    })
}

fn of_http(http: HttpRequest) -> SaidOfHttp {
    let raw = http.header_map.unwrap_or_default().headers.into_iter();
    SaidOfHttp {
        method: http.method,
        path: http.path,
        host: http.host,
        mapped: http.headers.into_iter().collect(),
        raw: raw
            .map(|one| (one.key, if one.raw_value.is_empty() { one.value.into() } else { one.raw_value }))
            .collect(),
    }
}
