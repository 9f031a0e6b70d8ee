mod calls;
mod reading;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use prost::Message as _;
use tonic::body::Body;
use tonic::codegen::{Service as _, http};
use tonic::{Code, Request, Status};
use tower::{Layer as _, ServiceExt as _};

use crate::domain::command::{Command, Done, Refused, WriterHandle};
use crate::domain::event::Epoch;
use crate::domain::id::RevocationId;
use crate::domain::person::{Person, PersonId, Status as Of};
use crate::domain::revocation::{Shape, Target};
use crate::domain::time::{Now, Timestamp};

use super::guard::{Bootstrap, Call, CallAudit, CallGuard, Caller};
use super::proto;
use super::proto::control_server::Control as _;
use super::rights::{RIGHTS, needed};
use super::service::Operator;
use super::views::{
    Changes, Concerned, Explanation, FindingView, Lines, ObservedView, PeopleFilter, PersonView, PreviewView, Question,
    RevocationFilter, RevocationView, SourceView, StatusView, TailFilter, Unresolved, Views,
};
use super::{convert, input};

const TOKEN: &str = "sealed-in-the-safe";

#[derive(Default)]
struct Calls(Mutex<Vec<Call>>, AtomicUsize);

#[async_trait]
impl CallAudit for Calls {
    fn bootstrap_used(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    async fn called(&self, call: Call) -> Result<(), String> {
        self.0.lock().unwrap().push(call);
        Ok(())
    }
}

struct Full;

#[async_trait]
impl CallAudit for Full {
    fn bootstrap_used(&self) {}

    async fn called(&self, _: Call) -> Result<(), String> {
        Err("no room".to_owned())
    }
}

/// A directory of `a/x`, `a/y` and `b/x`, whose names are their keys; `both` means two of one source.
struct Known;

fn view(source: &str, key: &str) -> PersonView {
    PersonView {
        person: Person::new(PersonId { source: source.into(), key: key.into() }, Of::Active),
        roles: vec!["reader".into()],
        keys: vec![],
        revocations: vec![],
        cut_offs: vec![],
        last_allows: vec![("payments".into(), Timestamp::from_secs(5))],
        open_streams: 0,
        exempted_until: None,
    }
}

#[async_trait]
impl Views for Known {
    async fn outcome(&self, key: &str) -> Option<bool> {
        Some(key == "r17")
    }

    fn now(&self) -> Now {
        Now::at(Timestamp::from_secs(100))
    }

    async fn revocations(&self, _: &RevocationFilter) -> Result<Vec<RevocationView>, String> {
        Ok(vec![])
    }

    async fn concerned(&self, id: RevocationId) -> Concerned {
        let persons = if id == RevocationId::of_position(7) { vec![view("a", "x").person.id] } else { vec![] };
        Concerned { persons, target: None }
    }

    async fn cut_off_left(&self, _: RevocationId) -> Option<Timestamp> {
        Some(Timestamp::from_secs(7))
    }

    async fn person(&self, reference: &str) -> Vec<PersonView> {
        match reference {
            "x" => vec![view("a", "x"), view("b", "x")],
            "both" => vec![view("a", "x"), view("a", "y")],
            _ => vec![],
        }
    }

    async fn unresolved(&self, _: &str) -> Unresolved {
        Unresolved::Unknown(vec!["x@example.com (a/x)".to_owned()])
    }

    async fn people(&self, filter: &PeopleFilter) -> Vec<PersonView> {
        let all = [view("a", "x"), view("a", "y"), view("b", "x")];
        let behind = |view: &PersonView| filter.after.as_ref().is_none_or(|after| view.person.id > *after);
        all.into_iter().filter(behind).take(filter.limit).collect()
    }

    async fn credential(&self, token: &str) -> Result<Target, String> {
        let target = Target::SignedToken { issuer: "https://idp".into(), token: None, sha256: "ab".repeat(32) };
        (token == "good").then_some(target).ok_or_else(|| "it does not verify".to_owned())
    }

    async fn preview(&self, _: &Target, _: Shape) -> PreviewView {
        let warnings = vec!["still active at source a".to_owned()];
        PreviewView { people: vec![view("a", "x")], warnings, ..PreviewView::default() }
    }

    async fn status(&self) -> StatusView {
        let source = SourceView { name: "a".into(), ..SourceView::default() };
        StatusView { replica: "r-0".into(), sources: vec![source], ..StatusView::default() }
    }

