//! The manifests of `k8s/`: they build, pass the strict schemas, and hold what their comments promise.

mod gitops;

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
pub fn built(dir: &str) -> Option<String> {
    let done = Command::new(peer("venv/bin/kubectl")?).args(["kustomize", dir]).output().unwrap();
    assert!(done.status.success(), "{dir}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap())
}

pub fn resources(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

#[test]
fn every_overlay_builds_and_passes_the_strict_schemas() {
    for dir in kustomizations() {
        let Some(yaml) = built(&dir) else { return };
        if passes_the_strict_schemas(&dir, &yaml).is_none() {
            return;
        }
    }
}

/// `None` is "skipped". Custom resources are not known here.
pub fn passes_the_strict_schemas(what: &str, yaml: &str) -> Option<()> {
    let (scratch, validator) = (Scratch::new(), peer("venv/bin/kubernetes-validate")?);
    let file = scratch.path().join("built.yaml");
    std::fs::write(&file, yaml).unwrap();
    let done = Command::new(validator).arg("--strict").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{what}: {said}");
    let custom = resources(yaml).iter().filter(|resource| is_custom(resource)).count();
    assert_eq!(said.matches("passed for resource").count() + custom, resources(yaml).len(), "{what}: {said}");
    Some(())
}

pub fn is_custom(resource: &Value) -> bool {
    let group = resource["apiVersion"].as_str().unwrap().split('/').next().unwrap();
    let known = ["istio.io", "gateway.networking.k8s.io", "envoyproxy.io", "monitoring.coreos.com", "argoproj.io"];
    known.iter().any(|known| group.ends_with(known))
}

/// The package that has the schemas of a custom resource's group.
fn package(group: &str) -> &'static str {
    match group {
        "gateway.envoyproxy.io" => "envoy-gateway",
        "gateway.networking.k8s.io" => "gateway-api",
        "monitoring.coreos.com" => "prometheus-operator",
        "argoproj.io" => "argo-cd",
        _ => "istio",
    }
}

fn with(key: &str, text: &str, resource: &Value) -> serde_json::Map<String, Value> {
    let mut members = resource.as_object().unwrap().clone();
    members.insert(key.to_owned(), text.into());
    members
}

#[test]
fn custom_resources_pass_their_own_schemas() {
    let mut custom = Vec::new();
    for dir in kustomizations() {
        let Some(yaml) = built(&dir) else { return };
        let resources: Vec<Value> = resources(&yaml).into_iter().filter(is_custom).collect();
        assert!(!dir.contains("/enforce/") || !resources.is_empty(), "{dir}");
        custom.extend(resources);
    }
    pass_their_own_schemas(&custom);
}

/// `None` is "skipped".
pub fn passes_its_own_schema(resource: &Value) -> Option<()> {
    pass_their_own_schemas(std::slice::from_ref(resource))
}

/// In one process, as each start of one takes a second. `None` is "skipped".
fn pass_their_own_schemas(custom: &[Value]) -> Option<()> {
    let node = peer("node")?;
    let mut script = String::new();
    for resource in custom {
        let (kind, version) = (resource["kind"].as_str().unwrap(), resource["apiVersion"].as_str().unwrap());
        let package = package(version.split('/').next().unwrap());
        // The package has the schemas of networking.istio.io under the version before, which says the same.
        let version = version.replace("networking.istio.io/v1", "networking.istio.io/v1beta1");
        let resource = Value::Object(with("apiVersion", &version, resource));
        script += &format!(
            "await import('@kubernetes-models/{package}/{version}').then(all => new all.{kind}({resource}).validate())\
             .catch(error => {{ console.error({resource}, String(error)); process.exit(1) }});\n"
        );
    }
    let mut command = Command::new("node");
    let done = command.current_dir(&node).args(["--input-type=module", "-e", &script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(())
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
    let built = resources(&yaml);
    let policy = built.iter().find(|resource| resource["kind"] == "AuthorizationPolicy").unwrap();
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

/// The Service that a sidecar or a gateway is to reach exists, has a cluster IP, and leads to the pods' port.
fn reaches(base: &[Value], host: &str, port: &Value) -> Result<(), String> {
    // MeshConfig also takes `NAMESPACE/HOST`.
    let host = host.rsplit('/').next().unwrap();
    let (name, rest) = host.split_once('.').ok_or("names no namespace")?;
    let (namespace, domain) = rest.split_once('.').ok_or("is not a whole name")?;
    if domain != "svc.cluster.local" {
        return Err(format!("{domain} is not the cluster's domain"));
    }
    let is_it = |resource: &&Value| {
        (&resource["kind"], &resource["metadata"]["name"], &resource["metadata"]["namespace"])
            == (&"Service".into(), &name.into(), &namespace.into())
    };
    let service = base.iter().find(is_it).ok_or("is no Service of the base")?;
    if service["spec"]["clusterIP"] == "None" {
        return Err("is headless: for sidecars it becomes ORIGINAL_DST, and every check fails".to_owned());
    }
    if !matches!(service["spec"]["type"].as_str(), None | Some("ClusterIP")) {
        return Err("is not of type ClusterIP".to_owned());
    }
    let ports = service["spec"]["ports"].as_array().unwrap();
    let found = ports.iter().find(|found| found["port"] == *port).ok_or("has no such port")?;
    if found["appProtocol"] != "grpc" {
        return Err("does not say that it speaks gRPC".to_owned());
    }
    let pods = &base.iter().find(|resource| resource["kind"] == "StatefulSet").unwrap()["spec"]["template"];
    let selects = service["spec"]["selector"].as_object().is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| pods["metadata"]["labels"][key] == *value)
    });
    let listens = pods["spec"]["containers"][0]["ports"].as_array().unwrap();
    if !selects || !listens.iter().any(|listens| listens["name"] == found["targetPort"]) {
        return Err("does not lead to the pods".to_owned());
    }
    Ok(())
}

#[test]
fn what_asks_names_a_service_with_a_cluster_ip() {
    let of = |dir: &str| built(root().join("k8s").join(dir).to_str().unwrap()).map(|yaml| resources(&yaml));
    let (Some(base), Some(istio), Some(gateway)) = (of("base"), of("enforce/istio"), of("enforce/envoy-gateway"))
    else {
        return;
    };
    let mesh = std::fs::read_to_string(root().join("k8s/enforce/istio/meshconfig.yaml")).unwrap();
    let provider = &resources(&mesh)[0]["extensionProviders"][0]["envoyExtAuthzGrpc"];
    let named = provider["service"].as_str().unwrap();
    assert_eq!(reaches(&base, named, &provider["port"]), Ok(()), "MeshConfig: {named}");
    let rule = istio.iter().find(|resource| resource["kind"] == "DestinationRule").unwrap();
    assert_eq!(rule["spec"]["host"], named, "how it is called is said of what is called");
    assert_eq!(rule["spec"]["trafficPolicy"]["tls"]["mode"], "DISABLE", "the base has no TLS");

    let policy = gateway.iter().find(|resource| resource["kind"] == "SecurityPolicy").unwrap();
    let backend = &policy["spec"]["extAuth"]["grpc"]["backendRefs"][0];
    let host =
        format!("{}.{}.svc.cluster.local", backend["name"].as_str().unwrap(), backend["namespace"].as_str().unwrap());
    assert_eq!(reaches(&base, &host, &backend["port"]), Ok(()), "SecurityPolicy: {host}");

    let set = base.iter().find(|resource| resource["kind"] == "StatefulSet").unwrap();
    let headless = format!("{}.offboard.svc.cluster.local", set["spec"]["serviceName"].as_str().unwrap());
    assert!(reaches(&base, &headless, &9191.into()).unwrap_err().contains("ORIGINAL_DST"), "the StatefulSet's own");
    assert!(reaches(&base, &format!("offboard/{headless}"), &9191.into()).is_err(), "nor by the other way to write it");
    assert!(reaches(&base, "offboard-auth.offboard.svc.cluster.local", &9191.into()).is_err(), "misspelt");
    assert!(reaches(&base, named, &9193.into()).is_err(), "metrics are none of theirs");
    let mut elsewhere = base.clone();
    for resource in elsewhere.iter_mut().filter(|resource| resource["kind"] == "Service") {
        resource["spec"]["selector"]["app.kubernetes.io/name"] = "other".into();
    }
    assert!(reaches(&elsewhere, named, &9191.into()).unwrap_err().contains("pods"), "{named}");
}

/// What of a policy lets a request pass by whoever wrote its path: Envoy matches before it decodes.
fn ways_around(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let here = map.iter().filter(|(key, _)| *key == "notPaths");
            let listed = here.flat_map(|(_, list)| list.as_array().cloned().unwrap_or_default());
            let texts = listed.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            texts.filter(|path| path.contains(['*', '{'])).chain(map.values().flat_map(ways_around)).collect()
        }
        Value::Array(list) => list.iter().flat_map(ways_around).collect(),
        _ => vec![],
    }
}

