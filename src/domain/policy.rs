//! The rules in force: what the configuration says, typed, without anything that only wiring needs.

use std::sync::Arc;
use std::time::Duration;

use super::binding::{Binding, Permission, Role};
use super::issuer::IssuerRules;
use super::revocation::{Shape, Target};
use super::source::{Retired, SourceRules, WhenStale};
use super::time::Timestamp;

/// Whether a denial is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It is.
    Enforce,
    /// Every check is allowed; what it would have been is counted and recorded.
    Observe,
}

/// Whether roles are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// They are.
    Roles,
    /// Only identity and revocation are judged; the mesh keeps its own authorization.
    None,
}

/// What becomes of a request that is not ours to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It goes on.
    Pass,
    /// It is denied.
    Deny,
}

/// What becomes of somebody whom nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They go on.
    Allow,
    /// They are denied.
    Deny,
}

/// One service, with what it inherits filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name; `default` for the one at index 0.
    pub name: Arc<str>,
    /// Host patterns, lower case: exact, or `*.` and a suffix that spans labels.
    pub hosts: Vec<String>,
    /// Principal patterns: exact, or with one `*` at the end of a segment.
    pub principals: Vec<String>,
    /// Whether denials are carried out here.
    pub enforcement: Enforcement,
    /// Whether roles are asked here.
    pub authorization: Authorization,
    /// Overrides the audiences of the issuers.
    pub audiences: Option<Arc<[String]>>,
    /// Overrides `max_staleness` of the sources.
    pub max_staleness: Option<Duration>,
    /// Overrides `when_stale` of the sources.
    pub when_stale: Option<WhenStale>,
    /// Nothing was shown.
    pub no_credentials: NotOurs,
    /// Something of an issuer or scheme that is not configured was shown.
    pub foreign_credentials: NotOurs,
    /// A CORS preflight.
    pub preflight: NotOurs,
}

impl Service {
    /// The keys under which it lets through what is not ours, and really does so: it enforces. A preflight is none of
    /// them, as it carries no credentials anywhere.
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
    /// What it is about.
    pub target: Target,
    /// Block or cut-off.
    pub shape: Shape,
    /// Why.
    pub reason: String,
    /// It denies from this time on, if not at once.
    pub effective: Option<Timestamp>,
    /// Where it stands: `file:line`.
    pub place: String,
}

/// What a response header holds.
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

/// What the answer to the proxy carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseRules {
    /// Header name, lower case, and what it holds.
    pub headers: Vec<(String, HeaderValue)>,
    /// Request headers that the upstream must not see, lower case.
    pub remove_headers: Vec<String>,
    /// Whether the body of a denial names its reason.
    pub reveal_reason: bool,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// SHA-256 of the configuration that said so, lower-case hex.
    pub hash: Arc<str>,
    /// The header that bears tokens, lower case.
    pub bearer_header: String,
    /// Longer tokens are refused unread, in bytes.
    pub bearer_largest: usize,
    /// Services; the first is `default`, which has no patterns.
    pub services: Vec<Service>,
    /// Who signs tokens.
    pub issuers: Vec<Arc<IssuerRules>>,
    /// Where people come from.
    pub sources: Vec<SourceRules>,
    /// Sources that the log knows and the configuration no longer does: for denial only.
    pub retired: Vec<Retired>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Who holds them.
    pub bindings: Vec<Binding>,
    /// What needs no credential.
    pub public: Vec<Permission>,
    /// A person whom no listing source of the issuer knows.
    pub unknown_people: Unknown,
    /// A machine's own token.
    pub unknown_clients: Unknown,
    /// `revocations:`; `None` where the key is absent, which keeps all that stood.
    pub revocations: Option<Vec<ConfiguredRevocation>>,
    /// What answers carry.
    pub response: ResponseRules,
    /// The longest that break glass may last.
    pub exemptions_max: Duration,
}

impl Policy {
    /// Index of the default service.
    pub const DEFAULT_SERVICE: u16 = 0;

    /// Name of a role; empty for an index of another policy.
    #[must_use]
    pub fn role_name(&self, role: u16) -> &str {
        self.roles.get(usize::from(role)).map_or("", |role| &role.name)
    }

    /// Name of a source; empty for an index of another policy.
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

    /// A target with its issuer as `iss`, where it was given by its name in the configuration.
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
