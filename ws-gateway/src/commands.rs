//! What the program does beside serving: `ws-gateway client-key NAME`, `ws-gateway widget`, `ws-gateway health` and
//! `ws-gateway doctor`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Subcommand;
use server::command_line::CommandLine;
use server::{health, process, stop};

use crate::browsers::widget::{self, PublicUrl};
use crate::config::{self, Config};
use crate::doctor;
use crate::notices::clients::entry::Entry;
use crate::server::{ADMIN_LISTEN, Server};

pub(crate) const PROGRAM: &str = "ws-gateway";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Commands {
    /// Exits with 0 if the gateway on this host is ready, else with 1.
    Health {
        /// Where its admin port listens.
        #[arg(long = "gateway-admin-listen", env = "GATEWAY_ADMIN_LISTEN", default_value = ADMIN_LISTEN)]
        admin_listen: SocketAddr,
    },
    /// Looks for what keeps pages from getting a code and people from logging in, from the settings to WeChat and the proxies
    /// before the gateway, and says what to do. It works beside a running gateway, and changes nothing.
    Doctor {
        #[command(flatten)]
        flags: doctor::Flags,
        #[command(flatten)]
        settings: Box<config::Settings>,
    },
    /// Prints an entry for the file that GATEWAY_NOTIFY_CLIENTS names, with a new random key.
    ClientKey(Entry),
    /// Prints the lines that a page of a site needs to show the code itself: the script with the hash of this version's
    /// widget, and what the page's policy must allow. After an upgrade the hash may be another one, and a page with the
    /// old hash loads nothing: print them again then, or leave integrity and ?v= out of the page, or serve a copy.
    Widget {
        /// The gateway as browsers see it, such as https://login.example.com.
        #[arg(long, env, value_name = "URL")]
        gateway_url: PublicUrl,
    },
}

/// Does what the arguments ask for, which is to serve unless they name a command.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A wrong setting must not stop the command that looks for it.
    if arguments.get(1).is_some_and(|command| command == "doctor") {
        return doctor::run(arguments);
    }
    match config::read(arguments) {
        Ok(CommandLine::Do(Commands::Health { admin_listen })) => health::ask(PROGRAM, admin_listen),
        // It has been done.
        Ok(CommandLine::Do(Commands::Doctor { .. })) => ExitCode::SUCCESS,
        Ok(CommandLine::Do(Commands::ClientKey(entry))) => match entry.text() {
            Ok(text) => print(&text),
            Err(error) => {
                eprintln!("{PROGRAM} client-key: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(CommandLine::Do(Commands::Widget { gateway_url })) => print(&widget::lines(&gateway_url)),
        Ok(CommandLine::Serve(config)) => process::run(PROGRAM, config.log_format, serve(config)),
        Err(nothing) => nothing.report(PROGRAM),
    }
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let stopped = stop::signalled();
    let server = Server::bind(config)?;
    let at = server.addresses()?;
    tracing::info!(browsers = %at.browsers, notices = %at.notices, admin = %at.admin, "listening");
    server.run(stopped).await
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}
