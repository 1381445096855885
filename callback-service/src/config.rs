//! The service's settings: environment variables and equal flags; secrets from the environment or a file.
//!
//! Each room has settings of its own. They are read once, in the order of `--help`. Each room then checks its own and
//! gives back the part that the service runs with.

use std::ffi::OsString;

use clap::{Args, Command, Parser};
use secrecy::SecretString;
use server::command_line::{self, CommandLine};
use server::logging::LogFormat;
use server::settings::{self, NoSettings, Wrong};
use url::Url;

use crate::commands::Commands;
use crate::logins::link::{self, Link};
use crate::logins::words::{self, Texts};
use crate::server::{ADMIN_TOKEN, Connections, Ports};
use crate::storage::{self, Storage};
use crate::{account, audit, logins, probe, provider, pushes, relay, web, wechat_server};

/// The settings as they are written.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    #[command(flatten)]
    ports: Ports,

    #[command(flatten)]
    link: link::Settings,

    #[command(flatten)]
    probe: probe::Settings,

    #[command(flatten)]
    storage: storage::Settings,

    #[command(flatten)]
    audit: audit::settings::Settings,

    #[command(flatten)]
    connections: Connections,

    #[command(flatten)]
    logins: logins::Settings,

    #[command(flatten)]
    account: account::Settings,

    /// How log lines are written.
    #[arg(long, env, default_value = "text")]
    log_format: LogFormat,

    #[command(flatten)]
    sites: provider::settings::Settings,

    #[command(flatten)]
    web: web::settings::Settings,

    #[command(flatten)]
    wechat_server: wechat_server::Settings,

    #[command(flatten)]
    pushes: pushes::Settings,

    #[command(flatten)]
    relay: relay::Settings,

    #[command(flatten)]
    texts: Texts,
}

/// The settings alone, for a program that runs the service inside itself.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

const SECRETS: &str = "Secrets have no flag. Each is read from the environment, or from the file that its name with _FILE \
names:\n  NOTIFY_KEY               the key of the client `callback` at the gateway, at least 32 bytes\n  \
WECHAT_APP_SECRET        the official account's AppSecret\n  \
WECHAT_TOKEN             the token of WeChat's message push settings\n  \
WECHAT_AES_KEY           the EncodingAESKey of the same, unless the mode is plaintext\n  \
WECHAT_TOKEN_PREVIOUS    the token before, while it is being changed\n  \
WECHAT_AES_KEY_PREVIOUS  the EncodingAESKey before, while it is being changed\n  \
CALLBACK_REDIS_PASSWORD  the password of Redis, where it has one\n  \
CALLBACK_REDIS_SENTINEL_PASSWORD  the password of the Sentinels, where they have one\n  \
CALLBACK_ADMIN_TOKEN     opens the live view at CALLBACK_ADMIN_LISTEN, at least 16 characters; without\n                           \
one it is for this machine alone";

/// The names of the secrets.
pub(crate) const SECRET_NAMES: [&str; 9] = [
    "NOTIFY_KEY",
    "WECHAT_APP_SECRET",
    "WECHAT_TOKEN",
    "WECHAT_AES_KEY",
    "WECHAT_TOKEN_PREVIOUS",
    "WECHAT_AES_KEY_PREVIOUS",
    "CALLBACK_REDIS_PASSWORD",
    "CALLBACK_REDIS_SENTINEL_PASSWORD",
    ADMIN_TOKEN,
];

/// What must never be shown.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `NOTIFY_KEY`.
    pub notify_key: Option<SecretString>,
    /// The official account's.
    pub account: account::Secrets,
    /// The store's.
    pub storage: storage::Secrets,
    /// `CALLBACK_ADMIN_TOKEN`: opens the live view.
    pub admin_token: Option<SecretString>,
}

impl Secrets {
    fn read(wrong: &mut Wrong) -> Self {
        Self {
            notify_key: wrong.secret("NOTIFY_KEY"),
            account: account::Secrets::read(wrong),
            storage: storage::Secrets::read(wrong),
            admin_token: wrong.secret(ADMIN_TOKEN),
        }
    }
}