    async fn shared_names(&self, _: &str) -> Vec<String> {
        vec![]
    }

    fn list_soon(&self, _: &str) {}

    async fn sync_source(&self, name: &str, _: bool) -> Result<(), String> {
        (name == "a").then_some(()).ok_or_else(|| "it did not answer".to_owned())
    }

    async fn check_source(&self, _: &str, _: Option<&str>) -> Result<Vec<FindingView>, String> {
        Ok(vec![FindingView { grade: "ok", what: "people".into(), text: "2 users".into() }])
    }

    async fn explain(&self, question: Question) -> Result<Explanation, String> {
        let asked = matches!(question, Question::Request { .. });
        asked.then(Explanation::default).ok_or_else(|| "no recent decision".to_owned())
    }

    fn observed(
        &self,
        service: Option<&str>,
        since: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<ObservedView>), String> {
        let known = service.is_none_or(|service| service == "payments");
        let view =
            ObservedView { service: "payments".into(), last: since.unwrap_or_default(), ..ObservedView::default() };
        known.then(|| (Timestamp::from_secs(7), vec![view])).ok_or_else(|| "unknown service".to_owned())
    }

    fn tail(&self, wanted: TailFilter) -> Result<Lines, String> {
        Ok(Box::pin(tokio_stream::iter([Ok(format!("{:?}", wanted.persons))])))
    }

    fn watch(&self, since: Option<Epoch>) -> Result<Changes, String> {
        match since {
            Some(since) if since.position > 17 => Err("not reached".to_owned()),
            _ => Ok(Box::pin(tokio_stream::iter([Ok(proto::Change::default()), Err("gone".to_owned())]))),
        }
    }
}

/// A service whose writer answers everything with `answer`, and what the writer was asked.
fn operator(answer: Result<Done, Refused>) -> (Operator, Arc<Calls>, Arc<Mutex<Vec<String>>>) {
    let (writer, mut envelopes) = WriterHandle::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let thread = std::thread::spawn(move || {
        while let Some(letter) = envelopes.blocking_recv() {
            let answer = match &letter.command {
                Command::CheckRevoke(_) => answer.clone().map(|done| Done { revocation: None, ..done }),
                _ => answer.clone(),
            };
            assert!(!matches!(&letter.command, Command::Revoke(request) if request.actor != "bootstrap"));
            seen.lock().unwrap().push(format!("{:?}", letter.command));
            letter.reply.send(answer).ok();
        }
    });
    drop(thread);
    let notes = Arc::new(Calls::default());
    (Operator::new(writer, Arc::new(Known), notes.clone()), notes, asked)
}

fn done() -> Done {
    let epoch = Epoch { generation: 1, position: 17 };
    Done { revocation: Some(RevocationId::of_position(17)), epoch, ..Done::default() }
}

fn from_operator<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        actor: "bootstrap".into(),
        method: "/test".into(),
        identified: Arc::default(),
        admission: None,
    });
    request
}

fn on_person(person: &str) -> proto::RevokeRequest {
    let target = proto::Target { target: Some(proto::target::Target::Person(person.into())) };
    proto::RevokeRequest { target: Some(target), reason: "HR-12".into(), ..proto::RevokeRequest::default() }
}

