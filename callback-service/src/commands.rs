//! What the program does beside serving: `callback-service health`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use server::{health, settings};

use crate::config::ADMIN_LISTEN;

/// Exits with 0 if the callback-service on this host is ready, else with 1.
#[derive(Debug, Parser)]
#[command(name = "callback-service health", version)]
struct Health {
    /// Where its admin port listens.
    #[arg(long, env, default_value = ADMIN_LISTEN)]
    callback_admin_listen: SocketAddr,
}

/// Does what the program's first argument asks for; `None` when that is to serve.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1).peekable();
    match arguments.peek()?.to_str()? {
        "health" => Some(match settings::parse::<Health>(arguments) {
            Ok(Health { callback_admin_listen }) => health::ask("callback-service", callback_admin_listen),
            Err(nothing) => nothing.report("callback-service health"),
        }),
        _ => None,
    }
}
