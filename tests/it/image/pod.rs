//! The pod of `k8s/base`: its root, its volumes as kubelet lays them out, and its process as a container runtime starts it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::containerfile::Stage;
use crate::support::installation::BOOTSTRAP_TOKEN;
use crate::support::root;

/// What distroless `cc` is made of, less OpenSSL, which the binary has no use for (`tests/peers/install.sh` has the same).
const PACKAGES: [&str; 8] =
    ["base-files", "ca-certificates", "libc6", "libgcc-s1", "libgomp1", "libstdc++6", "netbase", "tzdata"];
/// Nothing that runs reads these.
const LEFT_OUT: [&str; 5] = ["/usr/share/doc", "/usr/share/man", "/usr/share/lintian", "/usr/bin", "/usr/sbin"];
/// Directories that one Debian has as links into /usr, and another as they are.
const TOP: [&str; 4] = ["/bin", "/lib", "/lib64", "/sbin"];
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Mount it, then become it. `$ROOT`, and `$MOUNTS` as lines of `HOST CONTAINER ro|rw`.
const START: &str = r#"set -e
ip link set lo up
mount --bind "$ROOT" "$ROOT"
mount --rbind /proc "$ROOT/proc"
for device in null urandom; do mount --bind /dev/$device "$ROOT/dev/$device"; done
echo "$MOUNTS" | while read -r host container mode; do
  mount --bind "$host" "$ROOT$container"
  if [ "$mode" = ro ]; then mount -o remount,bind,ro "$ROOT$container"; fi
done
mount -o remount,bind,ro "$ROOT"
exec setpriv --no-new-privs "$@"
"#;

/// Whether this machine lets a test do that. Without it the test is skipped, loudly; in CI that is a failure.
pub fn possible() -> bool {
    let mut tried = Command::new("unshare");
    tried.args(["--mount", "--net", "sh", "-c", "ip link set lo up && dpkg --status \"$@\" >/dev/null", "sh"]);
    let works = tried.args(PACKAGES).output().is_ok_and(|done| done.status.success());
    let needs = format!("a root file system needs root, `unshare`, `ip`, and of Debian {}", PACKAGES.join(" "));
    assert!(works || std::env::var_os("CI").is_none(), "{needs}");
    if !works {
        eprintln!("\nskipped: {needs}\n");
    }
    works
}

