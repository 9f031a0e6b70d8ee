//! The yardstick of `benches/envoy.sh`: a tonic server with the same types that allows everything.

use envoy_types::ext_authz::v3::CheckResponseExt as _;
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

struct AllowAll;

#[tonic::async_trait]
impl Authorization for AllowAll {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(CheckResponse::with_status(Status::ok("allowed"))))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9191".to_owned()).parse()?;
    let (_, health) = tonic_health::server::health_reporter();
    let routes = Server::builder().tcp_nodelay(true).add_service(AuthorizationServer::new(AllowAll));
    Ok(routes.add_service(health).serve(listen).await?)
}
