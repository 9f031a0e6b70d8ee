//! What a proven token says, strictly typed (RFC 7519 section 4, RFC 9068 section 2.2).
//!
//! A claim of the wrong type is never taken for an absent one (CVE-2026-25537): it is a flaw, and the token is
//! refused with `bad_claims`. What is well-typed is read all the same, because a flawed token of somebody who
//! has left is denied for that reason first (contract section 4).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::credential::{CredentialKind, Identity, LinkKeys, Party};
use crate::domain::issuer::{ClaimNames, IssuerRules, MachineRule, TokenType};
use crate::domain::key::{Key, KeyKind, Keyer, LinkKey, NameKey};
use crate::domain::name::Compare;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::domain::revocation::TargetKind;
use crate::domain::source::{Link, Retired};
use crate::domain::time::Timestamp;
use crate::jose::jws::Header;

mod kind;
mod typed;

use typed::{Claims, Round};

/// Actors of one token (contract section 3); more are a flaw.
const MAX_ACTORS: usize = 8;

/// Reads the claims of proven tokens.
pub(super) struct Reader<'a> {
    pub(super) policy: &'a Policy,
    pub(super) keyer: &'a Keyer,
}

/// Whose words are being read: an issuer by its `iss`, and its rules if it is configured.
#[derive(Clone, Copy)]
struct Speaker<'a> {
    issuer: &'a str,
    /// Index in the policy; `None` for an actor's issuer that is not configured.
    index: Option<u16>,
    names: &'a ClaimNames,
}

impl Reader<'_> {
    /// The identity behind a token of the issuer at `index`, whose signature holds.
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
        let speaker = Speaker { issuer: &rules.issuer, index: Some(index), names: &rules.claims };
        let subject = claims.text("sub");
        let client = client(&claims, &rules.claims);
        let expires = claims.date("exp", Round::Down);
        claims.expect(subject.is_some() && expires.is_some());
        claims.expect(is_accepted(&rules.token_types, header.typ.as_deref()));
        claims.expect(kind::is_access_token(&claims));
        let identity = Identity {
            kind: CredentialKind::Bearer,
            digest,
            issuer_index: index,
            issuer: std::sync::Arc::clone(&rules.issuer),
            subject: subject.map(str::to_owned),
            session: claims.text(&rules.claims.session).map(str::to_owned),
            token_id: claims.text("jti").map(str::to_owned),
            client: client.map(str::to_owned),
            client_key: client.map(|client| self.keyer.key(KeyKind::Client, &[&rules.issuer, client])),
            audiences: claims.texts("aud").into_iter().map(str::to_owned).collect(),
            required_audiences: rules.audiences.clone(),
            issued: claims.date("iat", Round::Down),
            not_before: claims.date("nbf", Round::Up),
            expires,
            leeway: rules.leeway,
            machine: is_machine(&claims, rules, client),
            groups: self.groups(&claims, rules),
            flaw: None,
            owner: self.party(&claims, speaker),
            actors: self.actors(&claims, speaker),
        };
        let flaw = claims.is_flawed().then_some(Reason::BadClaims);
        Identity { flaw, ..identity }
    }

    fn groups(&self, claims: &Claims<'_>, rules: &IssuerRules) -> Vec<Key> {
        let named = claims.texts(&rules.claims.groups);
        let mut keys: Vec<Key> =
            named.into_iter().map(|group| self.keyer.key(KeyKind::Group, &[&rules.name, group])).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Everything under which whoever these claims describe may be revoked.
    fn party(&self, claims: &Claims<'_>, speaker: Speaker<'_>) -> Party {
        let (issuer, names) = (speaker.issuer, speaker.names);
        let mut look_ups = vec![(TargetKind::Issuer, self.keyer.key(KeyKind::Issuer, &[issuer]))];
        let mut names_of: Vec<NameKey> = Vec::new();
        if let Some(subject) = claims.text("sub") {
            look_ups.push((TargetKind::Subject, self.keyer.key(KeyKind::Subject, &[issuer, subject])));
            for name in [&format!("{issuer}|{subject}"), subject] {
                names_of.extend(NameKey::of(self.keyer, Compare::Exact, name));
            }
        }
        for (name, attribute) in [(&names.email, "email"), (&names.username, "username")] {
            let Some(value) = claims.name(name) else { continue };
            for rule in self.rules_of(attribute, speaker) {
                names_of.extend(NameKey::of(self.keyer, rule, value));
            }
        }
        if let Some(session) = claims.text(&names.session) {
            look_ups.push((TargetKind::Session, self.keyer.key(KeyKind::Session, &[issuer, session])));
        }
        if let Some(token) = claims.text("jti") {
            look_ups.push((TargetKind::Token, self.keyer.key(KeyKind::Token, &[issuer, token])));
        }
        // Both, where they differ: what was revoked under either name is revoked.
        for client in [names.client.as_str(), "client_id"].iter().filter_map(|name| claims.text(name)) {
            look_ups.push((TargetKind::Client, self.keyer.key(KeyKind::Client, &[issuer, client])));
        }
        let links = self.links(claims, speaker, &mut names_of);
        look_ups.sort_unstable();
        look_ups.dedup();
        names_of.sort_unstable();
        names_of.dedup();
        Party { look_ups, names: names_of, links, retired: self.retired_links(claims, issuer) }
    }

    /// The rules by which the sources of the speaker compare an attribute that every person has a place for.
    fn rules_of(&self, attribute: &str, speaker: Speaker<'_>) -> BTreeSet<Compare> {
        let sources = self.policy.sources.iter().filter(|source| Some(source.issuer) == speaker.index);
        let mut rules: BTreeSet<Compare> = sources.map(|source| source.directory.compares(attribute)).collect();
        if rules.is_empty() {
            rules.insert(Compare::IgnoreCase);
        }
        rules
    }

    /// For each source of the speaker: the first claim of `link` that is present, and no other.
    ///
    /// Its value is an identifier of the person at the provider, so it is also added to `names`.
    fn links(&self, claims: &Claims<'_>, speaker: Speaker<'_>, names: &mut Vec<NameKey>) -> Vec<LinkKeys> {
        let Some(index) = speaker.index else { return Vec::new() };
        let Some(rules) = self.policy.issuers.get(usize::from(index)) else { return Vec::new() };
        let mut links = Vec::new();
        for (source, number) in self.policy.sources.iter().zip(0_u16..) {
            if source.issuer != index {
                continue;
            }
            let Some(linked) = linked(claims, &source.link) else { continue };
            let rule = source.directory.compares(&linked.link.attribute);
            names.extend(NameKey::of(self.keyer, rule, linked.value));
            links.push(self.link_keys(number, (&source.name, &rules.issuer), (rule, linked)));
        }
        links
    }

    /// The same for the sources that the issuer had before.
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
    fn actors(&self, claims: &Claims<'_>, owner: Speaker<'_>) -> Vec<Party> {
        let mut actors = Vec::new();
        let mut next = claims.inner("act");
        while let Some(actor) = next {
            if actors.len() == MAX_ACTORS {
                claims.expect(false);
                break;
            }
            let speaker = match actor.text("iss") {
                None => owner,
                Some(issuer) => self.speaker(issuer, owner),
            };
            let party = self.party(&actor, speaker);
            // Whoever is named by nothing can never be revoked: absent is not empty (law 3).
            claims.expect(party.look_ups.iter().any(|(kind, _)| *kind != TargetKind::Issuer));
            actors.push(party);
            next = actor.inner("act");
            claims.expect(!actor.is_flawed());
        }
        actors
    }

    /// Who an actor's own `iss` is; claim names are the owner's where it is not configured.
    fn speaker<'s>(&'s self, issuer: &'s str, owner: Speaker<'s>) -> Speaker<'s> {
        let known = self.policy.issuers.iter().zip(0_u16..).find(|(rules, _)| &*rules.issuer == issuer);
        match known {
            Some((rules, index)) => Speaker { issuer, index: Some(index), names: &rules.claims },
            None => Speaker { issuer, index: None, names: owner.names },
        }
    }
}

