//! A request as Envoy describes it, made comparable. Nothing else on the check path reads Envoy's messages.
//!
//! Reading order: [`read`] (a message becomes a [`Request`]) → [`message`] → [`fields`] → [`host`] → [`path`] → [`headers`].
//! Reading never fails and never panics: what is wrong is part of the result, and `decide` denies it.

pub mod headers;
pub mod path;
mod fields;
mod host;
mod message;
mod read;

use std::borrow::Cow;
use std::net::IpAddr;

pub use crate::domain::destination::Destination;
pub use fields::NotACheckRequest;
pub use headers::Headers;
pub use path::Path;

/// One request to decide. It says itself what is wrong with it: reading never fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Where it goes.
    pub destination: Destination,
    /// HTTP method as sent; empty for a TCP connection.
    pub method: Cow<'static, str>,
    /// The path, in every form in which an upstream may read it.
    pub path: Path,
    /// Its headers.
    pub headers: Headers,
    /// HTTP request or TCP connection.
    pub transport: Transport,
    /// Principal of the peer's certificate, as the proxy verified it.
    pub peer: Option<String>,
    /// The address that it comes from, as the proxy sees it. For the audit trail only.
    pub address: Option<IpAddr>,
    /// Why the request as a whole is malformed, if it is.
    pub malformed: Option<&'static str>,
}

/// Kind of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// An HTTP request.
    #[default]
    Http,
    /// A TCP connection (network `ext_authz` filter): no method, path or header.
    Tcp,
}

impl Request {
    /// Whether it has the shape of a CORS preflight (Fetch standard, "CORS-preflight request").
    ///
    /// A preflight also must not carry credentials; `decide` checks that.
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        // No browser sends these in a preflight. A service that honors them would serve a GET that nobody checked.
        const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
        self.method == "OPTIONS"
            && OVERRIDES.iter().all(|name| self.headers.get(name).is_none())
            && self.headers.exact("origin").is_some()
            && self.headers.exact("access-control-request-method").is_some()
    }

    /// Whether the caller speaks gRPC, so that the body of a denial must be empty.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        const PREFIX: &[u8] = b"application/grpc";
        let kind = self.headers.exact("content-type").and_then(|kind| kind.get(..PREFIX.len()));
        kind.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }
}

#[cfg(test)]
mod tests;
