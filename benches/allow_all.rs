//! The yardstick of `benches/envoy.sh`: a tonic server with the same types that allows everything.
//!
//! ```text
//! allow_all [ADDRESS]                 # tonic's usual runtime: a worker for each core
//! allow_all [ADDRESS] --one-thread    # one thread, the kind of runtime that answers checks in Offboard
//! ```

use std::net::SocketAddr;

use clap::Parser;
use envoy_types::ext_authz::v3::CheckResponseExt as _;
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use tokio::runtime::Builder;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[derive(Parser)]
struct Arguments {
    #[arg(default_value = "127.0.0.1:9191")]
    listen: SocketAddr,
    /// Serve everything on one thread.
    #[arg(long)]
    one_thread: bool,
}

struct AllowAll;

#[tonic::async_trait]
impl Authorization for AllowAll {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(CheckResponse::with_status(Status::ok("allowed"))))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut builder = if arguments.one_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()?.block_on(serve(arguments.listen))
}

async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let (_, health) = tonic_health::server::health_reporter();
    let routes = Server::builder().tcp_nodelay(true).add_service(AuthorizationServer::new(AllowAll));
    Ok(routes.add_service(health).serve(listen).await?)
}
