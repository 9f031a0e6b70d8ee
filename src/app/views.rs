//! What the control API shows, read from the state in force and, for texts, from the log.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

use super::explain::{Knowledge, Story, cause, recalled};
use super::gate::CheckGate;
use super::sources::Sources;
use crate::control::views::{
    Explanation, FindingView, IssuerView, Lines, PeopleFilter, PersonView, PreviewView, Question, RevocationFilter,
    RevocationView, StatusView, Views,
};
use crate::domain::decision::{Decision, Determining};
use crate::domain::event::{Event, Position, Recorded};
use crate::domain::key::Key;
use crate::domain::person::{PersonId, Status};
use crate::domain::policy::{Enforcement, Policy};
use crate::domain::revocation::{RevocationId, Target, TargetKind};
use crate::domain::time::Now;
use crate::jose::keys::KeyRings;
use crate::log::Log;
use crate::request::Request;
use crate::source::directory::Finding;
use crate::state::State;
use crate::state::people::Known;
use crate::state::revocations::Stand;
use crate::telemetry::health::Readiness;

/// Revocations that are shown of one person at most, newest first.
const SHOWN: usize = 100;

/// What the application knows.
pub struct LiveViews<L> {
    /// Checks, and what they use.
    pub gate: Arc<CheckGate>,
    /// The log.
    pub log: Arc<L>,
    /// Keys of the issuers.
    pub rings: watch::Receiver<KeyRings>,
    /// Readiness.
    pub readiness: Readiness,
    /// Name of this replica.
    pub replica: String,
    /// The sources at work.
    pub sources: Sources,
}

impl<L: Log> LiveViews<L> {
    fn state(&self) -> Arc<State> {
        self.gate.published.snapshot()
    }

    async fn revocation(&self, id: Position) -> Option<RevocationView> {
        let mut read = self.log.read(id.checked_sub(1)?, 1).await.ok()?;
        match read.pop()?.new.event {
            Event::Revoked(revocation) => {
                Some(RevocationView { id: RevocationId(id).to_string(), revocation, ended: None })
            }
            _ => None,
        }
    }

    /// Says why the revocation that decided was made: the state holds no texts.
    async fn with_reason(&self, decision: &Decision, mut explanation: Explanation) -> Explanation {
        if let Determining::Revocation(id) = decision.determining
            && let Some(view) = self.revocation(id.0).await
            && let Some(step) = explanation.steps.iter_mut().find(|step| step.cause == cause(&decision.determining))
        {
            step.cause = format!("{}: {}, by {}", step.cause, view.revocation.reason, view.revocation.actor);
        }
        explanation
    }

    async fn standing(&self, ids: BTreeSet<Position>, limit: usize) -> Vec<RevocationView> {
        let mut views = Vec::new();
        for id in ids.into_iter().rev() {
            if views.len() == limit {
                break;
            }
            views.extend(self.revocation(id).await);
        }
        views
    }

    /// Everything that ever was revoked, with its end.
    async fn history(&self, before: Option<RevocationId>) -> Vec<RevocationView> {
        let mut views: BTreeMap<Position, RevocationView> = BTreeMap::new();
        let mut after = 0;
        while let Ok(page) = self.log.read(after, 4096).await {
            let Some(last) = page.last() else { break };
            after = last.position;
            for Recorded { position, new } in page {
                match new.event {
                    Event::Revoked(revocation) if before.is_none_or(|before| position < before.0) => {
                        let id = RevocationId(position).to_string();
                        views.insert(position, RevocationView { id, revocation, ended: None });
                    }
                    Event::Ended(ended) => {
                        if let Some(view) = views.get_mut(&ended.revocation.0) {
                            view.ended = Some((ended.at, ended.cause));
                        }
                    }
                    _ => {}
                }
            }
        }
        views.into_values().rev().collect()
    }

    async fn person_view(&self, state: &State, known: &Known) -> PersonView {
        let keys = known.names.iter().copied().chain([known.key]);
        let revocations = self.standing(ids_under(state, keys), SHOWN).await;
        let exempted = state.fold.exempted.get(known.key).iter().map(|entry| entry.expires).max();
        let recorder = &self.gate.recorder;
        let last = recorder.last_allows(&known.person.id).into_iter();
        PersonView {
            person: known.person.as_ref().clone(),
            roles: roles_of(state, known, self.gate.clock.now()),
            keys: Vec::new(),
            revocations,
            last_allows: last.map(|last| (last.service.to_string(), last.time)).collect(),
            open_streams: 0,
            exempted_until: exempted,
        }
    }

