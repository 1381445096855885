//! The program `callback-service`.

use std::process::ExitCode;

use callback_service::config::Config;
use callback_service::{Server, commands};
use server::{process, stop};

fn main() -> ExitCode {
    let serving = || process::run("callback-service", Config::read(), |config| config.log_format, serve);
    commands::run(std::env::args_os()).unwrap_or_else(serving)
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let server = Server::bind(config)?;
    let at = server.addresses()?;
    tracing::info!(pushes = %at.pushes, admin = %at.admin, "listening");
    server.run(stop::signalled()).await
}
