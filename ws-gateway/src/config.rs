//! The gateway's settings, read once: each room's own [`Args`], and what the room makes of them.
//!
//! Settings come from environment variables and equal flags, secrets from the environment or a file. A [`Config`]
//! is what the gateway runs with; nothing of it is read or built a second time. `display_order` keeps `--help`, and
//! the documents that are made from it, in one order whichever room a setting belongs to.

use std::ffi::OsString;
use std::sync::Arc;

use clap::{Args, Command, Parser};
use rustls::ServerConfig;
use secrecy::SecretString;
use server::command_line::{self, CommandLine};
use server::logging::LogFormat;
use server::settings::{self, NoSettings, Wrong};

use crate::account::official::{self, Official};
use crate::commands::Commands;
use crate::notices::clients::Client;
use crate::notices::credentials::{Files, Sources};
use crate::stores::{self, Storage};
use crate::{account, browsers, codes, notices, server as ports};

/// The settings as they are written.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    #[command(flatten)]
    browsers: browsers::Settings,

    #[command(flatten)]
    notices: notices::Settings,

    #[command(flatten)]
    store: stores::Settings,

    #[command(flatten)]
    codes: codes::Settings,

    #[command(flatten)]
    ways: account::Settings,

    #[command(flatten)]
    ports: ports::Settings,

    /// How log lines are written.
    #[arg(long, env, default_value = "text", display_order = 36)]
    log_format: LogFormat,
}

/// The settings alone, for a program that runs the gateway inside itself.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

const SECRETS: &str = "Secrets have no flag. Each is read from the environment, or from the file that its name with _FILE \
names:\n  NOTIFY_KEY              the key of the client `callback`, at least 32 bytes; needed unless \
GATEWAY_NOTIFY_CLIENTS\n                          has the clients\n  WECHAT_APP_SECRET       the \
official account's AppSecret\n  GATEWAY_REDIS_PASSWORD  the password of Redis, where it has one\n  \
GATEWAY_REDIS_SENTINEL_PASSWORD  the password of the Sentinels, where they have one\n  \
GATEWAY_ADMIN_TOKEN     opens the live view at GATEWAY_ADMIN_LISTEN, at least 16 characters; without\n                          one \
it is for this machine alone, and ends no login";

/// What must never be shown.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `NOTIFY_KEY`: the key of the client `callback`.
    pub notify_key: Option<SecretString>,
    /// `WECHAT_APP_SECRET`.
    pub wechat_app_secret: Option<SecretString>,
    /// `GATEWAY_REDIS_PASSWORD`.
    pub redis_password: Option<SecretString>,
    /// `GATEWAY_REDIS_SENTINEL_PASSWORD`.
    pub redis_sentinel_password: Option<SecretString>,
    /// `GATEWAY_ADMIN_TOKEN`: opens the live view.
    pub admin_token: Option<SecretString>,
}

impl Secrets {
    /// Their names.
    pub(crate) const NAMES: [&str; 5] = [
        "NOTIFY_KEY",
        "WECHAT_APP_SECRET",
        "GATEWAY_REDIS_PASSWORD",
        "GATEWAY_REDIS_SENTINEL_PASSWORD",
        ports::ADMIN_TOKEN,
    ];

    fn read(wrong: &mut Wrong) -> Self {
        let [notify_key, wechat_app_secret, redis_password, redis_sentinel_password, admin_token] =
            Self::NAMES.map(|name| wrong.secret(name));
        Self { notify_key, wechat_app_secret, redis_password, redis_sentinel_password, admin_token }
    }
}

/// What a gateway runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// How log lines are written.
    pub log_format: LogFormat,
    pub(crate) browsers: browsers::Settings,
    pub(crate) notices: notices::Settings,
    /// What the internal port believes and shows at the start.
    pub(crate) files: Files,
    pub(crate) storage: Storage,
    pub(crate) codes: codes::Settings,
    /// The official accounts.
    pub(crate) officials: Vec<Official>,
    pub(crate) ports: ports::Settings,
    /// Opens the live view.
    pub(crate) admin_token: Option<SecretString>,
}

impl Config {
    /// Takes flags and secrets from a program that runs the gateway inside itself.
    ///
    /// # Errors
    /// When a setting is wrong or missing.
    pub fn of(flags: &[&str], secrets: Secrets) -> Result<Self, NoSettings> {
        let Flags { settings } = settings::parse_flags("ws-gateway", flags)?;
        let mut wrong = Wrong::default();
        let rooms = Rooms::of(settings, secrets, &mut wrong);
        Ok(wrong.unless(rooms.whole())?)
    }
}

