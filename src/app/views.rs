//! Answers the control API's queries from the state in force and, for texts, from the log.

mod credential;
mod explained;
mod links;
mod near;
mod observed;
pub mod problems;
mod revocations;
mod seen;
mod sources;
mod warnings;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use self::problems::Problems;
use self::revocations::{Texts, ids_of, ids_of_ref, left_to};
use super::check_handler::LiveCheckHandler;
use super::reload::kept_revocations;
use super::tail::{self, Behind};
use super::watch;
use crate::audit::read::Filter;
use crate::audit::record::Kind;
use crate::authenticate::seen_identifiers::SeenIdentifiers;
use crate::control::views::{
    Changes, Concerned, CutOffView, Explanation, FindingView, IssuerView, Lines, ObservedView, PeopleFilter,
    PersonView, PreviewView, Question, RevocationFilter, RevocationView, StatusView, TailFilter, Unresolved,
    UnusableKeyView, Views,
};
use crate::decide::roles;
use crate::domain::event::Epoch;
use crate::domain::id::RevocationId;
use crate::domain::key::{Key, RefKey};
use crate::domain::person::{PersonId, Status};
use crate::domain::policy::{Enforcement, Service};
use crate::domain::revocation::{Shape, Target, TargetKind};
use crate::domain::source::SourceRules;
use crate::domain::time::{Now, Timestamp};
use crate::jose::jwks::UnusableKey;
use crate::jose::keys::RingStatus;
use crate::log::{Log, LogError};
use crate::request::Request;
use crate::source::directory::Finding;
use crate::state::State;
use crate::state::people::Known;

/// Limit on revocations shown per person, newest first.
const SHOWN: usize = 100;

/// What the application knows.
pub struct LiveViews<L> {
    /// Answers checks; holds what they use.
    pub handler: Arc<LiveCheckHandler>,
    /// The log.
    pub log: Arc<L>,
    /// Identifiers seen in tokens.
    pub seen: Arc<SeenIdentifiers>,
    /// Name of this replica.
    pub replica: String,
    /// What is wrong, and all that tells of it.
    pub problems: Arc<Problems>,
    /// Directory of the audit trail.
    pub trail: PathBuf,
}

impl<L: Log> LiveViews<L> {
    fn state(&self) -> Arc<State> {
        self.handler.published.snapshot()
    }

