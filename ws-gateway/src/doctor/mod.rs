//! `ws-gateway doctor`: finds out why pages get no code or nobody is logged in, and says what to do.
//!
//! What every doctor looks at is in the crate `doctor`: WeChat's API, the clock, accounts, Redis, certificates, open files.
//! The rest is the gateway's own: [`running`] is what the gateway on this host says of itself, [`internal`] the port of back
//! ends, [`clients`] who may send there, [`certificate`] what they are shown, and [`browsers`] the way of pages through all
//! proxies. [`store`] and [`wechat`] say for which of its settings the crate looks.

mod browsers;
mod certificate;
mod clients;
mod internal;
mod running;
mod store;
mod wechat;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use doctor::http::with_open_urls;
use doctor::{Category, Options, Program, SETTINGS, Sheet, Words, clock, names, open_files, reading};

use crate::browsers::widget::PublicUrl;
use crate::commands::PROGRAM;
use crate::config::{self, Rooms, Secrets, Settings};
use crate::server::ports;

/// The flags of the command, beside the settings.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub(crate) struct Flags {
    #[command(flatten)]
    options: Options,

    /// The gateway as browsers see it, such as https://login.example.com: a page is opened there, through all proxies. It
    /// takes no code and no place in a budget.
    #[arg(long, env, value_name = "URL", help_heading = "Doctor")]
    gateway_url: Option<PublicUrl>,

    /// Lets WeChat make a QR code for each account, which is the only proof that it does. It costs one of the day's.
    #[arg(long, help_heading = "Doctor")]
    make_qr_code: bool,
}

/// Does what the arguments ask for, which name the command: reads the settings as a gateway would, looks at everything, and
/// prints what was found.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let wants_help = arguments.iter().any(|word| word == "--help" || word == "-h");
    let read = match reading::read::<Settings, Flags>(arguments.clone(), |_| false) {
        Ok(read) => read,
        // The command's own help has the settings, too.
        Err(_) if wants_help => return help(arguments),
        Err(nothing) => return nothing.report(PROGRAM),
    };
    let (rooms, wrong) = match read.settings {
        Ok(settings) => {
            let (rooms, wrong) = Rooms::of_environment(settings);
            (Some(rooms), wrong.lines())
        }
        Err(wrong) => (None, wrong),
    };
    let mut categories = vec![of_settings(&wrong)];
    match &rooms {
        Some(rooms) => categories.extend(of_rooms(rooms, &read.options)),
        // `--only` may name what cannot be looked at.
        None => categories.extend(titles().map(|(name, title)| Category::new(name, title))),
    }
    let address = read.options.gateway_url.iter().map(|url| url.at(""));
    let program = Program {
        name: PROGRAM,
        version: env!("CARGO_PKG_VERSION"),
        given: read.given,
        secrets: Secrets::NAMES.into(),
        private: rooms.iter().flat_map(private).chain(address).collect(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{PROGRAM} doctor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(doctor::run(&program, &read.options.options, categories));
    // A look-up of a name that hangs must not hold the exit up.
    runtime.shutdown_background();
    code
}

fn help(arguments: Vec<OsString>) -> ExitCode {
    match config::read(arguments) {
        Err(help) => help.report(PROGRAM),
        Ok(_) => ExitCode::SUCCESS,
    }
}

/// Whether the gateway would start with these settings.
fn of_settings(wrong: &[String]) -> Category {
    let mut category = Category::new(SETTINGS, Words::new("Settings", "设置"));
    let sheet = Sheet::default();
    let good = || Words::new("the gateway can start with these settings", "网关可以用这些设置启动");
    if wrong.is_empty() {
        sheet.ok(good());
    }
    for problem in wrong {
        sheet.failure(
            good(),
            Words::same(with_open_urls(problem)),
            Words::new(
                "correct it where the gateway gets its settings from; docs/settings.md explains every one",
                "请在网关读取设置的地方改正；docs/settings.md 说明了每一项设置",
            ),
        );
    }
    names::look(&sheet);
    category.found(&sheet);
    category
}

/// Everything that the settings lead to.
fn of_rooms(rooms: &Rooms, flags: &Flags) -> Vec<Category> {
    let [mut system, mut wechat, mut gateway, mut browsers, mut store, mut certificates] =
        titles().map(|(name, title)| Category::new(name, title));
    if let Some(official) = rooms.officials.iter().flatten().next() {
        clock::look(&mut system, official.source.client());
    }
    let files = Sheet::default();
    open_files::check(&files, &ports(rooms.browsers.max_pages, rooms.notices.max_clients));
    system.found(&files);
    wechat::look(&mut wechat, rooms, flags.make_qr_code);
    running::look(&mut gateway, rooms.ports.admin_listen);
    internal::look(&mut gateway, &rooms.notices);
    clients::look(&mut gateway, rooms.clients.as_deref().unwrap_or_default());
    browsers::look(&mut browsers, &rooms.browsers, flags.gateway_url.as_ref());
    if let Some(storage) = &rooms.storage {
        store::look(&mut store, storage);
    }
    certificate::look(&mut certificates, &rooms.notices);
    vec![system, wechat, gateway, browsers, store, certificates]
}

/// The categories that need settings, in their order.
fn titles() -> [(&'static str, Words); 6] {
    [
        ("system", Words::new("This machine", "本机")),
        ("wechat", Words::new("WeChat's API", "微信接口")),
        ("gateway", Words::new("The gateway on this host, and its internal port", "本机的网关及其内部端口")),
        ("browsers", Words::new("The way of browsers", "浏览器的通路")),
        ("store", Words::new("The store of logins", "登录的存储")),
        ("certificates", Words::new("Certificates of the internal port", "内部端口的证书")),
    ]
}

/// What a report must not show: the names of clients and accounts.
fn private(rooms: &Rooms) -> Vec<String> {
    let clients = rooms.clients.iter().flatten().map(|client| client.name.clone());
    let officials = rooms.officials.iter().flatten().filter_map(|official| official.id.clone());
    clients.filter(|name| name != crate::notices::clients::CALLBACK).chain(officials).collect()
}
