//! The guard: who may call what, and how often.

use super::*;
use crate::control::admission::{Identified, Operators, Rejected};
use crate::control::rights::Right;

/// Knows `reader`, `officer` (who may revoke too) and `leaver`; everybody else is unknown.
struct Staff;

#[async_trait]
impl Operators for Staff {
    async fn admit(&self, token: &str, right: Right) -> Result<Identified, Rejected> {
        let (actor, rights): (_, &[Right]) = match token {
            "reader" => ("hr/reader", &[Right::Read]),
            "officer" => ("hr/officer", &[Right::Read, Right::Revoke]),
            "leaver" => {
                let (actor, why) = (Some("hr/leaver".to_owned()), "revoked_person".to_owned());
                return Err(Rejected { actor, lacks_right: false, why });
            }
            _ => return Err(Rejected { why: "bad_signature".to_owned(), ..Rejected::default() }),
        };
        if rights.contains(&right) {
            return Ok(Identified { actor: actor.to_owned(), ..Identified::default() });
        }
        Err(Rejected { actor: Some(actor.to_owned()), lacks_right: true, why: "no_permission".to_owned() })
    }

    async fn rejected(&self, _: &str, _: Right) -> Rejected {
        std::future::pending().await
    }
}

fn hash_of(token: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()))
}

/// What becomes of a call of `path` with these `authorization` headers.
async fn called(path: &str, shown: &[&str], bootstrap: bool, notes: &Arc<Calls>) -> Code {
    called_of(&guard(bootstrap, notes), path, shown).await
}

/// A guard whose time stands still.
fn guard(bootstrap: bool, notes: &Arc<Calls>) -> CallGuard {
    let hash = format!("{}\n", hash_of(TOKEN));
    let bootstrap = bootstrap.then(|| Bootstrap::from_hex(&hash).unwrap());
    CallGuard::new(bootstrap, Arc::new(Staff), notes.clone(), Arc::new(|| Timestamp::from_secs(100)))
}

