//! The configuration from the outside: files in, a policy or all errors out.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::binding::Right;
use crate::domain::issuer::{Algorithm, ClaimNames, KeySource, MachineRule};
use crate::domain::policy::{Authorization, Enforcement, NotOurs, Unknown};
use crate::domain::revocation::{Shape, Target};
use crate::domain::source::WhenStale;

use super::read::{Input, MAX_FILE};
use super::settings::StoreSettings;
use super::sources::SourceKind;
use super::table::{Kind, Need, Section};
use super::*;
use crate::domain::settings::audit::Decisions;

/// The contract's example without what is not built yet, and every other key that is.
const EXAMPLE: &str = include_str!("../../tests/golden/config-example.yaml");
const ERRORS: &str = include_str!("../../tests/golden/config-errors.txt");

fn inputs(files: &[(&str, &str)]) -> Inputs {
    let file = |(name, text): &(&str, &str)| Input { name: (*name).into(), text: (*text).to_owned() };
    Inputs { files: files.iter().map(file).collect() }
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn configured(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Configuration, String> {
    parse(&inputs(files), &environment(variables)).map_err(|invalid| invalid.to_string())
}

fn good(text: &str) -> Configuration {
    configured(&[("c.yaml", text)], &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn bad(text: &str) -> String {
    configured(&[("c.yaml", text)], &[]).unwrap_err()
}

const ISSUER: &str =
    "issuers:\n  - { name: corp, issuer: https://idp, audiences: [mesh], jwks: { discovery: true } }\n";

#[test]
fn the_example_of_the_contract_is_read() {
    let configuration = good(EXAMPLE);
    let policy = &configuration.policy;
    assert_eq!(policy.services[0].name.as_ref(), "default");
    let payments = &policy.services[1];
    assert_eq!(payments.hosts, ["payments.example.com", "*.payments.svc.cluster.local"]);
    assert_eq!(payments.enforcement, Enforcement::Observe);
    assert_eq!(payments.authorization, Authorization::None);
    assert_eq!(payments.when_stale, Some(WhenStale::Deny));
    assert_eq!(payments.max_staleness, Some(Duration::from_secs(30)));
    let corp = &policy.issuers[0];
    assert_eq!(corp.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!(corp.audiences.as_deref(), Some(["mesh".to_owned()].as_slice()));
    assert_eq!(policy.roles[0].permissions[0].services, Some(vec![1]));
    assert_eq!(policy.roles[1].rights, [Right::Read, Right::Revoke]);
    assert!(policy.roles[1].permissions.is_empty());
    assert_eq!((policy.bindings[0].role, policy.bindings[0].issuer), (0, Some(0)));
    assert!(policy.bindings[1].everyone);
    let revocations = policy.revocations.as_ref().unwrap();
    assert_eq!(revocations[0].target, Target::Person { reference: "mallory@example.com".to_owned() });
    let issuer = "https://idp.example.com/realms/corp".to_owned();
    assert_eq!(revocations[1].target, Target::Session { issuer, session: "0123".to_owned() });
    assert!(matches!(revocations[2].shape, Shape::CutOff { .. }));
    assert!(revocations[0].place.starts_with("c.yaml:"));
    let path = "/etc/offboard/people.yaml".into();
    assert_eq!(configuration.settings.sources[0].kind, SourceKind::File { path });
    assert_eq!(configuration.settings.audit.decisions, Decisions::Sampled(0.01));
    assert_eq!(policy.hash, configuration.hash);
    assert_eq!(policy.bearer_largest, 48 * 1024);
    let apps = &policy.issuers[1];
    assert_eq!(apps.claims.groups.way(), ["realm_access", "roles"]);
    assert_eq!((apps.claims.session.exact(), apps.claims.session.way()[1].as_str()), (None, "sid"));
    assert!(matches!(&apps.machines, MachineRule::Claim { claim, .. } if claim.way() == ["ext", "idtyp"]));
}

#[test]
fn defaults_are_those_of_the_contract() {
    let Configuration { settings, policy, .. } = good(ISSUER);
    assert_eq!(settings.server.authz.listen.to_string(), "[::]:9191");
    assert_eq!(settings.server.control.listen.to_string(), "127.0.0.1:9192");
    assert_eq!(settings.server.ops.to_string(), "[::]:9193");
    assert_eq!(settings.server.drain, Duration::from_secs(20));
    assert_eq!(settings.store, StoreSettings::Embedded { path: "/var/lib/offboard".into(), secret_file: None });
    assert_eq!(settings.audit.path, Path::new("/var/lib/offboard/audit"));
    assert_eq!(settings.audit.decisions, Decisions::Denied);
    let issuer = &policy.issuers[0];
    assert_eq!((issuer.keys.clone(), issuer.algorithms.len()), (KeySource::Discovery, 9));
    assert_eq!((issuer.token_types.len(), issuer.leeway), (3, Duration::from_secs(30)));
    assert_eq!((&issuer.machines, &issuer.claims), (&MachineRule::ClientIsSubject, &ClaimNames::default()));
    assert!(!issuer.accepts_id_tokens);
    assert_eq!(policy.bearer_largest, 16 * 1024);
    let default = &policy.services[0];
    assert_eq!((default.enforcement, default.authorization), (Enforcement::Enforce, Authorization::Roles));
    assert_eq!((default.no_credentials, default.foreign_credentials), (NotOurs::Deny, NotOurs::Deny));
    assert_eq!(default.preflight, NotOurs::Pass);
    assert_eq!((policy.unknown_people, policy.unknown_clients), (Unknown::Deny, Unknown::Allow));
    assert_eq!((policy.bearer_header.as_str(), policy.exemptions_max), ("authorization", Duration::from_secs(28_800)));
    assert_eq!(policy.revocations, None, "absent is not empty");
    assert_eq!(good(&format!("{ISSUER}revocations: []\n")).policy.revocations, Some(vec![]));
    let source = format!("{ISSUER}sources: [{{ name: hr, kind: file, issuer: corp, path: p }}]");
    let source = good(&source).policy.sources.remove(0);
    assert_eq!((source.required, source.max_staleness), (false, Duration::from_secs(900)));
    assert_eq!((source.when_stale, source.max_change.from), (WhenStale::Allow, 10));
    assert!((source.max_change.share - 0.2).abs() < 1e-9);
    assert_eq!((source.link[0].claim.as_str(), source.link[0].attribute.as_str()), ("sub", "id"));
}

#[test]
fn an_issuer_may_have_an_authority_of_its_own_and_the_new_name_of_eddsa() {
    let issuer = |jwks: &str| {
        let text = format!(
            "issuers: [{{ name: c, issuer: 'https://c', audiences: [m], jwks: {jwks}, algorithms: [Ed25519, ES384] }}]\n"
        );
        good(&text).policy.issuers[0].as_ref().clone()
    };
    for jwks in ["{ discovery: true, ca_file: /etc/ca.pem }", "{ uri: 'https://k', ca_file: /etc/ca.pem }"] {
        let found = issuer(jwks);
        assert_eq!(found.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")), "{jwks}");
        assert_eq!(found.algorithms, [Algorithm::EdDSA, Algorithm::ES384]);
    }
    assert_eq!(issuer("{ discovery: true }").ca_file, None);
}

/// Each case of the table: `### name`, YAML, `---`, and the exact lines.
/// With `UPDATE_GOLDEN=1` what was found is written, for `git diff` to show.
fn golden(name: &str, found: &str, expected: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        return fs::write(path, format!("{found}\n")).unwrap();
    }
    let differs = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(found == expected, "tests/golden/{name} (UPDATE_GOLDEN=1 writes it): {differs:?}\n{found}");
}

#[test]
fn bad_configurations_say_exactly_what_is_wrong() {
    let mut found = ERRORS.split("### ").next().unwrap_or_default().to_owned();
    for case in ERRORS.split("### ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (yaml, _) = rest.split_once("\n---\n").unwrap();
        let said = configured(&[("c.yaml", yaml)], &[]).map(|_| "nothing".to_owned()).unwrap_or_else(|errors| errors);
        found.push_str(&format!("### {name}\n{yaml}\n---\n{}\n\n", said.trim()));
    }
    golden("config-errors.txt", found.trim_end(), ERRORS.trim_end());
}

#[test]
fn secrets_never_stand_in_an_error() {
    let said = bad(
        "server: { control: { bootstrap_token: hunter2 }, authz: { tls: { key: hunter2 } } }\nsources: [{ token: hunter2 }]\npassword: hunter2\n",
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert!(said.contains("bootstrap_token_sha256_file"), "{said}");
    assert!(said.contains("key_file"), "{said}");
}

/// Sections of the table with their built keys.
fn table(section: &'static Section, all: &mut BTreeSet<(&'static str, &'static str)>) {
    fn inside(kind: &Kind, all: &mut BTreeSet<(&'static str, &'static str)>) {
        match kind {
            Kind::Section(section) => table(section, all),
            Kind::List(kind) | Kind::ListOrEmpty(kind) | Kind::ListOr(kind, _) => inside(kind, all),
            _ => {}
        }
    }
    for key in section.keys.iter().filter(|key| key.need != Need::NotBuilt) {
        if all.insert((section.name, key.name)) {
            inside(&key.kind, all);
        }
    }
}

#[test]
fn the_typed_stage_reads_every_key_of_the_table_and_no_other() {
    let root = tree::parse(&"c.yaml".into(), EXAMPLE).unwrap();
    let findings = Findings::default();
    typed(&Fields::root(&findings, &keys::ROOT, &root), &"".into());
    assert_eq!(findings.problems.take(), []);
    let mut all = BTreeSet::new();
    table(&keys::ROOT, &mut all);
    let asked = findings.asked.take();
    assert_eq!(all.difference(&asked).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
    assert_eq!(asked.difference(&all).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}

#[test]
fn the_schema_has_every_key_of_the_table_and_no_other() {
    let schema = schema::schema().to_value();
    let mut found = BTreeSet::new();
    let mut add = |name: &str, object: &serde_json::Value| {
        assert_eq!(object["additionalProperties"], false, "{name}");
        for key in object["properties"].as_object().unwrap().keys() {
            found.insert((name.to_owned(), key.clone()));
        }
    };
    add("configuration", &schema);
    for (name, object) in schema["$defs"].as_object().unwrap() {
        add(name, object);
    }
    let mut all = BTreeSet::new();
    table(&keys::ROOT, &mut all);
    let all: BTreeSet<_> = all.into_iter().map(|(section, key)| (section.to_owned(), key.to_owned())).collect();
    assert_eq!(found, all);
}

#[test]
fn several_files_are_one_configuration() {
    let files = [
        ("a.yaml", "server: { drain: 5s }\nrevocations:\n  - { person: a, reason: x }\n"),
        ("b.yaml", "server: { ops: { listen: 127.0.0.1:0 } }\nrevocations:\n  - { person: b, reason: y }\n"),
        ("c.yaml", "# nothing\n"),
    ];
    let configuration = configured(&files, &[]).unwrap();
    assert_eq!(configuration.settings.server.drain, Duration::from_secs(5));
    assert_eq!(configuration.settings.server.ops.port(), 0);
    let locations: Vec<_> = configuration.policy.revocations.unwrap().into_iter().map(|entry| entry.place).collect();
    assert_eq!(locations, ["a.yaml:3", "b.yaml:3"]);

    let twice = [("a.yaml", "server:\n  drain: 5s\n"), ("b.yaml", "\nserver:\n  drain: 5s\n")];
    assert_eq!(configured(&twice, &[]).unwrap_err(), "b.yaml:3: server.drain: duplicate key, first at a.yaml:2");
    let kinds = [("a.yaml", "roles: []\n"), ("b.yaml", "roles: {}\n")];
    assert!(configured(&kinds, &[]).unwrap_err().contains("b.yaml:1: roles: is a map here, but a list at a.yaml:1"));
}

#[test]
fn the_environment_overrides_scalars_outside_lists() {
    let files = [("c.yaml", "server: { drain: 5s }\nenforcement: enforce\npeople: { unknown: deny }\n")];
    let variables = [
        ("OFFBOARD__SERVER__DRAIN", "7s"),
        ("OFFBOARD__AUDIT__PATH", "/audit"),
        ("OFFBOARD__ENFORCEMENT", "observe"),
        ("OFFBOARD_SERVER", "http://elsewhere"),
        ("PATH", "/bin"),
    ];
    let configuration = configured(&files, &variables).unwrap();
    assert_eq!(configuration.settings.server.drain, Duration::from_secs(7));
    assert_eq!(configuration.settings.audit.path, Path::new("/audit"));
    assert_eq!(configuration.policy.services[0].enforcement, Enforcement::Observe);
    assert_ne!(configuration.hash, configured(&files, &[]).unwrap().hash);

    let wrong = [
        ("OFFBOARD__SERVER", "x"),
        ("OFFBOARD__SERVER__DRANE", "7s"),
        ("OFFBOARD__SERVER__DRAIN", "7"),
        ("OFFBOARD__REVOCATIONS__0__PERSON", "x"),
        ("OFFBOARD__ENFORCEMENT__X", "x"),
        ("OFFBOARD__COLOUR", "red"),
    ];
    let files = [("c.yaml", "server: { drain: 5s }\nrevocations: []\nenforcement: enforce\n")];
    let said = configured(&files, &wrong).unwrap_err();
    let expected = [
        "environment OFFBOARD__COLOUR: unknown key",
        "environment OFFBOARD__ENFORCEMENT__X: unknown key; its parent is not a section",
        "environment OFFBOARD__REVOCATIONS__0__PERSON: nothing inside a list can be overridden from the environment",
        "environment OFFBOARD__SERVER: a section cannot be overridden from the environment; name one of its keys",
        "environment OFFBOARD__SERVER__DRAIN: `7` is not a duration such as 10s, 5m or 90d",
        "environment OFFBOARD__SERVER__DRANE: unknown key; did you mean `drain`?",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn an_unquoted_number_stays_the_text_it_is() {
    let text = format!(
        "{ISSUER}roles: [{{ name: r, permissions: [{{}}] }}]\nbindings: [{{ role: r, people: [0123, no, 1_000, 1e3] }}]\n"
    );
    assert_eq!(good(&text).policy.bindings[0].people, ["0123", "no", "1_000", "1e3"]);
}

#[test]
fn bombs_and_heaps_are_refused_quickly() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let begun = Instant::now();
    assert!(bad(&bomb).contains("invalid YAML"), "{}", bad(&bomb));
    let deep = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(bad(&deep).contains("invalid YAML"));
    assert!(bad(&"[".repeat(1_000_000)).contains("invalid YAML"));
    assert!(bad("a: 1\n---\nb: 2\n").contains("only one document"), "{}", bad("a: 1\n---\nb: 2\n"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(bad(""), "c.yaml: the configuration is empty");
}

#[test]
fn the_hash_is_of_names_and_contents() {
    let hash = |files: &[(&str, &str)]| inputs(files).hash(&BTreeMap::new());
    assert_eq!(hash(&[("a", "1"), ("b", "2")]), hash(&[("b", "2"), ("a", "1")]));
    assert_ne!(hash(&[("a", "1"), ("b", "2")]), hash(&[("a", "2"), ("b", "1")]));
    assert_ne!(hash(&[("a", "1b2")]), hash(&[("a", "1"), ("b", "2")]));
}

#[test]
fn the_last_good_configuration_reads_back() {
    let inputs = inputs(&[("a.yaml", ISSUER), ("b.yaml", "people: { unknown: allow } # ä\n")]);
    let back = Inputs::from_bytes(&inputs.to_bytes()).unwrap();
    assert_eq!(back, inputs);
    assert_eq!(parse(&back, &BTreeMap::new()), parse(&inputs, &BTreeMap::new()));
    assert!(Inputs::from_bytes(b"{").is_err());
}

#[test]
fn what_needs_a_restart_keeps_running_and_is_named() {
    let old = good(ISSUER).settings;
    let mut new = good("server: { drain: 1s }\nstore: { path: /else }\naudit: { retention: 1d }\n").settings;
    assert_eq!(restart_required(&old, &new), ["server", "store", "audit.path"]);
    assert_eq!(new.keep_running(&old), ["server", "store", "audit.path"]);
    assert_eq!((&new.server, &new.store, &new.audit.path), (&old.server, &old.store, &old.audit.path));
    assert_eq!(new.audit.retention, Duration::from_secs(86_400));
    assert_eq!(restart_required(&old, &new), Vec::<&str>::new());
}

#[test]
fn each_service_that_passes_under_enforcement_is_named() {
    let said = |text: &str| {
        let found = good(text).warnings.into_iter().map(|warning| warning.to_string());
        found.filter(|warning| warning.contains("pass: ")).collect::<Vec<_>>()
    };
    let text = "no_credentials: pass\nservices:\n- { name: a }\n- { name: b, no_credentials: deny }\n\
                - { name: c, enforcement: observe }\n- { name: d, foreign_credentials: pass }\n";
    let nothing = "no_credentials: pass: requests without credentials reach";
    assert_eq!(
        said(text),
        [
            format!("c.yaml:1: {nothing} `default`, `a`, `d`, even when enforced"),
            "c.yaml:6: services[3].foreign_credentials: pass: requests with a foreign credential reach `d`, even when \
             enforced"
                .to_owned(),
        ]
    );
    let observed = format!("enforcement: observe\n{text}").replace("name: a", "name: a, enforcement: enforce");
    assert_eq!(said(&observed)[0], format!("c.yaml:2: {nothing} `a`, even when enforced"));
    let observed = format!("enforcement: observe\n{text}");
    assert_eq!(said(&observed)[0], format!("c.yaml:2: {nothing} the service"));
    let passes =
        |text: &str| good(text).policy.services.iter().map(crate::domain::policy::Service::passes).collect::<Vec<_>>();
    let of_nothing = vec!["no_credentials"];
    let both = vec!["no_credentials", "foreign_credentials"];
    assert_eq!(passes(text), [of_nothing.clone(), of_nothing, vec![], vec![], both]);
    assert_eq!(passes(&observed), vec![Vec::<&str>::new(); 5]);
}

#[test]
fn dangers_are_named() {
    let text = include_str!("../../tests/golden/config-dangers.yaml");
    let said: Vec<_> = good(text).warnings.iter().map(ToString::to_string).collect();
    let expected = include_str!("../../tests/golden/config-dangers.txt");
    golden("config-dangers.txt", said.join("\n").trim(), expected.trim());
}
