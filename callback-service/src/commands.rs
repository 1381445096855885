//! What the program does beside serving.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use server::command_line::CommandLine;
use server::{health, process, stop};
use tokio::task::spawn_blocking;

use crate::config::{self, Config};
use crate::server::{ADMIN_LISTEN, Server};

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Commands {
    /// Exits with 0 if the callback-service on this host is ready, else with 1.
    Health {
        /// Where its admin port listens.
        #[arg(long, env, default_value = ADMIN_LISTEN)]
        callback_admin_listen: SocketAddr,
    },
}

/// Does what the arguments ask for, which is to serve unless they name a command.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    const PROGRAM: &str = "callback-service";
    match config::read(arguments) {
        Ok(CommandLine::Do(Commands::Health { callback_admin_listen })) => {
            health::ask(PROGRAM, callback_admin_listen)
        }
        Ok(CommandLine::Serve(config)) => process::run(PROGRAM, config.log_format, serve(config)),
        Err(nothing) => nothing.report(PROGRAM),
    }
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let mut stopped = pin!(stop::signalled());
    // The store's file may have to be waited for, or be large and of an older version. A signal does not wait for that:
    // what was begun with the file is undone at the next start.
    let bound = spawn_blocking(|| Server::bind(config));
    let server = tokio::select! {
        server = bound => server.context("the start failed")??,
        () = &mut stopped => return Ok(true),
    };
    let at = server.addresses()?;
    tracing::info!(pushes = %at.pushes, admin = %at.admin, "listening");
    server.run(stopped).await
}
