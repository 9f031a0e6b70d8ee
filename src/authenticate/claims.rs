//! The claims of a verified token, strictly typed (RFC 7519 section 4, RFC 9068 section 2.2).
//!
//! A compared claim of the wrong type never counts as absent (CVE-2026-25537). It is a flaw, and the token is denied with
//! `bad_claims` and the name of the claim. The other claims are still read: if the owner has left, that reason comes first
//! (contract section 4).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::claim::ClaimName;
use crate::domain::credential::{CredentialKind, Identity, LinkKeys, Principal};
use crate::domain::detail::Detail;
use crate::domain::issuer::{ClaimNames, IssuerRules};
use crate::domain::key::{Key, KeyKind, Keyer, LinkKey, NameKey};
use crate::domain::name::Compare;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::domain::revocation::TargetKind;
use crate::domain::source::{Link, Retired};
use crate::domain::time::Timestamp;
use crate::faults::{Fault, planted};
use crate::jose::jws::Header;

mod kind;
mod machine;
mod typed;

use typed::{Claims, Round};

/// The most actors of one token (contract section 3); more are a flaw.
const MAX_ACTORS: usize = 8;

/// Reads the claims of verified tokens.
pub(super) struct Reader<'a> {
    pub(super) policy: &'a Policy,
    pub(super) keyer: &'a Keyer,
}

/// The issuer of the claims being read: its `iss`, and its rules if it is configured.
#[derive(Clone, Copy)]
struct ClaimsIssuer<'a> {
    issuer: &'a str,
    /// Index in the policy; `None` for an actor's issuer that is not configured.
    index: Option<u16>,
    names: &'a ClaimNames,
}

