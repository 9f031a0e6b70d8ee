//! What Envoy says of a request, made comparable. The only reader of Envoy's messages on the check path.
//!
//! Reading order: [`read`] (a message becomes a [`Request`]) → [`host`] → [`path`] → [`headers`].
//! Reading never fails and never panics: what is wrong stands in the result, and `decide` denies it.

pub mod headers;
pub mod path;
mod host;
mod message;
mod read;

pub use crate::domain::destination::Destination;
pub use headers::Headers;
pub use path::Path;

/// One request to be judged. Whatever is odd about it is said in it: reading never fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Where it goes.
    pub destination: Destination,
    /// HTTP method as sent; empty for a TCP connection.
    pub method: String,
    /// The path, in every form that a service behind may take it for.
    pub path: Path,
    /// Its headers.
    pub headers: Headers,
    /// HTTP request or TCP connection.
    pub transport: Transport,
    /// Principal of the peer's certificate, as the proxy verified it.
    pub peer: Option<String>,
    /// Why the request as a whole cannot be judged.
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
    /// That it shows no credential, which a preflight also must not, is for `decide` to see.
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        // No browser sends these in a preflight. Services that honor them take it for a GET that nobody judged.
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
