//! Who leaves Microsoft Entra ID is out, and whatever its answers are, nobody comes back by them who should not.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::entra::{Entra, Fault, SECRET, TENANT, Tenant};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::offboard::Offboard;
use crate::support::proxy::Proxy;
use crate::support::until;

const QUICK: &str = "poll: 100ms, timeout: 1s";

/// An Offboard that asks a tenant, and a proxy that asks Offboard.
struct World {
    issuer: DevIssuer,
    entra: Entra,
    files: Installation,
    offboard: Offboard,
    proxy: Proxy,
}

impl World {
    /// Whoever is in group `orders` may; `fill` says who is there.
    async fn start<T>(rest: &str, fill: impl FnOnce(&mut Tenant) -> T) -> (Self, T) {
        let (issuer, entra) = (DevIssuer::start().await, Entra::start().await);
        let filled = entra.with(fill);
        let files = Installation::new("");
        let rules = format!(
            "{}sources: [{}]\nservices: [{{ name: orders, hosts: [orders.example.com] }}]\n\
             roles: [{{ name: orders, permissions: [{{ services: [orders] }}] }}]\n\
             bindings: [{{ role: orders, issuer: dev, groups: [orders] }}]\n",
            issuer.section(),
            entra.section(&files, rest)
        );
        files.write("20-rules.yaml", &rules);
        let offboard = files.start().await;
        offboard.has_keys("dev").await;
        let proxy = Proxy::connect(offboard.authz).await;
        let people = entra.with(|tenant| tenant.people());
        offboard.knows("entra", people).await;
        (Self { issuer, entra, files, offboard, proxy }, filled)
    }

    /// A token as Entra issues them: `sub` is another one for each application, `oid` is the user.
    async fn token(&self, id: &str) -> String {
        self.issuer.token(&format!("sub=pairwise&oid={id}")).await
    }

    /// One that is issued a little later than now: within the leeway, and after any cut-off that is set now.
    async fn new_token(&self, id: &str) -> String {
        let later = jiff::Timestamp::now().as_second() + 10;
        self.issuer.token(&format!("sub=pairwise&oid={id}&iat={later}")).await
    }

    async fn allowed(&mut self, token: &str) -> bool {
        self.proxy.ask(token).await.unwrap().allowed
    }

    async fn until_allowed(&mut self, token: &str) {
        let proxy = &mut self.proxy;
        until("it is allowed", async || proxy.ask(token).await.unwrap().allowed.then_some(())).await;
    }

    /// Waits until it is refused, and for this reason.
    async fn until_refused(&mut self, token: &str, reason: &str) {
        let series = format!("offboard_checks_total{{decision=\"deny\",reason=\"{reason}\"}}");
        let (proxy, offboard) = (&mut self.proxy, &self.offboard);
        until(&format!("it is refused: {reason}"), async || {
            let before = offboard.metric(&series).await.unwrap_or_default();
            let refused = !proxy.ask(token).await.unwrap().allowed;
            (refused && offboard.metric(&series).await == Some(before + 1.0)).then_some(())
        })
        .await;
    }

    async fn failures(&self, kind: &str) -> f64 {
        let series = format!("offboard_source_errors_total{{kind=\"{kind}\",source=\"entra\"}}");
        self.offboard.metric(&series).await.unwrap_or_default()
    }

    async fn until_failed(&self, kind: &str) {
        let before = self.failures(kind).await;
        until(&format!("it fails: {kind}"), async || (self.failures(kind).await > before).then_some(())).await;
    }

    /// Two rounds of changes of users and groups are over.
    async fn asked_again(&self) {
        rounds(&self.entra).await;
    }

    /// The same, and all the while none of these is allowed.
    async fn asked_again_without(&mut self, tokens: &[&str]) {
        let mut rounds = std::pin::pin!(rounds(&self.entra));
        for token in tokens.iter().cycle() {
            tokio::select! {
                () = &mut rounds => return,
                answer = self.proxy.ask(token) => assert!(!answer.unwrap().allowed),
            }
        }
    }

    /// Asks for changes at once, however long it would wait by itself.
    fn sync(&self) {
        let (code, said) = self.command(&["source", "sync", "entra"]);
        assert_eq!(code, 0, "{said}");
    }

    fn command(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, error) = self.offboard.run(&self.files.token_file(), arguments);
        (code, format!("{out}{error}"))
    }
}