impl Reader<'_> {
    /// The identity in a token of the issuer at `index`, whose signature is valid.
    pub(super) fn identity(
        &self,
        index: u16,
        header: &Header,
        members: &Map<String, Value>,
        digest: [u8; 32],
    ) -> Identity {
        let claims = Claims::new(members);
        let Some(rules) = self.policy.issuers.get(usize::from(index)) else {
            return flawed(index, digest);
        };
        let names = &rules.claims;
        let issuing = ClaimsIssuer { issuer: &rules.issuer, index: Some(index), names };
        kind::expect_access_token(&claims, rules, header.typ.as_deref());
        let subject = claims.text("sub");
        let client = machine::client(&claims, names);
        let expires = claims.date("exp", Round::Down);
        if expires.is_none() {
            claims.refuse_claim("exp", "is missing");
        }
        // Absent, not of another type, which is a flaw already.
        let is_unnamed = !claims.has_value("sub");
        if is_unnamed {
            machine::expect_own(&claims, names, client.as_deref(), self.linking(index));
        }
        let identity = Identity {
            kind: CredentialKind::Bearer,
            digest,
            issuer_index: index,
            issuer: std::sync::Arc::clone(&rules.issuer),
            subject: subject.map(str::to_owned),
            session: claims.id(&names.session).map(Into::into),
            token_id: machine::token_id(&claims, names).map(Into::into),
            client_key: client.as_ref().map(|client| self.keyer.key(KeyKind::Client, &[&rules.issuer, client])),
            audiences: audiences(&claims, names),
            key_id: header.kid.clone(),
            beside_audiences: beside_audiences(&claims, names),
            required_audiences: rules.audiences.clone(),
            // `null` counts as absent: then every cut-off applies.
            issued: claims.has_value("iat").then(|| claims.date("iat", Round::Down)).flatten(),
            not_before: claims.date("nbf", Round::Up),
            expires,
            leeway: rules.leeway,
            machine: is_unnamed || machine::is_by_rule(&claims, rules, client.as_deref()),
            client: client.map(Into::into),
            groups: self.groups(&claims, rules),
            flaw: None,
            detail: None,
            owner: self.principal(&claims, issuing),
            actors: self.actors(&claims, issuing),
        };
        let detail = claims.flaw().cloned().map(std::sync::Arc::new);
        Identity { flaw: detail.as_ref().map(|_| Reason::BadClaims), detail, ..identity }
    }

    /// Every claim that links to people of an issuer, in current and retired sources.
    fn linking(&self, index: u16) -> impl Iterator<Item = ClaimName> {
        let issuer = self.policy.issuers.get(usize::from(index)).map(|rules| &*rules.issuer);
        let sources = self.policy.sources.iter().filter(move |source| source.issuer == index);
        let retired = self.policy.retired.iter().filter(move |retired| Some(&*retired.linking.issuer) == issuer);
        let links = sources.flat_map(|source| &source.link).chain(retired.flat_map(|retired| &retired.linking.link));
        links.map(|link| ClaimName::from(link.claim.as_str()))
    }

    fn groups(&self, claims: &Claims<'_>, rules: &IssuerRules) -> Vec<Key> {
        let named = claims.names(&rules.claims.groups);
        let mut keys: Vec<Key> =
            named.into_iter().map(|group| self.keyer.key(KeyKind::Group, &[&rules.name, group])).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The principal that these claims describe, with everything under which it may be revoked.
    fn principal(&self, claims: &Claims<'_>, issuing: ClaimsIssuer<'_>) -> Principal {
        let (issuer, names) = (issuing.issuer, issuing.names);
        let mut look_ups = vec![(TargetKind::Issuer, self.keyer.key(KeyKind::Issuer, &[issuer]))];
        let mut names_of: Vec<NameKey> = Vec::new();
        if let Some(subject) = claims.text("sub") {
            look_ups.push((TargetKind::Subject, self.keyer.key(KeyKind::Subject, &[issuer, subject])));
            names_of.extend([&format!("{issuer}|{subject}"), subject].map(|name| NameKey::id(self.keyer, name)));
        }
        for (name, attribute) in [(&names.email, "email"), (&names.username, "username")] {
            let Some(value) = claims.text(name) else { continue };
            for rule in self.rules_of(attribute, issuing) {
                names_of.extend(NameKey::of(self.keyer, rule, value));
            }
        }
        if let Some(session) = claims.id(&names.session) {
            look_ups.push((TargetKind::Session, self.keyer.key(KeyKind::Session, &[issuer, &session])));
        }
        // All of them, even if they differ: what is revoked under any name is revoked.
        for token in machine::token_ids(claims, names) {
            look_ups.push((TargetKind::Token, self.keyer.key(KeyKind::Token, &[issuer, &token])));
        }
        for client in machine::clients(claims, names) {
            look_ups.push((TargetKind::Client, self.keyer.key(KeyKind::Client, &[issuer, &client])));
        }
        let links = self.links(claims, issuing, &mut names_of);
        look_ups.sort_unstable();
        look_ups.dedup();
        names_of.sort_unstable();
        names_of.dedup();
        Principal { look_ups, names: names_of, links, retired: self.retired_links(claims, issuer) }
    }

    /// The rules by which the sources of the issuer compare an attribute that every person may have.
    fn rules_of(&self, attribute: &str, issuing: ClaimsIssuer<'_>) -> BTreeSet<Compare> {
        let sources = self.policy.sources.iter().filter(|source| Some(source.issuer) == issuing.index);
        let mut rules: BTreeSet<Compare> = sources.map(|source| source.directory.compares(attribute)).collect();
        if rules.is_empty() {
            rules.insert(Compare::IgnoreCase);
        }
        rules
    }

    /// For each source of the issuer, the first claim of `link` that is present, and no other.
    ///
    /// Its value identifies the person at the provider, so it is also added to `names`.
    fn links(&self, claims: &Claims<'_>, issuing: ClaimsIssuer<'_>, names: &mut Vec<NameKey>) -> Vec<LinkKeys> {
        let Some(index) = issuing.index else { return Vec::new() };
        let Some(rules) = self.policy.issuers.get(usize::from(index)) else { return Vec::new() };
        let mut links = Vec::new();
        for (source, number) in self.policy.sources.iter().zip(0_u16..) {
            if source.issuer != index {
                continue;
            }
            let Some(linked) = linked(claims, &source.link) else { continue };
            let rule = source.directory.compares(&linked.link.attribute);
            match linked.link.attribute.as_str() {
                "id" => names.push(NameKey::id(self.keyer, linked.value)),
                _ => names.extend(NameKey::of(self.keyer, rule, linked.value)),
            }
            links.push(self.link_keys(number, (&source.name, &rules.issuer), (rule, linked)));
        }
        links
    }

    /// The same for retired sources of the issuer.
    fn retired_links(&self, claims: &Claims<'_>, issuer: &str) -> Vec<LinkKeys> {
        let of_issuer = |(retired, _): &(&Retired, u16)| retired.linking.issuer == issuer;
        let retired = self.policy.retired.iter().zip(0_u16..).filter(of_issuer);
        let keys = |(retired, number): (&Retired, u16)| {
            let linked = linked(claims, &retired.linking.link)?;
            let rule = retired.linking.directory.map_or(Compare::Exact, |by| by.compares(&linked.link.attribute));
            Some(self.link_keys(number, (&retired.name, issuer), (rule, linked)))
        };
        retired.filter_map(keys).collect()
    }

    fn link_keys(
        &self,
        number: u16,
        (source, issuer): (&str, &str),
        (rule, linked): (Compare, Linked<'_>),
    ) -> LinkKeys {
        let Linked { number: place, link, value } = linked;
        let claim = |value: &str| self.keyer.key(KeyKind::LinkClaim, &[issuer, &link.claim, value]);
        LinkKeys {
            source: number,
            person: LinkKey::of(self.keyer, source, &link.attribute, (rule, value)),
            claim: [claim(&rule.fold(value).text), claim(value)],
            link: place,
            value: value.into(),
        }
    }

    /// The chain of `act` (RFC 8693 section 4.1), nearest first.
    fn actors(&self, claims: &Claims<'_>, owner: ClaimsIssuer<'_>) -> Vec<Principal> {
        let mut actors = Vec::new();
        let mut next = claims.actor(1);
        while let Some(actor) = next {
            if actors.len() == MAX_ACTORS {
                claims.refuse(Detail::new(format!("claim `act` names more than {MAX_ACTORS} actors")));
                break;
            }
            let issuing = match actor.text("iss") {
                None => owner,
                Some(issuer) => self.issuer_of_actor(issuer, owner),
            };
            let principal = self.principal(&actor, issuing);
            claims.refuse_with(&actor);
            // An actor without any name could never be revoked: absent is not empty (law 3).
            if principal.names.is_empty() && principal.look_ups.iter().all(|(kind, _)| *kind == TargetKind::Issuer) {
                claims.refuse(Detail::new(format!("claim `act`: actor {} has no name", actors.len() + 1)));
            }
            actors.push(principal);
            next = actor.actor(actors.len() + 1);
            claims.refuse_with(&actor);
        }
        actors
    }

    /// The issuer of an actor with its own `iss`. If it is not configured, the claim names of the owner's issuer apply.
    fn issuer_of_actor<'s>(&'s self, issuer: &'s str, owner: ClaimsIssuer<'s>) -> ClaimsIssuer<'s> {
        let known = self.policy.issuers.iter().zip(0_u16..).find(|(rules, _)| &*rules.issuer == issuer);
        match known {
            Some((rules, index)) => ClaimsIssuer { issuer, index: Some(index), names: &rules.claims },
            None => ClaimsIssuer { issuer, index: None, names: owner.names },
        }
    }
}