/// What the service runs with: every setting has been found good.
#[derive(Debug)]
pub struct Config {
    /// How log lines are written.
    pub log_format: LogFormat,
    pub(crate) ports: Ports,
    pub(crate) connections: Connections,
    pub(crate) link: Link,
    pub(crate) probe: probe::Checked,
    pub(crate) storage: Storage,
    /// How long it is kept who logged in where.
    pub(crate) audit: audit::settings::Keep,
    /// Where WeChat's API is.
    pub(crate) api_url: String,
    /// This service as browsers see it, where that is set.
    pub(crate) public_url: Option<Url>,
    pub(crate) accounts: account::Officials,
    pub(crate) sites: Option<provider::settings::Checked>,
    /// Logins inside WeChat, where there are any.
    pub(crate) web: Option<web::settings::Checked>,
    /// Where browsers are sent for those.
    pub(crate) open_url: String,
    pub(crate) verify_files: web::settings::VerifyFiles,
    pub(crate) wechat_server: Option<wechat_server::Checked>,
    pub(crate) logins: logins::Checked,
    pub(crate) pushes: pushes::Settings,
    pub(crate) texts: Texts,
    /// Opens the live view.
    pub(crate) admin_token: Option<SecretString>,
}

impl Config {
    /// Takes flags and secrets from a program that runs the service inside itself.
    ///
    /// # Errors
    /// When a setting is wrong or missing.
    pub fn of(flags: &[&str], secrets: Secrets) -> Result<Self, NoSettings> {
        let Flags { settings } = settings::parse_flags("callback-service", flags)?;
        Ok(Self::checked(settings, secrets, Wrong::default())?)
    }

    /// What is set, in a few words.
    pub(crate) fn summary(&self) -> String {
        let accounts = match self.accounts.iter().count() {
            1 => String::new(),
            many => format!("{many} official accounts; "),
        };
        let sites = match &self.sites {
            None => "there are no sites".to_owned(),
            Some(sites) => sites.summary(),
        };
        let asking = self.wechat_server.as_ref().map(|sites| format!("; {}", sites.summary()));
        format!("the settings are good; {accounts}{sites}{}\n", asking.unwrap_or_default())
    }

    /// How many official accounts and sites there are.
    pub(crate) fn numbers(&self) -> (usize, usize) {
        (self.accounts.iter().count(), self.sites.as_ref().map_or(0, |sites| sites.names().len()))
    }

    /// The names that an operator has given to accounts and sites.
    pub(crate) fn names(&self) -> Vec<String> {
        let accounts = self.accounts.iter().filter_map(|official| official.names.name().map(str::to_owned));
        accounts.chain(self.sites.iter().flat_map(|sites| sites.names())).collect()
    }

    /// Each room checks its own settings, so that what is wrong about one hides nothing of the others.
    fn checked(settings: Settings, secrets: Secrets, mut wrong: Wrong) -> Result<Self, Wrong> {
        let Settings {
            ports,
            link,
            probe,
            storage,
            audit,
            connections,
            logins,
            account,
            log_format,
            sites,
            web,
            wechat_server,
            pushes,
            relay,
            texts,
        } = settings;
        let connections = wrong.note(connections.checked());
        if !account.is_simulated() {
            wrong.note(settings::refuse_printed(&[("NOTIFY_KEY", secrets.notify_key.as_ref())]));
            wrong.note(secrets.account.refuse_printed());
        }
        let link = wrong.note(Link::new(link, secrets.notify_key));
        let storage = wrong.note(Storage::new(storage, &secrets.storage));
        let open_url = account.open_url();
        let api_url = account.api_url().to_owned();
        let public_url = sites.public_url();
        let relay = wrong.note(relay.checked()).unwrap_or_default();
        let accounts = wrong.note(account.checked(secrets.account, relay));
        let logins = wrong.note(logins.checked());
        let gateway = sites.gateway().map(str::to_owned);
        let inside = web.scope();
        let web = wrong.note(web.checked(|needed_by| sites.for_browsers(needed_by)));
        let probe = wrong.note(probe.checked(gateway.as_deref()));
        let admin_token = wrong.note(live_view::checked(ADMIN_TOKEN, secrets.admin_token));
        // What follows belongs to an account.
        let Some(accounts) = accounts else { return Err(wrong) };
        wrong.note(ports.refuse_loops(&accounts));
        let sites = storage.as_ref().and_then(|it| wrong.note(sites.checked(&accounts, it, inside)));
        let wechat_server = wrong.note(wechat_server.checked(&accounts, &api_url));
        let whole = || {
            let (web, verify_files) = web?;
            Some(Self {
                log_format,
                ports,
                connections: connections?,
                link: link?,
                probe: probe?,
                storage: storage?,
                audit: audit.callback_audit_keep,
                api_url,
                public_url,
                accounts,
                sites: sites?,
                web,
                open_url,
                verify_files,
                wechat_server: wechat_server?,
                logins: logins?,
                pushes,
                texts,
                admin_token: admin_token?,
            })
        };
        wrong.unless(whole())
    }
}