async fn called_of(guard: &CallGuard, path: &str, shown: &[&str]) -> Code {
    let inner = tower::service_fn(|request: http::Request<()>| async move {
        assert!(request.extensions().get::<Caller>().is_some());
        assert!(request.headers().get("authorization").is_none(), "the token goes no further");
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
    });
    let mut request = http::Request::builder().uri(path);
    for value in shown {
        request = request.header("authorization", *value);
    }
    let mut guarded = guard.layer(inner);
    let response = guarded.ready().await.unwrap().call(request.body(()).unwrap()).await.unwrap();
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

/// Every method of the API, and what nobody may call.
pub(super) fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let mut methods = Vec::new();
    for file in set.file {
        for service in &file.service {
            for method in &service.method {
                methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    methods
}

#[test]
fn every_method_has_a_right_and_every_right_a_method() {
    let methods = methods();
    assert_eq!(methods.len(), 19);
    for method in &methods {
        assert!(needed(method).is_some(), "{method} needs a row in RIGHTS");
    }
    for (method, _) in RIGHTS {
        assert!(methods.iter().any(|known| known == method) || method.starts_with("/grpc.reflection."), "{method}");
    }
    assert_eq!(RIGHTS.iter().map(|(method, _)| method).collect::<BTreeSet<_>>().len(), RIGHTS.len());
}

#[tokio::test]
async fn the_matrix_of_callers_and_methods_is_golden() {
    let good = format!("Bearer {TOKEN}");
    let callers: [(&str, &[&str], bool); 11] = [
        ("nothing shown", &[], true),
        ("wrong token", &["Bearer wrong"], true),
        ("empty token", &["Bearer "], true),
        ("other scheme", &["Basic c2VhbGVk"], true),
        ("hash as token", &[&format!("Bearer {}", hash_of(TOKEN))], true),
        ("two headers", &[&good, "Bearer wrong"], true),
        ("token, none configured", &[&good], false),
        ("token", &[&good], true),
        ("reader", &["Bearer reader"], true),
        ("officer", &["Bearer officer"], true),
        ("leaver", &["bearer leaver"], true),
    ];
    let mut found = String::new();
    let mut paths = methods();
    paths.extend(["/offboard.v1.Control/Unheard".to_owned(), "/".to_owned()]);
    for path in &paths {
        let right = needed(path).map_or("-", Right::word);
        writeln!(found, "{path} {right}").unwrap();
        for (name, shown, bootstrap) in &callers {
            let notes = Arc::new(Calls::default());
            let code = called(path, shown, *bootstrap, &notes).await;
            let calls = notes.0.lock().unwrap();
            let alarm = if calls.iter().any(|call| call.alarm) { " (alarmed)" } else { "" };
            assert_eq!(calls.len(), usize::from(code != Code::Ok), "a refused call is one record");
            writeln!(found, "  {name}: {code:?}{alarm}").unwrap();
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/control-rights.txt");
        return std::fs::write(path, found).unwrap();
    }
    let golden = include_str!("../../../tests/golden/control-rights.txt");
    let differs = golden.lines().zip(found.lines()).find(|(golden, found)| golden != found);
    assert!(found == golden, "tests/golden/control-rights.txt (UPDATE_GOLDEN=1 writes it): {differs:?}");
}

#[test]
fn a_hash_is_64_hex_digits() {
    assert!(Bootstrap::from_hex(TOKEN).is_err());
    assert!(Bootstrap::from_hex("").is_err());
    assert!(Bootstrap::from_hex(&format!("{} \n", hash_of(TOKEN))).is_ok());
}

#[tokio::test]
async fn each_use_of_the_bootstrap_token_counts_and_no_guess_does() {
    let notes = Arc::new(Calls::default());
    let good = format!("Bearer {TOKEN}");
    for path in ["/offboard.v1.Control/Status", "/offboard.v1.Control/NoSuchMethod"] {
        called(path, &[&good], true, &notes).await;
        called(path, &["Bearer guessed"], true, &notes).await;
        called(path, &[], true, &notes).await;
        called(path, &[&good], false, &notes).await;
    }
    assert_eq!(notes.1.load(Ordering::Relaxed), 2, "the refused one too");
}

const REVOKE: &str = "/offboard.v1.Control/Revoke";

#[tokio::test]
async fn one_caller_changes_twenty_things_a_second_and_reads_as_much_as_they_like() {
    let notes = Arc::new(Calls::default());
    let guard = guard(true, &notes);
    for _ in 0..20 {
        assert_eq!(called_of(&guard, REVOKE, &["Bearer officer"]).await, Code::Ok);
    }
    assert_eq!(called_of(&guard, REVOKE, &["Bearer officer"]).await, Code::ResourceExhausted);
    assert_eq!(called_of(&guard, "/offboard.v1.Control/ListPeople", &["Bearer officer"]).await, Code::Ok);
    let other = format!("Bearer {TOKEN}");
    assert_eq!(called_of(&guard, REVOKE, &[&other]).await, Code::Ok, "another caller has a rate of their own");
    let calls = notes.0.lock().unwrap();
    assert_eq!(calls.len(), 1, "admitted calls are recorded by their method");
    assert_eq!(calls[0].actor.as_deref(), Some("hr/officer"));
}

#[tokio::test]
async fn wrong_tokens_fill_no_trail_and_keep_nobody_out() {
    let notes = Arc::new(Calls::default());
    let guard = guard(true, &notes);
    for _ in 0..100 {
        assert_eq!(called_of(&guard, REVOKE, &["Bearer guessed"]).await, Code::Unauthenticated);
    }
    assert_eq!(notes.0.lock().unwrap().len(), 20);
    let right = format!("Bearer {TOKEN}");
    for shown in [&*right, "Bearer officer"] {
        assert_eq!(called_of(&guard, REVOKE, &[shown]).await, Code::Ok);
    }
    called_of(&guard, "/offboard.v1.Control/Unheard", &[&right]).await;
    assert_eq!(notes.0.lock().unwrap().len(), 21, "each use of the emergency credential is recorded");
}

#[tokio::test]
async fn the_record_names_who_was_refused_and_why() {
    let notes = Arc::new(Calls::default());
    let refused = |call: &Call| (call.actor.clone().unwrap_or_default(), call.refused.clone().unwrap_or_default());
    for (token, actor, why) in [
        ("reader", "hr/reader", "no_permission"),
        ("leaver", "hr/leaver", "revoked_person"),
        ("nobody", "", "bad_signature"),
    ] {
        called(REVOKE, &[&format!("Bearer {token}")], true, &notes).await;
        let calls = notes.0.lock().unwrap();
        assert_eq!(refused(calls.last().unwrap()), (actor.to_owned(), why.to_owned()));
    }
}

/// A call of somebody who is `a/x`.
fn from_x<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let identified =
        Identified { actor: "a/x".to_owned(), persons: vec![view("a", "x").person.id], ..Identified::default() };
    let (actor, method) = ("a/x".into(), "/test".into());
    request.extensions_mut().insert(Caller { actor, method, identified: Arc::new(identified), admission: None });
    request
}

#[tokio::test]
async fn a_caller_lifts_nothing_from_themself_and_what_is_of_others() {
    let (operator, notes, asked) = operator(Ok(done()));
    let restore = |id: &str| proto::RestoreRequest { id: id.into(), reason: "a mistake".into() };
    let exempt = |person: &str| proto::ExemptRequest {
        person: person.into(),
        expires: "1970-01-01T01:00:00Z".into(),
        reason: "payday".into(),
        ..proto::ExemptRequest::default()
    };
    let own = [
        operator.restore(from_x(restore("r7"))).await.unwrap_err(),
        operator.undo(from_x(proto::UndoRequest { id: "r7".into(), reason: "mine".into() })).await.unwrap_err(),
        operator.exempt(from_x(exempt("x"))).await.unwrap_err(),
    ];
    assert!(own.iter().all(|refused| refused.code() == Code::PermissionDenied), "{own:?}");
    assert!(asked.lock().unwrap().is_empty());
    assert!(notes.0.lock().unwrap().iter().all(|call| call.refused.is_some()));
    operator.restore(from_x(restore("r8"))).await.unwrap();
    operator.exempt(from_x(exempt("y"))).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 2);
}
