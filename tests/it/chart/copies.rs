//! What the chart holds that has its truth elsewhere: a chart cannot read a file outside of its directory.
//! With `UPDATE_GOLDEN=1` the copies are written anew, for `git diff` to show.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{REQUIRED, Rendered, chart};
use crate::manifests::{passes_its_own_schema, passes_the_strict_schemas};
use crate::support::offboard::Offboard;
use crate::support::{Scratch, root};

fn is_updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// `$defs` of the chart's schema: those of the configuration's schema, and what is left of it as `configuration`.
fn definitions() -> Map<String, Value> {
    let done = Offboard::command().arg("schema").output().unwrap();
    let mut schema: Map<String, Value> = serde_json::from_slice(&done.stdout).unwrap();
    let Some(Value::Object(mut definitions)) = schema.remove("$defs") else { panic!("no $defs") };
    schema.remove("$schema");
    assert!(definitions.insert("configuration".to_owned(), Value::Object(schema)).is_none());
    definitions
}

/// One definition on a line: this part is written and read by programs.
#[test]
fn the_schema_holds_that_of_the_configuration() {
    let path = chart().join("values.schema.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let (own, _) = text.split_once("  \"$defs\": {\n").expect("`$defs` come last");
    let lines: Vec<_> = definitions().iter().map(|(name, value)| format!("    {}: {value}", json!(name))).collect();
    let expected = format!("{own}  \"$defs\": {{\n{}\n  }}\n}}\n", lines.join(",\n"));
    if is_updating() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    let differs = text.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(text == expected, "values.schema.json (UPDATE_GOLDEN=1 writes it): {differs:?}");
}

/// Each value has a default in values.yaml, and words about it right there or above its group.
#[test]
fn every_value_of_the_schema_is_explained() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let text = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let expected = schema["properties"].as_object().unwrap().keys().filter(|key| *key != "global").collect::<Vec<_>>();
    assert_eq!(values.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
    let lines: Vec<_> = text.lines().collect();
    for key in expected {
        let at = lines.iter().position(|line| line.starts_with(&format!("{key}:"))).unwrap();
        let mut near = [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|at| lines.get(at));
        assert!(near.any(|line| line.trim_start().starts_with("# ")), "{key}");
        for (inner, schema) in schema["properties"][key]["properties"].as_object().into_iter().flatten() {
            assert!(*schema == false || values[key].get(inner).is_some(), "{key}.{inner} has no default");
        }
    }
}

/// The files of a directory, by name; none where there is no such directory.
fn files(dir: &Path, extension: &str) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let ours = entries.filter(|path| path.extension().is_some_and(|found| found == extension));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    ours.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

/// `files/` of the chart is what `k8s/monitoring` has: its dashboards, and its rules as `rules.yaml`.
#[test]
fn dashboards_and_rules_are_those_of_monitoring() {
    let (theirs, ours) = (root().join("k8s/monitoring"), chart().join("files"));
    let of = |dir: &Path| {
        let rules = std::fs::read_to_string(dir.join("rules.yaml")).ok().map(|text| ("../rules.yaml".to_owned(), text));
        files(&dir.join("dashboards"), "json").into_iter().chain(rules).collect::<BTreeMap<_, _>>()
    };
    if is_updating() {
        let _ = std::fs::remove_dir_all(&ours);
        for (name, text) in of(&theirs) {
            std::fs::create_dir_all(ours.join("dashboards")).unwrap();
            std::fs::write(ours.join("dashboards").join(name), text).unwrap();
        }
        return;
    }
    let (theirs, ours) = (of(&theirs), of(&ours));
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "UPDATE_GOLDEN=1 writes the copies");
    for (name, text) in &theirs {
        assert!(*text == ours[name], "{name}: UPDATE_GOLDEN=1 writes the copy");
    }
    if !theirs.is_empty() {
        are_rendered(&theirs);
    }
}

fn are_rendered(files: &BTreeMap<String, String>) {
    let values = "monitoring: { dashboards: { enabled: true }, rules: { enabled: true } }";
    let Some(rendered) = Rendered::with(values) else { return };
    let objects = rendered.objects();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".json")) {
        let is_it = |object: &&Value| object.pointer("/data").is_some_and(|data| data[name] == **text);
        assert_eq!(objects.iter().filter(is_it).count(), 1, "{name}");
    }
    passes_the_strict_schemas(values, &rendered.manifests());
    passes_its_own_schema(&rendered.one("PrometheusRule"));
}

const DASHBOARD: &str = r#"{ "title": "{{ .Values.image }} {{pod}}", "panels": [] }
"#;
const RULES: &str = r#"# Of a test.
groups:
  - name: offboard
    rules:
      - alert: Stale
        expr: time() - offboard_x > 60
        annotations: { summary: "{{ $labels.source }}: {{ $value | humanizeDuration }}" }
"#;

/// Grafana and Prometheus write their own names in double braces, as Helm does.
#[test]
fn dashboards_and_rules_come_to_the_letter() {
    let scratch = Scratch::new();
    let copy = scratch.path().join("offboard");
    let done = std::process::Command::new("cp").arg("-r").arg(chart()).arg(&copy).status().unwrap();
    assert!(done.success());
    let _ = std::fs::remove_dir_all(copy.join("files"));
    let of = |values: &str| Rendered::of(&copy, &format!("{REQUIRED}{values}"), "offboard", "offboard");
    for (values, missing) in [
        ("monitoring: { dashboards: { enabled: true } }", "files/dashboards"),
        ("monitoring: { rules: { enabled: true } }", "files/rules.yaml"),
    ] {
        let Some(answer) = of(values) else { return };
        let error = answer.err().unwrap();
        assert!(error.contains(missing), "an installation without them is not what was asked for: {error}");
    }

    std::fs::create_dir_all(copy.join("files/dashboards")).unwrap();
    for name in ["overview.json", "sources.json"] {
        std::fs::write(copy.join("files/dashboards").join(name), DASHBOARD).unwrap();
    }
    std::fs::write(copy.join("files/rules.yaml"), RULES).unwrap();
    let values = "monitoring:
  dashboards: { enabled: true, annotations: { grafana_folder: Offboard } }
  rules: { enabled: true, labels: { release: prometheus } }
";
    let rendered = of(values).unwrap().unwrap();
    let text = rendered.file("dashboard-overview", "overview.json");
    assert_eq!((text.as_str(), rendered.file("dashboard-sources", "sources.json")), (DASHBOARD, DASHBOARD.to_owned()));
    let objects = rendered.objects();
    let map = objects.iter().find(|object| object["metadata"]["name"] == "offboard-dashboard-sources").unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Offboard");
    let rule = rendered.one("PrometheusRule");
    assert_eq!(rule["spec"], serde_saphyr::from_str::<Value>(RULES).unwrap());
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    if passes_the_strict_schemas(values, &rendered.manifests()).is_some() {
        passes_its_own_schema(&rule);
    }
}