    fn texts(&self) -> Texts<'_, L> {
        let volatile = self.handler.published.store_state().borrow().volatile.clone();
        Texts { log: &self.log, volatile }
    }

    /// Adds to each the cut-off that it left.
    fn with_left(&self, mut views: Vec<RevocationView>) -> Vec<RevocationView> {
        let state = self.state();
        for view in &mut views {
            let id = view.id.parse::<RevocationId>();
            view.left = id.ok().and_then(|id| revocations::left(&state, id, &view.revocation.target));
        }
        views
    }

    async fn listed(&self, filter: &RevocationFilter) -> Result<Vec<RevocationView>, LogError> {
        let (state, texts) = (self.state(), self.texts());
        let before = match filter.before {
            Some(id) => texts.revocation(id).await?.map(|(position, _)| (position, id)),
            None => None,
        };
        let wanted = filter.reference.as_ref().map(|reference| {
            let persons = state.resolve(reference);
            let known: Vec<&Known> =
                persons.iter().filter_map(|id| state.fold.people.find(&state.fold.keyer, id)).collect();
            (reference, persons, known)
        });
        if filter.ended {
            let mut views = texts.history(before.map(|(position, _)| position)).await?;
            if let Some((reference, persons, known)) = wanted {
                let mut keys: Vec<Key> = known.iter().map(|known| known.key).collect();
                keys.extend(known.iter().flat_map(|known| known.names.iter().map(|name| name.key)));
                keys.extend(RefKey::of(&state.fold.keyer, reference).iter().map(|name| name.key));
                views.retain(|view| {
                    let target = &view.revocation;
                    keys.contains(&target.target.key(&state.fold.keyer))
                        || target.persons.iter().any(|person| persons.contains(person))
                });
            }
            views.truncate(filter.limit);
            return Ok(views);
        }
        let Some((reference, _, known)) = wanted else {
            return texts.all_standing(&state, before, filter.limit).await;
        };
        let ids = |known: &&Known| {
            ids_of(&state, known).into_iter().chain(left_to(&state, known).into_keys()).collect::<Vec<_>>()
        };
        let of_people = known.iter().flat_map(ids);
        texts.standing(of_people.chain(ids_of_ref(&state, reference)).collect(), before, filter.limit).await
    }

    async fn person_view(&self, state: &State, known: &Known) -> PersonView {
        let revocations = self.texts().standing(ids_of(state, known), None, SHOWN).await.unwrap_or_else(|error| {
            tracing::error!(error.message = %error, "cannot read the revocations of a person; they are in force all the same");
            Vec::new()
        });
        let mut cut_offs = Vec::new();
        for (id, at) in left_to(state, known).into_iter().take(SHOWN) {
            if let Ok(Some((_, by))) = self.texts().revocation(id).await {
                cut_offs.push(CutOffView { at, by });
            }
        }
        let exempted = state.fold.exempted.get(known.key).iter().map(|entry| entry.expires).max();
        let recorder = &self.handler.recorder;
        let last = recorder.last_allows(&known.person.id).into_iter();
        PersonView {
            person: known.person.as_ref().clone(),
            roles: role_names(state, known, self.handler.clock.now()),
            keys: Vec::new(),
            revocations,
            cut_offs,
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

fn role_names(state: &State, known: &Known, now: Now) -> Vec<String> {
    let held = roles::of_person(state, known, now);
    held.iter().map(|held| state.rules.policy.role_name(held.role).to_owned()).collect()
}

fn passing(service: &Service) -> Option<(Arc<str>, Vec<&'static str>)> {
    let keys = service.passes();
    (!keys.is_empty()).then(|| (Arc::clone(&service.name), keys))
}

fn issuer_view(name: &str, status: RingStatus) -> IssuerView {
    let key =
        |one: UnusableKey| UnusableKeyView { number: one.number as u64, kid: one.kid, reason: one.why.to_string() };
    IssuerView {
        name: name.to_owned(),
        keys: status.keys as u64,
        last_fetched: status.last_success,
        left_out: status.left_out.into_iter().map(key).collect(),
        trouble: status.last_error,
    }
}

#[async_trait]
impl<L: Log> Views for LiveViews<L> {
    fn now(&self) -> Now {
        self.handler.clock.now()
    }

    async fn outcome(&self, key: &str) -> Option<bool> {
        let position = self.log.find(key).await.ok()?;
        // Read and folded, not only durable.
        Some(position.is_some_and(|position| position <= self.state().fold.epoch.position))
    }

    async fn revocations(&self, filter: &RevocationFilter) -> Result<Vec<RevocationView>, String> {
        self.listed(filter).await.map(|views| self.with_left(views)).map_err(|error| error.to_string())
    }

    async fn concerned(&self, id: RevocationId) -> Concerned {
        let Ok(Some((_, view))) = self.texts().revocation(id).await else { return Concerned::default() };
        revocations::concerned(&self.state(), id, view.revocation)
    }

    async fn cut_off_left(&self, id: RevocationId) -> Option<Timestamp> {
        let (_, view) = self.texts().revocation(id).await.ok()??;
        revocations::left(&self.state(), id, &view.revocation.target)
    }

    async fn person(&self, reference: &str) -> Vec<PersonView> {
        let state = self.state();
        self.views_of(&state, state.resolve(reference)).await
    }

    async fn unresolved(&self, reference: &str) -> Unresolved {
        let state = self.state();
        let listed = |source: &SourceRules| source.supplies.people && state.fold.sources.contains_key(&source.name);
        if self.seen.has_name(&state.fold.keyer, reference) {
            Unresolved::Seen
        } else if !state.rules.policy.sources.iter().any(listed) {
            Unresolved::NeverListed
        } else {
            Unresolved::Unknown(near::names(&state, reference).await)
        }
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

    async fn credential(&self, token: &str) -> Result<Target, String> {
        credential::target(&self.handler, token).await
    }

    async fn preview(&self, target: &Target, shape: Shape) -> PreviewView {
        let state = self.state();
        let mut preview = PreviewView::default();
        preview.warnings.extend(warnings::unconfigured(&state.rules.policy, target));
        (preview.dies, preview.stays) = seen::affected(&self.handler.seen, &state, (target, shape), self.now());
        preview.unseen = warnings::unseen(&self.seen, &state, &state.rules.policy.canonical(target));
        match target {
            Target::Person { reference } => {
                preview.people = self.views_of(&state, state.resolve(reference)).await;
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
            Target::Issuer { issuer } if preview.warnings.is_empty() => {
                preview.warnings.push(format!(
                    "every token ever signed by {issuer} is denied, for everyone; operators who sign in there lose \
                     their rights here too, and then only the bootstrap token can end it"
                ));
            }
            _ => {}
        }
        preview
    }

    async fn status(&self) -> StatusView {
        let state = self.state();
        let policy = &state.rules.policy;
        let rings = self.problems.rings.borrow().clone();
        let issuers = rings.iter().map(|ring| issuer_view(ring.name(), ring.status()));
        StatusView {
            replica: self.replica.clone(),
            problems: self.problems.found(),
            waiting_for: self.problems.readiness.missing(),
            epoch: state.fold.epoch,
            configuration: policy.hash.to_string(),
            enforcement: policy.services.first().map_or(Enforcement::Enforce, |service| service.enforcement).word(),
            services: policy.services.iter().map(|one| (Arc::clone(&one.name), one.enforcement.word())).collect(),
            revocations_kept: kept_revocations(policy, &state.fold) as u64,
            store: match &self.handler.published.store_state().borrow().gone {
                Some(error) => format!("embedded: {error}"),
                None => "embedded".to_owned(),
            },
            sources: sources::views(&state, &self.problems.sources, self.now()),
            issuers: issuers.collect(),
            revocations: TargetKind::ALL.into_iter().map(|kind| (kind, state.fold.live(kind) as u64)).collect(),
            audit_lost: self.handler.recorder.counts().lost,
            exemptions: state.fold.exemptions.values().cloned().collect(),
            passes: policy.services.iter().filter_map(passing).collect(),
        }
    }

    async fn shared_names(&self, source: &str) -> Vec<String> {
        sources::shared_names(&self.state(), source)
    }

    async fn sync_source(&self, name: &str, full: bool) -> Result<(), String> {
        self.problems.sources.sync(name, full).await
    }

    fn list_soon(&self, name: &str) {
        self.problems.sources.list_soon(name);
    }

    async fn check_source(&self, name: &str, sample: Option<&str>) -> Result<Vec<FindingView>, String> {
        let found = self.problems.sources.examine(name).await?;
        let view =
            |found: Finding| FindingView { grade: found.grade.word(), what: found.what.to_owned(), text: found.text };
        let mut found: Vec<FindingView> = found.into_iter().map(view).collect();
        found.extend(links::seen(&self.state(), &self.handler.matches, name));
        if let Some(token) = sample {
            let header = self.state().rules.policy.bearer_header.clone();
            let outcomes = format!("Bearer {token}");
            let request = Request::synthetic("GET", "", "/", [(header.as_str(), outcomes.as_bytes())]);
            let outcome = self.handler.decide(&request, self.handler.clock.now(), None).await;
            let (state, _, decision) = outcome.ok_or("the configuration changes again and again: try again")?;
            found.extend(links::sample(&state, &decision.steps.credentials, name));
        }
        Ok(found)
    }

    async fn explain(&self, question: Question) -> Result<Explanation, String> {
        self.explained(question).await
    }

    fn observed(
        &self,
        service: Option<&str>,
        since: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<ObservedView>), String> {
        let state = self.state();
        service.map(|service| state.rules.policy.service_named(service)).transpose()?;
        let groups = self.handler.observed.groups(service, since);
        let views = groups.into_iter().map(|group| observed::view(&state, group)).collect();
        Ok((self.handler.observed.since, views))
    }

    fn tail(&self, wanted: TailFilter) -> Result<Lines, String> {
        let named = |word: String| Kind::named(&word).ok_or_else(|| format!("no record is of kind `{word}`"));
        let kind = wanted.kind.map(named).transpose()?;
        let behind = wanted.since.map_or(Behind::Nothing, |_| Behind::Files);
        // If the reader is too slow, the files are read from now on.
        let since = Some(wanted.since.unwrap_or_else(|| self.now().wall));
        let filter = Filter { persons: wanted.persons, kind, since, until: None };
        Ok(tail::records(self.handler.recorder.clone(), self.trail.clone(), filter, behind))
    }

    fn watch(&self, since: Option<Epoch>) -> Result<Changes, String> {
        watch::changes(Arc::clone(&self.log), Arc::clone(&self.handler.published), since)
    }
}
