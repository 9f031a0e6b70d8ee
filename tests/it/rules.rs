//! The rules of `k8s/monitoring`: promtool takes them, each alert is tried in `tests/rules`, has its runbook, and looks at
//! metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// What others count, as a real Envoy 1.40 and Istio's sidecars show it: `k8s/README.md` has how to get them.
const OTHERS: [&str; 9] = [
    "envoy_cluster_ext_authz_error",
    "envoy_cluster_ext_authz_failure_mode_allowed",
    "envoy_http_downstream_rq_total",
    "envoy_http_ext_authz_denied",
    "envoy_http_ext_authz_error",
    "envoy_http_ext_authz_failure_mode_allowed",
    "envoy_http_ext_authz_ok",
    "envoy_http_no_route",
    "istio_requests_total",
];
/// A label, not a metric.
const LABELS: [&str; 1] = ["envoy_http_conn_manager_prefix"];

fn monitoring() -> PathBuf {
    root().join("k8s/monitoring")
}

fn read(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn rules() -> Vec<Value> {
    let file = read(&monitoring().join("rules.yaml"));
    list(&file, "groups").iter().flat_map(|group| list(group, "rules").to_vec()).collect()
}

/// The alerts by name; where one has several windows, all of them.
fn alerts() -> BTreeMap<String, Vec<Value>> {
    let mut alerts = BTreeMap::<String, Vec<Value>>::new();
    for rule in rules() {
        if let Some(name) = rule["alert"].as_str() {
            alerts.entry(name.to_owned()).or_default().push(rule.clone());
        }
    }
    assert!(alerts.len() > 20, "{alerts:?}");
    alerts
}

fn unit_tests() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("tests/rules")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Whether promtool is content; `false` where it is missing, which is "skipped", but never in CI.
fn promtool(words: &[&str], path: &Path) -> bool {
    let Ok(done) = Command::new("promtool").args(words).arg(path).output() else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing: tests/peers/install.sh installs it");
        eprintln!("\nskipped: promtool is missing; run tests/peers/install.sh debian\n");
        return false;
    };
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{}: {said}", path.display());
    true
}

#[test]
fn promtool_takes_the_rules() {
    promtool(&["check", "rules", "--lint-fatal"], &monitoring().join("rules.yaml"));
}

/// They take a minute of CPU, so each file has a thread.
#[test]
fn alerts_fire_when_they_should_and_only_then() {
    std::thread::scope(|scope| {
        for file in unit_tests() {
            scope.spawn(move || promtool(&["test", "rules"], &file));
        }
    });
}

#[test]
fn the_rules_for_the_operator_say_the_same() {
    let rules = std::fs::read_to_string(monitoring().join("rules.yaml")).unwrap();
    let (_, groups) = rules.split_once("\ngroups:\n").unwrap();
    let mut found = String::from(
        "# rules.yaml for the Prometheus operator; a test writes it (UPDATE_GOLDEN=1), so change that file. The operator takes it up if\n\
         # its `ruleSelector` does: kube-prometheus-stack asks for the label `release` with the name of its Helm release.\n\
         apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n\
         metadata: { name: offboard, labels: { app.kubernetes.io/name: offboard } }\nspec:\n  groups:\n",
    );
    for line in groups.lines() {
        found += &if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    }
    crate::support::golden("../../k8s/monitoring/prometheusrule.yaml", &found);
    let resource: Value = serde_saphyr::from_str(&found).unwrap();
    assert_eq!(resource["spec"], read(&monitoring().join("rules.yaml")));
}

#[test]
fn each_alert_is_tried_firing_and_quiet() {
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for file in unit_tests() {
        for test in list(&read(&file), "tests").iter().flat_map(|test| list(test, "alert_rule_test")) {
            let name = test["alertname"].as_str().unwrap().to_owned();
            let expected = list(test, "exp_alerts");
            // promtool compares annotations too: without any, nothing would be expected of them.
            assert!(expected.iter().all(|alert| alert["exp_annotations"]["runbook"].is_string()), "{test}");
            if expected.is_empty() {
                quiet.insert(name)
            } else {
                fires.insert(name)
            };
        }
    }
    let all: BTreeSet<String> = alerts().into_keys().collect();
    assert_eq!(fires, all);
    assert_eq!(quiet, all);
}

#[test]
fn each_alert_says_what_it_means_and_has_its_runbook() {
    let runbooks = std::fs::read_to_string(root().join("k8s/runbooks.md")).unwrap();
    let chapters = |text: &str| text.lines().filter_map(|line| line.strip_prefix("## ").map(str::to_owned)).collect();
    let chapters: BTreeSet<String> = chapters(&runbooks);
    let alerts = alerts();
    assert_eq!(chapters, alerts.keys().cloned().collect());
    for (name, rules) in &alerts {
        for rule in rules {
            let severity = rule["labels"]["severity"].as_str().unwrap();
            assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
            let said = &rule["annotations"];
            assert!(said["summary"].as_str().is_some_and(|text| text.ends_with('.') && text.len() < 80), "{name}");
            assert!(said["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
            assert_eq!(said["runbook"], format!("k8s/runbooks.md#{}", name.to_lowercase()));
        }
    }
    for (name, text) in runbooks.split("\n## ").skip(1).filter_map(|chapter| chapter.split_once('\n')) {
        let lines = text.trim().lines().count();
        assert!(lines <= 30, "{name} has {lines} lines, too many for the middle of the night");
        for part in ["**Means**", "**Look**", "**Do**", "**Over**"] {
            assert!(text.contains(part), "{name} lacks {part}");
        }
    }
}

#[test]
fn the_page_names_the_alerts_that_wake_somebody() {
    let page = std::fs::read_to_string(root().join("k8s/README.md")).unwrap();
    let (_, rest) = page.split_once("These page somebody (`critical`): ").unwrap();
    let (named, _) = rest.split_once(".\n").unwrap();
    let named: BTreeSet<String> = named
        .split([',', '\n', ' '])
        .map(|name| name.trim_matches('`').to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let critical = |rules: &Vec<Value>| rules.iter().any(|rule| rule["labels"]["severity"] == "critical");
    assert_eq!(named, alerts().into_iter().filter(|(_, rules)| critical(rules)).map(|(name, _)| name).collect());
}

#[test]
fn rules_look_at_metrics_that_exist() {
    let golden = std::fs::read_to_string(root().join("tests/golden/metrics.txt")).unwrap();
    let mut known: BTreeSet<String> = OTHERS.into_iter().map(str::to_owned).collect();
    for line in golden.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        if words.next() == Some("histogram") {
            known.extend(["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")));
        } else {
            known.insert(name.to_owned());
        }
    }
    let rules = rules();
    known.extend(rules.iter().filter_map(|rule| rule["record"].as_str()).map(str::to_owned));
    let mut used = BTreeSet::new();
    for rule in &rules {
        let names = rule["expr"].as_str().unwrap().split(|char: char| !char.is_alphanumeric() && !"_:".contains(char));
        let ours = names.filter(|name| ["offboard", "envoy", "istio"].iter().any(|begin| name.starts_with(begin)));
        used.extend(ours.filter(|name| !LABELS.contains(name)).map(str::to_owned));
    }
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let unused: Vec<_> = OTHERS.into_iter().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
