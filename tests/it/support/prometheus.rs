//! A real Prometheus, from Debian's package.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::process::Process;
use super::{ports, until};

/// Where Debian's package puts it; `None` is "skipped".
pub fn binary() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/bin/prometheus");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no prometheus: tests/peers/install.sh debian puts it there");
    eprintln!("\nskipped: no prometheus; run tests/peers/install.sh debian\n");
    None
}

/// What it scrapes, with the labels that it would have in a cluster.
pub struct Target {
    pub job: &'static str,
    pub namespace: &'static str,
    pub pod: &'static str,
    pub address: String,
    pub path: &'static str,
}

/// A series: its labels, and each value with its time.
pub struct Series {
    pub labels: Value,
    pub values: Vec<(f64, f64)>,
}

pub struct Prometheus {
    pub url: String,
    targets: usize,
    _process: Process,
}

impl Prometheus {
    /// Starts it, its data in `dir`, and waits until it has scraped each target.
    pub async fn start(binary: &Path, dir: &Path, targets: &[Target]) -> Self {
        let port = ports::free();
        let scrape = |target: &Target| {
            let labels = json!({ "namespace": target.namespace, "pod": target.pod });
            json!({ "job_name": target.job, "metrics_path": target.path,
                "static_configs": [{ "targets": [target.address], "labels": labels }] })
        };
        let scrapes: Vec<Value> = targets.iter().map(scrape).collect();
        let config = json!({ "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms" },
            "scrape_configs": scrapes });
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(binary);
        command.arg("--config.file").arg(&file).arg("--storage.tsdb.path").arg(dir.join("data"));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("prometheus", dir, &mut command);
        let url = format!("http://127.0.0.1:{port}");
        until("prometheus is ready", async || {
            process.check();
            let ready = reqwest::get(format!("{url}/-/ready")).await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        let prometheus = Self { url, targets: targets.len(), _process: process };
        prometheus.scraped().await;
        prometheus
    }

    /// Waits until every target has answered a scrape that began after this call.
    pub async fn scraped(&self) {
        let now = seconds();
        let recent = format!("count(timestamp(up) > {now} and up == 1)");
        until("everything is scraped", async || {
            let count = self.now(&recent).await.first().and_then(|series| Some(series.values.first()?.1));
            (count == Some(f64::from(u32::try_from(self.targets).unwrap()))).then_some(())
        })
        .await;
    }

    /// What an expression is now.
    pub async fn now(&self, expr: &str) -> Vec<Series> {
        self.query("query", &[("query", expr)]).await
    }

    /// What an expression was from then until now, each second.
    pub async fn since(&self, start: f64, expr: &str) -> Vec<Series> {
        let (start, end) = (start.to_string(), seconds().to_string());
        self.query("query_range", &[("query", expr), ("start", &start), ("end", &end), ("step", "1")]).await
    }

    /// The name of every metric.
    pub async fn names(&self) -> Vec<String> {
        let url = format!("{}/api/v1/label/__name__/values", self.url);
        let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        serde_json::from_value(answer["data"].clone()).unwrap()
    }

    async fn query(&self, call: &str, parameters: &[(&str, &str)]) -> Vec<Series> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{call}", self.url), parameters).unwrap();
        let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        let sample = |pair: &Value| (pair[0].as_f64().unwrap(), pair[1].as_str().unwrap().parse().unwrap());
        let values = |series: &Value| match series["values"].as_array() {
            Some(values) => values.iter().map(sample).collect(),
            None => vec![sample(&series["value"])],
        };
        let result = answer["data"]["result"].as_array().unwrap();
        result.iter().map(|series| Series { labels: series["metric"].clone(), values: values(series) }).collect()
    }
}

/// The time as Prometheus writes it.
pub fn seconds() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}
