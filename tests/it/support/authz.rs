//! An authorization service that allows everything and remembers what it was asked: to see what Envoy really sends.

use std::sync::{Arc, Mutex};

use envoy_types::ext_authz::v3::CheckResponseExt as _;
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct AllowAll(Arc<Mutex<Vec<CheckRequest>>>);

#[tonic::async_trait]
impl Authorization for AllowAll {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(CheckResponse::with_status(Status::ok("allowed"))))
    }
}

pub struct RecordingAuthz {
    pub port: u16,
    asked: AllowAll,
    _task: JoinSet<()>,
}

impl RecordingAuthz {
    pub async fn start(tls: Option<ServerTlsConfig>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = AllowAll::default();
        let (_, health) = tonic_health::server::health_reporter();
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let routes = server.add_service(AuthorizationServer::new(asked.clone())).add_service(health);
        let mut task = JoinSet::new();
        task.spawn(async move { routes.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() });
        Self { port, asked, _task: task }
    }

    pub fn asked(&self) -> Vec<CheckRequest> {
        self.asked.0.lock().unwrap().clone()
    }
}
