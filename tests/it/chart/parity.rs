//! The chart and `k8s/base` are one installation, written twice.

use serde_json::{Map, Value, json};

use super::{Rendered, chart};
use crate::manifests::{built, resources};
use crate::support::root;

/// The configuration in the files of a ConfigMap, as one tree.
fn configuration(map: &Value) -> Value {
    let files = map["data"].as_object().unwrap().values();
    let trees = files.map(|text| serde_saphyr::from_str::<Map<String, Value>>(text.as_str().unwrap()).unwrap());
    let mut whole = Map::new();
    for (key, value) in trees.flatten() {
        assert!(whole.insert(key.clone(), value).is_none(), "{key} is in two files");
    }
    Value::Object(whole)
}

fn named<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> &'a mut Value {
    let is_it = |object: &&mut Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter_mut().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The values that say what the base says. What the chart has as its default is left out, so it must be the same.
fn values_of(base: &mut [Value]) -> String {
    let configuration = configuration(named(base, "ConfigMap", "offboard-config"));
    let people: Value =
        serde_saphyr::from_str(named(base, "ConfigMap", "offboard-people")["data"]["people.yaml"].as_str().unwrap())
            .unwrap();
    let only = |key: &str| (key.to_owned(), configuration[key].clone());
    let config: Map<String, Value> = ["issuers", "sources", "services"].into_iter().map(only).collect();
    json!({
        "image": { "repository": "registry.example.com/offboard" },
        "config": config,
        "people": { "list": people["people"] },
    })
    .to_string()
}

/// The labels of an object, wherever it has some.
fn labels(value: &mut Value) -> Vec<&mut Map<String, Value>> {
    const WHERE: [&str; 3] = ["labels", "selector", "matchLabels"];
    let found = match value {
        Value::Object(map) => map.iter_mut().map(|(key, value)| (WHERE.contains(&key.as_str()), value)).collect(),
        Value::Array(list) => list.iter_mut().map(|value| (false, value)).collect(),
        _ => vec![],
    };
    let each = found.into_iter().flat_map(|(is_labels, value)| {
        if is_labels && value.get("app.kubernetes.io/name").is_some() {
            return value.as_object_mut().into_iter().collect();
        }
        labels(value)
    });
    each.collect()
}

/// What the base says and the chart says otherwise, or not at all. Everything else is the same, or the test fails.
fn without_what_may_differ_in_the_base(base: &mut Vec<Value>) {
    // A chart makes no namespace: Helm would delete it, and all that is in it, with the release. NOTES.txt has its labels.
    base.retain(|object| object["kind"] != "Namespace");
    for object in base.iter_mut() {
        // Selectors: the chart tells releases apart, by app.kubernetes.io/instance.
        for labels in labels(object) {
            labels.remove("app.kubernetes.io/part-of").unwrap();
        }
    }
    // Every pod of the namespace, which is the base's own. A release may share it, and means its own pods.
    let policy = &mut named(base, "NetworkPolicy", "offboard")["spec"]["podSelector"];
    assert_eq!(*policy, json!({}));
    *policy = json!({ "matchLabels": { "app.kubernetes.io/name": "offboard" } });
    // One file instead of three, and without comments.
    for (map, tree) in [("offboard-config", "offboard.yaml"), ("offboard-people", "people.yaml")] {
        let map = named(base, "ConfigMap", map);
        map["data"] = json!({ tree: configuration(map) });
    }
    // Any number of Secrets, in one projected volume.
    let pod = &mut named(base, "StatefulSet", "offboard")["spec"]["template"]["spec"];
    let secrets = pod["volumes"].as_array_mut().unwrap().iter_mut().find(|volume| volume["name"] == "secrets").unwrap();
    assert_eq!(secrets["secret"], json!({ "secretName": "offboard-secrets", "defaultMode": 288 }));
    *secrets = json!({ "name": "secrets", "projected": {
        "defaultMode": 288,
        "sources": [{ "secret": { "name": "offboard-secrets" } }],
    } });
}

fn without_what_may_differ_in_the_chart(chart: &mut [Value]) {
    for object in chart.iter_mut() {
        for labels in labels(object) {
            for helms in ["instance", "part-of", "version", "managed-by"] {
                labels.remove(&format!("app.kubernetes.io/{helms}"));
            }
            labels.remove("helm.sh/chart");
        }
    }
    for (map, tree) in [("offboard-config", "offboard.yaml"), ("offboard-people", "people.yaml")] {
        let map = named(chart, "ConfigMap", map);
        map["data"] = json!({ tree: configuration(map) });
    }
    let template = &mut named(chart, "StatefulSet", "offboard")["spec"]["template"];
    // The base's namespace has `istio-injection: disabled` for that.
    let labels = template["metadata"]["labels"].as_object_mut().unwrap();
    assert_eq!(labels.remove("sidecar.istio.io/inject").unwrap(), "false");
    assert_eq!(labels.remove("istio.io/dataplane-mode").unwrap(), "none");
    // Only here is the configuration's `server` known, which needs a restart.
    assert_eq!(template["metadata"]["annotations"].as_object().unwrap().len(), 1);
    template["metadata"].as_object_mut().unwrap().remove("annotations");
    // What Kubernetes makes of a tag that is not `latest`.
    let container = template["spec"]["containers"][0].as_object_mut().unwrap();
    assert_eq!(container.remove("imagePullPolicy").unwrap(), "IfNotPresent");
}

#[test]
fn the_chart_is_the_base() {
    let Some(base) = built(root().join("k8s/base").to_str().unwrap()) else { return };
    let mut base = resources(&base);
    let Some(rendered) = Rendered::of(&chart(), &values_of(&mut base), "offboard", "offboard") else { return };
    let mut chart = rendered.unwrap().objects();
    without_what_may_differ_in_the_base(&mut base);
    without_what_may_differ_in_the_chart(&mut chart);
    let by_name = |object: &Value| (object["kind"].to_string(), object["metadata"]["name"].to_string());
    base.sort_by_key(by_name);
    chart.sort_by_key(by_name);
    assert_eq!(base.iter().map(by_name).collect::<Vec<_>>(), chart.iter().map(by_name).collect::<Vec<_>>());
    for (base, chart) in base.iter().zip(&chart) {
        assert_eq!(base, chart, "{:?}", by_name(base));
    }
}