#[test]
fn no_policy_leaves_out_a_pattern_of_paths() {
    let of = |paths: &str| {
        let text =
            format!("spec: {{ rules: [{{ to: [{{ operation: {{ notPaths: {paths}, notPorts: ['*'] }} }}] }}] }}");
        ways_around(&resources(&text)[0])
    };
    assert_eq!(of("['/status', '/assets/*']"), ["/assets/*"]);
    assert_eq!(of("['*/ready', '/t/{*}', '/u/{**}/x', '*']"), ["*/ready", "/t/{*}", "/u/{**}/x", "*"]);
    assert!(of("[/ready]").is_empty());
    for dir in kustomizations() {
        let Some(yaml) = built(&dir) else { return };
        for resource in resources(&yaml) {
            assert_eq!(ways_around(&resource), Vec::<String>::new(), "{dir}");
        }
    }
}

/// What the policy for a sidecar leaves out are ports that speak no HTTP, and nothing else: no path, method, host, caller.
#[test]
fn istios_policy_leaves_out_ports_only() {
    let Some(yaml) = built(root().join("k8s/enforce/istio").to_str().unwrap()) else { return };
    let resources = resources(&yaml);
    let policy = resources.iter().find(|resource| resource["kind"] == "AuthorizationPolicy").unwrap();
    let expected = serde_json::json!([{ "to": [{ "operation": { "notPorts": ["3306", "5432"] } }] }]);
    assert_eq!(policy["spec"]["rules"], expected);
    assert!(policy["spec"].get("selector").is_none(), "every workload of the namespace");
}