    async fn views_of(&self, state: &State, ids: Vec<PersonId>) -> Vec<PersonView> {
        let mut views = Vec::new();
        for id in ids {
            if let Some(known) = state.fold.people.find(&state.fold.keyer, &id) {
                views.push(self.person_view(state, known).await);
            }
        }
        views
    }
}

fn ids_under(state: &State, keys: impl IntoIterator<Item = Key>) -> BTreeSet<Position> {
    keys.into_iter()
        .flat_map(|key| state.fold.revocations.under(key))
        .filter(|entry| entry.stand != Stand::Leftover)
        .map(|entry| entry.id)
        .collect()
}

/// Says so where a target is about an issuer that nobody takes tokens of: a typing error, most likely.
fn unconfigured(policy: &Policy, target: &Target) -> Option<String> {
    let issuer = match target {
        Target::Subject { issuer, .. }
        | Target::Session { issuer, .. }
        | Target::Token { issuer, .. }
        | Target::Client { issuer, .. }
        | Target::LinkClaim { issuer, .. }
        | Target::Issuer { issuer } => issuer,
        Target::Person { .. } | Target::DirectoryPerson { .. } | Target::Key { .. } | Target::Certificate { .. } => {
            return None;
        }
    };
    let known = policy.issuers.iter().any(|rules| *rules.issuer == **issuer || rules.name == *issuer);
    let names: Vec<&str> = policy.issuers.iter().map(|rules| &*rules.issuer).collect();
    (!known).then(|| {
        format!("`{issuer}` is no issuer that is configured: it denies nobody now; there are: {}", names.join(", "))
    })
}

/// The roles that the directory gives a person: their groups and pinned names. A token may add groups where
/// the source supplies none.
fn roles_of(state: &State, known: &Known, now: Now) -> Vec<String> {
    let policy = &state.rules.policy;
    let Some(source) = policy.sources.iter().find(|source| source.name == known.person.id.source) else {
        return Vec::new();
    };
    let Some(issuer) = policy.issuers.get(usize::from(source.issuer)) else { return Vec::new() };
    let keyer = &state.fold.keyer;
    let groups = known.person.groups.iter().flat_map(|group| {
        let key = keyer.key(crate::domain::key::KeyKind::Group, &[&issuer.name, group]);
        state.rules.of_group(key).iter().copied()
    });
    let pinned = state.fold.pinned.get(&known.key).into_iter().flatten();
    let names = pinned.flat_map(|name| state.rules.of_name(name).iter().copied());
    let bindings: BTreeSet<u32> = groups.chain(names).chain(state.rules.of_everyone().iter().copied()).collect();
    let roles: BTreeSet<u16> = bindings
        .into_iter()
        .filter_map(|index| policy.bindings.get(usize::try_from(index).ok()?))
        .filter(|binding| binding.expires.is_none_or(|expires| now.steady < expires))
        .map(|binding| binding.role)
        .collect();
    let named = roles.into_iter().filter_map(|role| policy.roles.get(usize::from(role)));
    named.map(|role| role.name.to_string()).collect()
}

#[async_trait]
impl<L: Log> Views for LiveViews<L> {
    fn now(&self) -> Now {
        self.gate.clock.now()
    }

    async fn revocations(&self, filter: &RevocationFilter) -> Vec<RevocationView> {
        let state = self.state();
        let wanted = filter.reference.as_ref().map(|reference| {
            let persons = state.resolve(reference);
            let known = persons.iter().filter_map(|id| state.fold.people.find(&state.fold.keyer, id));
            let mut keys: Vec<Key> = known.flat_map(|known| known.names.iter().copied().chain([known.key])).collect();
            keys.push(state.fold.keyer.name(reference));
            (keys, persons)
        });
        if filter.ended {
            let mut views = self.history(filter.before).await;
            if let Some((keys, persons)) = wanted {
                views.retain(|view| {
                    let target = &view.revocation;
                    keys.contains(&target.target.key(&state.fold.keyer))
                        || target.persons.iter().any(|person| persons.contains(person))
                });
            }
            views.truncate(filter.limit);
            return views;
        }
        let mut ids: BTreeSet<Position> = match wanted {
            Some((keys, _)) => ids_under(&state, keys),
            None => {
                let entries = state.fold.revocations.iter();
                entries.filter(|entry| entry.stand != Stand::Leftover).map(|entry| entry.id).collect()
            }
        };
        if let Some(before) = filter.before {
            let _newer = ids.split_off(&before.0);
        }
        self.standing(ids, filter.limit).await
    }

    async fn person(&self, reference: &str) -> Vec<PersonView> {
        let state = self.state();
        self.views_of(&state, state.resolve(reference)).await
    }

