//! The dashboards of `k8s/monitoring`: what Grafana needs of them, and each expression asked of a real Prometheus that saw
//! a run in which everything happened.

mod run;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::prometheus::{Series, seconds};
use crate::support::{Scratch, peer, root};
use run::Run;

const BOARDS: [&str; 4] = ["overview", "offboarding", "sources", "envoy"];

/// What must not happen, and does not in the run: by what their legend, or else their panel, is called.
const NEVER: [&str; 6] =
    ["audit records lost", "audit disk refused", "store failed", "clock stepped", "Owners of its tokens", "overflow"];

/// What happens on a machine that is busy: the run is longer, its CPU counts in whole seconds, and health checks and the audit
/// trail are slower.
const EITHER: [&str; 3] = ["waiting", "CPU", "no endpoint"];

fn text(board: &str) -> String {
    std::fs::read_to_string(root().join(format!("k8s/monitoring/dashboards/{board}.json"))).unwrap()
}

fn dashboard(board: &str) -> Value {
    serde_json::from_str(&text(board)).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Those that ask something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "panels").iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn they_are_what_the_script_writes() {
    let scratch = Scratch::new();
    let script = root().join("k8s/monitoring/dashboards.py");
    let done = Command::new("python3").arg("-B").arg(script).arg(scratch.path()).status().unwrap();
    assert!(done.success());
    let named = |board: &str| format!("{board}.json");
    let written: BTreeSet<_> =
        std::fs::read_dir(scratch.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    let kept = std::fs::read_dir(root().join("k8s/monitoring/dashboards")).unwrap();
    let kept: BTreeSet<_> = kept.map(|file| file.unwrap().file_name()).collect();
    assert_eq!((&written, written.len()), (&kept, BOARDS.len()));
    for board in BOARDS {
        let found = std::fs::read_to_string(scratch.path().join(named(board))).unwrap();
        assert!(found == text(board), "{board}: run k8s/monitoring/dashboards.py");
    }
}

#[test]
fn each_is_as_grafana_takes_it() {
    let mut uids = BTreeSet::new();
    for board in BOARDS {
        let dashboard = dashboard(board);
        assert!(uids.insert(word(&dashboard, "uid").to_owned()), "{board}");
        assert!(dashboard.get("id").is_none(), "{board}: Grafana gives the id");
        assert!(word(&dashboard, "uid").len() <= 40 && dashboard["schemaVersion"].as_u64() >= Some(39), "{board}");
        let variables = list(&dashboard["templating"], "list");
        assert!(variables.iter().any(|one| one["type"] == "datasource" && one["query"] == "prometheus"), "{board}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard, "panels") {
            let title = word(panel, "title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{board}: {title}");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{board}: {title} is wider than the dashboard");
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(place), "{board}: {title} covers another");
            }
        }
        panels(&dashboard).for_each(|panel| fits(board, &dashboard, panel));
    }
}

/// The types that Grafana publishes know each key and value of them.
#[test]
fn grafanas_own_types_know_all_of_it() {
    let Some(python) = peer("venv/bin/python") else { return };
    let mut command = Command::new(python);
    command.arg("-B").arg(root().join("tests/monitoring/model.py"));
    command.args(BOARDS.map(|board| root().join(format!("k8s/monitoring/dashboards/{board}.json"))));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&[done.stdout, done.stderr].concat()));
}

/// `kubectl apply` keeps what it applied in an annotation, and all annotations of an object have 256 KiB.
#[test]
fn each_is_a_config_map_that_grafana_finds() {
    let Some(kubectl) = peer("venv/bin/kubectl") else { return };
    let done = Command::new(kubectl).args(["kustomize"]).arg(root().join("k8s/monitoring")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let built: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(done.stdout).unwrap()).unwrap();
    let maps =
        built.iter().filter(|one| one["kind"] == "ConfigMap" && one["metadata"]["labels"]["grafana_dashboard"] == "1");
    let mut found = BTreeSet::new();
    for map in maps {
        assert!(map.to_string().len() < 200 << 10, "{}", map["metadata"]["name"]);
        for (name, json) in map["data"].as_object().unwrap() {
            assert_eq!(json, &text(name.trim_end_matches(".json")));
            found.insert(name.trim_end_matches(".json").to_owned());
        }
    }
    assert_eq!(found, BOARDS.map(str::to_owned).into());
    let monitor = built.iter().find(|one| one["kind"] == "PodMonitor").unwrap();
    let base = std::fs::read_to_string(root().join("k8s/base/statefulset.yaml")).unwrap();
    let port = word(&monitor["spec"]["podMetricsEndpoints"][0], "port");
    assert!(base.contains(&format!("- {{ name: {port}, containerPort: 9193 }}")), "{port}");
}

