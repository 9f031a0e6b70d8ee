//! A tenant of Microsoft Entra ID, built from the documentation of Microsoft Graph v1.0 and of its token endpoint.
//!
//! It is as awkward as it may be: pages without rows, rows twice and in any order, changed properties alone, deleted
//! users in the first round, members of one group on several pages; and more so where a test asks for it.

mod answers;
mod delta;
mod tenant;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::task::JoinSet;

pub use tenant::{Fault, Tenant};

use super::installation::Installation;

pub const TENANT: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
pub const CLIENT: &str = "5d3f1f0a-6f0e-4f8e-9a39-0d6c1d2e3f40";
pub const SECRET: &str = "aB8Q~the-secret-of-the-app";

pub struct Entra {
    pub url: String,
    tenant: Arc<Mutex<Tenant>>,
    _task: JoinSet<()>,
}

impl Entra {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tenant = Arc::new(Mutex::new(Tenant::new(url.clone())));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&tenant));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, tenant, _task: task }
    }

    /// Does something in the tenant.
    pub fn with<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> T {
        act(&mut self.tenant.lock().unwrap())
    }

    /// A row of `sources:`, with `rest` besides. The secret is put where it says.
    pub fn section(&self, files: &Installation, rest: &str) -> String {
        let secret = files.path("entra.secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let (url, secret) = (&self.url, secret.display());
        format!(
            "{{ name: entra, kind: entra, issuer: dev, tenant: {TENANT}, client_id: {CLIENT}, client_secret_file: \
             {secret}, login_url: '{url}', graph_url: '{url}', {rest} }}"
        )
    }

    /// Waits until it was asked for something more, that begins so.
    pub async fn asked_again(&self, path: &str) {
        let count = || self.with(|tenant| tenant.asked.iter().filter(|asked| asked.starts_with(path)).count());
        let before = count();
        super::until(&format!("{path} is asked for"), async || (count() > before).then_some(())).await;
    }
}

async fn answer(State(tenant): State<Arc<Mutex<Tenant>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let form = String::from_utf8(body.to_vec()).unwrap();
    let answer = tenant.lock().unwrap().answer(&parts, &form);
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}
