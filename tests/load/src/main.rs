//! The load generator: the real programs on free ports of loopback, under more pages and phones than most sites
//! ever have at once.
//!
//! A command starts a [`system`] (gateway, callback service, offline WeChat), sends [`visit`]ors with a
//! [`page`] and a [`phone`] to it, takes a [`sample`] of each program from time to time, and prints its
//! findings. `soak` asks whether memory stays flat; [`verdict`] is its rule. `pages` asks what an idle page
//! costs, and `oidc` what a login at a site does. Each command has limits, ends by itself, and ends its programs.

mod oidc;
mod orphans;
mod page;
mod pages;
mod phone;
mod report;
mod sample;
mod site_login;
mod soak;
mod system;
mod tally;
mod verdict;
mod visit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use server::{settings, stop};

/// The exit code of a run without a result: a program did not start, or a signal came.
const EXIT_UNKNOWN: u8 = 2;

/// Puts the real programs under load, on this machine's loopback alone. Linux only; build it with --release.
#[derive(Debug, Parser)]
#[command(name = "load", version, arg_required_else_help = false, after_help = EXIT_CODES)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Logs in again and again, and says whether the memory of the services stays flat.
    Soak(soak::Options),
    /// Opens pages that do nothing, and says what each costs the gateway in memory.
    Pages(pages::Options),
    /// Logs in at a site, and says what each step of that takes, what it costs the services, and what it costs those who
    /// log in without a site.
    Oidc(oidc::Options),
}

const EXIT_CODES: &str = "Exit code 0: all is well. 1: memory grew, or a login went wrong. 2: nothing was found out. 64: a wrong flag.";

fn main() -> ExitCode {
    let flags: Flags = match settings::parse(std::env::args_os()) {
        Ok(flags) => flags,
        Err(nothing) => return nothing.report("load"),
    };
    orphans::end_on_panic();
    match run(flags.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

/// Runs a command, and returns whether its result is good.
#[tokio::main]
async fn run(command: Command) -> anyhow::Result<bool> {
    let found = async {
        match command {
            Command::Soak(options) => soak::run(&options).await,
            Command::Pages(options) => pages::run(&options).await,
            Command::Oidc(options) => oidc::run(&options).await,
        }
    };
    tokio::select! {
        found = found => found,
        () = stop::signalled() => anyhow::bail!("stopped by a signal before anything was found out"),
    }
}