/// What can be made of the settings, room by room: one that is wrong does not hide the others. `None` is what is wrong.
#[derive(Debug)]
pub(crate) struct Rooms {
    log_format: LogFormat,
    pub(crate) browsers: browsers::Settings,
    pub(crate) notices: notices::Settings,
    pub(crate) codes: codes::Settings,
    pub(crate) ports: ports::Settings,
    pub(crate) officials: Option<Vec<Official>>,
    pub(crate) storage: Option<Storage>,
    pub(crate) clients: Option<Vec<Client>>,
    tls: Option<Option<Arc<ServerConfig>>>,
    /// Where clients and certificates are.
    sources: Sources,
    admin_token: Option<Option<SecretString>>,
}

impl Rooms {
    /// What the process's own environment says, where the settings were read for a command; and what is wrong.
    pub(crate) fn of_environment(settings: Settings) -> (Self, Wrong) {
        let mut wrong = Wrong::default();
        let secrets = Secrets::read(&mut wrong);
        (Self::of(settings, secrets, &mut wrong), wrong)
    }

    fn of(settings: Settings, secrets: Secrets, wrong: &mut Wrong) -> Self {
        let Settings { browsers, notices, store, codes, ways, ports, log_format } = settings;
        let Secrets { notify_key, wechat_app_secret, redis_password, redis_sentinel_password, admin_token } =
            secrets;
        wrong.note(notices.check());
        if !wechat::is_simulated(&codes.wechat_api_url) {
            for secret in
                [("NOTIFY_KEY", notify_key.as_ref()), ("WECHAT_APP_SECRET", wechat_app_secret.as_ref())]
            {
                wrong.note(settings::refuse_printed(&[secret]));
            }
        }
        let officials = official::read(&codes, &ways, browsers.account_name.clone(), wechat_app_secret);
        let sources = Sources::new(notices.clone(), notify_key);
        Self {
            log_format,
            officials: wrong.note(officials),
            browsers,
            storage: wrong.note(store.storage(redis_password.as_ref(), redis_sentinel_password.as_ref())),
            clients: wrong.note(sources.clients()),
            tls: wrong.note(sources.tls()),
            sources,
            notices,
            codes,
            ports,
            admin_token: wrong.note(live_view::checked(ports::ADMIN_TOKEN, admin_token)),
        }
    }

    /// What a gateway runs with, if nothing is missing.
    fn whole(self) -> Option<Config> {
        Some(Config {
            log_format: self.log_format,
            browsers: self.browsers,
            notices: self.notices,
            files: Files::new(self.clients?, self.tls?, self.sources),
            storage: self.storage?,
            codes: self.codes,
            officials: self.officials?,
            ports: self.ports,
            admin_token: self.admin_token?,
        })
    }
}

