//! Is this credential revoked? Looked up live on every check (law 1).

use super::verdict::Verdict;
use crate::domain::credential::{Principal, Verified};
use crate::domain::decision::Determining;
use crate::domain::decision::steps::RevocationStep;
use crate::domain::id::ExemptionId;
use crate::domain::key::{Key, NameKey};
use crate::domain::name::Match;
use crate::domain::reason::Reason;
use crate::domain::revocation::TargetKind;
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};
use crate::state::State;
use crate::state::people::Known;
use crate::state::revocations::{Entry, EntryKind, OwnerKind};

/// The reason of a denial by a block on this kind of target.
fn reason(kind: TargetKind) -> Reason {
    match kind {
        TargetKind::Person => Reason::RevokedPerson,
        TargetKind::Subject => Reason::RevokedSubject,
        TargetKind::Client => Reason::RevokedClient,
        TargetKind::Issuer => Reason::RevokedIssuer,
        TargetKind::Key => Reason::RevokedKey,
        TargetKind::Certificate => Reason::RevokedCertificate,
        TargetKind::Session => Reason::RevokedSession,
        TargetKind::Token => Reason::RevokedToken,
    }
}

/// Checks the credential with this index: its owner, and every actor of its chain.
pub(super) fn check(state: &State, (index, credential): (usize, &Verified), now: Now, verdict: &mut Verdict) {
    for principal in std::iter::once(&credential.owner).chain(&credential.actors) {
        let exemption = exemption(state, principal, now);
        RevocationCheck { state, index, credential, now, exemption }.check(principal, verdict);
    }
}

/// The exemption in force for everybody whom a principal matches.
fn exemption(state: &State, principal: &Principal, now: Now) -> Option<ExemptionId> {
    if state.fold.exempted.is_empty() {
        return None;
    }
    let mut people = people(state, principal).peekable();
    people.peek()?;
    people.map(|known| of_person(state, known.key, now)).reduce(|one, other| one.and(other)).flatten()
}

/// The exemption in force for one person.
pub(super) fn of_person(state: &State, person: Key, now: Now) -> Option<ExemptionId> {
    state.fold.exempted.get(person).iter().find(|entry| now.steady < entry.expires).map(|entry| entry.id)
}

/// Every person whom a principal matches, for denials.
pub(super) fn people<'a>(state: &'a State, principal: &'a Principal) -> impl Iterator<Item = &'a Known> {
    principal.links.iter().flat_map(|link| state.fold.people.linked(&link.person)).map(|(known, _)| known)
}

/// Every person whom a principal matches strictly enough to be granted what is theirs.
pub(super) fn owners<'a>(state: &'a State, principal: &'a Principal) -> impl Iterator<Item = &'a Known> {
    let linked = principal.links.iter().flat_map(|link| state.fold.people.linked(&link.person));
    linked.filter(|(_, by)| *by == Match::Grants).map(|(known, _)| known)
}

/// The check of one principal.
struct RevocationCheck<'a> {
    state: &'a State,
    index: usize,
    credential: &'a Verified,
    now: Now,
    exemption: Option<ExemptionId>,
}

impl RevocationCheck<'_> {
    fn check(&self, principal: &Principal, verdict: &mut Verdict) {
        // All filters first, in a loop of nothing else, so that the processor waits for them together. Nearly always
        // they find nothing, and that is the whole look-up.
        let (fold, rules) = (&self.state.fold, &self.state.rules);
        let suspects = principal.look_ups.iter().filter(|(_, key)| fold.revocations.may_hold(*key)).count();
        let names = principal.names.iter().filter(|name| fold.revocations.may_hold(name.key)).count();
        if suspects + names > 0 || rules.configures_revocations() {
            principal.look_ups.iter().for_each(|(_, key)| self.look_up(*key, verdict));
            principal.names.iter().for_each(|name| self.look_up_name(name, verdict));
        }
        for link in principal.links.iter().chain(&principal.retired) {
            let [folded, as_is] = link.claim;
            self.look_up(folded, verdict);
            if as_is != folded {
                self.look_up(as_is, verdict);
            }
            for (known, _) in self.state.fold.people.linked(&link.person) {
                self.look_up(known.key, verdict);
                known.names.iter().for_each(|name| self.look_up_name(name, verdict));
            }
        }
    }

    fn look_up(&self, key: Key, verdict: &mut Verdict) {
        self.look_up_if(key, |_| true, verdict);
    }

    /// A REF is stored under every spelling that some rule makes of it; the rule of the name decides which ones count.
    fn look_up_name(&self, name: &NameKey, verdict: &mut Verdict) {
        let is = |entry: &Entry| entry.kind == TargetKind::Person && name.is(entry.rules, entry.owner_hash);
        self.look_up_if(name.key, is, verdict);
    }

    fn look_up_if(&self, key: Key, counts: impl Fn(&Entry) -> bool, verdict: &mut Verdict) {
        for entry in self.state.fold.revocations.under(key).iter().filter(|entry| counts(entry)) {
            self.apply(entry, verdict, |entry| Determining::Revocation(entry.id));
        }
        for entry in self.state.rules.configured(key).iter().filter(|entry| counts(entry)) {
            self.apply(entry, verdict, configured);
        }
    }

    fn apply(&self, entry: &Entry, verdict: &mut Verdict, determining: impl Fn(&Entry) -> Determining) {
        let steady = if planted(Fault::ClockLifts) { self.now.wall } else { self.now.steady };
        if entry.effective > steady {
            return;
        }
        verdict.notable = true;
        let Some(reason) = self.denies(entry) else { return };
        let revocation = if planted(Fault::CauseIsLost) { Determining::None } else { determining(entry) };
        let exemption = self.exemption.filter(|_| exemptable(entry));
        verdict.add_revocation(RevocationStep { reason, revocation, exemption }, self.index);
    }

    /// A cut-off denies what was issued at or before its time, or at an unknown time.
    fn denies(&self, entry: &Entry) -> Option<Reason> {
        match entry.effect {
            EntryKind::Block => Some(reason(entry.kind)),
            EntryKind::CutOff | EntryKind::ResidualCutoff => {
                let issued = self.credential.issued.unwrap_or(Timestamp::MIN);
                (issued <= entry.at).then_some(Reason::IssuedBeforeCutoff)
            }
        }
    }
}

// INVARIANT: the id of the entry of a configured revocation is its index in `Policy::revocations`.
fn configured(entry: &Entry) -> Determining {
    Determining::Configured(u32::try_from(entry.id.number()).unwrap_or(u32::MAX))
}

/// Break glass lifts the blocks that a source set on a person or their subjects, and nothing else.
fn exemptable(entry: &Entry) -> bool {
    entry.owner == OwnerKind::Source && matches!(entry.kind, TargetKind::Person | TargetKind::Subject)
}