/// What the process's own environment says, where the settings were read for a command.
///
/// # Errors
/// Everything that is wrong or missing, as far as one fault does not hide another.
pub(crate) fn of_environment(settings: Settings) -> Result<Config, Wrong> {
    let mut wrong = Wrong::default();
    let secrets = Secrets::read(&mut wrong);
    Config::checked(settings, secrets, wrong)
}

/// Reads the process's own command line and environment.
///
/// # Errors
/// When help or the version was asked for, or a setting is wrong or missing.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<CommandLine<Config, Commands>, NoSettings> {
    let program = Command::new("callback-service")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Takes WeChat's pushes, decides, tells the gateway, and answers the phone")
        .after_help(SECRETS);
    Ok(match command_line::read(program, arguments, words::may_be_empty)? {
        CommandLine::Do(command) => CommandLine::Do(command),
        CommandLine::Serve(settings) => CommandLine::Serve(of_environment(settings)?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use wechat::push::Mode;

    use super::*;

    fn secrets() -> Secrets {
        Secrets {
            notify_key: Some("0123456789abcdef0123456789abcdef".into()),
            account: account::Secrets {
                app_secret: Some("secret".into()),
                token: Some("token".into()),
                aes_key: Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into()),
                ..account::Secrets::default()
            },
            storage: storage::Secrets::default(),
            admin_token: None,
        }
    }

    fn of(flags: &[&str], secrets: Secrets) -> Result<Config, NoSettings> {
        Config::of(&[&["--wechat-app-id", "wx0123456789abcdef"], flags].concat(), secrets)
    }

    #[test]
    fn the_defaults_are_good() {
        let config = of(&[], secrets()).unwrap();
        let push = &config.accounts.iter().next().unwrap().account.push;
        assert_eq!((push.mode(), push.max_age()), (Mode::Safe, Some(Duration::from_secs(300))));
    }

    #[test]
    fn logins_inside_wechat_need_no_sites_but_an_address() {
        let inside = ["--callback-web-authorization=base", "--callback-public-url=https://id.example.cn"];
        let config = of(&inside, secrets()).unwrap();
        assert!(config.web.is_some() && config.sites.is_none());
        assert_eq!(config.open_url, wechat::OFFICIAL_OPEN_URL);
        let simulated = of(&[&inside[..], &["--wechat-api-url=http://sim"]].concat(), secrets()).unwrap();
        assert_eq!(simulated.open_url, "http://sim");
        let vain = of(&inside[1..], secrets()).unwrap_err();
        assert!(
            vain.text.contains("CALLBACK_PUBLIC_URL: means nothing without CALLBACK_SITES"),
            "{}",
            vain.text
        );
    }

    #[test]
    fn every_wrong_setting_is_named_in_one_line() {
        let without = |take: fn(&mut Secrets)| {
            let mut secrets = secrets();
            take(&mut secrets);
            secrets
        };
        for (flags, secrets, name) in [
            (vec!["--callback-listen", "8080"], secrets(), "CALLBACK_LISTEN"),
            (vec!["--callback-gateway", "gateway"], secrets(), "CALLBACK_GATEWAY"),
            (vec!["--callback-gateway-ca", "ca.pem"], secrets(), "CALLBACK_GATEWAY_TLS"),
            (
                vec!["--callback-gateway-tls=true", "--callback-gateway-ca=/nowhere/ca"],
                secrets(),
                "CALLBACK_GATEWAY_CA",
            ),
            (
                vec!["--callback-gateway-tls=true", "--callback-gateway-cert=c"],
                secrets(),
                "CALLBACK_GATEWAY_KEY",
            ),
            (
                vec!["--callback-gateway-tls=true", "--callback-gateway-key=k"],
                secrets(),
                "CALLBACK_GATEWAY_CERT",
            ),
            (vec!["--callback-gateway-tls=true", "--callback-gateway=g w:1"], secrets(), "CALLBACK_GATEWAY"),
            (vec!["--callback-store", "callback.db"], secrets(), "CALLBACK_STORE"),
            (vec!["--callback-store", "sqlite:"], secrets(), "CALLBACK_STORE"),
            (vec!["--callback-store", "sqlite:callback.db\u{200b}"], secrets(), "CALLBACK_STORE"),
            (vec!["--wechat-original-id", "gh_1 "], secrets(), "WECHAT_ORIGINAL_ID"),
            (vec!["--callback-audit-keep", "1h"], secrets(), "CALLBACK_AUDIT_KEEP"),
            (vec!["--callback-redis-replicas", "1"], secrets(), "CALLBACK_STORE"),
            (vec!["--callback-trusted-proxies", "proxy"], secrets(), "CALLBACK_TRUSTED_PROXIES"),
            (vec!["--callback-drain-time", "8"], secrets(), "CALLBACK_DRAIN_TIME"),
            (vec!["--callback-keep-alive", "2h"], secrets(), "CALLBACK_KEEP_ALIVE"),
            (vec!["--callback-max-connections", "0"], secrets(), "CALLBACK_MAX_CONNECTIONS"),
            (vec!["--wechat-mode", "Plain"], secrets(), "WECHAT_MODE"),
            (vec!["--wechat-push-max-age", "never"], secrets(), "WECHAT_PUSH_MAX_AGE"),
            (vec!["--callback-messages", "reply"], secrets(), "CALLBACK_MESSAGES"),
            (vec!["--callback-relay-url", "old.example.cn/wechat"], secrets(), "CALLBACK_RELAY_URL"),
            (
                vec!["--callback-relay-url", "all=https://old.example.cn/wechat"],
                secrets(),
                "CALLBACK_RELAY_URL",
            ),
            (vec!["--callback-relay-url", "http://127.0.0.1:8080/wechat"], secrets(), "CALLBACK_LISTEN"),
            (vec!["--callback-web-authorization", "yes"], secrets(), "CALLBACK_WEB_AUTHORIZATION"),
            (vec!["--callback-web-authorization", "base"], secrets(), "CALLBACK_PUBLIC_URL"),
            (vec!["--callback-mp-verify", "/nowhere/secret.txt"], secrets(), "CALLBACK_MP_VERIFY"),
            (vec![], without(|secrets| secrets.notify_key = None), "NOTIFY_KEY"),
            (vec![], without(|secrets| secrets.notify_key = Some("short".into())), "NOTIFY_KEY"),
            (vec![], without(|secrets| secrets.account.token = None), "WECHAT_TOKEN"),
            (vec![], without(|secrets| secrets.account.token = Some("x!".into())), "WECHAT_TOKEN"),
            (vec![], without(|secrets| secrets.account.aes_key = None), "WECHAT_AES_KEY"),
            (vec![], without(|secrets| secrets.account.aes_key = Some("short".into())), "WECHAT_AES_KEY"),
            (vec![], without(|secrets| secrets.account.app_secret = None), "WECHAT_APP_SECRET"),
        ] {
            let error = of(&flags, secrets).unwrap_err();
            assert!(error.text.to_uppercase().replace('-', "_").contains(name), "{flags:?}: {}", error.text);
            assert!(!error.text.contains('\n'), "{}", error.text);
            assert_eq!(error.code, settings::EXIT_USAGE);
        }
    }
}