#[tokio::test]
async fn a_call_that_passed_no_guard_is_refused() {
    let (operator, notes, asked) = operator(Ok(done()));
    let refused = operator.revoke(Request::new(on_person("x"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(asked.lock().unwrap().is_empty() && notes.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_not_carried_out() {
    let (writer, mut envelopes) = WriterHandle::new();
    let operator = Operator::new(writer, Arc::new(Known), Arc::new(Full));
    let refused = operator.revoke(from_operator(on_person("x"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(envelopes.try_recv().is_err());
}

#[tokio::test]
async fn a_dry_run_shows_what_dies_and_changes_nothing() {
    let (operator, notes, asked) = operator(Ok(done()));
    let request = proto::RevokeRequest { dry_run: true, ..on_person("x") };
    let answer = operator.revoke(from_operator(request)).await.unwrap().into_inner();
    let preview = answer.preview.unwrap();
    assert_eq!((answer.id.as_str(), preview.people[0].status.as_str()), ("", "active"));
    assert_eq!(preview.people[0].last_allowed.as_deref(), Some("1970-01-01T00:00:05.000Z"));
    assert_eq!(preview.warnings, ["still active at source a"]);
    assert!(asked.lock().unwrap()[0].starts_with("CheckRevoke("), "the writer says whether it would be accepted");
    assert_eq!(notes.0.lock().unwrap()[0].target.as_deref(), Some("person x (dry run)"));
}

#[tokio::test]
async fn a_revocation_answers_with_its_id_and_epoch() {
    let (operator, notes, asked) = operator(Ok(done()));
    let answer = operator.revoke(from_operator(on_person("x"))).await.unwrap().into_inner();
    assert_eq!((answer.id.as_str(), answer.epoch.unwrap().position), ("r17", 17));
    assert_eq!(asked.lock().unwrap().len(), 1);
    let calls = notes.0.lock().unwrap();
    assert_eq!((calls.len(), calls[0].alarm, calls[0].refused.as_deref()), (1, true, None));
}

#[tokio::test]
async fn senseless_requests_never_reach_the_writer() {
    let (operator, _, asked) = operator(Ok(done()));
    let pair = |issuer: &str, value: &str| proto::IssuerValue { issuer: issuer.into(), value: value.into() };
    let of = |target| proto::RevokeRequest { target: Some(proto::Target { target: Some(target) }), ..on_person("x") };
    let senseless = [
        proto::RevokeRequest { target: None, ..on_person("x") },
        proto::RevokeRequest { reason: " ".into(), ..on_person("x") },
        proto::RevokeRequest { expires: Some("tomorrow".into()), ..on_person("x") },
        on_person(""),
        of(proto::target::Target::Subject(pair("", "alice"))),
        of(proto::target::Target::Token(pair("https://idp", ""))),
        of(proto::target::Target::Certificate("ab:cd".into())),
    ];
    for request in senseless {
        let refused = operator.revoke(from_operator(request.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn targets_and_shapes_are_understood() {
    let fingerprint = ["AB"; 32].join(":");
    let target = proto::Target { target: Some(proto::target::Target::Certificate(fingerprint)) };
    assert_eq!(input::target(Some(&target)).unwrap(), Target::Certificate { sha256: "ab".repeat(32) });
    let request = proto::RevokeRequest { issued_before: Some("1970-01-01T00:00:07Z".into()), ..on_person("x") };
    let target = input::target(request.target.as_ref()).unwrap();
    let asked = input::revoke(&request, target, "somebody").unwrap();
    assert_eq!(asked.shape, Shape::CutOff { at: Timestamp::from_secs(7) });
    assert_eq!(asked.actor, "somebody");
    assert_eq!(input::revocation_id("r5").unwrap(), RevocationId::of_position(5));
    assert_eq!(input::revocation_id("five").unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(input::revocation_id("a.yaml:12").unwrap_err().code(), Code::FailedPrecondition);
}

#[test]
fn refusals_have_their_codes() {
    let candidates =
        vec![PersonId { source: "a".into(), key: "x".into() }, PersonId { source: "a".into(), key: "y".into() }];
    let ambiguous = convert::refused(&Refused::Ambiguous { reference: "x".into(), candidates });
    assert!(ambiguous.message().ends_with("a/x, a/y"));
    let detail = ambiguous.metadata().get_bin(convert::AMBIGUOUS).unwrap().to_bytes().unwrap();
    assert_eq!(proto::Ambiguous::decode(detail).unwrap().candidates, ["a/x", "a/y"]);
    let not_yours =
        Refused::NotYours { id: RevocationId::of_position(3), owner: "source a".into(), advice: "end it there".into() };
    let table = [
        (convert::refused(&Refused::NotFound(RevocationId::of_position(3))), Code::NotFound),
        (ambiguous, Code::FailedPrecondition),
        (convert::refused(&not_yours), Code::FailedPrecondition),
        (convert::refused(&Refused::Nobody("x".into())), Code::NotFound),
        (convert::refused(&Refused::Invalid("no".into())), Code::InvalidArgument),
        (convert::refused(&Refused::Log("disk".into())), Code::Unavailable),
        (convert::refused(&Refused::Gone("store".into())), Code::Unavailable),
        (convert::refused(&Refused::Stopped), Code::Unavailable),
        (convert::refused(&Refused::Unknown { key: "r8".into() }), Code::Unknown),
    ];
    for (status, code) in table {
        assert_eq!(status.code(), code, "{status}");
    }
}
