//! What the chart refuses, and that it says what and why.

use super::{REQUIRED, Rendered, chart};

/// Values, and what the message names.
const REFUSED: [(&str, &[&str]); 25] = [
    ("replicas: 2", &["replicas", "got 2, want 1"]),
    ("replica: 1", &["replica"]),
    ("secrets: [{ existingSecret: a, value: hunter2 }]", &["/secrets/0", "'value'"]),
    ("secrets: [{ existingSecret: a, stringData: { password: hunter2 } }]", &["/secrets/0", "'stringData'"]),
    ("secrets: { bootstrap.sha256: hunter2 }", &["/secrets", "want array"]),
    ("image: { repository: r, digest: 0a0b }", &["/image/digest"]),
    ("image: { repository: 'registry.example.com:5000/offboard:0.1.0' }", &["/image/repository"]),
    ("image: { repository: r, digset: x }", &["/image", "'digset'"]),
    ("networkPolicy: { egress: [{ ports: [https] }] }", &["/networkPolicy/egress/0/ports/0", "want integer"]),
    ("networkPolicy: { egress: [{ cidrs: [10.0.0.0/8] }] }", &["/networkPolicy/egress/0", "'ports'"]),
    ("networkPolicy: { egress: [{ ports: [443], cidrs: [idp.example.com] }] }", &["/networkPolicy/egress/0/cidrs/0"]),
    ("monitoring: { monitor: { kind: servicemonitor } }", &["/monitoring/monitor/kind", "'ServiceMonitor'"]),
    ("monitoring: { rules: true }", &["/monitoring/rules"]),
    ("people: { list: [{ id: 0123 }] }", &["/people/list/0/id", "want string"]),
    ("people: { list: [{ id: a, state: departed }] }", &["/people/list/0", "'state'"]),
    ("people: { list: [{ id: a }], existingConfigMap: staff }", &["people: give a list or the name"]),
    ("podLabels: { app.kubernetes.io/name: x }", &["/podLabels/app.kubernetes.io~1name"]),
    ("persistence: { size: big }", &["/persistence/size"]),
    // The configuration's own schema, and what of it is the chart's.
    ("enforcment: observe", &["/config", "'enforcment'"]),
    ("server: { control: { bootstrap_token: hunter2 } }", &["/config/server/control", "'bootstrap_token'"]),
    ("services: [{ name: a, no_credential: pass }]", &["/config/services/0", "'no_credential'"]),
    ("people: { unknown: refuse }", &["/config/people/unknown", "'deny'"]),
    ("server: { authz: { listen: '[::]:9000' } }", &["/config/server/authz/listen", ":9191"]),
    ("store: { path: /data }", &["/config/store/path", "/var/lib/offboard"]),
    ("revocations: [{ person: 0123, reason: left }]", &["/config/revocations/0/person", "want string"]),
];

#[test]
fn each_mistake_is_refused_by_name() {
    for (values, named) in REFUSED {
        // Under `config` where the message is of the configuration.
        let values = if named[0].starts_with("/config") {
            REQUIRED.replace("config: {", &format!("config: {{ {values},"))
        } else if values.starts_with("image:") {
            values.to_owned()
        } else {
            format!("{REQUIRED}{values}")
        };
        let Some(answer) = Rendered::of(&chart(), &values, "offboard", "offboard") else { return };
        let error = answer.err().unwrap_or_else(|| panic!("taken: {values}"));
        for named in named {
            assert!(error.contains(named), "{values}: {named:?} is not in: {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// Both at once, with what to do.
#[test]
fn what_is_required_is_named() {
    let Some(answer) = Rendered::of(&chart(), "{}", "offboard", "offboard") else { return };
    let error = answer.err().unwrap();
    for told in ["image.repository: say where your image is", "config.issuers: say whose tokens there are"] {
        assert!(error.contains(told), "{told}: {error}");
    }
}

/// A release may have a dot in its name or begin with a digit; no Service may, and the API server would say so half-way.
#[test]
fn a_release_that_no_service_can_be_called_after_is_refused() {
    for (release, values, expected) in [
        ("my.release", "", Some("\"my.release-offboard\"")),
        ("1st", "", Some("\"1st-offboard\"")),
        ("my.release", "fullnameOverride: offboard", None),
        ("my-release", "", None),
    ] {
        let Some(answer) = Rendered::of(&chart(), &format!("{REQUIRED}{values}"), release, "offboard") else { return };
        let error = answer.err();
        assert_eq!(error.is_some(), expected.is_some(), "{release}: {error:?}");
        for told in expected.into_iter().chain(expected.map(|_| "fullnameOverride")) {
            assert!(error.as_ref().is_some_and(|error| error.contains(told)), "{told}: {error:?}");
        }
    }
}
