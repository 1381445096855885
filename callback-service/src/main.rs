//! The program `callback-service`.

use std::process::ExitCode;

use callback_service::Server;
use callback_service::config::Config;
use service::{process, stop};

fn main() -> ExitCode {
    process::run("callback-service", Config::read(), |config| config.log_format, serve)
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let server = Server::bind(config)?;
    let at = server.addresses()?;
    tracing::info!(pushes = %at.pushes, admin = %at.admin, "listening");
    server.run(stop::signalled()).await
}
