//! The gateway's settings: environment variables and equal flags; secrets from the environment or a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use ipnet::IpNet;
use records::Place;
use secrecy::{ExposeSecret, SecretString};
use server::address;
use server::logging::LogFormat;
use server::settings::{self, NoSettings, SettingError};
use server::visible::{identifier, visible};

use crate::browsers::origin::AllowedOrigins;
use crate::notices::credentials::Credentials;

/// The shortest and the longest time that a QR code may be shown. WeChat's own expiry is set to 1,800 s,
/// and a code is only shown while it has its own time and a claim's 120 s left.
const LOGIN_TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(1680);

/// Where operators ask, unless it is set.
pub(crate) const ADMIN_LISTEN: &str = "127.0.0.1:1098";

/// Holds the browsers' WebSockets, shows each a QR code, and takes notices on the internal port.
#[derive(Debug, Clone, Parser)]
#[command(name = "ws-gateway", version, after_help = SECRETS)]
pub struct Config {
    /// Where browsers connect.
    #[arg(long, env, default_value = "0.0.0.0:1099")]
    pub gateway_listen: SocketAddr,

    /// Where back ends send notices.
    #[arg(long, env, default_value = "127.0.0.1:9999")]
    pub gateway_notify_listen: SocketAddr,

    /// The internal port's own certificate, in PEM form, with those between it and its CA. With it and its key
    /// the port speaks TLS 1.2 and 1.3 only. Read again on SIGHUP.
    #[arg(long, env)]
    pub gateway_notify_tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM form.
    #[arg(long, env)]
    pub gateway_notify_tls_key: Option<PathBuf>,

    /// The CAs, in PEM form, of which clients must show a certificate beside their key.
    #[arg(long, env)]
    pub gateway_notify_tls_client_ca: Option<PathBuf>,

    /// A TOML file of clients that may send notices: of each its name, keys, may, and perhaps rate and expires.
    /// Read again on SIGHUP. "ws-gateway client-key NAME" makes an entry.
    #[arg(long, env)]
    pub gateway_notify_clients: Option<PathBuf>,

    /// Let the internal port listen beyond loopback without TLS.
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set)]
    pub gateway_notify_allow_plaintext: bool,

    /// Where operators find /livez, /readyz and /metrics.
    #[arg(long, env, default_value = ADMIN_LISTEN)]
    pub gateway_admin_listen: SocketAddr,

    /// Where logins are kept: memory: is this process; redis://host:6379, rediss://host:6379 (TLS) or
    /// redis+sentinel://host1:26379,host2:26379/name let any number of gateways share them.
    #[arg(long, env, default_value = "memory:", hide_env_values = true)]
    pub gateway_store: SecretString,

    /// What the keys in Redis begin with.
    #[arg(long, env, default_value = "saoma:gateway:")]
    pub gateway_redis_prefix: String,

    /// Replicas of Redis that must have an end before it counts as recorded, or as many as the master has.
    /// Unset: 1 where Sentinels name the master, else 0.
    #[arg(long, env)]
    pub gateway_redis_replicas: Option<u32>,

    /// How long a QR code is shown.
    #[arg(long, env, default_value = "120s", value_parser = settings::duration)]
    pub gateway_login_ttl: Duration,

    /// Origins whose pages may connect: https://example.com, https://*.example.com for every name under it,
    /// schemes of apps such as capacitor://localhost or app://., null for files and sandboxed frames of any
    /// site, or * for all. Unset: the request's own host.
    #[arg(long, env)]
    pub gateway_allowed_origins: Option<AllowedOrigins>,

    /// Networks of proxies whose X-Forwarded-For is believed.
    #[arg(long, env, value_delimiter = ',', value_parser = address::network)]
    pub gateway_trusted_proxies: Vec<IpNet>,

    /// From SIGTERM to exit; new connections are taken for its first quarter.
    #[arg(long, env, default_value = "8s", value_parser = settings::duration)]
    pub gateway_drain_time: Duration,

    /// QR codes made ahead, so that a page waits for no call to WeChat; 0 makes each when a page asks. An
    /// idle gateway replaces them about every 25 minutes.
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u8).range(..=64))]
    pub gateway_qr_ready: u8,

    /// Calls to WeChat for QR codes in a day of UTC+8, and an eighth of them in an hour: WeChat allows an
    /// account 100,000, a test account 10,000. The rest is for calls that have to be made twice. A restart
    /// begins anew.
    #[arg(long, env, default_value_t = 90_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub gateway_qr_per_day: u32,

    /// New logins a minute from one address (an IPv6 /64); the network around it, a /24 or /48, may have four times as
    /// many. At 120 or less an address may also leave 2 % of the day's codes unscanned, at a higher rate as much more.
    /// Raise it where many people share one address.
    #[arg(long, env, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gateway_address_rate: u32,

    /// Pages connected at once, as far as the limit on open files allows.
    #[arg(long, env, default_value_t = 15_000)]
    pub gateway_max_pages: usize,

    /// How long a connection may be idle between requests. It must be longer than the proxy or balancer in front
    /// keeps its own connections, which is 60 s with most: else requests are lost.
    #[arg(long, env, default_value = "75s", value_parser = settings::keep_alive)]
    pub gateway_keep_alive: Duration,

    /// Logins in memory at once. One is about two kilobytes, and lives for its time and three minutes: the
    /// default is more than WeChat's allowance of codes a day, and less than would hurt a small machine.
    #[arg(long, env, default_value_t = 200_000)]
    pub gateway_max_logins: usize,

    /// Connections to the internal port at once; a back end should need one.
    #[arg(long, env, default_value_t = 256)]
    pub gateway_max_clients: usize,

    /// The heading of the login page.
    #[arg(long, env, default_value = "Saoma 扫码登录")]
    pub gateway_title: String,

    /// The URL of a picture above the heading of the login page; it must not redirect to another host.
    #[arg(long, env)]
    pub gateway_logo: Option<String>,

    /// The official account's appid.
    #[arg(long, env, value_parser = identifier)]
    pub wechat_app_id: String,

    /// Where WeChat's API is. It is asked through the HTTP proxy that HTTPS_PROXY names, if it names one: for an
    /// account that allows one fixed address. Loopback is asked without.
    #[arg(long, env, default_value = wechat::OFFICIAL_API_URL)]
    pub wechat_api_url: String,

    /// Where browsers fetch WeChat's pictures of QR codes. Unset: the official host, or the API's URL
    /// when that is another than the official one.
    #[arg(long, env)]
    pub wechat_qr_url: Option<String>,

    /// How log lines are written.
    #[arg(long, env, default_value = "text")]
    pub log_format: LogFormat,

    /// The secrets, which have no flags.
    #[arg(skip)]
    pub secrets: Secrets,
}

