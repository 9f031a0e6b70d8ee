//! `offboard explain --decision ID`: a decision of a minute ago, step by step, as the other two forms tell it.

mod compared;
mod given;

use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;

/// The line that answers this question.
fn line<'a>(told: &'a str, question: &str) -> &'a str {
    told.lines().find(|line| line.starts_with(question)).unwrap_or_else(|| panic!("no {question:?} in {told}")).trim()
}

/// The questions, in order.
fn questions(told: &str) -> Vec<&str> {
    told.lines().map(|line| line.split("  ").next().unwrap()).collect()
}

struct Stage {
    files: Installation,
    issuer: DevIssuer,
    offboard: Offboard,
    proxy: Proxy,
}

impl Stage {
    async fn start() -> Self {
        let issuer = DevIssuer::start().await;
        let files = Installation::new("");
        files.write_people(&["id: alice, groups: [eng]", "id: bob, groups: [eng]"]);
        let people = files.path("people/people.yaml").display().to_string();
        files.write(
            "20-rules.yaml",
            &format!(
                "issuers: [{{ name: dev, issuer: '{}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n\
                 sources: [{{ name: hr, kind: file, issuer: dev, path: {people} }}]\n\
                 services: [{{ name: orders, hosts: [orders.example.com] }}]\n\
                 roles: [{{ name: reader, permissions: [{{ services: [orders], methods: [GET] }}] }}]\n\
                 bindings: [{{ role: reader, groups: [eng] }}]\n",
                issuer.url
            ),
        );
        let offboard = files.start().await;
        offboard.knows("hr", 2).await;
        offboard.has_keys("dev").await;
        let proxy = Proxy::connect(offboard.authz).await;
        Self { files, issuer, offboard, proxy }
    }

    /// Asks as a proxy does, then has the decision explained: exit code and text.
    async fn told(&mut self, token: &str) -> (i32, String) {
        let answer = self.proxy.ask(token).await.unwrap();
        self.explain(&["--decision", &answer.metadata["decision_id"]])
    }

    /// The same request, explained by the running server.
    fn live(&self, token: &str) -> (i32, String) {
        let bearer = format!("authorization: Bearer {token}");
        self.explain(&["--method", "GET", "--host", "orders.example.com", "--path", "/v1/orders", "-H", &bearer])
    }

    fn explain(&self, words: &[&str]) -> (i32, String) {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), &[&["explain"], words].concat());
        assert!(error.is_empty(), "{error}");
        (code, out)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recent_decision_is_told_step_by_step() {
    let mut stage = Stage::start().await;
    let (alice, bob) = (stage.issuer.token("sub=alice").await, stage.issuer.token("sub=bob").await);

    let (code, told) = stage.told(&alice).await;
    assert_eq!(code, 0, "{told}");
    let (live_code, live) = stage.live(&alice);
    assert_eq!(live_code, 0, "{live}");
    assert_eq!(questions(&told)[1..], questions(&live), "the same steps");
    assert!(line(&told, "which request").contains("GET /v1/orders"), "{told}");
    assert!(line(&told, "which service").ends_with("orders (enforce) (the host)"), "{told}");
    assert!(line(&told, "which credential").ends_with("(verified)"), "{told}");
    assert!(line(&told, "who is it").ends_with("hr/alice, active"), "{told}");
    assert!(line(&told, "which roles").contains("reader (binding at "), "{told}");
    assert!(line(&told, "verdict").contains("allowed (allowed: binding at "), "{told}");
    assert!(line(&told, "verdict").contains("20-rules.yaml:5"), "{told}");
    for same in ["is the request", "which credential", "is anything", "who is it", "which roles", "verdict"] {
        assert_eq!(line(&told, same), line(&live, same));
    }

    let arguments = ["revoke", "--person", "bob", "--reason", "HR-12"];
    assert_eq!(stage.offboard.run(&stage.files.token_file(), &arguments).0, 0);
    let (code, told) = stage.told(&bob).await;
    assert_eq!(code, 1, "{told}");
    let found = line(&told, "is anything about it revoked?");
    assert!(found.contains("yes (revocation r") && found.contains("HR-12, by "), "{found}");
    assert!(line(&told, "verdict").contains("denied with 403 (revoked_person: revocation r"), "{told}");
    assert_eq!(line(&stage.live(&bob).1, "is anything"), found, "and live");
    let unknown = ["explain", "--decision", "0000000000000000000000000000ffff"];
    let (code, out, error) = stage.offboard.run(&stage.files.token_file(), &unknown);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("no recent decision"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_early_says_what_was_not_asked() {
    let mut stage = Stage::start().await;
    let (code, told) = stage.told("opaque").await;
    assert_eq!(code, 1);
    assert!(line(&told, "which credential").ends_with("something that no configured scheme claims"), "{told}");
    let forged = stage.issuer.token("sub=alice").await.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    let (_, told) = stage.told(&forged).await;
    assert!(
        line(&told, "which credential").contains("bearer, not verified (bad_signature: the signature is not valid for"),
        "{told}"
    );
    assert!(line(&told, "who is it").contains("not asked (no verified credential)"), "{told}");
    let stranger = DevIssuer::start().await.token("sub=alice").await;
    let (_, told) = stage.told(&stranger).await;
    assert!(line(&told, "which credential").contains("an issuer that is not configured"), "{told}");
    assert!(line(&told, "verdict").contains("denied with 401 (unknown_issuer: claim `iss` names no"), "{told}");
    let mallory = stage.issuer.token("sub=mallory").await;
    let (_, told) = stage.told(&mallory).await;
    assert!(line(&told, "who is it").ends_with("unknown to every source"), "{told}");
    assert!(line(&told, "is anything").contains("no (epoch "), "{told}");
}