/// alice and bob are in `orders`, and five others so that there are pages.
fn company(tenant: &mut Tenant) -> [String; 3] {
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

impl Drop for World {
    fn drop(&mut self) {
        // Nobody is behind it who would have to be drained.
        self.offboard.process.signal(Signal::KILL);
    }
}

async fn rounds(entra: &Entra) {
    for path in ["/v1.0/users/delta?$deltatoken", "/v1.0/groups/delta?$deltatoken"] {
        entra.asked_again(path).await;
        entra.asked_again(path).await;
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_leaves_is_out() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let (old, bobs) = (world.token(&alice).await, world.token(&bob).await);
    assert!(world.allowed(&old).await && world.allowed(&bobs).await);

    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.until_refused(&old, "revoked_person").await;
    world.entra.with(|tenant| tenant.enable(&alice, true));
    world.until_refused(&old, "issued_before_cutoff").await;
    let new = world.new_token(&alice).await;
    world.until_allowed(&new).await;

    // Whole records instead of what changed.
    world.entra.with(|tenant| tenant.partial = false);
    world.entra.with(|tenant| tenant.revoke_sessions(&alice, now() + 20));
    world.until_refused(&new, "issued_before_cutoff").await;
    let newer = world.issuer.token(&format!("sub=x&oid={alice}&iat={}", now() + 25)).await;
    world.until_allowed(&newer).await;

    world.entra.with(|tenant| tenant.delete(&alice, "changed"));
    world.until_refused(&newer, "revoked_person").await;
    world.entra.with(|tenant| {
        tenant.restore(&alice);
        tenant.join(&orders, &alice);
    });
    world.until_refused(&old, "issued_before_cutoff").await;
    world.until_allowed(&newer).await;
    world.entra.with(|tenant| tenant.delete(&alice, "changed"));
    world.until_refused(&newer, "revoked_person").await;
    world.entra.with(|tenant| tenant.delete(&alice, "deleted"));
    world.asked_again().await;
    assert!(!world.allowed(&newer).await && world.allowed(&bobs).await, "for ever, and nobody else");

    // Who is said to be disabled, and cannot be read, is believed to be.
    world.entra.with(|tenant| {
        (tenant.fault, tenant.fault_at) = (Some(Fault::Broken), "/v1.0/users/8b");
        tenant.enable(&bob, false);
    });
    world.until_refused(&bobs, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_nested_group_gives_and_takes() {
    let fill = |tenant: &mut Tenant| {
        let [alice, bob, orders] = company(tenant);
        let carol = tenant.add_user("carol2");
        let [team, squad] = ["team", "squad"].map(|name| tenant.add_group(name));
        tenant.join(&orders, &team);
        tenant.join(&team, &squad);
        // They contain each other.
        tenant.join(&squad, &team);
        tenant.join(&squad, &carol);
        ([alice, bob, carol], [orders, team, squad])
    };
    let (mut world, ([alice, bob, carol], [orders, team, squad])) = World::start(QUICK, fill).await;
    let tokens = [world.token(&alice).await, world.token(&bob).await, world.token(&carol).await];
    let [alices, bobs, carols] = &tokens;
    for token in &tokens {
        world.until_allowed(token).await;
    }
    let good = world.entra.with(|tenant| tenant.answered());
    world.entra.with(|tenant| tenant.leave(&team, &squad));
    world.until_refused(carols, "no_permission").await;
    assert!(world.allowed(alices).await);
    world.entra.with(|tenant| tenant.join(&orders, &squad));
    world.until_allowed(carols).await;
    world.entra.with(|tenant| tenant.delete_group(&squad));
    world.until_refused(carols, "no_permission").await;
    world.entra.with(|tenant| tenant.leave(&orders, &bob));
    world.until_refused(bobs, "no_permission").await;

    // What was said before that is said again, and then everything.
    for rows in [good, world.entra.with(|tenant| tenant.answered())] {
        world.entra.with(|tenant| tenant.replay(rows));
        world.asked_again_without(&[bobs, carols]).await;
        assert!(world.allowed(alices).await);
    }

    // Another group of the same name: nobody knows which is meant.
    let other = world.entra.with(|tenant| tenant.add_group("orders"));
    world.until_refused(alices, "no_permission").await;
    world.entra.with(|tenant| tenant.rename_group(&other, "others"));
    world.until_allowed(alices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_that_comes_again_gives_nothing_back() {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.until_allowed(&alices).await;
    world.entra.with(|tenant| tenant.set(&alice, "mail", json!("a@mail.example")));
    world.asked_again().await;
    let good = world.entra.with(|tenant| tenant.answered());
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.until_refused(&alices, "revoked_person").await;
    for rows in [good, world.entra.with(|tenant| tenant.answered())] {
        world.entra.with(|tenant| tenant.replay(rows));
        let new = world.new_token(&alice).await;
        world.asked_again_without(&[&alices, &new]).await;
    }
    // Not even where their own address is late as well.
    world.entra.with(|tenant| {
        tenant.keep_saying(&bob, 2);
        tenant.enable(&bob, false);
    });
    world.until_refused(&bobs, "revoked_person").await;
    until("its address is asked often enough", async || {
        world.entra.with(|tenant| tenant.is_up_to_date(&bob)).then_some(())
    })
    .await;
    let mut new = world.new_token(&bob).await;
    world.until_refused(&new, "revoked_person").await;

    // A change that misses its round, and comes with the next.
    world.entra.with(|tenant| tenant.enable(&bob, true));
    new = world.new_token(&bob).await;
    world.until_allowed(&new).await;
    world.entra.with(|tenant| {
        tenant.lag();
        tenant.enable(&bob, false);
    });
    world.until_refused(&new, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_listing_that_is_late_gives_nothing_back() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let ids = [alice.clone(), bob.clone(), world.entra.with(|tenant| tenant.add_user("new"))];
    world.entra.with(|tenant| tenant.join(&orders, &ids[2]));
    let tokens = [world.token(&ids[0]).await, world.token(&ids[1]).await, world.token(&ids[2]).await];
    for token in &tokens {
        world.until_allowed(token).await;
    }
    world.entra.with(|tenant| {
        tenant.freeze_listings();
        tenant.enable(&alice, false);
        tenant.leave(&orders, &bob);
        tenant.delete(&ids[2], "changed");
    });
    world.until_refused(&tokens[0], "revoked_person").await;
    world.until_refused(&tokens[1], "no_permission").await;
    world.until_refused(&tokens[2], "revoked_person").await;
    let (code, said) = world.command(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    let new = [world.new_token(&ids[0]).await, world.new_token(&ids[1]).await, world.new_token(&ids[2]).await];
    for token in tokens.iter().chain(&new) {
        assert!(!world.allowed(token).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_place_that_is_forgotten_is_begun_anew() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.until_allowed(&alices).await;
    world.until_allowed(&bobs).await;
    // What nobody will be told as a change any more: a listing tells.
    world.entra.with(|tenant| {
        (tenant.fault, tenant.fault_at) = (Some(Fault::Gone), "/v1.0/users");
        tenant.delete(&alice, "changed");
    });
    world.entra.asked_again("/v1.0/users/delta?%24select").await;
    world.entra.with(|tenant| tenant.fault = None);
    world.until_refused(&alices, "revoked_person").await;
    world.entra.with(|tenant| {
        (tenant.fault, tenant.fault_at) = (Some(Fault::Expired), "/v1.0/groups");
        tenant.leave(&orders, &bob);
    });
    world.entra.asked_again("/v1.0/groups/delta?%24select").await;
    world.entra.with(|tenant| tenant.fault = None);
    world.until_refused(&bobs, "no_permission").await;
    // What happens after that is seen by changes again.
    let id = world.entra.with(|tenant| tenant.add_user("new"));
    world.offboard.knows("entra", 7).await;
    world.entra.with(|tenant| tenant.enable(&id, false));
    world.offboard.knows("entra", 6).await;
    world.entra.with(|tenant| tenant.join(&orders, &bob));
    world.until_allowed(&bobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_goes_wrong_there_changes_no_answer() {
    // Most of it is waiting until it may be tried again.
    let answers = [
        (Fault::Throttled, "rate_limited"),
        (Fault::Overloaded, "rate_limited"),
        (Fault::Broken, "provider_error"),
        (Fault::Hang, "unreachable"),
    ];
    let pages = [
        (Fault::Html, "malformed"),
        (Fault::Truncated, "malformed"),
        (Fault::Circle, "malformed"),
        (Fault::Elsewhere, "malformed"),
    ];
    tokio::join!(faults(answers), faults(pages));
}

async fn faults<const N: usize>(faults: [(Fault, &str); N]) {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.until_allowed(&alices).await;
    world.until_allowed(&bobs).await;
    for (fault, kind) in faults {
        world.entra.with(|tenant| tenant.fault = Some(fault));
        world.until_failed(kind).await;
        assert!(world.allowed(&alices).await && world.allowed(&bobs).await, "{fault:?}");
        world.entra.with(|tenant| tenant.fault = None);
        // It would go on by itself, as it does after the last.
        if fault != faults[N - 1].0 {
            world.sync();
        }
    }
    world.asked_again().await;
    let before = world.failures("forbidden").await;
    world.entra.with(Tenant::end_tokens);
    world.asked_again().await;
    assert!(world.failures("forbidden").await == before, "a new token, and nothing more");
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.until_refused(&alices, "revoked_person").await;
    assert!(world.allowed(&bobs).await);
    assert!(!world.offboard.process.output().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_that_is_taken_away_is_named() {
    let (mut world, [alice, bob, _]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.until_allowed(&alices).await;
    for right in ["User.Read.All", "GroupMember.Read.All"] {
        world.entra.with(|tenant| tenant.take_away(right));
        until("it is named", async || {
            let (_, shown) = world.command(&["source", "show", "entra"]);
            (shown.contains(right) && shown.contains("admin consent")).then_some(())
        })
        .await;
        let (code, checked) = world.command(&["source", "check", "entra"]);
        assert!(code == 1 && checked.contains(right), "{checked}");
        assert!(world.allowed(&alices).await && world.allowed(&bobs).await);
        if right == "GroupMember.Read.All" {
            // Users are followed all the same.
            world.entra.with(|tenant| tenant.enable(&bob, false));
            world.until_refused(&bobs, "revoked_person").await;
        }
        world.entra.with(|tenant| tenant.give(right));
        world.sync();
    }
    world.entra.with(|tenant| tenant.enable(&alice, false));
    world.until_refused(&alices, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_restart_goes_on() {
    let (mut world, [alice, bob, orders]) = World::start(QUICK, company).await;
    let (alices, bobs) = (world.token(&alice).await, world.token(&bob).await);
    world.until_allowed(&alices).await;
    world.asked_again().await;
    world.offboard.process.signal(Signal::KILL);
    world.offboard.process.stop(Duration::from_secs(10));
    world.entra.with(|tenant| {
        tenant.enable(&alice, false);
        tenant.leave(&orders, &bob);
        tenant.asked.clear();
        // The listing finds nothing out: users are known by where changes went on.
        (tenant.fault, tenant.fault_at) = (Some(Fault::Broken), "/v1.0/groups");
    });
    world.offboard = world.files.start().await;
    world.offboard.has_keys("dev").await;
    world.proxy = Proxy::connect(world.offboard.authz).await;
    world.until_refused(&alices, "revoked_person").await;
    assert!(world.allowed(&bobs).await, "its groups as they were known");
    let first = world.entra.with(|tenant| {
        tenant.fault = None;
        tenant.asked.iter().find(|asked| asked.contains("users/delta")).cloned()
    });
    assert!(first.as_ref().is_some_and(|first| first.contains("?$deltatoken=pqw")), "{first:?}");
    world.until_refused(&bobs, "no_permission").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_joiner_is_looked_up_by_id_alone() {
    let (mut world, [alice, _, orders]) = World::start("poll: 1h, max_staleness: 3h", company).await;
    let joiner = world.entra.with(|tenant| {
        let id = tenant.add_user("joiner");
        tenant.join(&orders, &id);
        id
    });
    let token = world.token(&joiner).await;
    // Known at once; their groups come with changes or a listing.
    world.until_refused(&token, "no_permission").await;
    world.sync();
    world.until_allowed(&token).await;
    // Little is left of what may be asked: between two questions it waits.
    world.entra.with(|tenant| tenant.used = Some(0.9));
    let began = Instant::now();
    world.sync();
    assert!(began.elapsed() >= Duration::from_secs(1));
    world.entra.with(|tenant| tenant.used = None);
    // The address of a user takes a user name too: a token that claims one is nobody's.
    let alices = world.token("alice@corp.example").await;
    world.until_refused(&alices, "unknown_person").await;
    world.entra.with(|tenant| tenant.enable(&alice, false));
    let (code, said) = world.command(&["source", "sync", "entra", "--full"]);
    assert_eq!(code, 0, "{said}");
    let alices = world.token(&alice).await;
    world.until_refused(&alices, "revoked_person").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_check_says_what_is_wrong_and_never_the_secret() {
    let (world, _) = World::start(QUICK, company).await;
    let (code, said) = world.command(&["source", "check", "entra"]);
    assert_eq!(code, 0, "{said}");
    for what in ["users", "groups", "sessions", "changes of users", "changes of groups", "clock"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let rules = std::fs::read_to_string(world.files.path("config/20-rules.yaml")).unwrap();
    let config = world.files.path("config").display().to_string();
    let wrong = world.files.path("wrong.secret");
    std::fs::write(&wrong, "not-it").unwrap();
    for (before, after, words) in [
        ("entra.secret", "wrong.secret", "`client_secret_file` is wrong"),
        (TENANT, "other.example", "there is no tenant `other.example`"),
        ("client_id: 5d3f", "client_id: 0000", "there is no application `0000"),
        ("poll: 100ms", "link: [{ claim: sub, attribute: shoeSize }]", "Request_BadRequest"),
    ] {
        assert!(rules.contains(before));
        world.files.write("20-rules.yaml", &rules.replace(before, after));
        let mut command = Offboard::command();
        command.args(["source", "check", "entra", "--config", &config]);
        let done = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.code() == Some(1) && said.contains(words), "{words}: {said}");
        assert!(!said.contains(SECRET) && !said.contains("not-it"));
    }
}
