//! What services that observe would have refused, for `offboard observed`: by service, reason, what the caller showed, and
//! the first segment of the path.
//!
//! In memory, and bounded: whoever sends the strangest requests fills the groups of one reason at one service, and no more.
//! An allow never comes here; a refusal of a kind that was seen before costs one look-up under a lock.

pub mod advice;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::audit::entry::Facts;
use crate::audit::record::DecisionId;
use crate::domain::claimed::Claimed;
use crate::domain::credential::{CredentialOutcome, Foreign, Verified};
use crate::domain::decision::Decision;
use crate::domain::destination::NamedBy;
use crate::domain::detail::escaped;
use crate::domain::method;
use crate::domain::policy::Enforcement;
use crate::domain::reason::Reason;
use crate::domain::time::Timestamp;
use crate::request::Request;

/// Groups of one reason at one service; what is not like any of them is counted together.
const EACH: usize = 100;
/// Groups of all, besides those that count the rest.
const ALL: usize = 2_000;
/// Different claims of tokens that were not verified (contract section 2); others are counted together.
const CLAIMS: usize = 50;
/// Audiences of a group that are kept.
const AUDIENCES: usize = 10;
/// An example is replaced after this time, so that its decision is likely to be remembered still.
const RECENT: Duration = Duration::from_secs(10);

/// What a refused caller showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Nothing.
    Nothing,
    /// Something that no configured scheme claims.
    Other,
    /// A credential that cannot be read.
    Unreadable,
    /// A verified credential.
    Verified {
        /// `iss`
        issuer: Arc<str>,
        /// Its audiences, the first few.
        audiences: Vec<String>,
        /// Its client.
        client: Option<String>,
        /// It is that client's own.
        machine: bool,
    },
    /// A token that was not verified, which claims this.
    Claimed(Arc<Claimed>),
    /// Different things: there was no room to tell them apart.
    Several,
}

/// One refused request of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its method.
    pub method: Cow<'static, str>,
    /// Its host, escaped.
    pub host: String,
    /// Its path without query, escaped.
    pub path: String,
    /// Id of the decision.
    pub id: DecisionId,
    /// When it was.
    pub at: Timestamp,
}

/// Requests that were refused alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The service.
    pub service: Arc<str>,
    /// The reason.
    pub reason: Reason,
    /// The reason in words; they quote only configured things.
    pub detail: Option<String>,
    /// The service that the route names, if that is not configured.
    pub route: Option<String>,
    /// What the callers showed.
    pub shows: Shows,
    /// The first segment of the path, escaped; `None`: different ones.
    pub segment: Option<String>,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// One of the last.
    pub example: Example,
}

/// Counts what would have been refused.
pub struct Observed {
    /// Since when.
    pub since: Timestamp,
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    groups: HashMap<u64, Group>,
    /// How many groups there are of each service and reason.
    many: HashMap<u64, usize>,
    claims: HashSet<u64>,
}

/// What a decision is about.
#[derive(Clone, Copy)]
enum About<'a> {
    Nothing,
    Other,
    Unreadable,
    Verified(&'a Verified),
    Claimed(&'a Arc<Claimed>),
    Several,
}

/// A refused request as it is grouped.
#[derive(Clone, Copy)]
struct Refused<'a> {
    decision: &'a Decision,
    about: About<'a>,
    route: Option<&'a str>,
    segment: Option<&'a str>,
}

impl Observed {
    /// Counts from this time on.
    #[must_use]
    pub fn since(since: Timestamp) -> Self {
        Self { since, hasher: RandomState::new(), seen: Mutex::default() }
    }

