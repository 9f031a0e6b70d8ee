//! What is asked for, and changes nothing; and that each call is recorded.

use futures_util::StreamExt as _;

use super::*;

#[tokio::test]
async fn one_person_in_each_source_is_one_ref_but_two_in_one_are_ambiguous() {
    let (operator, ..) = operator(Ok(done()));
    let ask = async |person: &str| {
        operator.get_person(from_operator(proto::GetPersonRequest { person: person.into() })).await
    };
    assert_eq!(ask("x").await.unwrap().into_inner().people.len(), 2);
    assert_eq!(ask("both").await.unwrap_err().code(), Code::FailedPrecondition);
    let nobody = ask("nobody").await.unwrap_err();
    assert_eq!(
        (nobody.code(), nobody.message()),
        (Code::NotFound, "`nobody` matches nobody in any source; near it: x@example.com (a/x)")
    );
}

#[tokio::test]
async fn people_come_in_pages() {
    let (operator, ..) = operator(Ok(done()));
    let (mut token, mut names) = (String::new(), Vec::new());
    loop {
        let request =
            proto::ListPeopleRequest { page_size: 2, page_token: token, ..proto::ListPeopleRequest::default() };
        let page = operator.list_people(from_operator(request)).await.unwrap().into_inner();
        names.extend(page.people.into_iter().map(|person| person.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a/x", "a/y", "b/x"]);
    let wrong = proto::ListPeopleRequest { status: "fired".into(), ..proto::ListPeopleRequest::default() };
    assert_eq!(operator.list_people(from_operator(wrong)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn each_method_is_one_record() {
    let (operator, notes, _) = operator(Ok(done()));
    let reason = "why".to_owned();
    let restore = proto::RestoreRequest { id: "r5".into(), reason: reason.clone() };
    let expires = "1970-01-02T00:00:00Z".into();
    let exempt = proto::ExemptRequest { person: "x".into(), expires, reason: reason.clone(), end: false };
    let explain = proto::ExplainRequest { host: "payments".into(), ..proto::ExplainRequest::default() };
    operator.revoke(from_operator(on_person("x"))).await.unwrap();
    let many = proto::RevokeManyRequest {
        revocations: vec![on_person("x"), on_person("y")],
        ..proto::RevokeManyRequest::default()
    };
    operator.revoke_many(from_operator(many)).await.unwrap();
    operator.restore(from_operator(restore)).await.unwrap();
    let undo = proto::UndoRequest { id: "r5".into(), reason: reason.clone() };
    operator.undo(from_operator(undo)).await.unwrap();
    operator.exempt(from_operator(exempt)).await.unwrap();
    operator.list_revocations(from_operator(proto::ListRevocationsRequest::default())).await.unwrap();
    operator.get_person(from_operator(proto::GetPersonRequest { person: "x".into() })).await.unwrap();
    operator.list_people(from_operator(proto::ListPeopleRequest::default())).await.unwrap();
    operator.get_status(from_operator(proto::GetStatusRequest {})).await.unwrap();
    operator.explain(from_operator(explain)).await.unwrap();
    operator.list_observed(from_operator(proto::ListObservedRequest::default())).await.unwrap();
    drop(operator.tail_audit(from_operator(proto::TailAuditRequest::default())).await.unwrap());
    drop(operator.watch(from_operator(proto::WatchRequest::default())).await.unwrap());
    let name = || "a".to_owned();
    operator.list_sources(from_operator(proto::ListSourcesRequest { name: name() })).await.unwrap();
    operator.sync_source(from_operator(proto::SyncSourceRequest { name: name(), full: true })).await.unwrap();
    operator
        .check_source(from_operator(proto::CheckSourceRequest { name: name(), token_sample: String::new() }))
        .await
        .unwrap();
    operator.judge_source(from_operator(proto::JudgeSourceRequest { name: name(), confirm: true })).await.unwrap();
    let until = "1970-01-02T00:00:00Z".to_owned();
    let expect = proto::ExpectSourceRequest { name: name(), share: 3_500, until };
    operator.expect_source(from_operator(expect)).await.unwrap();
    operator.get_outcome(from_operator(proto::GetOutcomeRequest { key: "r17".into() })).await.unwrap();
    assert_eq!(notes.0.lock().unwrap().len(), super::calls::methods().len());
}

#[tokio::test]
async fn what_would_be_refused_is_asked_for_by_service_and_time() {
    let (operator, notes, _) = operator(Ok(done()));
    let ask = async |service: &str, since: &str| {
        let request = proto::ListObservedRequest { service: Some(service.into()), since: Some(since.into()) };
        operator.list_observed(from_operator(request)).await
    };
    let found = ask("payments", "1970-01-01T00:00:09Z").await.unwrap().into_inner();
    assert_eq!(found.counted_since, "1970-01-01T00:00:07.000Z");
    assert_eq!(found.observed[0].last, "1970-01-01T00:00:09.000Z");
    assert_eq!(notes.0.lock().unwrap()[0].target.as_deref(), Some("payments"));
    assert_eq!(ask("order", "1970-01-01T00:00:09Z").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ask("payments", "yesterday").await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_trail_of_a_ref_is_that_of_whom_it_means() {
    let (operator, ..) = operator(Ok(done()));
    let ask = async |person: &str, since: Option<&str>| {
        let (person, since) = (person.to_owned(), since.map(str::to_owned));
        operator.tail_audit(from_operator(proto::TailAuditRequest { person, since, ..Default::default() })).await
    };
    let mut records = ask("x", Some("1970-01-01T00:00:07Z")).await.unwrap().into_inner();
    let told = records.next().await.unwrap().unwrap().json;
    assert_eq!(told.matches("PersonId {").count(), 2, "one in each source: {told}");
    for (person, since, code) in [
        ("nobody", None, Code::NotFound),
        ("both", None, Code::FailedPrecondition),
        ("x", Some("yesterday"), Code::InvalidArgument),
    ] {
        assert_eq!(ask(person, since).await.err().unwrap().code(), code, "{person}");
    }
}

#[tokio::test]
async fn a_watch_ends_with_what_it_failed_of() {
    let (operator, ..) = operator(Ok(done()));
    let watch = async |position: u64| {
        let since = Some(proto::Epoch { generation: 1, position });
        operator.watch(from_operator(proto::WatchRequest { since })).await
    };
    assert_eq!(watch(18).await.err().unwrap().code(), Code::FailedPrecondition);
    let mut changes = watch(17).await.unwrap().into_inner();
    assert!(changes.next().await.unwrap().is_ok());
    assert_eq!(changes.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn an_unknown_decision_is_not_found() {
    let (operator, ..) = operator(Ok(done()));
    let request = proto::ExplainRequest { decision_id: "00".into(), ..proto::ExplainRequest::default() };
    assert_eq!(operator.explain(from_operator(request)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn whoever_hears_that_the_outcome_is_unknown_can_ask() {
    let (asked, _, _) = operator(Err(Refused::Unknown { key: "r17".into() }));
    let status = asked.revoke(from_operator(on_person("x"))).await.unwrap_err();
    let key = status.metadata().get(convert::OUTCOME_KEY).unwrap().to_str().unwrap().to_owned();
    let ask = async |key: String| asked.get_outcome(from_operator(proto::GetOutcomeRequest { key })).await.unwrap();
    assert!(ask(key).await.into_inner().stands);
    assert!(!ask("r18".into()).await.into_inner().stands);
}
