//! Each group of values, once: what comes of it, and that the strict schemas take it.

use serde_json::{Value, json};

use super::{REQUIRED, Rendered, chart};
use crate::manifests::{is_custom, passes_its_own_schema, passes_the_strict_schemas, resources};
use crate::support::root;

/// `None` is "skipped".
fn valid(values: &str, manifests: &str) -> Option<()> {
    passes_the_strict_schemas(values, manifests)?;
    resources(manifests).iter().filter(|object| is_custom(object)).try_for_each(passes_its_own_schema)
}

/// Values, the kind of an object, where in it, and what is found there.
const GROUPS: [(&str, &str, &str, &str); 26] = [
    ("replicas: 0", "StatefulSet", "/spec/replicas", "0"),
    ("imagePullSecrets: [{ name: registry }]", "StatefulSet", "POD/imagePullSecrets", "[{ name: registry }]"),
    ("people: { existingConfigMap: staff }", "StatefulSet", "POD/volumes/1/configMap/name", "staff"),
    ("secrets: []", "StatefulSet", "POD/volumes/2", "null"),
    (
        "secrets: [{ existingSecret: a }, { existingSecret: b, items: [{ key: password, path: ldap }] }]",
        "StatefulSet",
        "POD/volumes/2/projected/sources",
        "[{ secret: { name: a } }, { secret: { name: b, items: [{ key: password, path: ldap }] } }]",
    ),
    (
        "networkPolicy: { egress: [{ ports: [636], cidrs: [10.0.0.0/8, 'fd00::/8'] }, { ports: [8443] }] }",
        "NetworkPolicy",
        "/spec/egress/1",
        "{ ports: [{ port: 636, protocol: TCP }], to: [{ ipBlock: { cidr: 10.0.0.0/8 } }, { ipBlock: { cidr: 'fd00::/8' } }] }",
    ),
    (
        "networkPolicy: { egress: [{ ports: [443, 8443], namespaces: [keycloak] }] }",
        "NetworkPolicy",
        "/spec/egress/1/to/0/namespaceSelector",
        "{ matchLabels: { kubernetes.io/metadata.name: keycloak } }",
    ),
    ("networkPolicy: { egress: [] }", "NetworkPolicy", "/spec/egress/1", "null"),
    (
        "networkPolicy: { dns: { namespaces: [], cidrs: [169.254.20.10/32], ports: [53] } }",
        "NetworkPolicy",
        "/spec/egress/0/to",
        "[{ ipBlock: { cidr: 169.254.20.10/32 } }]",
    ),
    ("networkPolicy: { dns: { namespaces: [], ports: [5353] } }", "NetworkPolicy", "/spec/egress/0/to", "null"),
    (
        "monitoring: { monitor: { kind: ServiceMonitor, interval: 30s, labels: { release: prometheus } } }",
        "ServiceMonitor",
        "/spec/endpoints",
        "[{ port: http-ops, path: /metrics, interval: 30s }]",
    ),
    (
        "monitoring: { monitor: { kind: PodMonitor, labels: { release: prometheus } } }",
        "PodMonitor",
        "/spec/podMetricsEndpoints",
        "[{ port: ops, path: /metrics, interval: 15s }]",
    ),
    (
        "monitoring: { monitor: { kind: PodMonitor, labels: { release: prometheus } } }",
        "PodMonitor",
        "/metadata/labels/release",
        "prometheus",
    ),
    ("persistence: { size: 10Gi }", "StatefulSet", "CLAIM/resources/requests/storage", "10Gi"),
    ("persistence: { storageClassName: fast }", "StatefulSet", "CLAIM/storageClassName", "fast"),
    ("resources: { limits: { memory: 1Gi } }", "StatefulSet", "POD/containers/0/resources/limits/memory", "1Gi"),
    (
        "serviceAccount: { annotations: { a.example.com/role: b } }",
        "ServiceAccount",
        "/metadata/annotations",
        "{ a.example.com/role: b }",
    ),
    ("podAnnotations: { a: b }", "StatefulSet", "/spec/template/metadata/annotations/a", "b"),
    ("podLabels: { team: security }", "StatefulSet", "/spec/template/metadata/labels/team", "security"),
    ("priorityClassName: system-cluster-critical", "StatefulSet", "POD/priorityClassName", "system-cluster-critical"),
    ("nodeSelector: { disk: ssd }", "StatefulSet", "POD/nodeSelector", "{ disk: ssd }"),
    (
        "tolerations: [{ key: infra, operator: Exists }]",
        "StatefulSet",
        "POD/tolerations",
        "[{ key: infra, operator: Exists }]",
    ),
    (
        "affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: zone }] } }",
        "StatefulSet",
        "POD/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/topologyKey",
        "zone",
    ),
    (
        "topologySpreadConstraints: [{ maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway }]",
        "StatefulSet",
        "POD/topologySpreadConstraints/0/maxSkew",
        "1",
    ),
    ("terminationGracePeriodSeconds: 60", "StatefulSet", "POD/terminationGracePeriodSeconds", "60"),
    (
        "extraEnv: [{ name: HTTPS_PROXY, valueFrom: { secretKeyRef: { name: proxy, key: url } } }]",
        "StatefulSet",
        "POD/containers/0/env/1",
        "{ name: HTTPS_PROXY, valueFrom: { secretKeyRef: { name: proxy, key: url } } }",
    ),
];

