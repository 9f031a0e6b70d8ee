//! Offboard, a tenant, and people with tokens.

use crate::support::entra::{Entra, Tenant};
use crate::support::installation::Installation;
use crate::support::scenario::{Scenario, stage};
use crate::support::until;

pub const QUICK: &str = "poll: 100ms, timeout: 1s";

/// An Offboard that asks a tenant, and a proxy that asks Offboard.
pub struct World {
    pub entra: Entra,
    scenario: Scenario,
}

stage!(World);

impl World {
    /// Whoever is in group `orders` may; `fill` says who is there.
    pub async fn start<T>(rest: &str, fill: impl FnOnce(&mut Tenant) -> T) -> (Self, T) {
        let entra = Entra::start().await;
        let filled = entra.with(fill);
        let rules = |files: &Installation| {
            format!(
                "sources: [{}]\nservices: [{{ name: orders, hosts: [orders.example.com] }}]\n\
                 roles: [{{ name: orders, permissions: [{{ services: [orders] }}] }}]\n\
                 bindings: [{{ role: orders, issuer: dev, groups: [orders] }}]\n",
                entra.section(files, rest)
            )
        };
        let scenario = Scenario::start(rules).await;
        let people = entra.with(|tenant| tenant.people());
        scenario.offboard.knows("entra", people).await;
        (Self { entra, scenario }, filled)
    }

    /// A token as Entra issues them: `sub` is another one for each application, `oid` is the user.
    pub async fn token(&self, id: &str) -> String {
        self.issuer.token(&format!("sub=pairwise&oid={id}")).await
    }

    /// One that is issued a little later than now: within the leeway, and after any cut-off that is set now.
    pub async fn new_token(&self, id: &str) -> String {
        let later = jiff::Timestamp::now().as_second() + 10;
        self.issuer.token(&format!("sub=pairwise&oid={id}&iat={later}")).await
    }

    pub async fn allowed(&mut self, token: &str) -> bool {
        self.proxy.ask(token).await.unwrap().allowed
    }

    pub async fn failures(&self, kind: &str) -> f64 {
        let series = format!("offboard_source_errors_total{{kind=\"{kind}\",source=\"entra\"}}");
        self.offboard.metric(&series).await.unwrap_or_default()
    }

    pub async fn until_failed(&self, kind: &str) {
        let before = self.failures(kind).await;
        until(&format!("it fails: {kind}"), async || (self.failures(kind).await > before).then_some(())).await;
    }

    /// Two rounds of changes of users and groups are over.
    pub async fn asked_again(&self) {
        rounds(&self.entra).await;
    }

    /// The same, and all the while none of these is allowed.
    pub async fn asked_again_without(&mut self, tokens: &[&str]) {
        let mut rounds = std::pin::pin!(rounds(&self.entra));
        for token in tokens.iter().cycle() {
            tokio::select! {
                () = &mut rounds => return,
                answer = self.scenario.proxy.ask(token) => assert!(!answer.unwrap().allowed),
            }
        }
    }

    /// Asks for changes at once, however long it would wait by itself.
    pub fn sync(&self) {
        let (code, said) = self.run(&["source", "sync", "entra"]);
        assert_eq!(code, 0, "{said}");
    }
}

/// alice and bob are in `orders`, and five others so that there are pages.
pub fn company(tenant: &mut Tenant) -> [String; 3] {
    let orders = tenant.add_group("orders");
    let [alice, bob] = ["alice", "bob"].map(|name| tenant.add_user(name));
    for name in ["carol", "dave", "erin", "frank", "grace"] {
        let id = tenant.add_user(name);
        tenant.join(&orders, &id);
    }
    tenant.join(&orders, &alice);
    tenant.join(&orders, &bob);
    [alice, bob, orders]
}

pub async fn rounds(entra: &Entra) {
    for path in ["/v1.0/users/delta?$deltatoken", "/v1.0/groups/delta?$deltatoken"] {
        entra.asked_again(path).await;
        entra.asked_again(path).await;
    }
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
