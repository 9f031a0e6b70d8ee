//! A store that an earlier version wrote: what it denies is denied still, and the upgrade cuts nobody off.
//!
//! `tests/fixture/store-0.1` was written by the version whose names compared byte by byte: eight people of a file, six
//! things that an operator revoked, two that a configuration did, one block that was restored, and one address that
//! passed on. That version looked for a REF without regard to case, whatever it named.

use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::offboard::Offboard;
use crate::support::provider::{Signer, jwks};
use crate::support::proxy::Proxy;
use crate::support::{root, until};

pub const ISSUER: &str = "https://idp.example.com";
/// Before anything that the store tells of, in seconds.
const BEFORE: i64 = 1_780_000_000;

/// The same source as the one that the store knows, of the same issuer; the store is put in place.
fn installation(signer: &Signer) -> Installation {
    let files = Installation::new("");
    std::fs::write(files.path("jwks.json"), jwks(&[signer])).unwrap();
    let (keys, people) = (files.path("jwks.json"), files.path("people/people.yaml"));
    files.write(
        "20-rules.yaml",
        &format!(
            "authorization: none\n\
             issuers:\n  - {{ name: corp, issuer: '{ISSUER}', audiences: [mesh], jwks: {{ file: {} }} }}\n\
             sources:\n  - name: hr\n    kind: file\n    issuer: corp\n    path: {}\n    poll: 1s\n    \
             link: [{{ claim: email, attribute: email }}, {{ claim: login, attribute: username }}, {{ claim: sub, attribute: id }}]\n",
            keys.display(),
            people.display()
        ),
    );
    let store = files.path("store");
    std::fs::create_dir(&store).unwrap();
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/store-0.1");
    for name in ["log.db", "seen"] {
        std::fs::copy(format!("{recorded}/{name}"), store.join(name)).unwrap();
    }
    files
}

/// Shows tokens of its own making.
pub struct Caller<'a> {
    pub proxy: Proxy,
    pub signer: &'a Signer,
}

