//! `callback-service doctor`: why do logins not work, and what is to be done?
//!
//! It looks at everything from the settings to a login's arrival, beside a running service or without one, and changes
//! nothing that matters. [`written`] are the settings themselves. [`arrival`] sends what WeChat would send, to this host and to
//! the address that WeChat has; [`console`] asks WeChat how it finds that address; [`running`] asks the service that runs.
//! [`delivery`] logs nobody in, all the way. [`gateways`], [`kept`] (the store), [`inside`] (logins inside WeChat) and [`sites`] are what it speaks with.
//! What both services look at is in [`doctor`].

mod arrival;
mod console;
mod delivery;
mod gateways;
mod inside;
mod kept;
mod running;
mod sites;
mod written;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use doctor::{Category, Options, Program, SETTINGS, Sheet, Words};
use server::health;
use server::settings::{NoSettings, SettingError};
use url::{Position, Url};

use crate::account::Official;
use crate::commands::PROGRAM;
use crate::config::{self, Config};
use crate::logins::words;

/// The flags of the command, beside the settings.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Flags {
    #[command(flatten)]
    options: Options,

    /// The URL of WeChat's message push settings, such as https://id.example.cn/wechat. Unset: CALLBACK_PUBLIC_URL with
    /// /wechat behind it. For the accounts of WECHAT_ACCOUNTS their names follow.
    #[arg(long, value_name = "URL", help_heading = "Doctor")]
    url: Option<String>,
}

/// What is looked at.
struct Patient {
    officials: Vec<Arc<Official>>,
    /// The API of all accounts.
    api_url: String,
    /// Where WeChat's pushes come on this host: scheme, host and port.
    here: String,
    /// Where WeChat sends them, without an account's name; unknown where neither the flag nor a setting says it.
    public: Option<Url>,
    /// The operators' port on this host.
    admin: SocketAddr,
}

/// Does what the arguments ask for, which name the command.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let wants_help = arguments.iter().any(|word| word == "--help" || word == "-h");
    let read = doctor::reading::read::<config::Settings, Flags>(arguments.clone(), words::may_be_empty);
    let read = match read {
        // The command's own help has the settings, too.
        Err(_) if wants_help => return help(arguments),
        Err(wrong) => return wrong.report(PROGRAM),
        Ok(read) => read,
    };
    let url = match read.options.url.as_deref().map(of_console).transpose() {
        Ok(url) => url,
        Err(problem) => return NoSettings::from(SettingError::new("--url", problem)).report(PROGRAM),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return NoSettings { text: error.to_string(), code: 1 }.report(PROGRAM),
    };
    let code = runtime.block_on(async {
        let options = read.options.options.clone();
        let mut program = Program {
            name: PROGRAM,
            version: env!("CARGO_PKG_VERSION"),
            given: read.given,
            secrets: config::SECRET_NAMES.to_vec(),
            private: url
                .iter()
                .flat_map(|url| [url.as_str(), &url[..Position::BeforePath]].map(str::to_owned))
                .collect(),
        };
        let written = Sheet::default();
        let mut categories = vec![Category::new(SETTINGS, Words::new("Settings", "设置"))];
        match written::config(&written, read.settings) {
            Some(config) => {
                program.private.extend(config.names());
                categories.extend(looks(config, url));
            }
            // `--only` may name what cannot be looked at.
            None => categories.extend(NAMES.map(|name| Category::new(name, Words::same(name)))),
        }
        categories[0].found(&written);
        doctor::run(&program, &options, categories).await
    });
    // A look-up of a name that hangs must not hold the exit up.
    runtime.shutdown_background();
    code
}

/// Reads the URL of WeChat's message push settings. It is shown in the output, and WeChat sends no password.
fn of_console(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("is no address; write for example https://id.example.cn/wechat")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password in it; WeChat sends none, so write it without");
    }
    match url.query().is_some() || url.fragment().is_some() {
        true => Err("has a query or a fragment (?…, #…) in it; write it without"),
        false => Ok(url),
    }
}

fn help(arguments: Vec<OsString>) -> ExitCode {
    match config::read(arguments) {
        Err(help) => help.report(PROGRAM),
        Ok(_) => ExitCode::SUCCESS,
    }
}

/// The categories that need good settings.
const NAMES: [&str; 9] =
    ["system", "wechat", "callback", "gateway", "delivery", "store", "web", "sites", "certificates"];

/// Everything that good settings lead to.
fn looks(config: Config, url: Option<Url>) -> Vec<Category> {
    let api_url = config.api_url.clone();
    let admin = health::reachable(config.ports.admin());
    let public = url.or_else(|| config.public_url.as_ref().and_then(|url| url.join("wechat").ok()));
    let here = format!("http://{}", health::reachable(config.ports.pushes()));
    let Config { connections, link, storage, accounts, sites, web, verify_files, public_url, probe, .. } =
        config;
    let officials: Vec<_> = accounts.into_iter().map(Arc::new).collect();
    let patient = Arc::new(Patient { officials, api_url, here, public, admin });

    let mut system = Category::new("system", Words::new("This machine", "本机"));
    let mut wechat = Category::new("wechat", Words::new("WeChat's API", "微信接口"));
    if let Some(first) = patient.officials.first() {
        doctor::clock::look(&mut system, &first.account.api);
        doctor::wechat_api::look(&mut wechat, &first.account.api, &patient.api_url);
    }
    let files = Sheet::default();
    doctor::open_files::check(&files, &[connections.port()]);
    system.found(&files);
    for official in &patient.officials {
        console::look_at_account(&mut wechat, official);
    }

    let mut pushes = Category::new("callback", Words::new("WeChat's pushes", "微信推送"));
    running::look(&mut pushes, &patient);
    for official in &patient.officials {
        arrival::look(&mut pushes, &patient, official);
        console::look_for_url(&mut pushes, &patient, official);
    }

    let mut gateway = Category::new("gateway", Words::new("Gateways", "网关"));
    let mut certificates = Category::new("certificates", Words::new("Certificates", "证书"));
    gateways::look(&mut gateway, &mut certificates, &link);
    let mut arrives = Category::new("delivery", Words::new("Delivery", "送达"));
    delivery::look(&mut arrives, &link, probe.target.as_ref());
    let mut store = Category::new("store", Words::new("Store", "存储"));
    kept::look(&mut store, &storage);
    let mut inside = Category::new("web", Words::new("Logins inside WeChat", "微信内登录"));
    inside::look(&mut inside, web.as_ref(), &verify_files, public_url.as_ref());
    let mut of_sites = Category::new("sites", Words::new("Sites", "站点"));
    sites::look(&mut of_sites, sites.as_ref());
    vec![system, wechat, pushes, gateway, arrives, store, inside, of_sites, certificates]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consoles_url_has_nothing_that_must_not_be_shown() {
        assert_eq!(
            of_console("https://id.example.cn/wechat/").map(String::from).as_deref(),
            Ok("https://id.example.cn/wechat/")
        );
        for (text, said) in [
            ("https://li:hunter2@id.example.cn/wechat/", "a password"),
            ("https://li@id.example.cn/wechat/", "a user"),
            ("https://id.example.cn/wechat?token=hunter2", "a query"),
            ("https://id.example.cn/wechat#hunter2", "a fragment"),
            ("ftp://id.example.cn/wechat", "for example"),
            ("https://li:hunter2@", "for example"),
            ("nothing", "for example"),
        ] {
            let problem = of_console(text).expect_err(text);
            assert!(problem.contains(said) && !problem.contains("hunter2"), "{problem}");
        }
    }
}