/// The link that decides, and what its claim says.
#[derive(Clone, Copy)]
struct Linked<'a> {
    number: u16,
    link: &'a Link,
    value: &'a str,
}

/// The first claim of `link` that is there, with its value.
///
/// There, not well-typed: a claim that is there and cannot be read decides too, against it.
fn linked<'c>(claims: &'c Claims<'_>, links: &'c [Link]) -> Option<Linked<'c>> {
    let (link, number) = links.iter().zip(0_u16..).find(|(link, _)| claims.has(&link.claim))?;
    Some(Linked { number, link, value: claims.text(&link.claim)? })
}

/// An identity of which nothing can be said; it is refused.
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
        required_audiences: None,
        issued: None,
        not_before: None,
        expires: Some(Timestamp::MIN),
        leeway: std::time::Duration::ZERO,
        machine: false,
        groups: Vec::new(),
        flaw: Some(Reason::BadClaims),
        owner: Party::default(),
        actors: Vec::new(),
    }
}

/// The configured client claim; `client_id` where that is absent.
fn client<'a>(claims: &Claims<'a>, names: &ClaimNames) -> Option<&'a str> {
    if claims.has(&names.client) { claims.text(&names.client) } else { claims.text("client_id") }
}

/// Whether the issuer's rule says that this token is a client's own.
fn is_machine(claims: &Claims<'_>, rules: &IssuerRules, client: Option<&str>) -> bool {
    match &rules.machines {
        MachineRule::ClientIsSubject => client.is_some() && client == claims.text("sub"),
        MachineRule::UsernamePrefix(prefix) => {
            claims.name(&rules.claims.username).is_some_and(|name| name.starts_with(prefix.as_str()))
        }
        MachineRule::Claim { claim, equals } => claims.peek(claim) == Some(equals),
    }
}

/// Whether `typ` is one that this issuer's access tokens may have. Media types ignore case (RFC 2045), and
/// `application/` may be left out (RFC 7515 section 4.1.9).
fn is_accepted(types: &[TokenType], typ: Option<&str>) -> bool {
    let Some(typ) = typ else { return types.contains(&TokenType::Absent) };
    let lower = typ.to_ascii_lowercase();
    match lower.strip_prefix("application/").unwrap_or(&lower) {
        "at+jwt" => types.contains(&TokenType::AtJwt),
        "jwt" => types.contains(&TokenType::Jwt),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