#[test]
fn each_group_of_values_is_rendered_and_valid() {
    let mut all = String::new();
    for (values, kind, place, expected) in GROUPS {
        let Some(rendered) = Rendered::with(values) else { return };
        let place = place.replace("POD", "/spec/template/spec").replace("CLAIM", "/spec/volumeClaimTemplates/0/spec");
        let (object, expected) = (rendered.one(kind), serde_saphyr::from_str::<Value>(expected).unwrap());
        assert_eq!(object.pointer(&place).unwrap_or(&Value::Null), &expected, "{values}");
        all += &rendered.manifests();
    }
    valid("each group of values", &all);
}

#[test]
fn an_image_goes_by_its_digest_first() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        ("repository: r".to_owned(), format!("r:{version}")),
        ("repository: r, tag: edge".to_owned(), "r:edge".to_owned()),
        (format!("repository: r, tag: edge, digest: '{digest}'"), format!("r@{digest}")),
    ];
    for (image, expected) in expected {
        let values = REQUIRED.replace("repository: registry.example.com/offboard", &image);
        let Some(rendered) = Rendered::of(&chart(), &values, "offboard", "offboard") else { return };
        assert_eq!(rendered.unwrap().pod()["spec"]["containers"][0]["image"], *expected, "{image}");
    }
}

/// Kubelet's gRPC probe speaks no TLS: with it, a pod that has TLS would never be ready.
#[test]
fn a_listener_with_tls_is_probed_beside_it() {
    let tls = "tls: { cert_file: /etc/offboard/secrets/tls.crt, key_file: /etc/offboard/secrets/tls.key }";
    for (values, expected) in [
        ("".to_owned(), json!({ "grpc": { "port": 9191 } })),
        ("server: null,".to_owned(), json!({ "grpc": { "port": 9191 } })),
        (format!("server: {{ authz: {{ {tls} }} }},"), json!({ "httpGet": { "path": "/readyz", "port": "ops" } })),
    ] {
        let values = REQUIRED.replace("config: {", &format!("config: {{ {values}"));
        let Some(rendered) = Rendered::of(&chart(), &values, "offboard", "offboard") else { return };
        let mut probe = rendered.unwrap().pod()["spec"]["containers"][0]["readinessProbe"].take();
        probe.as_object_mut().unwrap().retain(|key, _| ["grpc", "httpGet"].contains(&key.as_str()));
        assert_eq!(probe, expected, "{values}");
    }
}

/// Further volumes, no list of people of its own, no policy, another name: together.
#[test]
fn what_is_left_out_or_added_fits_together() {
    let values = "
people: { existingConfigMap: staff }
networkPolicy: { enabled: false }
fullnameOverride: gatekeeper
extraVolumes: [{ name: authority, configMap: { name: corp-ca } }]
extraVolumeMounts: [{ name: authority, mountPath: /etc/offboard/authority, readOnly: true }]
";
    let Some(rendered) = Rendered::with(values) else { return };
    let objects = rendered.objects();
    let names: Vec<_> = objects.iter().map(|object| json!([object["kind"], object["metadata"]["name"]])).collect();
    let expected = [
        ("ConfigMap", "gatekeeper-config"),
        ("Service", "gatekeeper-authz"),
        ("Service", "gatekeeper"),
        ("ServiceAccount", "gatekeeper"),
        ("StatefulSet", "gatekeeper"),
    ];
    assert_eq!(names, expected.map(|(kind, name)| json!([kind, name])));
    let pod = &rendered.pod()["spec"];
    assert_eq!(pod["volumes"][3], json!({ "name": "authority", "configMap": { "name": "corp-ca" } }));
    assert_eq!(pod["containers"][0]["volumeMounts"][4]["mountPath"], "/etc/offboard/authority");
    assert_eq!(
        (&pod["serviceAccountName"], &pod["volumes"][0]["configMap"]["name"]),
        (&"gatekeeper".into(), &"gatekeeper-config".into())
    );
    valid(values, &rendered.manifests());
}

