//! The manifests of `k8s/`: they build, pass the strict schemas, and hold what their comments promise.

use std::process::Command;

use serde_json::Value;

use crate::support::{Scratch, peer, root};

/// Every directory under k8s/ that holds a kustomization.
fn kustomizations() -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root().join("k8s")];
    while let Some(dir) = left.pop() {
        if dir.join("kustomization.yaml").exists() {
            found.push(dir.to_str().unwrap().to_owned());
        }
        left.extend(std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// `kubectl kustomize DIR`; `None` is "skipped".
fn built(dir: &str) -> Option<String> {
    let done = Command::new(peer("venv/bin/kubectl")?).args(["kustomize", dir]).output().unwrap();
    assert!(done.status.success(), "{dir}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap())
}

fn resources(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

#[test]
fn every_overlay_builds_and_passes_the_strict_schemas() {
    let scratch = Scratch::new();
    for dir in kustomizations() {
        let (Some(yaml), Some(validator)) = (built(&dir), peer("venv/bin/kubernetes-validate")) else { return };
        let file = scratch.path().join("built.yaml");
        std::fs::write(&file, &yaml).unwrap();
        let done = Command::new(validator).arg("--strict").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success(), "{dir}: {said}");
        let custom = resources(&yaml).iter().filter(|resource| is_custom(resource)).count();
        assert_eq!(said.matches("passed for resource").count() + custom, resources(&yaml).len(), "{dir}: {said}");
    }
}

fn is_custom(resource: &Value) -> bool {
    let group = resource["apiVersion"].as_str().unwrap().split('/').next().unwrap();
    group.ends_with("istio.io") || group.ends_with("gateway.networking.k8s.io") || group.ends_with("envoyproxy.io")
}

/// The package that has the schemas of a custom resource's group.
fn package(group: &str) -> &'static str {
    match group {
        "gateway.envoyproxy.io" => "envoy-gateway",
        "gateway.networking.k8s.io" => "gateway-api",
        _ => "istio",
    }
}

#[test]
fn custom_resources_pass_their_own_schemas() {
    for overlay in ["istio", "envoy-gateway"] {
        let dir = root().join("k8s/enforce").join(overlay);
        let (Some(yaml), Some(node)) = (built(dir.to_str().unwrap()), peer("node")) else { return };
        let resources = resources(&yaml);
        assert!(resources.iter().any(is_custom), "{overlay}");
        for resource in resources.iter().filter(|resource| is_custom(resource)) {
            let (kind, version) = (resource["kind"].as_str().unwrap(), resource["apiVersion"].as_str().unwrap());
            let package = package(version.split('/').next().unwrap());
            let script = format!(
                "import('@kubernetes-models/{package}/{version}').then(all => new all.{kind}({resource}).validate())\
                 .catch(error => {{ console.error(String(error)); process.exit(1) }});"
            );
            let done = Command::new("node").current_dir(&node).args(["-e", &script]).output().unwrap();
            assert!(done.status.success(), "{resource}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
}

/// The schemas above let a misspelt field pass, and so does Envoy Gateway where it is asked without strictness.
#[test]
fn the_security_policy_misspells_nothing() {
    let Some(yaml) = built(root().join("k8s/enforce/envoy-gateway").to_str().unwrap()) else { return };
    let resources = resources(&yaml);
    let policy = resources.iter().find(|resource| resource["kind"] == "SecurityPolicy").unwrap();
    let ext_auth = policy["spec"]["extAuth"].as_object().unwrap();
    let known = ["grpc", "timeout", "failOpen", "statusOnError", "contextExtensions"];
    assert!(ext_auth.keys().all(|key| known.contains(&key.as_str())), "{ext_auth:?}");
    assert_eq!((&ext_auth["failOpen"], &ext_auth["statusOnError"]), (&false.into(), &503.into()));
    let grant = resources.iter().find(|resource| resource["kind"] == "ReferenceGrant").unwrap();
    let (from, to) = (&grant["spec"]["from"][0], &grant["spec"]["to"][0]);
    assert_eq!((&from["namespace"], &from["kind"]), (&policy["metadata"]["namespace"], &"SecurityPolicy".into()));
    let backend = &ext_auth["grpc"]["backendRefs"][0];
    assert_eq!((&to["name"], &grant["metadata"]["namespace"]), (&backend["name"], &backend["namespace"]));
}

#[test]
fn the_policy_names_the_provider_of_the_mesh_configuration() {
    let Some(yaml) = built(root().join("k8s/enforce/istio").to_str().unwrap()) else { return };
    let mesh = std::fs::read_to_string(root().join("k8s/enforce/istio/meshconfig.yaml")).unwrap();
    let provider = &resources(&mesh)[0]["extensionProviders"][0];
    let policy = &resources(&yaml)[0];
    assert_eq!(policy["spec"]["action"], "CUSTOM");
    assert_eq!(policy["spec"]["provider"]["name"], provider["name"]);
    let grpc = provider["envoyExtAuthzGrpc"].as_object().unwrap();
    let known = ["service", "port", "timeout", "failOpen", "statusOnError"];
    assert!(
        grpc.keys().all(|key| known.contains(&key.as_str())),
        "Istio ignores a misspelt field in silence: {grpc:?}"
    );
    assert_eq!((&grpc["timeout"], &grpc["failOpen"]), (&"0.25s".into(), &false.into()));
    assert_eq!(grpc["statusOnError"], "503", "a string, as its protobuf says");
}

#[test]
fn no_overlay_has_two_replicas_on_the_embedded_store() {
    for dir in kustomizations() {
        let Some(yaml) = built(&dir) else { return };
        let resources = resources(&yaml);
        assert!(!embedded(&resources) || replicas(&resources) <= 1, "{dir}: each replica would know half of who left");
        if embedded(&resources) {
            let budget = resources.iter().any(|resource| resource["kind"] == "PodDisruptionBudget");
            assert!(!budget && !yaml.contains("podAntiAffinity"), "{dir}: with one replica they only block drains");
        }
    }
}

fn replicas(resources: &[Value]) -> u64 {
    let workloads = resources.iter().filter(|resource| {
        matches!(
            resource["kind"].as_str(),
            Some("StatefulSet" | "Deployment" | "DaemonSet" | "HorizontalPodAutoscaler")
        )
    });
    workloads.map(|workload| workload["spec"]["replicas"].as_u64().unwrap_or(u64::MAX)).max().unwrap_or(0)
}

fn embedded(resources: &[Value]) -> bool {
    let configuration = resources.iter().filter(|resource| resource["kind"] == "ConfigMap");
    let files = configuration.filter_map(|map| map["data"].as_object()).flat_map(serde_json::Map::values);
    let nats = files.filter_map(Value::as_str).any(|text| text.contains("kind: nats"));
    replicas(resources) > 0 && !nats
}

#[test]
fn the_pod_is_locked_down() {
    let Some(yaml) = built(root().join("k8s/base").to_str().unwrap()) else { return };
    let resources = resources(&yaml);
    let pod = &resources.iter().find(|resource| resource["kind"] == "StatefulSet").unwrap()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert!(container["resources"]["limits"].get("cpu").is_none(), "throttling is latency for the whole mesh");
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(mount.get("subPath").is_none(), "kubelet never updates a subPath: {mount}");
    }
}
