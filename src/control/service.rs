//! The methods of the control API.

mod lifting;
mod revoking;
mod streams;

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::domain::call::Call;
use crate::domain::command::{Command, Done, Refused, WriterHandle};
use crate::domain::person;

use self::streams::Messages;
use super::guard::{CallAudit, Caller, note, refuse};
use super::proto::control_server::{Control, ControlServer};
use super::views::{PeopleFilter, PersonView, Question, RevocationFilter, Views};
use super::{convert, input, once, own, proto, sources};

/// Default and maximum number of entries per page.
const PAGE: usize = 1000;

/// The service `offboard.v1.Control`, to be served behind a [`super::guard::CallGuard`]: calls that did not pass one are
/// rejected.
#[derive(Clone)]
pub struct Operator {
    writer: WriterHandle,
    views: Arc<dyn Views>,
    call_audit: Arc<dyn CallAudit>,
    /// Ends every stream.
    stop: CancellationToken,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operator")
    }
}

impl Operator {
    /// The service: changes go through `writer`, reads come from `views`, every call is recorded in `call_audit`.
    #[must_use]
    pub fn new(writer: WriterHandle, views: Arc<dyn Views>, call_audit: Arc<dyn CallAudit>) -> Self {
        Self { writer, views, call_audit, stop: CancellationToken::new() }
    }

    /// Its streams end with `stop`: nobody waits for them when the server drains.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// The tonic server.
    #[must_use]
    pub fn into_server(self) -> ControlServer<Self> {
        ControlServer::new(self)
    }

    /// The caller; records the call and its target before anything is done.
    async fn enter<T>(&self, request: &Request<T>, target: Option<String>) -> Result<Caller, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Status::unauthenticated("the call is not authenticated"))?;
        note(&*self.call_audit, &caller, target).await?;
        Ok(caller)
    }

    /// The same for a call that may concern the caller: then it is rejected.
    async fn enter_for_others<T>(
        &self,
        request: &Request<T>,
        target: Option<String>,
        is_own: bool,
    ) -> Result<Caller, Status> {
        match request.extensions().get::<Caller>() {
            Some(caller) if is_own => Err(refuse(&*self.call_audit, caller, target, own::OWN).await),
            _ => self.enter(request, target).await,
        }
    }

    /// Whether a revocation with this id means the caller.
    async fn is_own<T>(&self, request: &Request<T>, id: &str) -> bool {
        let (Some(caller), Ok(id)) = (request.extensions().get::<Caller>(), input::revocation_id(id)) else {
            return false;
        };
        own::is_meant(&caller.identified, &self.views.concerned(id).await)
    }

    /// Whether a REF names the caller.
    async fn names_caller<T>(&self, request: &Request<T>, reference: &str) -> bool {
        let Some(caller) = request.extensions().get::<Caller>() else { return false };
        own::is_among(&caller.identified, &self.views.person(reference).await)
    }

    /// Whether the held-back listing of a source is about the caller.
    async fn is_held<T>(&self, request: &Request<T>, source: &str) -> bool {
        let Some(caller) = request.extensions().get::<Caller>() else { return false };
        let Ok(source) = sources::named(self.views.status().await.sources, source) else { return false };
        let mut people = Vec::new();
        for person in &caller.identified.persons {
            people.extend(self.views.person(&person.to_string()).await);
        }
        own::is_held(&source, &people)
    }

    /// Sends a command to the writer; returns when it is durable and enforced (law 5).
    async fn ask(&self, command: Command, call: Option<Call>) -> Result<Done, Status> {
        match self.writer.ask_once(command, call, self.views.now()).await {
            Err(Refused::Nobody(reference)) => Err(self.nobody(&reference).await),
            done => done.map_err(|refused| convert::refused(&refused)),
        }
    }

    /// Everybody whom a REF matches: at most one per source.
    async fn resolve(&self, reference: &str) -> Result<Vec<PersonView>, Status> {
        if let Some(refused) = input::refuse_token("person", reference) {
            return Err(Status::failed_precondition(refused));
        }
        let found = self.views.person(reference).await;
        if found.is_empty() {
            return Err(self.nobody(reference).await);
        }
        let twice = |one: &PersonView| {
            let like = |other: &&PersonView| other.person.id.source == one.person.id.source;
            found.iter().filter(like).count() > 1
        };
        if found.iter().any(twice) {
            let candidates = found.into_iter().map(|view| view.person.id).collect();
            return Err(convert::refused(&Refused::Ambiguous { reference: reference.to_owned(), candidates }));
        }
        Ok(found)
    }
}