/// The link that decides, and the value of its claim.
#[derive(Clone, Copy)]
struct Linked<'a> {
    number: u16,
    link: &'a Link,
    value: &'a str,
}

/// The first claim of `link` that is present, with its value.
///
/// Present is enough: a claim that is empty or cannot be read also decides, and then there is no link.
fn linked<'c>(claims: &'c Claims<'_>, links: &'c [Link]) -> Option<Linked<'c>> {
    let mut named =
        links.iter().zip(0_u16..).map(|(link, number)| (link, number, ClaimName::from(link.claim.as_str())));
    let (link, number, name) = named.find(|(_, _, name)| match planted(Fault::EmptyLinkFallsThrough) {
        true => claims.has_value(name),
        false => claims.has(name),
    })?;
    Some(Linked { number, link, value: claims.text(&name)? })
}

/// The identity of a token of no known issuer, which is always denied.
fn flawed(index: u16, digest: [u8; 32]) -> Identity {
    Identity {
        kind: CredentialKind::Bearer,
        digest,
        issuer_index: index,
        issuer: std::sync::Arc::from(""),
        subject: None,
        session: None,
        token_id: None,
        client: None,
        client_key: None,
        audiences: Vec::new(),
        key_id: None,
        beside_audiences: None,
        required_audiences: None,
        issued: None,
        not_before: None,
        expires: Some(Timestamp::MIN),
        leeway: std::time::Duration::ZERO,
        machine: false,
        groups: Vec::new(),
        flaw: Some(Reason::BadClaims),
        detail: None,
        owner: Principal::default(),
        actors: Vec::new(),
    }
}

const AUD: &str = "aud";

/// The audiences of the token.
fn audiences(claims: &Claims<'_>, names: &ClaimNames) -> Vec<String> {
    match &names.audience {
        None => claims.texts(AUD).into_iter().map(str::to_owned).collect(),
        // Often a client id, which may be a number.
        Some(name) if claims.is_number(name) => claims.id(name).into_iter().map(Into::into).collect(),
        Some(name) => claims.texts(name).into_iter().map(str::to_owned).collect(),
    }
}

/// `aud`, if it is present beside another claim that is configured as the audience.
fn beside_audiences(claims: &Claims<'_>, names: &ClaimNames) -> Option<Vec<String>> {
    let other = names.audience.as_ref().filter(|name| name.as_str() != AUD && claims.has_value(AUD));
    other.map(|_| claims.texts(AUD).into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
