//! The rules in force: the typed configuration, without what only wiring needs.

mod control;

use std::sync::Arc;
use std::time::Duration;

use super::binding::{Binding, Permission, Role};
use super::issuer::IssuerRules;
use super::revocation::{Shape, Target};
use super::source::{Retired, SourceRules, WhenStale};
use super::time::Timestamp;

/// Whether denials are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Denials are enforced.
    Enforce,
    /// Every check is allowed; the decision is only counted and recorded.
    Observe,
}

impl Enforcement {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// Whether roles are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// A role must permit the request.
    Roles,
    /// Only identity and revocations are checked; authorization stays with the mesh.
    None,
}

/// What happens to a request without a credential of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It is let through.
    Pass,
    /// It is denied.
    Deny,
}

/// What happens to somebody unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are let through.
    Allow,
    /// They are denied.
    Deny,
}

/// One service, with inherited settings filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name; `default` for the one at index 0.
    pub name: Arc<str>,
    /// Host patterns, lower case: exact, or `*.` and a suffix that spans labels.
    pub hosts: Vec<String>,
    /// Principal patterns: exact, or with one `*` at the end of a segment.
    pub principals: Vec<String>,
    /// Whether denials are enforced here.
    pub enforcement: Enforcement,
    /// Whether roles are required here.
    pub authorization: Authorization,
    /// Overrides the audiences of the issuers.
    pub audiences: Option<Arc<[String]>>,
    /// Overrides `max_staleness` of the sources.
    pub max_staleness: Option<Duration>,
    /// Overrides `when_stale` of the sources.
    pub when_stale: Option<WhenStale>,
    /// For requests without credentials.
    pub no_credentials: NotOurs,
    /// For credentials of an issuer or scheme that is not configured.
    pub foreign_credentials: NotOurs,
    /// For CORS preflights.
    pub preflight: NotOurs,
}

impl Service {
    /// A service that lets nothing pass, chosen by nothing.
    #[must_use]
    pub fn strict(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            hosts: Vec::new(),
            principals: Vec::new(),
            enforcement: Enforcement::Enforce,
            authorization: Authorization::Roles,
            audiences: None,
            max_staleness: None,
            when_stale: None,
            no_credentials: NotOurs::Deny,
            foreign_credentials: NotOurs::Deny,
            preflight: NotOurs::Deny,
        }
    }

    /// The settings by which an enforcing service lets requests through without a credential of ours. `preflight` is not
    /// among them: preflights never carry credentials.
    #[must_use]
    pub fn passes(&self) -> Vec<&'static str> {
        let settings = [("no_credentials", self.no_credentials), ("foreign_credentials", self.foreign_credentials)];
        let passes = |(key, what)| (what == NotOurs::Pass && self.enforcement == Enforcement::Enforce).then_some(key);
        settings.into_iter().filter_map(passes).collect()
    }
}

/// One entry of `revocations:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredRevocation {
    /// What it revokes.
    pub target: Target,
    /// Block or cut-off.
    pub shape: Shape,
    /// Why.
    pub reason: String,
    /// When it takes effect, if not at once.
    pub effective: Option<Timestamp>,
    /// Where it is configured: `file:line`.
    pub place: String,
}

/// The value of a response header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the key of the same name in the dynamic metadata")]
pub enum HeaderValue {
    Person,
    Issuer,
    Subject,
    Session,
    TokenId,
    Client,
    Roles,
    Service,
    Epoch,
    DecisionId,
}