    /// Counts a decision that its service does not enforce.
    pub fn saw(&self, decision: &Decision, request: Option<&Request>, facts: &Facts<'_>) {
        if decision.enforcement != Enforcement::Observe || decision.reason.allows() {
            return;
        }
        let destination = request.map(|request| &request.destination);
        let route = destination.and_then(|destination| destination.extension.as_deref());
        let route = route.filter(|_| decision.steps.named_by == NamedBy::UnknownRoute);
        let path = facts.path.split('?').next().unwrap_or_default();
        let mut refused = Refused { decision, about: about(decision), route, segment: Some(segment(path)) };
        let host = destination.and_then(|destination| destination.host.as_deref()).unwrap_or_default();
        let example = || Example {
            method: method::shared(facts.method),
            host: escaped(host),
            path: escaped(path),
            id: facts.id,
            at: facts.time,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let About::Claimed(claimed) = refused.about
            && !seen.has_room_for_claim(self.hasher.hash_one(claimed_parts(claimed)))
        {
            refused.about = About::Several;
        }
        let mut key = self.key(&refused);
        if !seen.groups.contains_key(&key) && !seen.has_room(self.hasher.hash_one((&decision.service, decision.reason)))
        {
            (refused.about, refused.route, refused.segment) = (About::Several, None, None);
            key = self.key(&refused);
        }
        seen.groups.entry(key).and_modify(|group| group.again(facts.time, example)).or_insert_with(|| Group {
            service: Arc::clone(&decision.service),
            reason: decision.reason,
            detail: refused.detail().map(str::to_owned),
            route: refused.route.map(escaped),
            shows: refused.about.owned(),
            segment: refused.segment.map(escaped),
            count: 1,
            first: facts.time,
            last: facts.time,
            example: example(),
        });
    }

    /// The groups of a service, or of all, that were seen since then; the most frequent first.
    #[must_use]
    pub fn groups(&self, service: Option<&str>, since: Option<Timestamp>) -> Vec<Group> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |group: &&Group| {
            service.is_none_or(|service| *group.service == *service) && since.is_none_or(|since| group.last >= since)
        };
        let mut groups: Vec<Group> = seen.groups.values().filter(wanted).cloned().collect();
        drop(seen);
        groups.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.first.cmp(&other.first)));
        groups
    }

    fn key(&self, refused: &Refused<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (&refused.decision.service, refused.decision.reason, refused.detail()).hash(&mut hasher);
        (refused.route, refused.segment).hash(&mut hasher);
        match refused.about {
            About::Nothing => 0_u8.hash(&mut hasher),
            About::Other => 1_u8.hash(&mut hasher),
            About::Unreadable => 2_u8.hash(&mut hasher),
            About::Several => 3_u8.hash(&mut hasher),
            About::Verified(verified) => {
                (4_u8, &verified.issuer, &verified.audiences).hash(&mut hasher);
                (&verified.client, verified.machine).hash(&mut hasher);
            }
            About::Claimed(claimed) => (5_u8, claimed_parts(claimed)).hash(&mut hasher),
        }
        hasher.finish()
    }
}

impl Seen {
    fn has_room_for_claim(&mut self, claim: u64) -> bool {
        self.claims.contains(&claim) || (self.claims.len() < CLAIMS && self.claims.insert(claim))
    }

    /// Whether there is room for one more group of this service and reason; then it is taken.
    fn has_room(&mut self, of: u64) -> bool {
        let many = self.many.entry(of).or_default();
        let has_room = *many < EACH && self.groups.len() < ALL;
        *many += usize::from(has_room);
        has_room
    }
}

impl Group {
    fn again(&mut self, at: Timestamp, example: impl Fn() -> Example) {
        self.count = self.count.saturating_add(1);
        self.last = self.last.max(at);
        if at > self.example.at.plus(RECENT) {
            self.example = example();
        }
    }
}

impl<'a> Refused<'a> {
    /// The reason in words, where requests are told apart by it.
    fn detail(&self) -> Option<&'a str> {
        self.decision.detail.as_ref().filter(|_| !matches!(self.about, About::Several)).map(|detail| detail.words())
    }
}

impl About<'_> {
    fn owned(self) -> Shows {
        match self {
            Self::Nothing => Shows::Nothing,
            Self::Other => Shows::Other,
            Self::Unreadable => Shows::Unreadable,
            Self::Several => Shows::Several,
            Self::Verified(verified) => Shows::Verified {
                issuer: Arc::clone(&verified.issuer),
                audiences: verified.audiences.iter().take(AUDIENCES).map(|audience| escaped(audience)).collect(),
                client: verified.client.as_deref().map(escaped),
                machine: verified.machine,
            },
            Self::Claimed(claimed) => Shows::Claimed(Arc::clone(claimed)),
        }
    }
}

/// By what unverified tokens are told apart: not by their times.
fn claimed_parts(claimed: &Claimed) -> (Option<&str>, Option<&str>, &[Box<str>]) {
    (claimed.issuer.as_deref(), claimed.key_id.as_deref(), &claimed.audiences)
}

/// What a decision is about: the credential that was rejected for this reason, else the verified one.
fn about(decision: &Decision) -> About<'_> {
    let mut about = decision.verified().map_or(About::Nothing, |verified| About::Verified(verified));
    for step in decision.steps.credentials.iter() {
        match &step.outcome {
            CredentialOutcome::Rejected { reason, claimed, .. } if *reason == decision.reason => {
                return claimed.as_ref().map_or(About::Unreadable, About::Claimed);
            }
            CredentialOutcome::Foreign { what: Foreign::Jwt, claimed } if decision.reason == Reason::UnknownIssuer => {
                return claimed.as_ref().map_or(About::Unreadable, About::Claimed);
            }
            CredentialOutcome::Foreign { .. } if matches!(about, About::Nothing) => about = About::Other,
            _ => {}
        }
    }
    about
}

/// The first segment of a path: `/v1` of `/v1/orders`.
fn segment(path: &str) -> &str {
    let end = path.get(1..).and_then(|rest| rest.find('/'));
    end.and_then(|end| path.get(..=end)).unwrap_or(path)
}

#[cfg(test)]
mod tests;