#[tonic::async_trait]
impl Control for Operator {
    type TailAuditStream = Messages<proto::AuditRecord>;
    type WatchStream = Messages<proto::Change>;

    async fn revoke(&self, request: Request<proto::RevokeRequest>) -> Result<Response<proto::RevokeResponse>, Status> {
        let caller = self.enter(&request, revoking::described(request.get_ref())).await?;
        let call = once::call(&request, &caller)?;
        let target = self.target(request.get_ref()).await?;
        let asked = input::revoke(request.get_ref(), target, &caller.actor)?;
        self.carry_out(asked, request.get_ref().dry_run, call).await.map(Response::new)
    }

    async fn revoke_many(
        &self,
        request: Request<proto::RevokeManyRequest>,
    ) -> Result<Response<proto::RevokeManyResponse>, Status> {
        let caller = self.enter(&request, revoking::described_all(request.get_ref())).await?;
        if request.get_ref().dry_run {
            return self.judged_all(request.get_ref(), &caller).await.map(Response::new);
        }
        let call = once::call(&request, &caller)?;
        self.revoked_all(request.get_ref(), &caller, call).await.map(Response::new)
    }

    async fn restore(
        &self,
        request: Request<proto::RestoreRequest>,
    ) -> Result<Response<proto::RestoreResponse>, Status> {
        let (id, is_own) = (request.get_ref().id.clone(), self.is_own(&request, &request.get_ref().id).await);
        let caller = self.enter_for_others(&request, Some(id), is_own).await?;
        let call = once::call(&request, &caller)?;
        self.restored(request.get_ref(), &caller, call).await.map(Response::new)
    }

    async fn undo(&self, request: Request<proto::UndoRequest>) -> Result<Response<proto::UndoResponse>, Status> {
        let (id, is_own) = (request.get_ref().id.clone(), self.is_own(&request, &request.get_ref().id).await);
        let caller = self.enter_for_others(&request, Some(id), is_own).await?;
        let call = once::call(&request, &caller)?;
        self.undone(request.get_ref(), &caller, call).await.map(Response::new)
    }

    async fn exempt(&self, request: Request<proto::ExemptRequest>) -> Result<Response<proto::ExemptResponse>, Status> {
        let person = request.get_ref().person.clone();
        let is_own = self.names_caller(&request, &person).await;
        let caller = self.enter_for_others(&request, Some(person), is_own).await?;
        let call = once::call(&request, &caller)?;
        self.exempted(request.get_ref(), &caller, call).await.map(Response::new)
    }

    async fn get_outcome(
        &self,
        request: Request<proto::GetOutcomeRequest>,
    ) -> Result<Response<proto::GetOutcomeResponse>, Status> {
        self.enter(&request, None).await?;
        let stands = self.views.outcome(&request.get_ref().key).await;
        let stands = stands.ok_or_else(|| Status::unavailable("the log cannot be read: ask again"))?;
        let epoch = Some(convert::epoch(self.views.status().await.epoch));
        Ok(Response::new(proto::GetOutcomeResponse { stands, epoch }))
    }

