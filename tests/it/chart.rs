//! The chart `k8s/helm/offboard`, linted and rendered by a real Helm.

mod copies;
mod groups;
mod parity;
mod refused;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::manifests::resources;
use crate::support::offboard::Offboard;
use crate::support::{Scratch, peer, root};

/// What has no default.
const REQUIRED: &str = "
image: { repository: registry.example.com/offboard }
config: { issuers: [{ name: corp, issuer: https://idp.example.com/realms/corp, audiences: [mesh], jwks: { discovery: true } }] }
";

fn chart() -> PathBuf {
    root().join("k8s/helm/offboard")
}

/// What Helm answers to one request (`chart/helm.py`); `None` is "skipped".
fn helm(request: &Value) -> Option<Result<Value, String>> {
    let lib = std::fs::read_dir(peer("venv/lib")?).unwrap().next().unwrap().unwrap().file_name();
    peer(&format!("venv/lib/{}/site-packages/helm_python", lib.display()))?;
    let mut child = Command::new(peer("venv/bin/python")?)
        .arg(root().join("tests/it/chart/helm.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    Some(match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer["ok"].clone()),
    })
}

/// What became of the templates, by file.
struct Rendered(BTreeMap<String, String>);

impl Rendered {
    /// `helm template NAME CHART --namespace NAMESPACE --values VALUES`.
    fn of(chart: &Path, values: &str, name: &str, namespace: &str) -> Option<Result<Self, String>> {
        let request = json!({ "do": "render", "chart": chart, "values": values, "name": name, "namespace": namespace });
        Some(helm(&request)?.map(|files| Self(serde_json::from_value(files).unwrap())))
    }

    /// As `offboard` in the namespace `offboard`, with these values (YAML) beside those that are required.
    fn with(values: &str) -> Option<Self> {
        let rendered = Self::of(&chart(), &format!("{REQUIRED}{values}"), "offboard", "offboard")?;
        Some(rendered.unwrap_or_else(|error| panic!("{values}: {error}")))
    }

    fn notes(&self) -> &str {
        &self.0["offboard/templates/NOTES.txt"]
    }

    fn manifests(&self) -> String {
        let files = self.0.iter().filter(|(path, text)| !path.ends_with(".txt") && !text.trim().is_empty());
        files.map(|(_, text)| format!("---\n{}\n", text.trim().trim_start_matches("---"))).collect()
    }

    fn objects(&self) -> Vec<Value> {
        resources(&self.manifests())
    }

    fn one(&self, kind: &str) -> Value {
        let found: Vec<_> = self.objects().into_iter().filter(|object| object["kind"] == kind).collect();
        assert_eq!(found.len(), 1, "{kind}");
        found[0].clone()
    }

    fn pod(&self) -> Value {
        self.one("StatefulSet")["spec"]["template"].clone()
    }

    /// A key of the ConfigMap `offboard-NAME`.
    fn file(&self, name: &str, key: &str) -> String {
        let is_it = |object: &&Value| {
            object["kind"] == "ConfigMap" && object["metadata"]["name"] == *format!("offboard-{name}")
        };
        let objects = self.objects();
        objects.iter().find(is_it).unwrap()["data"][key].as_str().unwrap().to_owned()
    }

    /// Offboard takes the configuration that the pod would read.
    fn is_valid(&self) {
        let (scratch, text) = (Scratch::new(), self.file("config", "offboard.yaml"));
        std::fs::write(scratch.path().join("offboard.yaml"), &text).unwrap();
        let done = Offboard::command().args(["validate", "--config"]).arg(scratch.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && said.ends_with("valid\n"), "{said}\n{text}");
    }
}

/// Helm's linter: what it says, but that there is no icon.
fn lint(values: &str) -> Option<Vec<Value>> {
    let values: Value = serde_saphyr::from_str(values).unwrap();
    let report = helm(&json!({ "do": "lint", "chart": chart(), "values": values }))?.unwrap();
    assert_eq!((&report["total_charts_linted"], &report["errors"]), (&1.into(), &json!([])));
    let said = report["messages"].as_array().unwrap().clone();
    Some(said.into_iter().filter(|message| message["error"] != "icon is recommended").collect())
}

#[test]
fn the_linter_has_nothing_to_say() {
    for values in ["{}", REQUIRED] {
        let Some(said) = lint(values) else { return };
        assert_eq!(said, Vec::<Value>::new(), "{values}");
    }
}

/// The configuration that the pod reads is one that Offboard takes, whatever Helm made of texts that look like something else.
#[test]
fn the_rendered_configuration_is_valid() {
    let values = r#"
sources: [{ name: hr, kind: file, issuer: corp, path: /p.yaml, max_change: { share: 20%, from: 12345678 } }]
roles: [{ name: reader, permissions: [{ services: [payments], methods: [GET], paths: ["/v1/**"] }] }]
services: [{ name: payments, principals: ["spiffe://cluster.local/ns/payments/sa/*"] }]
bindings: [{ role: reader, people: ["0123", "1e5", "no", "~"], expires: 2027-01-01T00:00:00Z }]
credentials: { bearer: { largest: 48KiB } }
audit: { decisions: sampled(0.01), retention: 400d }
"#;
    let issuers =
        "issuers: [{ name: corp, issuer: https://idp.example.com, audiences: [mesh], jwks: { discovery: true } }]";
    let indented = format!("{issuers}{values}").replace('\n', "\n  ");
    let values = format!("image: {{ repository: r }}\nconfig:\n  {indented}");
    for values in [REQUIRED, &values] {
        let Some(rendered) = Rendered::of(&chart(), values, "offboard", "offboard") else { return };
        rendered.unwrap().is_valid();
    }
}

/// What is reloaded while running does not restart the pod, which would be an outage; what only a restart changes does.
#[test]
fn the_pod_restarts_only_for_what_needs_it() {
    let of = |values: &str| Some(Rendered::with(values)?.pod());
    let Some(as_it_was) = of("") else { return };
    let Some(Ok(changed)) = Rendered::of(
        &chart(),
        &REQUIRED.replace("realms/corp", "realms/other").replace("config: {", "config: { enforcement: enforce,"),
        "offboard",
        "offboard",
    ) else {
        panic!("the changed configuration is refused");
    };
    assert_eq!(changed.pod(), as_it_was, "the configuration is reloaded");
    assert_eq!(of("people: { list: [{ id: alice }] }").unwrap(), as_it_was, "so are people");
    for key in ["server: { drain: 5s }", "store: { path: /var/lib/offboard/s }", "audit: { path: /var/lib/offboard/a }"]
    {
        let values = REQUIRED.replace("config: {", &format!("config: {{ {key},"));
        let changed = Rendered::of(&chart(), &values, "offboard", "offboard").unwrap().unwrap();
        assert_ne!(changed.pod(), as_it_was, "{key}");
    }
    assert!(!as_it_was["metadata"]["labels"].to_string().contains("helm"), "nor does a new version of the chart alone");
}

#[test]
fn the_notes_tell_the_mode_and_the_next_step() {
    let Some(rendered) = Rendered::with("") else { return };
    let notes = rendered.notes();
    for told in [
        "Mode: observe. Every check is allowed",
        "kubectl -n offboard rollout status statefulset/offboard",
        "The pod waits for the Secret offboard-secrets (k8s/README.md: \"Emergency credential\").",
        "service: offboard-authz.offboard.svc.cluster.local",
        "kubectl label namespace payments offboard.dev/enforce=true",
        "kubectl label namespace monitoring offboard.dev/monitoring=true",
        "kubectl apply -k k8s/enforce/istio",
    ] {
        assert!(notes.contains(told), "{told}:\n{notes}");
    }
    assert!(!notes.contains("change"), "nothing to change in the overlay:\n{notes}");
    for named in
        ["k8s/enforce/istio", "k8s/enforce/envoy-gateway", "k8s/enforce/istio/meshconfig.yaml", "k8s/README.md"]
    {
        assert!(notes.contains(named) && root().join(named).exists(), "{named}");
    }

    let values =
        REQUIRED.replace("config: {", "config: { enforcement: enforce, services: [{ name: a, enforcement: observe }],");
    let elsewhere = Rendered::of(&chart(), &values, "blue", "authz").unwrap().unwrap();
    let notes = elsewhere.notes();
    for told in [
        "Mode: enforce. Whoever has left is refused",
        "Service a has a mode of its own: observe.",
        "statefulset/blue-offboard",
        "service: blue-offboard-authz.authz.svc.cluster.local",
        "Here it is blue-offboard-authz in authz: change",
    ] {
        assert!(notes.contains(told), "{told}:\n{notes}");
    }
}

/// Labels as the field has them; nothing with a version where it could not change.
#[test]
fn labels_are_whole_and_selectors_stay() {
    let Some(rendered) = Rendered::with("monitoring: { monitor: { kind: PodMonitor } }") else { return };
    let selector = json!({ "app.kubernetes.io/name": "offboard", "app.kubernetes.io/instance": "offboard" });
    for object in rendered.objects() {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{object}");
        assert_eq!(labels["app.kubernetes.io/version"], env!("CARGO_PKG_VERSION"), "{object}");
        assert_eq!(labels["helm.sh/chart"], concat!("offboard-", env!("CARGO_PKG_VERSION")), "{object}");
        let of = |pointer: &str| object.pointer(pointer).is_none_or(|found| *found == selector);
        assert!(of("/spec/selector/matchLabels") && of("/spec/podSelector/matchLabels"), "{object}");
        assert!(of("/spec/volumeClaimTemplates/0/metadata/labels"), "{object}");
        assert!(object["kind"] != "Service" || of("/spec/selector"), "{object}");
    }
}
