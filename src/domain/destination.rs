//! Where a request goes: what determines its service.

/// In order of trust (contract section 3): the route, the certificate of the destination, the word of the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The route's `context_extensions["service"]`.
    pub extension: Option<String>,
    /// The destination's own principal, which the caller cannot choose.
    pub principal: Option<String>,
    /// As claimed by the caller, in lower case, without port or trailing dot.
    pub host: Option<String>,
}

/// Which part of a [`Destination`] determined the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// None: the default service applies.
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