    async fn list_revocations(
        &self,
        request: Request<proto::ListRevocationsRequest>,
    ) -> Result<Response<proto::ListRevocationsResponse>, Status> {
        let reference = Some(request.get_ref().person.trim().to_owned()).filter(|reference| !reference.is_empty());
        self.enter(&request, reference.clone()).await?;
        let before = match request.get_ref().page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| Status::invalid_argument("invalid page_token"))?),
        };
        let filter = RevocationFilter { reference, ended: request.get_ref().all, before, limit: PAGE };
        let found = self.views.revocations(&filter).await;
        let found = found.map_err(|error| Status::unavailable(format!("cannot list revocations: {error}")))?;
        if let Some(reference) = filter.reference.as_ref().filter(|_| found.is_empty() && filter.before.is_none()) {
            // Nothing is revoked of nobody: not the same as nothing of somebody.
            self.resolve(reference).await?;
        }
        let last = found.last().filter(|_| found.len() == PAGE);
        let next_page_token = last.map(|view| view.id.clone()).unwrap_or_default();
        let revocations = found.into_iter().map(convert::revocation).collect();
        Ok(Response::new(proto::ListRevocationsResponse { revocations, next_page_token }))
    }

    async fn get_person(
        &self,
        request: Request<proto::GetPersonRequest>,
    ) -> Result<Response<proto::GetPersonResponse>, Status> {
        self.enter(&request, Some(request.get_ref().person.clone())).await?;
        let found = self.resolve(&input::reference(&request.get_ref().person)?).await?;
        Ok(Response::new(proto::GetPersonResponse { people: found.into_iter().map(convert::person).collect() }))
    }

    async fn list_people(
        &self,
        request: Request<proto::ListPeopleRequest>,
    ) -> Result<Response<proto::ListPeopleResponse>, Status> {
        self.enter(&request, None).await?;
        let filter = people_filter(request.get_ref())?;
        let mut people = self.views.people(&filter).await;
        if let Some(source) = filter.source.as_ref().filter(|_| people.is_empty() && filter.after.is_none()) {
            // One taken out of the configuration may still have people.
            sources::named(self.views.status().await.sources, source)?;
        }
        people.truncate(filter.limit);
        let last = people.last().filter(|_| people.len() == filter.limit);
        let next_page_token = last.map(|view| view.person.id.to_string()).unwrap_or_default();
        let people = people.into_iter().map(convert::person).collect();
        Ok(Response::new(proto::ListPeopleResponse { people, next_page_token }))
    }

    async fn get_status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        self.enter(&request, None).await?;
        Ok(Response::new(convert::status(self.views.status().await)))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let proto::ExplainRequest { decision_id, host, .. } = request.get_ref();
        self.enter(&request, Some(if decision_id.is_empty() { host.clone() } else { decision_id.clone() })).await?;
        let asked = request.into_inner();
        let question = if asked.decision_id.is_empty() {
            let headers = asked.headers.into_iter().map(|header| (header.name, header.value)).collect();
            let proto::ExplainRequest { method, host, path, service, .. } = asked;
            Question::Request { method, host, path, service, headers }
        } else {
            Question::Decision(asked.decision_id)
        };
        let found = self.views.explain(question).await.map(convert::explanation);
        found.map(Response::new).map_err(Status::not_found)
    }

    async fn list_observed(
        &self,
        request: Request<proto::ListObservedRequest>,
    ) -> Result<Response<proto::ListObservedResponse>, Status> {
        let asked = request.get_ref();
        self.enter(&request, asked.service.clone()).await?;
        let since = input::time("since", asked.since.as_deref())?;
        let found = self.views.observed(asked.service.as_deref(), since).map(convert::observed);
        found.map(Response::new).map_err(Status::not_found)
    }

    async fn list_sources(
        &self,
        request: Request<proto::ListSourcesRequest>,
    ) -> Result<Response<proto::ListSourcesResponse>, Status> {
        let name = request.get_ref().name.clone();
        self.enter(&request, Some(name.clone()).filter(|name| !name.is_empty())).await?;
        let sources = self.views.status().await.sources;
        let sources = if name.is_empty() {
            sources.into_iter().map(sources::status).collect()
        } else {
            let shared_names = self.views.shared_names(&name).await;
            vec![proto::SourceStatus { shared_names, ..sources::status(sources::named(sources, &name)?) }]
        };
        Ok(Response::new(proto::ListSourcesResponse { sources }))
    }

    async fn sync_source(
        &self,
        request: Request<proto::SyncSourceRequest>,
    ) -> Result<Response<proto::SyncSourceResponse>, Status> {
        let name = request.get_ref().name.clone();
        self.enter(&request, Some(format!("source {name}"))).await?;
        sources::named(self.views.status().await.sources, &name)?;
        let synced = self.views.sync_source(&name, request.get_ref().full).await;
        synced.map_err(Status::failed_precondition)?;
        let source = sources::named(self.views.status().await.sources, &name)?;
        Ok(Response::new(proto::SyncSourceResponse { source: Some(sources::status(source)) }))
    }

    async fn check_source(
        &self,
        request: Request<proto::CheckSourceRequest>,
    ) -> Result<Response<proto::CheckSourceResponse>, Status> {
        let name = request.get_ref().name.clone();
        self.enter(&request, Some(format!("source {name}"))).await?;
        sources::named(self.views.status().await.sources, &name)?;
        let sample = Some(request.get_ref().token_sample.trim()).filter(|sample| !sample.is_empty());
        let found = self.views.check_source(&name, sample).await.map_err(Status::failed_precondition)?;
        Ok(Response::new(proto::CheckSourceResponse { findings: found.into_iter().map(sources::finding).collect() }))
    }

    async fn judge_source(
        &self,
        request: Request<proto::JudgeSourceRequest>,
    ) -> Result<Response<proto::JudgeSourceResponse>, Status> {
        let name = request.get_ref().name.clone();
        let is_own = self.is_held(&request, &name).await;
        let caller = self.enter_for_others(&request, Some(format!("source {name}")), is_own).await?;
        let call = once::call(&request, &caller)?;
        let held = sources::named(self.views.status().await.sources, &name)?.held;
        let went_back = held.as_ref().is_some_and(|held| held.because.is_some());
        let listing = held.map(|held| held.at);
        let mut people = Vec::new();
        let epoch = loop {
            let verdict = sources::verdict_on_listing(request.get_ref(), listing, &caller.actor);
            let done = self.ask(verdict, call.clone()).await?;
            people.extend(done.persons.iter().map(ToString::to_string));
            if !done.more {
                break done.epoch;
            }
        };
        tracing::warn!(call.actor = %caller.actor, source.name = name, confirm = request.get_ref().confirm,
            "operator reviewed a held-back listing");
        if went_back {
            // The held listing itself was not kept: the next listing brings it again.
            self.views.list_soon(&name);
        }
        Ok(Response::new(proto::JudgeSourceResponse { people, epoch: Some(convert::epoch(epoch)) }))
    }

    async fn expect_source(
        &self,
        request: Request<proto::ExpectSourceRequest>,
    ) -> Result<Response<proto::ExpectSourceResponse>, Status> {
        let name = request.get_ref().name.clone();
        let is_own = self.is_held(&request, &name).await;
        let caller = self.enter_for_others(&request, Some(format!("source {name}")), is_own).await?;
        sources::named(self.views.status().await.sources, &name)?;
        let call = once::call(&request, &caller)?;
        let done = self.ask(sources::expect(request.get_ref(), &caller.actor)?, call).await?;
        Ok(Response::new(proto::ExpectSourceResponse { epoch: Some(convert::epoch(done.epoch)) }))
    }

    async fn tail_audit(
        &self,
        request: Request<proto::TailAuditRequest>,
    ) -> Result<Response<Self::TailAuditStream>, Status> {
        self.tailed(&request).await.map(Response::new)
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.watched(&request).await.map(Response::new)
    }
}

fn people_filter(request: &proto::ListPeopleRequest) -> Result<PeopleFilter, Status> {
    use person::Status as Of;

    let status = match request.status.as_str() {
        "" => None,
        word => {
            let known = [Of::Active, Of::Suspended, Of::Departed].into_iter().find(|status| status.word() == word);
            Some(known.ok_or_else(|| Status::invalid_argument("status must be active, suspended or departed"))?)
        }
    };
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(token.parse().map_err(|_| Status::invalid_argument("invalid page_token"))?),
    };
    let limit = match usize::try_from(request.page_size) {
        Ok(0) | Err(_) => PAGE,
        Ok(size) => size.min(PAGE),
    };
    Ok(PeopleFilter { status, source: Some(request.source.clone()).filter(|source| !source.is_empty()), after, limit })
}
