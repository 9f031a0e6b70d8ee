//! What Envoy says of a request, made comparable. The only reader of Envoy's types on the check path.

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

/// What tells which service a request is for, in order of trust (contract section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The route's `context_extensions["service"]`.
    pub extension: Option<String>,
    /// The destination's own principal, which the caller cannot choose.
    pub principal: Option<String>,
    /// Lower case, without port and trailing dot: the caller's word.
    pub host: Option<String>,
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

/// A request's path, without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Its forms, without doubles, the raw one first.
    Forms(Vec<String>),
    /// No form of it can be trusted; why.
    Odd(&'static str),
}

impl Default for Path {
    fn default() -> Self {
        Self::Forms(Vec::new())
    }
}

/// Request headers by lower-case name; doubles joined by `,` in order, as Envoy does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Collects headers in any order and spelling.
    pub fn from_pairs<N: Into<String>, V: Into<Vec<u8>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into().to_ascii_lowercase(), value.into())).collect())
    }

    /// The value of the header of this lower-case name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_slice())
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