const SECRETS: &str = "Beside serving:\n  ws-gateway health           exits with 0 if the gateway on this host is ready\n  ws-gateway client-key NAME  prints an entry for GATEWAY_NOTIFY_CLIENTS with a new \
key; see its --help\n\nSecrets have no flag. Each is read from the environment, or from the file that its name with _FILE \
names:\n  NOTIFY_KEY              the key of the client `callback`, at least 32 bytes; needed unless \
GATEWAY_NOTIFY_CLIENTS\n                          has the clients\n  WECHAT_APP_SECRET       the \
official account's AppSecret\n  GATEWAY_REDIS_PASSWORD  the password of Redis, where it has one\n  \
GATEWAY_REDIS_SENTINEL_PASSWORD  the password of the Sentinels, where they have one";

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
}

/// Where logins are kept.
#[derive(Debug, Clone)]
pub enum Store {
    /// In this process's memory.
    Memory,
    /// In Redis.
    Redis {
        /// Where it is.
        place: Place,
        /// How many replicas must have an end.
        replicas: u32,
    },
}

impl Config {
    /// Reads the process's own command line and environment.
    ///
    /// # Errors
    /// When help or the version was asked for, or a setting is wrong or missing.
    pub fn read() -> Result<Self, NoSettings> {
        let mut config: Self = settings::parse(std::env::args_os())?;
        config.secrets = Secrets {
            notify_key: settings::secret("NOTIFY_KEY")?,
            wechat_app_secret: Some(settings::required_secret("WECHAT_APP_SECRET")?),
            redis_password: settings::secret("GATEWAY_REDIS_PASSWORD")?,
            redis_sentinel_password: settings::secret("GATEWAY_REDIS_SENTINEL_PASSWORD")?,
        };
        config.check()?;
        Ok(config)
    }