/// An id that looks like a number arrives as it was quoted.
#[test]
fn people_arrive_to_the_letter() {
    let Some(rendered) = Rendered::with(
        "people: { list: [{ id: '0123', status: departed }, { id: '1e5', email: no@example.com, groups: ['no', '~'] }] }",
    ) else {
        return;
    };
    let text = rendered.file("people", "people.yaml");
    let found: Value = serde_saphyr::from_str(&text).unwrap();
    let expected = json!({ "people": [
        { "id": "0123", "status": "departed" },
        { "id": "1e5", "email": "no@example.com", "groups": ["no", "~"] },
    ] });
    assert_eq!(found, expected, "{text}");
    let empty = Rendered::with("").unwrap().file("people", "people.yaml");
    assert_eq!(serde_saphyr::from_str::<Value>(&empty).unwrap(), json!({ "people": [] }));
    let null = Rendered::with("people: { list: null }").unwrap().file("people", "people.yaml");
    assert_eq!(serde_saphyr::from_str::<Value>(&null).unwrap(), json!({ "people": [] }), "null is none");
}

/// What README shows is what Helm takes.
#[test]
fn the_values_in_the_readme_are_rendered_and_valid() {
    let readme = std::fs::read_to_string(root().join("k8s/README.md")).unwrap();
    let section = readme.split("\n## With Helm\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let from = section.lines().skip_while(|line| *line != "    image:");
    let values: String = from.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
    let Some(rendered) = Rendered::of(&chart(), &values, "offboard", "offboard") else { return };
    let rendered = rendered.unwrap_or_else(|error| panic!("{values}: {error}"));
    assert_eq!(rendered.objects().len(), 8, "all of it is in the example:\n{values}");
    rendered.is_valid();
    valid(&values, &rendered.manifests());
    let configuration: Value = serde_saphyr::from_str(&rendered.file("config", "offboard.yaml")).unwrap();
    let mut services = configuration["services"].as_array().unwrap().iter();
    assert!(services.any(|service| service["name"] == *service_of_the_gateway()), "{configuration}");
    for named in section.split([' ', '`', ';']).filter(|word| word.starts_with("k8s/")) {
        assert!(root().join(named).exists(), "{named}");
    }
}

/// The one that Envoy Gateway's overlay names. A name that the configuration lacks is `no_permission`, for everybody.
fn service_of_the_gateway() -> String {
    let text = std::fs::read_to_string(root().join("k8s/enforce/envoy-gateway/securitypolicy.yaml")).unwrap();
    let policy = serde_saphyr::from_str::<Value>(&text).unwrap();
    let named = policy["spec"]["extAuth"]["contextExtensions"].as_array().unwrap();
    named.iter().find(|one| one["name"] == "service").unwrap()["value"].as_str().unwrap().to_owned()
}

#[test]
fn the_notes_tell_what_a_gateways_policy_names_where_it_is_missing() {
    let edge = service_of_the_gateway();
    for (services, told) in [("", true), ("services: [{ name: payments }],", true), ("EDGE", false)] {
        let services = services.replace("EDGE", &format!("services: [{{ name: payments }}, {{ name: {edge} }}],"));
        let values = REQUIRED.replace("config: {", &format!("config: {{ {services}"));
        let Some(rendered) = Rendered::of(&chart(), &values, "offboard", "offboard") else { return };
        let rendered = rendered.unwrap();
        let notes = rendered.notes();
        assert_eq!(notes.contains(&format!("it names the service `{edge}`")), told, "{services}:\n{notes}");
    }
}
