//! `cargo demo`: the whole system in one process, and a text that says what to open.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use demo::{Options, Ports, Stack, lan_address};
use server::logging::{self, LogFormat};
use server::{settings, stop};

/// The gateway, the callback service, an offline WeChat and an example site, to try the whole login without an account.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Flags {
    /// Put this machine's address in its network into the QR code, so that a real phone can scan it. The login
    /// page and the sites stay on this machine.
    #[arg(long)]
    lan: bool,

    /// Take free ports instead of 1099, 9999, 1098, 8080, 8081, 8090 and 8092.
    #[arg(long)]
    free_ports: bool,

    /// Show QR codes of our own, which lead to a page inside WeChat and cost no call to it, in place of WeChat's. The simulated
    /// phone takes their text, or a picture of them, where its browser can read one.
    #[arg(long)]
    web_codes: bool,

    /// Official accounts, of which each after the first has a name: account-2, account-3, and so on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    accounts: u8,

    /// Log in at these sites too: a file as CALLBACK_SITES names one. See docs/add-a-site.md.
    #[arg(long)]
    sites: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags: Flags = match settings::parse(std::env::args_os().collect::<Vec<OsString>>()) {
        Ok(flags) => flags,
        Err(nothing) => return nothing.report("cargo demo"),
    };
    // Only the text should be printed. RUST_LOG=info shows what happens.
    let _log = match logging::start(LogFormat::Text, "warn") {
        Ok(log) => log,
        Err(error) => return settings::NoSettings::from(error).report("cargo demo"),
    };
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo demo: {error:#}");
            if !flags.free_ports {
                eprintln!("cargo demo: where a port is taken, try: cargo demo -- --free-ports");
            }
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(flags: &Flags) -> anyhow::Result<()> {
    let lan = if flags.lan { Some(lan_address()?) } else { None };
    let ports = if flags.free_ports { Ports::default() } else { Ports::fixed() };
    // WeChat has given no nicknames since the end of 2021. Here it does, so that the page can show who it was.
    let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
    // Without codes made in advance, the newest code on the phone is the one that the page shows.
    let mut gateway = vec!["--gateway-qr-ready=0".to_owned()];
    if flags.web_codes {
        gateway.push("--gateway-qr=web".to_owned());
    }
    let sites = flags.sites.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("--sites: {} cannot be read", path.display()))
    });
    let sites = Some(sites.transpose()?.unwrap_or_default());
    let others = (2..=flags.accounts).map(|number| format!("account-{number}")).collect::<Vec<_>>();
    let account_name = Some("演示公众号".to_owned());
    let options = Options {
        ports,
        lan,
        wechat,
        others: others.clone(),
        sites,
        account_name,
        web: true,
        gateway,
        ..Options::default()
    };
    let stack = Stack::start(options).await?;
    let stopped = stop::signalled();
    let example_site = stack.example_site.context("there is no example site")?;
    show(&stack, example_site, flags.lan);
    show_others(&stack, &others);
    stack.run(stopped).await
}

#[expect(clippy::print_stdout, reason = "this text is what the program is for")]
fn show(stack: &Stack, example_site: SocketAddr, lan: bool) {
    let phone = stack.wechat.public_url();
    let scan = if lan { "; a real phone's camera in the same network works, too" } else { "" };
    println!(
        "
  Saoma demo · 扫码登录演示: both real programs, an offline WeChat, and an example site

    open this     打开这里       http://{example_site}/
                  it links the rest: a login by redirect, a login in the site's own page, and the phone

    the phone     模拟手机       {phone}/{scan}
                  it scans, sends the code that a page shows, and opens addresses as WeChat does
    login page    网关的登录页   http://{browsers}/
    issuer        登录服务       http://{pushes}    internal port {notices}
    metrics       指标           http://{gateway_admin}/metrics  http://{callback_admin}/metrics

    Ctrl+C ends it. RUST_LOG=info shows what happens.
",
        browsers = stack.gateway.browsers,
        notices = stack.gateway.notices,
        pushes = stack.callback.pushes,
        gateway_admin = stack.gateway.admin,
        callback_admin = stack.callback.admin,
    );
}

#[expect(clippy::print_stdout, reason = "this text is what the program is for")]
fn show_others(stack: &Stack, names: &[String]) {
    for (name, account) in names.iter().zip(&stack.others) {
        let (phone, app_id) = (account.public_url(), &account.settings().app_id);
        println!(
            "    {name}: login page http://{browsers}/?account={name} and its phone {phone}/?account={app_id}",
            browsers = stack.gateway.browsers
        );
    }
}
