//! The program `ws-gateway`.

use std::process::ExitCode;

use server::{process, stop};
use ws_gateway::config::Config;
use ws_gateway::{Server, commands};

fn main() -> ExitCode {
    let serving = || process::run("ws-gateway", Config::read(), |config| config.log_format, serve);
    commands::run(std::env::args_os()).unwrap_or_else(serving)
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let server = Server::bind(config)?;
    let at = server.addresses()?;
    tracing::info!(browsers = %at.browsers, notices = %at.notices, admin = %at.admin, "listening");
    server.run(stop::signalled()).await
}