/// The root file system of the image: Debian's files, then what the last stage copies.
pub fn assemble(top: &Path, last: &Stage) {
    let listed = Command::new("dpkg").arg("--listfiles").args(PACKAGES).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let wanted = |path: &&str| {
        path.starts_with('/') && *path != "/." && !LEFT_OUT.iter().any(|left_out| path.starts_with(left_out))
    };
    for path in listed.lines().filter(wanted).chain([CERTIFICATES]) {
        put(Path::new(path), &inside(top, path));
    }
    for (name, text) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
        ),
        ("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("etc/resolv.conf", ""),
        ("dev/null", ""),
        ("dev/urandom", ""),
    ] {
        fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
        fs::write(top.join(name), text).unwrap();
    }
    fs::create_dir_all(top.join("proc")).unwrap();
    for (from, into) in last.copies() {
        let from = match from.as_str() {
            "/out/offboard" => PathBuf::from(env!("CARGO_BIN_EXE_offboard")),
            // Its tools are none of the tests'.
            "/out/offboard.cdx.json" => continue,
            other => root().join(other),
        };
        let into = inside(top, &into);
        fs::create_dir_all(into.parent().unwrap()).unwrap();
        fs::copy(&from, &into).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

fn inside(top: &Path, path: &str) -> PathBuf {
    top.join(path.strip_prefix('/').unwrap())
}

fn put(from: &Path, into: &Path) {
    let found = fs::symlink_metadata(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    if found.is_dir() || TOP.iter().any(|top| Path::new(top) == from) {
        fs::create_dir_all(into).unwrap();
    } else if found.is_symlink() {
        fs::create_dir_all(into.parent().unwrap()).unwrap();
        symlink(fs::read_link(from).unwrap(), into).unwrap();
    } else {
        fs::create_dir_all(into.parent().unwrap()).unwrap();
        fs::copy(from, into).unwrap();
    }
}

/// What `k8s/base` says of the pod.
pub struct Pod {
    spec: Value,
    claims: Value,
    /// By the name of the ConfigMap: its files.
    maps: BTreeMap<String, Vec<PathBuf>>,
    pub image_tag: String,
}

impl Pod {
    pub fn read() -> Self {
        let base = root().join("k8s/base");
        let of =
            |name: &str| -> Value { serde_saphyr::from_str(&fs::read_to_string(base.join(name)).unwrap()).unwrap() };
        let (mut set, kustomization) = (of("statefulset.yaml"), of("kustomization.yaml"));
        let files = |map: &Value| {
            let files = map["files"].as_array().unwrap().iter().map(|file| base.join(file.as_str().unwrap()));
            (map["name"].as_str().unwrap().to_owned(), files.collect())
        };
        Self {
            spec: set["spec"]["template"]["spec"].take(),
            claims: set["spec"]["volumeClaimTemplates"].take(),
            maps: kustomization["configMapGenerator"].as_array().unwrap().iter().map(files).collect(),
            image_tag: kustomization["images"][0]["newTag"].as_str().unwrap().to_owned(),
        }
    }

    pub fn container(&self) -> &Value {
        &self.spec["containers"][0]
    }

    pub fn user(&self) -> (u32, u32) {
        let of = |key: &str| u32::try_from(self.spec["securityContext"][key].as_u64().unwrap()).unwrap();
        (of("runAsUser"), of("runAsGroup"))
    }

    pub fn port(&self, name: &str) -> u16 {
        let ports = self.container()["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64().unwrap();
        u16::try_from(port).unwrap()
    }

    /// Its process over `top`, with the arguments, environment and mounts of the manifest.
    pub fn command(&self, entrypoint: &str, top: &Path, volumes: &Volumes) -> Command {
        let (user, group) = self.user();
        let mut mounts = Vec::new();
        for mount in self.container()["volumeMounts"].as_array().unwrap() {
            let (name, at) = (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap());
            fs::create_dir_all(inside(top, at)).unwrap();
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            mounts.push(format!("{} {at} {mode}", volumes.0.join(name).display()));
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", START, "sh", "env", "--ignore-environment"]);
        command.args(["PATH=/usr/local/bin:/usr/bin:/bin".to_owned(), format!("SSL_CERT_FILE={CERTIFICATES}")]);
        for variable in self.container()["env"].as_array().unwrap() {
            command.arg(format!("{}={}", variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap()));
        }
        command.args(["/usr/sbin/chroot", &format!("--userspec={user}:{group}"), &format!("--groups={group}")]);
        command.arg(top).arg(entrypoint);
        command.args(self.container()["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
        command.env("ROOT", top).env("MOUNTS", mounts.join("\n"));
        command
    }
}

/// A directory for each volume.
pub struct Volumes(PathBuf);

impl Volumes {
    /// Owned by root and by the group of the pod (`fsGroup`), as kubelet leaves them.
    pub fn lay_out(pod: &Pod, scratch: &Path) -> Self {
        let volumes = Self(scratch.join("volumes"));
        let (_, group) = pod.user();
        assert_eq!(pod.spec["securityContext"]["fsGroup"], group);
        for volume in pod.spec["volumes"].as_array().unwrap() {
            let name = volume["name"].as_str().unwrap();
            if let Some(map) = volume["configMap"]["name"].as_str() {
                let read = |path: &PathBuf| {
                    (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
                };
                volumes.project(name, "..2026_01_01_00_00_00.1", pod.maps[map].iter().map(read).collect(), 0o644);
            } else {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, BOOTSTRAP_TOKEN.as_bytes());
                let files = BTreeMap::from([("bootstrap.sha256".to_owned(), hex::encode(hash))]);
                // Octal to Kubernetes (YAML 1.1), decimal to this reader.
                assert_eq!(volume["secret"]["defaultMode"].as_f64(), Some(440.0));
                volumes.project(name, "..2026_01_01_00_00_00.1", files, 0o440);
            }
        }
        for claim in pod.claims.as_array().unwrap() {
            fs::create_dir_all(volumes.0.join(claim["metadata"]["name"].as_str().unwrap())).unwrap();
        }
        let done = Command::new("chown").args(["-R", &format!("root:{group}")]).arg(&volumes.0).status().unwrap();
        assert!(done.success());
        for claim in pod.claims.as_array().unwrap() {
            let directory = volumes.0.join(claim["metadata"]["name"].as_str().unwrap());
            fs::set_permissions(directory, fs::Permissions::from_mode(0o2775)).unwrap();
        }
        volumes
    }

    /// Writes files as kubelet does: into a directory of their own, `..data` leads there, each name leads through `..data`.
    fn project(&self, volume: &str, version: &str, files: BTreeMap<String, String>, mode: u32) {
        let top = self.0.join(volume);
        fs::create_dir_all(top.join(version)).unwrap();
        for (name, text) in files {
            let file = top.join(version).join(&name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            if fs::symlink_metadata(top.join(&name)).is_err() {
                symlink(format!("..data/{name}"), top.join(&name)).unwrap();
            }
        }
        symlink(version, top.join("..data_tmp")).unwrap();
        fs::rename(top.join("..data_tmp"), top.join("..data")).unwrap();
    }

    /// The ConfigMap was edited: all files anew, one of them changed, and `..data` is swapped.
    pub fn change(&self, volume: &str, file: &str, old: &str, new: &str) {
        let top = self.0.join(volume);
        let before = top.join(fs::read_link(top.join("..data")).unwrap());
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&before).unwrap() {
            let entry = entry.unwrap();
            files.insert(entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
        }
        let text = files.get_mut(file).unwrap();
        assert!(text.contains(old), "{file}: {text}");
        *text = text.replace(old, new);
        self.project(volume, "..2026_01_02_00_00_00.2", files, 0o644);
        fs::remove_dir_all(before).unwrap();
    }
}
