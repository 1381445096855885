//! What the program does beside serving: `ws-gateway client-key NAME` and `ws-gateway health`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use server::{health, settings};

use crate::config::ADMIN_LISTEN;
use crate::notices::clients::entry;

/// Exits with 0 if the gateway on this host is ready, else with 1.
#[derive(Debug, Parser)]
#[command(name = "ws-gateway health", version)]
struct Health {
    /// Where its admin port listens.
    #[arg(long, env, default_value = ADMIN_LISTEN)]
    gateway_admin_listen: SocketAddr,
}

/// Does what the program's first argument asks for; `None` when that is to serve.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1).peekable();
    match arguments.peek()?.to_str()? {
        "client-key" => Some(client_key(arguments)),
        "health" => Some(match settings::parse::<Health>(arguments) {
            Ok(Health { gateway_admin_listen }) => health::ask("ws-gateway", gateway_admin_listen),
            Err(nothing) => nothing.report("ws-gateway health"),
        }),
        _ => None,
    }
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn client_key(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match entry::make(arguments) {
        Ok(entry) => {
            print!("{entry}");
            ExitCode::SUCCESS
        }
        Err(nothing) => nothing.report("ws-gateway client-key"),
    }
}
