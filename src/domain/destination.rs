//! What tells which service a request is for.

/// In order of trust (contract section 3): the route, the destination's certificate, the caller's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The route's `context_extensions["service"]`.
    pub extension: Option<String>,
    /// The destination's own principal, which the caller cannot choose.
    pub principal: Option<String>,
    /// Lower case, without port and trailing dot: the caller's word.
    pub host: Option<String>,
}

/// Which part of a [`Destination`] told the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// None: it is the default service.
    #[default]
    Nothing,
    /// The route, by the name of a configured service.
    Route,
    /// The route, by a name that is not configured.
    UnknownRoute,
    /// The destination's principal.
    Principal,
    /// The host.
    Host,
}
