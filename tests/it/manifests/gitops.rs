//! `k8s/gitops`: a policy never comes before its provider, nor outlives it, and what was revoked is never deleted.

use serde_json::Value;

use super::{built, resources};
use crate::support::root;

const WAVE: &str = "argocd.argoproj.io/sync-wave";

fn of(dir: &str) -> Option<Vec<Value>> {
    built(root().join("k8s").join(dir).to_str().unwrap()).map(|yaml| resources(&yaml))
}

fn find<'a>(among: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = among.iter().find(|resource| resource["kind"] == kind && resource["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn wave(resource: &Value) -> i64 {
    resource["metadata"]["annotations"][WAVE].as_str().unwrap().parse().unwrap()
}

/// Every folder under `namespaces`, by its name.
fn namespaces() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("k8s/gitops/namespaces")).unwrap();
    folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn offboard_comes_first_then_the_provider_then_the_policies() {
    let Some(argo) = of("gitops/argocd") else { return };
    let (offboard, istiod) = (find(&argo, "Application", "offboard"), find(&argo, "Application", "istiod"));
    let policies = find(&argo, "ApplicationSet", "offboard-namespaces");
    assert!(wave(offboard) < wave(istiod) && wave(istiod) < wave(policies));
    let mesh = std::fs::read_to_string(root().join("k8s/enforce/istio/meshconfig.yaml")).unwrap();
    let values = &istiod["spec"]["source"]["helm"]["valuesObject"]["meshConfig"];
    assert_eq!(values["extensionProviders"], resources(&mesh)[0]["extensionProviders"]);
    // The statistics that README asks MeshConfig for.
    let matcher = serde_json::json!({ "inclusionRegexps": [".*ext_authz.*", ".*offboard-authz.*", ".*downstream_rq_total", ".*no_route"] });
    assert_eq!(values["defaultConfig"]["proxyStatsMatcher"], matcher);
}

#[test]
fn a_folder_is_a_namespace_and_holds_only_what_is_in_it() {
    let folders = namespaces();
    assert!(folders.len() >= 2, "{folders:?}");
    for folder in folders {
        let Some(resources) = of(&format!("gitops/namespaces/{folder}")) else { return };
        assert!(resources.iter().all(|resource| resource["metadata"]["namespace"] == *folder), "{folder}");
        // To delete the folder deletes these: never a Namespace with all that is in it.
        let (rule, policy): (Vec<&Value>, Vec<&Value>) =
            resources.iter().partition(|resource| resource["kind"] == "DestinationRule");
        assert_eq!((rule.len(), policy.len()), (1, 1), "{folder}");
        assert_eq!(policy[0]["kind"], "AuthorizationPolicy", "{folder}");
        assert!(wave(rule[0]) < wave(policy[0]), "{folder}: it can be reached before it is asked");
    }
    let Some(argo) = of("gitops/argocd") else { return };
    let set = &find(&argo, "ApplicationSet", "offboard-namespaces")["spec"];
    assert_eq!(set["generators"][0]["git"]["directories"][0]["path"], "k8s/gitops/namespaces/*");
    assert_eq!(set["template"]["spec"]["destination"]["namespace"], "{{ .path.basename }}");
    let finalizers = &set["template"]["metadata"]["finalizers"];
    assert_eq!(
        finalizers[0], "resources-finalizer.argocd.argoproj.io",
        "a folder that is deleted takes its policy along"
    );
}

#[test]
fn what_was_revoked_is_never_deleted_by_argo_cd() {
    let (Some(argo), Some(own), Some(base)) = (of("gitops/argocd"), of("gitops/offboard"), of("base")) else { return };
    assert!(find(&argo, "Application", "offboard")["metadata"].get("finalizers").is_none());
    let options = &find(&own, "Namespace", "offboard")["metadata"]["annotations"]["argocd.argoproj.io/sync-options"];
    assert_eq!(options, "Prune=false,Delete=false");
    let set = |of: &[Value]| find(of, "StatefulSet", "offboard")["spec"]["template"]["spec"].clone();
    let (mut ours, mut theirs) = (set(&own), set(&base));
    let image = ours["containers"][0]["image"].take();
    let (name, _) = image.as_str().unwrap().split_once("@sha256:").unwrap();
    let tagged = theirs["containers"][0]["image"].take();
    assert_eq!(Some(name), tagged.as_str().unwrap().split(':').next(), "pinned by its digest");
    assert_eq!(ours, theirs, "otherwise the base as it is");
}

/// The schema of Argo CD lets a field pass that it does not know.
fn misspelt(spec: &Value) -> Vec<&str> {
    let keys = |value: &'static str, known: &'static [&'static str]| {
        let members = spec.pointer(value).and_then(Value::as_object).into_iter().flatten();
        members.map(|(key, _)| key.as_str()).filter(|key| !known.contains(key))
    };
    let top = keys("", &["project", "source", "destination", "syncPolicy", "ignoreDifferences"]);
    let source = keys("/source", &["repoURL", "targetRevision", "path", "chart", "helm"]);
    let destination = keys("/destination", &["server", "namespace"]);
    let policy = keys("/syncPolicy", &["automated"]).chain(keys("/syncPolicy/automated", &["prune", "selfHeal"]));
    top.chain(source).chain(destination).chain(policy).chain(keys("/source/helm", &["valuesObject"])).collect()
}

/// One repository, one revision, one project: where they are changed, they are changed everywhere.
#[test]
fn every_application_is_read_from_one_place() {
    let Some(argo) = of("gitops/argocd") else { return };
    let project = find(&argo, "AppProject", "offboard");
    let allowed = project["spec"]["sourceRepos"].as_array().unwrap();
    let mut ours = Vec::new();
    for resource in argo.iter().filter(|resource| resource["kind"] != "AppProject") {
        let spec = match resource["kind"].as_str().unwrap() {
            "ApplicationSet" => &resource["spec"]["template"]["spec"],
            _ => &resource["spec"],
        };
        assert_eq!(spec["project"], "offboard");
        assert_eq!(misspelt(spec), Vec::<&str>::new(), "{resource}");
        assert!(allowed.contains(&spec["source"]["repoURL"]), "{resource}");
        if let Some(path) = spec["source"]["path"].as_str() {
            ours.push((spec["source"]["repoURL"].clone(), spec["source"]["targetRevision"].clone()));
            assert!(path.contains("{{") || root().join(path).join("kustomization.yaml").exists(), "{path}");
        }
        let git = &resource["spec"]["generators"][0]["git"];
        if git.is_object() {
            ours.push((git["repoURL"].clone(), git["revision"].clone()));
        }
    }
    assert!(ours.len() >= 4 && ours.iter().all(|one| *one == ours[0]), "{ours:?}");
}