impl Caller<'_> {
    /// Why a token with these claims, issued then, is let through or not.
    pub async fn reason(&mut self, issued: i64, claims: Value) -> String {
        let mut all =
            json!({ "iss": ISSUER, "aud": "mesh", "sub": "somebody", "iat": issued, "exp": 4_000_000_000_i64 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.proxy.reason(&self.signer.sign(&all)).await
    }

    /// What the store denies, asked for in the spelling that it has, and in others.
    async fn is_denied(&mut self, when: &str) {
        let today = jiff::Timestamp::now().as_second();
        for (claims, expected) in [
            (json!({ "email": "bob@corp.example" }), "revoked_person"),
            (json!({ "email": "Bob@Corp.Example" }), "revoked_person"),
            (json!({ "email": "xi@corp.example" }), "revoked_person"),
            (json!({ "sub": "x9" }), "revoked_person"),
            (json!({ "email": "ghost@corp.example" }), "revoked_person"),
            (json!({ "email": "GHOST@corp.example" }), "revoked_person"),
            (json!({ "sub": "E77" }), "revoked_person"),
            (json!({ "sub": "e77" }), "revoked_person"),
            (json!({ "email": "quinn@corp.example" }), "revoked_person"),
            (json!({ "sub": "e4" }), "revoked_person"),
            (json!({ "email": "Nobody@corp.example" }), "revoked_person"),
            (json!({ "email": "EVE@corp.example" }), "revoked_person"),
            (json!({ "login": "eve" }), "revoked_person"),
            (json!({ "email": "gil@corp.example" }), "revoked_person"),
            (json!({ "sub": "s-1" }), "revoked_subject"),
            (json!({ "sub": "e1", "azp": "cli-1" }), "revoked_client"),
            (json!({ "sub": "e1", "sid": "sess-1" }), "revoked_session"),
        ] {
            assert_eq!(self.reason(today, claims.clone()).await, expected, "{claims} {when}");
        }
        for email in ["dee@corp.example", "Dee@Corp.example", "fay@corp.example", "FAY@corp.example"] {
            let found = self.reason(BEFORE, json!({ "email": email })).await;
            assert_eq!(found, "issued_before_cutoff", "{email} {when}");
        }
        assert_eq!(self.reason(today, json!({ "email": "dee@corp.example" })).await, "allowed", "{when}");
    }

    /// Nobody whom the store does not deny has to sign in again.
    async fn works(&mut self, when: &str) {
        for claims in [
            json!({ "email": "ann.lee@corp.example" }),
            json!({ "email": "Ann.Lee@Corp.example" }),
            json!({ "login": "alee" }),
            json!({ "login": "ALee" }),
            json!({ "sub": "e1" }),
            json!({ "email": "fay.new@corp.example" }),
            json!({ "sub": "e7" }),
        ] {
            assert_eq!(self.reason(BEFORE, claims.clone()).await, "allowed", "{claims} {when}");
        }
    }
}

fn standing(offboard: &Offboard, files: &Installation) -> Vec<String> {
    let (code, out, error) = offboard.run(&files.token_file(), &["revocations", "-o", "json"]);
    assert_eq!(code, 0, "{error}");
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    out.lines().map(id).collect()
}

#[tokio::test]
async fn what_the_version_before_denied_is_denied_still_and_nobody_else() {
    let signer = Signer::new("k1", 7);
    let files = installation(&signer);
    // Its directory cannot be read yet: the store alone is known.
    let offboard = files.start().await;
    let proxy = Proxy::connect(offboard.authz).await;
    let mut caller = Caller { proxy, signer: &signer };
    caller.is_denied("after the upgrade").await;
    caller.works("after the upgrade").await;
    let before = standing(&offboard, &files);
    assert_eq!(before.len(), 12, "{before:?}");

    // The first listing writes everybody in another case.
    files.write_people(&[
        "id: e1, email: ANN.LEE@CORP.EXAMPLE, username: alee",
        "id: e2, email: Bob@Corp.Example, username: bob",
        "id: x9, email: XI@corp.example, username: xi",
        "id: e4, email: quinn@corp.example, username: Quinn",
        "id: e5, email: dee@corp.example, username: Dee",
        "id: e6, email: eve@corp.example, username: EVE, status: departed",
        "id: e7, email: Fay.New@corp.example, username: FAY",
        "id: e8, email: gil@corp.example, username: gil, status: suspended",
        "id: e9, email: hal@corp.example, username: hal",
    ]);
    until("it was listed", async || {
        let (_, out, _) = offboard.run(&files.token_file(), &["people", "-o", "json"]);
        out.contains("hr/e9").then_some(())
    })
    .await;
    caller.is_denied("after the first listing").await;
    caller.works("after the first listing").await;
    assert_eq!(standing(&offboard, &files), before, "nothing new stands");
}

/// A start on the store of [`installation`] after it was edited: exit code and what was said.
fn refused(edit: impl FnOnce(&rusqlite::Connection)) -> (Option<i32>, String) {
    let files = installation(&Signer::new("k1", 7));
    edit(&rusqlite::Connection::open(files.path("store/log.db")).unwrap());
    let done = Offboard::command().args(["serve", "--config"]).arg(files.path("config")).output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// Each message stands in `k8s/upgrade.md`, where whoever goes back looks for it.
#[test]
fn what_a_later_version_wrote_is_refused_as_the_page_says() {
    let page = std::fs::read_to_string(root().join("k8s/upgrade.md")).unwrap();
    let schema = refused(|store| store.execute_batch("PRAGMA user_version = 4").unwrap());
    let event = refused(|store| {
        let last: i64 = store.query_row("SELECT max(position) FROM events", [], |row| row.get(0)).unwrap();
        let event = "INSERT INTO events (position, time, event) VALUES (?1, 0, '{\"invented\": {}}')";
        store.execute(event, [last + 1]).unwrap();
    });
    let schema_says = "it has schema version 4, this offboard supports up to 3; use a later version";
    for ((code, said), expected) in [(schema, schema_says), (event, "the event at 30 cannot be read")] {
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(page.contains(&format!("`{expected}`")), "k8s/upgrade.md does not say: {expected}");
    }
}