/// Reads the process's own command line and environment.
///
/// # Errors
/// When help or the version was asked for, or a setting is wrong or missing.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<CommandLine<Config, Commands>, NoSettings> {
    let program = Command::new("ws-gateway")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Holds the browsers' WebSockets, shows each a QR code, and takes notices on the internal port")
        .after_help(SECRETS);
    Ok(match command_line::read(program, arguments, |_| false)? {
        CommandLine::Do(command) => CommandLine::Do(command),
        CommandLine::Serve(settings) => {
            let (rooms, wrong) = Rooms::of_environment(settings);
            CommandLine::Serve(wrong.unless(rooms.whole())?)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(flags: &[&str]) -> Result<Config, NoSettings> {
        let secrets = Secrets {
            notify_key: Some(SecretString::from("0123456789abcdef0123456789abcdef")),
            wechat_app_secret: Some(SecretString::from("secret")),
            ..Secrets::default()
        };
        Config::of(&[&["--wechat-app-id", "wx0123456789abcdef"], flags].concat(), secrets)
    }

    #[test]
    fn every_wrong_setting_is_named_in_one_line() {
        for (flags, name) in [
            (vec!["--gateway-listen", "somewhere"], "GATEWAY_LISTEN"),
            (vec!["--gateway-notify-listen", "0.0.0.0:9999"], "GATEWAY_NOTIFY_LISTEN"),
            (vec!["--gateway-notify-allow-plaintext", "maybe"], "GATEWAY_NOTIFY_ALLOW_PLAINTEXT"),
            (vec!["--gateway-notify-tls-cert", "c.pem"], "GATEWAY_NOTIFY_TLS_KEY"),
            (vec!["--gateway-notify-tls-key", "k.pem"], "GATEWAY_NOTIFY_TLS_CERT"),
            (vec!["--gateway-notify-tls-client-ca", "ca.pem"], "GATEWAY_NOTIFY_TLS_CERT"),
            (
                vec!["--gateway-notify-tls-cert=c", "--gateway-notify-tls-key=/nowhere/k"],
                "GATEWAY_NOTIFY_TLS_KEY",
            ),
            (vec!["--gateway-notify-clients", "/nowhere/clients.toml"], "GATEWAY_NOTIFY_CLIENTS"),
            (vec!["--gateway-admin-listen", ":1"], "GATEWAY_ADMIN_LISTEN"),
            (vec!["--gateway-store", "mysql:"], "GATEWAY_STORE"),
            (vec!["--gateway-store", "\u{feff}memory:"], "GATEWAY_STORE"),
            (vec!["--gateway-store", "redis+sentinel://a,b"], "GATEWAY_STORE"),
            (vec!["--gateway-redis-replicas", "1"], "GATEWAY_STORE"),
            (vec!["--gateway-redis-replicas", "one"], "GATEWAY_REDIS_REPLICAS"),
            (vec!["--gateway-login-ttl", "120"], "GATEWAY_LOGIN_TTL"),
            (vec!["--gateway-login-ttl", "2h"], "GATEWAY_LOGIN_TTL"),
            (vec!["--gateway-allowed-origins", "example.com"], "GATEWAY_ALLOWED_ORIGINS"),
            (vec!["--gateway-trusted-proxies", "10.0.0.0/8,proxy"], "GATEWAY_TRUSTED_PROXIES"),
            (vec!["--gateway-drain-time", "soon"], "GATEWAY_DRAIN_TIME"),
            (vec!["--gateway-qr-ready", "65"], "GATEWAY_QR_READY"),
            (vec!["--gateway-qr-per-day", "0"], "GATEWAY_QR_PER_DAY"),
            (vec!["--gateway-address-rate", "0"], "GATEWAY_ADDRESS_RATE"),
            (vec!["--gateway-keep-alive", "0s"], "GATEWAY_KEEP_ALIVE"),
            (vec!["--gateway-max-pages", "0"], "GATEWAY_MAX_PAGES"),
            (vec!["--gateway-max-logins", "many"], "GATEWAY_MAX_LOGINS"),
            (vec!["--gateway-max-clients", "99999999999"], "GATEWAY_MAX_CLIENTS"),
            (vec!["--gateway-logo", "logo.png"], "GATEWAY_LOGO"),
            (vec!["--gateway-accent", "#07c160"], "GATEWAY_ACCENT"),
            (vec!["--gateway-line", "one\ntwo"], "GATEWAY_LINE"),
            (vec!["--gateway-links", "Terms"], "GATEWAY_LINKS"),
            (vec!["--gateway-account-name", " "], "GATEWAY_ACCOUNT_NAME"),
            (vec!["--gateway-ways", "scan,phone"], "GATEWAY_WAYS"),
            (vec!["--gateway-ways", "wechat"], "GATEWAY_WAYS"),
            (vec!["--gateway-qr", "web"], "GATEWAY_QR"),
            (vec!["--gateway-qr", "page"], "GATEWAY_QR"),
            (vec!["--gateway-web-url", "login.example"], "GATEWAY_WEB_URL"),
            (vec!["--gateway-account-qr", "/nowhere/account.png"], "GATEWAY_ACCOUNT_QR"),
            (vec!["--log-format", "xml"], "LOG_FORMAT"),
            (vec!["--wechat-api-url", "not a url"], "WECHAT_API_URL"),
            (vec!["--wechat-qr-url", "javascript:alert(1)"], "WECHAT_QR_URL"),
        ] {
            let error = of(&flags).unwrap_err();
            let text = error.text.to_uppercase().replace('-', "_");
            assert!(text.contains(name), "{flags:?}: {}", error.text);
            assert!(!error.text.contains('\n'), "{}", error.text);
            assert_eq!(error.code, settings::EXIT_USAGE);
        }
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        let config = of(&["--gateway-trusted-proxies", "10.0.0.0/8, 192.0.2.7,fd00::/8"]).unwrap();
        let networks: Vec<String> = config.browsers.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    }

    #[test]
    fn beyond_loopback_only_by_a_name_that_says_so() {
        let flags = ["--gateway-notify-listen", "[::]:9999", "--gateway-notify-allow-plaintext", "true"];
        assert!(of(&flags).is_ok());
        assert!(of(&["--gateway-notify-listen", "[::1]:9999"]).is_ok());
    }

    #[test]
    fn a_short_key_is_refused_without_being_shown() {
        let secrets = Secrets {
            notify_key: Some(SecretString::from("short-key")),
            wechat_app_secret: Some("secret".into()),
            ..Secrets::default()
        };
        let error = Config::of(&["--wechat-app-id", "wx0123456789abcdef"], secrets).unwrap_err();
        assert!(error.text.contains("NOTIFY_KEY") && !error.text.contains("short-key"), "{}", error.text);
    }

    #[test]
    fn pictures_come_from_where_the_api_is() {
        assert_eq!(of(&[]).unwrap().codes.qr_url(), wechat::OFFICIAL_QR_URL);
        assert_eq!(of(&["--wechat-api-url", "http://sim"]).unwrap().codes.qr_url(), "http://sim");
        let both = of(&["--wechat-api-url", "http://sim", "--wechat-qr-url", "http://pictures"]).unwrap();
        assert_eq!(both.codes.qr_url(), "http://pictures");
    }
}