/// What the answer to the proxy contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseRules {
    /// Header names, in lower case, and their values.
    pub headers: Vec<(String, HeaderValue)>,
    /// Request headers to hide from the upstream, in lower case.
    pub remove_headers: Vec<String>,
    /// Whether the body of a denial contains the reason.
    pub reveal_reason: bool,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// SHA-256 of the configuration, in lower-case hex.
    pub hash: Arc<str>,
    /// The header with the token, in lower case.
    pub bearer_header: String,
    /// The longest token that is read, in bytes.
    pub bearer_largest: usize,
    /// Services.
    // INVARIANT: the first is `default`, which has no patterns.
    pub services: Vec<Service>,
    /// Token issuers.
    pub issuers: Vec<Arc<IssuerRules>>,
    /// The audiences of operators' tokens, in place of the issuers'; `None`: no token is accepted on `control`.
    pub control_audiences: Option<Arc<[String]>>,
    /// Sources of people.
    pub sources: Vec<SourceRules>,
    /// Sources that the log knows but the configuration no longer has: for denials only.
    pub retired: Vec<Retired>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Who holds which role.
    pub bindings: Vec<Binding>,
    /// What needs no credentials.
    pub public: Vec<Permission>,
    /// For a person unknown to every listing source of the issuer.
    pub unknown_people: Unknown,
    /// For a machine's own token that no binding names.
    pub unknown_clients: Unknown,
    /// `revocations:`; `None` if the key is absent, which keeps what was configured before.
    pub revocations: Option<Vec<ConfiguredRevocation>>,
    /// What answers contain.
    pub response: ResponseRules,
    /// The longest allowed exemption.
    pub exemptions_max: Duration,
}

impl Policy {
    /// The index of the default service.
    pub const DEFAULT_SERVICE: u16 = 0;

    /// The index of the service with this name.
    ///
    /// # Errors
    /// There is none; in words, with the names that there are.
    pub fn service_named(&self, name: &str) -> Result<usize, String> {
        let names: Vec<&str> = self.services.iter().map(|service| &*service.name).collect();
        let found = names.iter().position(|known| *known == name);
        found.ok_or_else(|| format!("unknown service `{name}`; configured are: {}", names.join(", ")))
    }

    /// The name of a role; empty for an index of another policy.
    #[must_use]
    pub fn role_name(&self, role: u16) -> &str {
        self.roles.get(usize::from(role)).map_or("", |role| &role.name)
    }

    /// The name of a source; empty for an index of another policy.
    #[must_use]
    pub fn source_name(&self, source: u16) -> &str {
        self.sources.get(usize::from(source)).map_or("", |source| &source.name)
    }

    /// Where a binding is configured, `file:line`; empty for an index of another policy.
    #[must_use]
    pub fn binding_place(&self, binding: u32) -> &str {
        let found = usize::try_from(binding).ok().and_then(|index| self.bindings.get(index));
        found.map_or("", |binding| &binding.place)
    }

    /// Where an entry of `revocations:` is configured, `file:line`; empty for an index of another policy.
    #[must_use]
    pub fn revocation_place(&self, entry: u32) -> &str {
        let entries = self.revocations.as_deref().unwrap_or_default();
        usize::try_from(entry).ok().and_then(|index| entries.get(index)).map_or("", |entry| &entry.place)
    }

    /// Which services enforce and which observe, in words: `enforce: payments; observe: default, orders`.
    #[must_use]
    pub fn enforcement(&self) -> String {
        let of = |enforcement: Enforcement| {
            let same = self.services.iter().filter(|service| service.enforcement == enforcement);
            let names: Vec<&str> = same.map(|service| &*service.name).collect();
            (!names.is_empty()).then(|| format!("{}: {}", enforcement.word(), names.join(", ")))
        };
        [Enforcement::Enforce, Enforcement::Observe].into_iter().filter_map(of).collect::<Vec<_>>().join("; ")
    }

    /// The target with its issuer as `iss`, also if it was given by the configured name.
    #[must_use]
    pub fn canonical(&self, target: &Target) -> Target {
        let mut target = target.clone();
        if let Target::Subject { issuer, .. }
        | Target::Session { issuer, .. }
        | Target::Token { issuer, .. }
        | Target::Client { issuer, .. }
        | Target::Issuer { issuer } = &mut target
            && let Some(rules) = self.issuers.iter().find(|rules| rules.name == *issuer)
        {
            *issuer = rules.issuer.to_string();
        }
        target
    }
}