    async fn people(&self, filter: &PeopleFilter) -> Vec<PersonView> {
        let state = self.state();
        let fits = |known: &&Known| {
            filter.status.is_none_or(|status| known.person.status == status)
                && filter.source.as_ref().is_none_or(|source| known.person.id.source == *source)
                && filter.after.as_ref().is_none_or(|after| known.person.id > *after)
        };
        let mut ids: Vec<PersonId> =
            state.fold.people.iter().filter(fits).map(|known| known.person.id.clone()).collect();
        ids.sort_unstable();
        ids.truncate(filter.limit);
        self.views_of(&state, ids).await
    }

    async fn preview(&self, target: &Target) -> PreviewView {
        let state = self.state();
        let mut preview = PreviewView::default();
        preview.warnings.extend(unconfigured(&state.rules.policy, target));
        match target {
            Target::Person { reference } => {
                preview.people = self.views_of(&state, state.resolve(reference)).await;
                if preview.people.is_empty() {
                    preview
                        .warnings
                        .push(format!("`{reference}` means nobody whom a source knows: only the name is denied"));
                }
                for view in &preview.people {
                    if view.person.status == Status::Active {
                        preview.warnings.push(format!("{} is still active in its source", view.person.id));
                    }
                }
            }
            Target::Subject { issuer, subject } => {
                let reference = format!("{issuer}|{subject}");
                preview.people = self.views_of(&state, state.resolve(&reference)).await;
            }
            Target::Issuer { issuer } => {
                preview.warnings.push(format!("every token that {issuer} ever signed is denied, for everyone"));
            }
            _ => {}
        }
        preview
    }

    async fn status(&self) -> StatusView {
        let state = self.state();
        let policy = &state.rules.policy;
        let rings = self.rings.borrow().clone();
        let issuers = rings.iter().map(|ring| {
            let status = ring.status();
            IssuerView { name: ring.name().to_owned(), keys: status.keys as u64, last_fetched: status.last_success }
        });
        let observes = policy.services.first().is_some_and(|service| service.enforcement == Enforcement::Observe);
        StatusView {
            replica: self.replica.clone(),
            waiting_for: self.readiness.missing(),
            epoch: state.fold.epoch,
            configuration: policy.hash.to_string(),
            enforcement: if observes { "observe" } else { "enforce" }.to_owned(),
            store: "embedded".to_owned(),
            sources: sources::views(&state, &self.sources, self.now()),
            issuers: issuers.collect(),
            revocations: TargetKind::ALL.into_iter().map(|kind| (kind, state.fold.live(kind) as u64)).collect(),
            audit_lost: self.gate.recorder.counts().lost,
            exemptions: state.fold.exemptions.values().cloned().collect(),
        }
    }

    async fn shared_names(&self, source: &str) -> Vec<String> {
        sources::shared_names(&self.state(), source)
    }

    async fn sync_source(&self, name: &str, full: bool) -> Result<(), String> {
        self.sources.sync(name, full).await
    }

    fn list_soon(&self, name: &str) {
        self.sources.list_soon(name);
    }

    async fn check_source(&self, name: &str) -> Result<Vec<FindingView>, String> {
        let found = self.sources.examine(name).await?;
        let view =
            |found: Finding| FindingView { grade: found.grade.word(), what: found.what.to_owned(), text: found.text };
        Ok(found.into_iter().map(view).collect())
    }

    async fn explain(&self, question: Question) -> Option<Explanation> {
        match question {
            Question::Decision(id) => {
                let recent = self.gate.recorder.recent(id.parse().ok()?)?;
                Some(self.with_reason(&recent.decision, recalled::tell(&self.state(), &recent)).await)
            }
            Question::Request { method, host, path, headers } => {
                let request = Request::synthetic(
                    &method,
                    &host,
                    &path,
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
                );
                let (state, shown, now, decision) = self.gate.decide(&request, None).await?;
                let story = Story {
                    state: &state,
                    request: &request,
                    shown: &shown,
                    now,
                    decision: &decision,
                    knowledge: Knowledge::Live,
                };
                Some(self.with_reason(&decision, story.tell()).await)
            }
        }
    }

    fn tail(&self, person: Option<String>, kind: Option<String>) -> Lines {
        let records = BroadcastStream::new(self.gate.recorder.follow()).filter_map(Result::ok);
        let fits = move |record: &crate::audit::record::Record| {
            person.as_ref().is_none_or(|person| record.person.as_ref() == Some(person))
                && kind.as_ref().is_none_or(|kind| record.kind.word() == kind)
        };
        Box::pin(records.filter(move |record| fits(record)).filter_map(|record| serde_json::to_string(&*record).ok()))
    }
}