fn fits(board: &str, dashboard: &Value, panel: &Value) {
    let title = format!("{board}: {}", word(panel, "title"));
    assert!(!word(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{title} has no unit");
    let said = word(panel, "description");
    assert!(said.len() > 60 && said.ends_with('.'), "{title} says what to do: {said}");
    assert!(!list(panel, "targets").is_empty(), "{title} asks nothing");
    let mut references = BTreeSet::new();
    for target in list(panel, "targets") {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        assert!(references.insert(word(target, "refId")), "{title}");
        let expr = word(target, "expr");
        for name in expr.split('$').skip(1) {
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = list(&dashboard["templating"], "list").iter().any(|variable| variable["name"] == *name);
            assert!(known || ["__rate_interval", "__range"].contains(&name.as_str()), "{title}: nobody sets ${name}");
        }
        let counts = expr.contains("_total{") && !expr.contains("membership_total{") || expr.contains("_bucket{");
        assert!(!counts || expr.contains("rate(") || expr.contains("increase("), "{title}: a counter as it is: {expr}");
        let lines = list(panel, "targets").len() > 1 || expr.contains(" by (") && !expr.contains("by (le)");
        assert!(!lines || !word(target, "legendFormat").is_empty() || panel["type"] == "stat", "{title} has no legend");
    }
}

/// As Grafana would, with what each variable is at first, for the whole time of the run.
fn substituted(dashboard: &Value, expr: &str, seconds: f64) -> String {
    let text = expr.replace("$__rate_interval", "4s").replace("$__range", &format!("{}s", seconds.ceil()));
    list(&dashboard["templating"], "list").iter().fold(text, |text, variable| {
        let value = variable["allValue"].as_str().or(variable["current"]["value"].as_str()).unwrap_or_default();
        text.replace(&format!("${}", word(variable, "name")), value)
    })
}

async fn answered(run: &Run, dashboard: &Value, target: &Value) -> Vec<Series> {
    let expr = substituted(dashboard, word(target, "expr"), seconds() - run.began);
    // A rate of now is over soon, and the last thing that happened may be longer ago on a machine that is busy.
    if target["instant"] == true && !word(target, "expr").contains("$__rate_interval") {
        run.prometheus.now(&expr).await
    } else {
        run.prometheus.since(run.began, &expr).await
    }
}

/// What is wrong with an answer, if this was to `happen`.
fn fault(series: &[Series], happen: Option<bool>) -> Option<&'static str> {
    let values = || series.iter().flat_map(|series| &series.values).map(|(_, value)| *value);
    let happened = values().any(|value| value != 0.0 && !value.is_nan());
    if values().all(f64::is_nan) {
        Some("has no data")
    } else if values().any(f64::is_infinite) {
        Some("is infinite")
    } else {
        match (happen, happened) {
            (Some(false), true) => Some("happened"),
            (Some(true), false) => Some("is 0, though it happened"),
            _ => None,
        }
    }
}

/// What is wrong with the answer to one expression of a panel.
fn faults(panel: &Value, target: &Value, series: &[Series]) -> Option<String> {
    let (title, legend, expr) = (word(panel, "title"), word(target, "legendFormat"), word(target, "expr"));
    let one_of = |names: &[&str]| names.contains(&legend) || names.contains(&title);
    let happen = (!one_of(&EITHER)).then(|| !one_of(&NEVER));
    let named = |series: &Series| {
        let mut names = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        names.all(|name| series.labels.get(name).is_some() || name.ends_with("cluster_name"))
    };
    let nameless = (!series.iter().all(named)).then_some("has a legend of labels that are not there");
    let fault = fault(series, happen).or(nameless)?;
    Some(format!("{title}: {legend}: {fault}: {expr}"))
}

#[tokio::test]
async fn every_expression_has_data_from_a_run_in_which_everything_happened() {
    let Some(mut run) = Run::start().await else { return };
    run.happens().await;
    let page = run.offboard.ops("/metrics").await.text().await.unwrap();
    promtool_is_content(&page);
    let (mut found, mut shown) = (vec![], BTreeSet::new());
    for board in BOARDS {
        let dashboard = dashboard(board);
        for panel in panels(&dashboard) {
            for target in list(panel, "targets") {
                let series = answered(&run, &dashboard, target).await;
                found.extend(faults(panel, target, &series));
                shown.extend(metrics(word(target, "expr")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let lowest = run.prometheus.now("min_over_time(offboard_config_last_reload_successful[1h])").await;
    assert_eq!(lowest[0].values[0].1, 0.0, "a reload was refused");
    let scraped: BTreeSet<String> = run.prometheus.names().await.into_iter().collect();
    let missing: Vec<_> = shown.difference(&scraped).collect();
    assert!(missing.is_empty(), "no such metric: {missing:?}");
    let ours = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let is_shown = |name: &str| shown.iter().any(|shown| shown.trim_end_matches("_bucket") == name);
    let unseen: Vec<_> = ours.filter(|name| name.starts_with("offboard_") && !is_shown(name)).collect();
    assert!(unseen.is_empty(), "on no dashboard: {unseen:?}");
}

/// The metrics that an expression names.
fn metrics(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !c.is_alphanumeric() && c != '_');
    let named = words.filter(|word| ["offboard_", "envoy_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    named.filter(|word| *word != "envoy_cluster_name").map(str::to_owned).collect()
}

fn promtool_is_content(page: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.is_empty(), "{said}");
}