    /// Takes flags and secrets from a program that runs the gateway inside itself.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn of(flags: &[&str], secrets: Secrets) -> Result<Self, NoSettings> {
        let config = Self { secrets, ..settings::parse_flags("ws-gateway", flags)? };
        config.check()?;
        Ok(config)
    }

    /// What no single setting can say of itself.
    fn check(&self) -> Result<(), SettingError> {
        let beyond_loopback = !self.gateway_notify_listen.ip().is_loopback();
        let in_plain_text = self.gateway_notify_tls_cert.is_none() && self.gateway_notify_tls_key.is_none();
        if beyond_loopback && in_plain_text && !self.gateway_notify_allow_plaintext {
            return Err(SettingError::new(
                "GATEWAY_NOTIFY_LISTEN",
                format!(
                    "{} is beyond loopback and the internal port has no TLS; set GATEWAY_NOTIFY_TLS_CERT and \
                     GATEWAY_NOTIFY_TLS_KEY, or listen on loopback, or set GATEWAY_NOTIFY_ALLOW_PLAINTEXT=true \
                     where the network itself is private",
                    self.gateway_notify_listen
                ),
            ));
        }
        if !LOGIN_TTL.contains(&self.gateway_login_ttl) {
            return Err(SettingError::new("GATEWAY_LOGIN_TTL", "must be between 1s and 28m"));
        }
        for (name, limit) in [
            ("GATEWAY_MAX_PAGES", self.gateway_max_pages),
            ("GATEWAY_MAX_LOGINS", self.gateway_max_logins),
            ("GATEWAY_MAX_CLIENTS", self.gateway_max_clients),
        ] {
            if !server::listen::PLACES.contains(&limit) {
                return Err(SettingError::new(name, "must be between 1 and 1000000"));
            }
        }
        if let Some(logo) = &self.gateway_logo {
            let is_url = ["https://", "http://", "data:image/"].iter().any(|start| logo.starts_with(start));
            if !is_url {
                return Err(SettingError::new("GATEWAY_LOGO", "must be an http, https or data:image URL"));
            }
        }
        let is_web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if self.wechat_qr_url.as_ref().is_some_and(|url| !is_web(url)) {
            return Err(SettingError::new("WECHAT_QR_URL", "must be an http or https URL"));
        }
        if !wechat::is_simulated(&self.wechat_api_url) {
            let Secrets { notify_key, wechat_app_secret, .. } = &self.secrets;
            settings::refuse_printed(&[
                ("NOTIFY_KEY", notify_key.as_ref()),
                ("WECHAT_APP_SECRET", wechat_app_secret.as_ref()),
            ])?;
        }
        self.store()?;
        Credentials::new(self, self.gateway_max_clients)?;
        self.wechat().map(|_| ())
    }

    /// Where logins are kept.
    ///
    /// # Errors
    /// When the setting is no store. Its text may hold a password and is not repeated.
    pub fn store(&self) -> Result<Store, SettingError> {
        let Secrets { redis_password: password, redis_sentinel_password: sentinels, .. } = &self.secrets;
        let (password, sentinels) = (password.as_ref(), sentinels.as_ref());
        let text = self.gateway_store.expose_secret();
        let text = visible(text).map_err(|problem| SettingError::new("GATEWAY_STORE", problem))?;
        if text == "memory:" {
            return match password.or(sentinels).is_some() || self.gateway_redis_replicas.is_some() {
                true => Err(SettingError::new(
                    "GATEWAY_STORE",
                    "is memory:, which has no password and no replicas",
                )),
                false => Ok(Store::Memory),
            };
        }
        let place = Place::of(text, password);
        let mut place =
            place.map_err(|forms| SettingError::new("GATEWAY_STORE", format!("{forms}, or memory:")))?;
        if let Some(password) = sentinels {
            let asked = place.with_sentinel_password(password);
            place = asked.map_err(|problem| SettingError::new("GATEWAY_STORE", problem))?;
        }
        let replicas = self.gateway_redis_replicas.unwrap_or(place.has_sentinels().into());
        Ok(Store::Redis { place, replicas })
    }

    /// A client of WeChat's API.
    ///
    /// # Errors
    /// When the AppSecret is missing, or the API's URL is none.
    pub fn wechat(&self) -> Result<wechat::Client, SettingError> {
        let missing =
            || SettingError::new("WECHAT_APP_SECRET", "is not set; set it or WECHAT_APP_SECRET_FILE");
        let settings = wechat::Settings {
            app_id: self.wechat_app_id.clone(),
            app_secret: self.secrets.wechat_app_secret.clone().ok_or_else(missing)?,
            api_url: self.wechat_api_url.clone(),
        };
        wechat::Client::new(settings).map_err(|error| SettingError::new("WECHAT_API_URL", error))
    }

    /// Where browsers fetch WeChat's pictures.
    #[must_use]
    pub fn qr_url(&self) -> &str {
        match &self.wechat_qr_url {
            Some(url) => url,
            None if self.wechat_api_url == wechat::OFFICIAL_API_URL => wechat::OFFICIAL_QR_URL,
            None => &self.wechat_api_url,
        }
    }
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
        let networks: Vec<String> = config.gateway_trusted_proxies.iter().map(ToString::to_string).collect();
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
        assert_eq!(of(&[]).unwrap().qr_url(), wechat::OFFICIAL_QR_URL);
        assert_eq!(of(&["--wechat-api-url", "http://sim"]).unwrap().qr_url(), "http://sim");
        let both = of(&["--wechat-api-url", "http://sim", "--wechat-qr-url", "http://pictures"]).unwrap();
        assert_eq!(both.qr_url(), "http://pictures");
    }
}
