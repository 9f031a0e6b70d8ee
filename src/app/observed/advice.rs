//! What to add to the configuration if something that would be refused is meant to pass.
//!
//! Nothing is advised on the word of a token that was not verified, and nothing against a revocation.

use super::{Group, Shows};
use crate::decide::roles_that_permit;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::request::Request;
use crate::state::State;

/// What to add, in words and lines of the configuration.
#[must_use]
pub fn of(state: &State, group: &Group) -> String {
    let advice = Advice { state, policy: &state.rules.policy, group };
    match &group.shows {
        Shows::Claimed(_) | Shows::Unreadable if !is_temporary(group.reason) => {
            "nothing: what it says of itself is not proven".to_owned()
        }
        Shows::Several => "nothing for all of them: there are too many kinds to tell apart".to_owned(),
        _ => advice.by_reason(),
    }
}

/// Whether it passes by itself.
fn is_temporary(reason: Reason) -> bool {
    matches!(reason, Reason::NotReady | Reason::SchemeUnavailable | Reason::Internal)
}

struct Advice<'a> {
    state: &'a State,
    policy: &'a Policy,
    group: &'a Group,
}

impl Advice<'_> {
    fn by_reason(&self) -> String {
        match self.group.reason {
            Reason::WrongAudience => self.audience(),
            Reason::NoPermission => self.permission(),
            Reason::NoCredentials => self.without_credentials(),
            Reason::UnknownPerson => self.unknown(),
            Reason::BadClaims => {
                let issuer = self.issuer();
                format!(
                    "nothing if the token is wrong; else what `token_types`, `id_tokens` and `claims` of {issuer} say"
                )
            }
            Reason::Expired | Reason::NotYetValid => {
                format!("nothing: the caller needs a new token; for clocks that differ, `leeway` of {}", self.issuer())
            }
            Reason::IssuedBeforeCutoff => "nothing: the caller has to sign in again".to_owned(),
            Reason::StaleSource => format!("{}, or a source that answers", self.setting("when_stale: allow")),
            Reason::MixedIdentities => {
                "nothing: in their source, these people must not share what `link` goes by".to_owned()
            }
            Reason::AmbiguousPath => {
                "a permission without `paths`, or paths that cannot be read in two ways".to_owned()
            }
            Reason::MalformedRequest => "nothing: the request is malformed".to_owned(),
            reason if is_temporary(reason) => "nothing: `offboard status` says what is missing".to_owned(),
            reason if reason <= Reason::RevokedToken => "nothing: it is revoked".to_owned(),
            _ => "nothing: the credential is not valid".to_owned(),
        }
    }

    /// The issuer of a verified credential, by its name in the configuration.
    fn issuer_name(&self) -> &str {
        let Shows::Verified { issuer, .. } = &self.group.shows else { return "" };
        self.policy.issuers.iter().find(|rules| rules.issuer == *issuer).map_or("", |rules| &rules.name)
    }

    fn issuer(&self) -> String {
        format!("issuer `{}`", self.issuer_name())
    }

    /// A setting, and where it belongs.
    fn setting(&self, setting: &str) -> String {
        match self.group.service.as_ref() {
            DEFAULT => format!("`{setting}` at the top level"),
            service => format!("`{setting}` in service `{service}`"),
        }
    }

    /// A permission that fits what was refused.
    fn fitting(&self) -> String {
        let (service, example) = (&self.group.service, &self.group.example);
        let services = (**service != *DEFAULT).then(|| format!("services: [{service}]"));
        let methods = (!example.method.is_empty()).then(|| format!("methods: [{}]", example.method));
        let paths = self.group.segment.as_deref().filter(|segment| segment.len() > 1);
        let paths = paths.map(|segment| match example.path == segment {
            true => format!("paths: [\"{segment}\"]"),
            false => format!("paths: [\"{segment}/**\"]"),
        });
        let parts: Vec<String> = [services, methods, paths].into_iter().flatten().collect();
        format!("{{ {} }}", parts.join(", "))
    }

    fn audience(&self) -> String {
        let Shows::Verified { audiences, .. } = &self.group.shows else { return String::new() };
        if audiences.is_empty() {
            return "nothing: the provider has to issue tokens with an audience".to_owned();
        }
        let control = self.policy.control_audiences.as_deref().unwrap_or_default();
        if audiences.iter().any(|audience| control.contains(audience)) {
            return "nothing: these are tokens of operators, for `control` alone".to_owned();
        }
        let service = self.policy.services.iter().find(|service| service.name == self.group.service);
        let owner = match service.filter(|service| service.audiences.is_some()) {
            Some(service) => format!("service `{}`", service.name),
            None => self.issuer(),
        };
        let named: Vec<String> = audiences.iter().map(|audience| format!("`{audience}`")).collect();
        format!("one of {} to `audiences` of {owner}", named.join(", "))
    }

    fn permission(&self) -> String {
        if let Some(route) = &self.group.route {
            return format!("`services: [{{ name: {route} }}]`: the route names it");
        }
        let example = &self.group.example;
        let request = Request::synthetic(&example.method, &example.host, &example.path, []);
        let service = self.policy.services.iter().zip(0_u16..).find(|(service, _)| service.name == self.group.service);
        let roles = service.map(|(_, index)| roles_that_permit(self.state, &request, index)).unwrap_or_default();
        let holder = match &self.group.shows {
            Shows::Verified { client: Some(client), machine: true, .. } => format!("clients: [{client}]"),
            _ => "groups: […]".to_owned(),
        };
        let issuer = self.issuer_name();
        match roles.first() {
            Some(role) => format!("`bindings: [{{ role: {role}, issuer: {issuer}, {holder} }}]`"),
            None => format!(
                "a role with `permissions: [{}]`, and `bindings: [{{ role: …, issuer: {issuer}, {holder} }}]`",
                self.fitting()
            ),
        }
    }

    fn without_credentials(&self) -> String {
        match self.group.shows {
            Shows::Other => {
                format!("{}, if what it shows is not for Offboard to judge", self.setting("foreign_credentials: pass"))
            }
            _ => format!("`public: [{}]`, or {}", self.fitting(), self.setting("no_credentials: pass")),
        }
    }

    fn unknown(&self) -> String {
        let issuer = self.issuer_name();
        match &self.group.shows {
            Shows::Verified { client: Some(client), machine: true, .. } => format!(
                "`bindings: [{{ role: …, issuer: {issuer}, clients: [{client}] }}]`, or `clients: {{ unknown: allow }}`"
            ),
            Shows::Verified { client: Some(client), .. } => format!(
                "these people to a source of issuer `{issuer}`, or `people: {{ unknown: allow }}`; if client `{client}` is a \
                 machine, `machines` of issuer `{issuer}`"
            ),
            _ => format!("these people to a source of issuer `{issuer}`, or `people: {{ unknown: allow }}`"),
        }
    }
}

/// The service of what no other service claims; its settings stand at the top level.
const DEFAULT: &str = "default";
