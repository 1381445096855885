//! The load generator: the real programs on free ports of loopback, under more pages and phones than most sites
//! ever have at once.
//!
//! A command starts a [`system`] (gateway, callback service, offline WeChat), sends [`visit`]ors with a
//! [`page`] and a [`phone`] to it, takes a [`sample`] of each program from time to time, and prints its
//! findings. `soak` asks whether memory stays flat; [`verdict`] is its rule. `pages` asks what an idle page
//! costs, and `oidc` what a login at a site does.
//!
//! Other commands compare: `open` and `notices` start a [`target`] in each of several [`rounds`], the gateway and two
//! [`mod@reference`] servers by turns, send a [`crowd`] to it, and print [`figures`] and their ratios as a [`table`]. `scans` does
//! so with the callback service at a [`played`] gateway, and `logins` with both services and both kinds of stores. `all` is all of
//! these, and judges them by what is [`kept`]. [`growth`] asks whether anything grows faster than the work.
//! Each command has limits, ends by itself, and ends its programs.

mod all;
mod cores;
mod crowd;
mod figures;
mod growth;
mod kept;
mod logins;
mod notices;
mod oidc;
mod open;
mod orphans;
mod page;
mod pages;
mod phone;
mod played;
mod plot;
mod reference;
mod report;
mod rounds;
mod sample;
mod scans;
mod site_login;
mod soak;
mod spent;
mod system;
mod table;
mod tally;
mod target;
mod verdict;
mod visit;
mod wire;

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
    /// Everything that compares, in one table; fails if something costs more than half as much again as it did.
    All(all::Options),
    /// Opens pages that show their code and wait: processor time, memory, and a burst, beside two reference servers.
    Open(open::Options),
    /// Ends the logins of pages that wait: rate, processor time and latency, beside two reference servers.
    Notices(notices::Options),
    /// Scans of pages at a played gateway: what one costs the callback service, and how fast it answers.
    Scans(scans::Options),
    /// Whole logins through both services, with their stores in one process and in Redis.
    Logins(logins::Options),
    /// Whether anything grows faster than the work: pages, logins that are kept, back ends; and the services without work.
    Growth(growth::Options),
    /// A process that holds pages, until its input ends. `growth` starts it.
    #[command(hide = true)]
    Hold(growth::hold::Order),
    /// A reference server, until its input ends. The commands that compare start it.
    #[command(hide = true)]
    Reference(reference::Order),
    /// Logs in at a site, and says what each step of that takes, what it costs the services, and what it costs those who
    /// log in without a site.
    Oidc(oidc::Options),
}

const EXIT_CODES: &str = "Exit code 0: all is well. 1: memory grew, a login went wrong, or something costs much more than it did. 2: nothing was found out. 64: a wrong flag.";

fn main() -> ExitCode {
    let flags: Flags = match settings::parse(std::env::args_os()) {
        Ok(flags) => flags,
        Err(nothing) => return nothing.report("load"),
    };
    let found = match flags.command {
        Command::Reference(order) => reference::serve(&order).map(|()| true),
        Command::Hold(order) => growth::hold::hold(&order).map(|()| true),
        command => {
            orphans::end_on_panic();
            run(command)
        }
    };
    match found {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

/// Measures on a thread of its own, which may be kept to a core and waits for nothing but its sockets.
async fn apart(measure: impl FnOnce() -> anyhow::Result<bool> + Send + 'static) -> anyhow::Result<bool> {
    let found = tokio::task::spawn_blocking(measure).await?;
    cores::give_way();
    found
}

/// Runs a command, and returns whether its result is good.
#[tokio::main]
async fn run(command: Command) -> anyhow::Result<bool> {
    let found = async {
        match command {
            Command::Soak(options) => soak::run(&options).await,
            Command::Pages(options) => pages::run(&options).await,
            Command::Oidc(options) => oidc::run(&options).await,
            Command::All(options) => apart(move || all::run(&options)).await,
            Command::Open(options) => apart(move || open::run(&options)).await,
            Command::Notices(options) => apart(move || notices::run(&options)).await,
            Command::Scans(options) => apart(move || scans::run(&options)).await,
            Command::Logins(options) => apart(move || logins::run(&options)).await,
            Command::Growth(options) => apart(move || growth::run(&options)).await,
            Command::Reference(_) | Command::Hold(_) => anyhow::bail!("it has no part in this"),
        }
    };
    tokio::select! {
        found = found => found,
        () = stop::signalled() => {
            eprintln!("load: stopped by a signal before anything was found out");
            // A measurement on a thread of its own goes on, and would keep its programs.
            orphans::end();
            std::process::exit(EXIT_UNKNOWN.into());
        }
    }
}