/// The gateways of one namespace, and whatever comes in through them; called as sidecars call.
#[test]
fn istios_gateway_is_asked_about_everything_and_nothing_else_is() {
    let of = |dir: &str| built(root().join("k8s/enforce").join(dir).to_str().unwrap()).map(|yaml| resources(&yaml));
    let (Some(sidecars), Some(gateway)) = (of("istio"), of("istio-gateway")) else { return };
    let find = |among: &[Value], kind: &str| among.iter().find(|resource| resource["kind"] == kind).cloned().unwrap();
    let policy = find(&gateway, "AuthorizationPolicy");
    assert_eq!(policy["spec"]["rules"], serde_json::json!([{}]));
    assert!(policy["spec"]["selector"]["matchLabels"].as_object().is_some_and(|labels| !labels.is_empty()));
    assert_ne!(policy["metadata"]["namespace"], "istio-system", "there a policy is the whole mesh's");
    assert_eq!(policy["spec"]["action"], "CUSTOM");
    assert_eq!(policy["spec"]["provider"], find(&sidecars, "AuthorizationPolicy")["spec"]["provider"]);
    assert_eq!(find(&gateway, "DestinationRule")["spec"], find(&sidecars, "DestinationRule")["spec"]);
}

/// At a waypoint a policy without `targetRefs` is passed over, in silence.
#[test]
fn istios_waypoint_is_named_and_asked_about_everything() {
    let of = |dir: &str| built(root().join("k8s/enforce").join(dir).to_str().unwrap()).map(|yaml| resources(&yaml));
    let (Some(sidecars), Some(waypoint)) = (of("istio"), of("istio-waypoint")) else { return };
    let find = |among: &[Value], kind: &str| among.iter().find(|resource| resource["kind"] == kind).cloned().unwrap();
    let policy = find(&waypoint, "AuthorizationPolicy")["spec"].take();
    let named = serde_json::json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint" });
    let provider = find(&sidecars, "AuthorizationPolicy")["spec"]["provider"].take();
    let expected =
        serde_json::json!({ "targetRefs": [named], "action": "CUSTOM", "provider": provider, "rules": [{}] });
    assert_eq!(policy, expected);
    assert_eq!(find(&waypoint, "DestinationRule")["spec"], find(&sidecars, "DestinationRule")["spec"]);
}

/// README's policy that closes the ways past a waypoint: it is ztunnel's to keep, so it has no `targetRefs`.
#[test]
fn readmes_policy_admits_only_the_waypoint() {
    let readme = std::fs::read_to_string(root().join("k8s/README.md")).unwrap();
    let section = readme.split("\n## Ambient mesh\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let indented = section.lines().filter_map(|line| line.strip_prefix("      "));
    let policy = resources(&indented.map(|line| format!("{line}\n")).collect::<String>()).remove(0);
    let spec = &policy["spec"];
    assert_eq!((&spec["action"], spec.get("targetRefs"), spec.get("selector")), (&"ALLOW".into(), None, None));
    let principals = serde_json::json!(["cluster.local/ns/payments/sa/waypoint"]);
    assert_eq!(spec["rules"], serde_json::json!([{ "from": [{ "source": { "principals": principals } }] }]));
    passes_its_own_schema(&policy);
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
