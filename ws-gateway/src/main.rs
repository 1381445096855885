//! The program `ws-gateway`.

use std::process::ExitCode;

use service::{process, stop};
use ws_gateway::Server;
use ws_gateway::config::Config;

fn main() -> ExitCode {
    process::run("ws-gateway", Config::read(), |config| config.log_format, serve)
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let server = Server::bind(config)?;
    let at = server.addresses()?;
    tracing::info!(browsers = %at.browsers, notices = %at.notices, admin = %at.admin, "listening");
    server.run(stop::signalled()).await
}
