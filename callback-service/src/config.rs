//! The service's settings: environment variables and equal flags; secrets from the environment or a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use ipnet::IpNet;
use protocol::Key;
use protocol::tls::{ClientTls, File, Identity};
use records::Place;
use secrecy::{ExposeSecret, SecretString};
use server::address;
use server::logging::LogFormat;
use server::settings::{self, NoSettings, SettingError};
use server::visible::{identifier, visible};

use crate::push::{self, Account, Mode};
use crate::texts::{self, Messages, Texts};

/// Where operators ask, unless it is set.
pub(crate) const ADMIN_LISTEN: &str = "127.0.0.1:8081";

/// Takes WeChat's pushes, decides, tells the gateway, and answers the phone.
#[derive(Debug, Clone, Parser)]
#[command(name = "callback-service", version, after_help = SECRETS)]
pub struct Config {
    /// Where WeChat's pushes come, at the path /wechat.
    #[arg(long, env, default_value = "0.0.0.0:8080")]
    pub callback_listen: SocketAddr,

    /// Where operators find /livez, /readyz and /metrics.
    #[arg(long, env, default_value = ADMIN_LISTEN)]
    pub callback_admin_listen: SocketAddr,

    /// The gateways' internal ports, as host:port; the next is tried when one fails. More than one needs
    /// gateways that share their logins in Redis.
    #[arg(long, env, default_value = "127.0.0.1:9999", value_delimiter = ',')]
    pub callback_gateway: Vec<GatewayAddress>,

    /// Speak TLS with the gateways' internal ports.
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set)]
    pub callback_gateway_tls: bool,

    /// The CAs, in PEM form, of which a gateway must show a certificate. Unset: those of the operating system.
    /// This file and the two below are read again for each connection.
    #[arg(long, env)]
    pub callback_gateway_ca: Option<PathBuf>,

    /// The name that a gateway's certificate must be for. Unset: the host in CALLBACK_GATEWAY.
    #[arg(long, env)]
    pub callback_gateway_name: Option<String>,

    /// The certificate, in PEM form, that gateways are shown where they ask for one.
    #[arg(long, env)]
    pub callback_gateway_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM form.
    #[arg(long, env)]
    pub callback_gateway_key: Option<PathBuf>,

    /// Where counts and recent answers are kept: sqlite: and a file, or sqlite::memory:; redis://host:6379,
    /// rediss://host:6379 (TLS) or redis+sentinel://host1:26379,host2:26379/name let any number of
    /// callback-services share them.
    #[arg(long, env, default_value = "sqlite:callback.db", hide_env_values = true)]
    pub callback_store: SecretString,

    /// What the keys in Redis begin with.
    #[arg(long, env, default_value = "saoma:callback:")]
    pub callback_redis_prefix: String,

    /// Replicas of Redis that must have what is noted before it counts, or as many as the master has. Unset: 1
    /// where Sentinels name the master, else 0.
    #[arg(long, env)]
    pub callback_redis_replicas: Option<u32>,

    /// Networks of proxies whose X-Forwarded-For is believed.
    #[arg(long, env, value_delimiter = ',', value_parser = address::network)]
    pub callback_trusted_proxies: Vec<IpNet>,

    /// From SIGTERM to exit; pushes in hand are finished.
    #[arg(long, env, default_value = "8s", value_parser = settings::duration)]
    pub callback_drain_time: Duration,

    /// Connections at once, as far as the limit on open files allows: each may need two. WeChat opens one a
    /// push and is answered within 4 s, so the default is hundreds of scans a second.
    #[arg(long, env, default_value_t = 2048)]
    pub callback_max_connections: usize,

    /// How long a connection may be idle between requests. It must be longer than the proxy or balancer in front
    /// keeps its own connections, which is 60 s with most: else requests are lost.
    #[arg(long, env, default_value = "75s", value_parser = settings::keep_alive)]
    pub callback_keep_alive: Duration,

    /// How long WeChat is asked for a nickname, which it rarely gives since 2021; 0s does not ask.
    #[arg(long, env, default_value = "1500ms", value_parser = settings::duration)]
    pub callback_user_info_within: Duration,

    /// How pushes travel: safe, compatible or plaintext, as in WeChat's message push settings.
    #[arg(long, env, default_value = "safe")]
    pub wechat_mode: Mode,

    /// The gh_ name that pushes must be addressed to.
    #[arg(long, env, value_parser = identifier)]
    pub wechat_original_id: Option<String>,

    /// How far a push's timestamp may be from now; off is for replaying recorded pushes only.
    #[arg(long, env, default_value = "300s")]
    pub wechat_push_max_age: MaxAge,

    /// The official account's appid.
    #[arg(long, env, value_parser = identifier)]
    pub wechat_app_id: String,

    /// The appid of the third-party platform (第三方平台) that manages the account, if pushes are encrypted for it.
    #[arg(long, env, value_parser = identifier)]
    pub wechat_component_app_id: Option<String>,

    /// Where WeChat's API is. It is asked through the HTTP proxy that HTTPS_PROXY names, if it names one: for an
    /// account that allows one fixed address. Loopback is asked without.
    #[arg(long, env, default_value = wechat::OFFICIAL_API_URL)]
    pub wechat_api_url: String,

    /// How log lines are written.
    #[arg(long, env, default_value = "text")]
    pub log_format: LogFormat,

    /// What becomes of a person's message: greet answers with CALLBACK_TEXT_GREETING, customer_service hands it to
    /// the account's customer service (客服), ignore leaves it.
    #[arg(long, env, default_value = "greet")]
    pub callback_messages: Messages,

    /// What the phone is told.
    #[command(flatten)]
    pub texts: Texts,

    /// The secrets, which have no flags.
    #[arg(skip)]
    pub secrets: Secrets,
}

const SECRETS: &str = "Beside serving:\n  callback-service health  exits with 0 if the callback-service on this host is ready\n\n\
Secrets have no flag. Each is read from the environment, or from the file that its name with _FILE \
names:\n  NOTIFY_KEY               the key of the client `callback` at the gateway, at least 32 bytes\n  \
WECHAT_APP_SECRET        the official account's AppSecret\n  \
WECHAT_TOKEN             the token of WeChat's message push settings\n  \
WECHAT_AES_KEY           the EncodingAESKey of the same, unless the mode is plaintext\n  \
WECHAT_TOKEN_PREVIOUS    the token before, while it is being changed\n  \
WECHAT_AES_KEY_PREVIOUS  the EncodingAESKey before, while it is being changed\n  \
CALLBACK_REDIS_PASSWORD  the password of Redis, where it has one\n  \
CALLBACK_REDIS_SENTINEL_PASSWORD  the password of the Sentinels, where they have one";

/// What must never be shown.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `NOTIFY_KEY`.
    pub notify_key: Option<SecretString>,
    /// `WECHAT_APP_SECRET`.
    pub wechat_app_secret: Option<SecretString>,
    /// `WECHAT_TOKEN`.
    pub wechat_token: Option<SecretString>,
    /// `WECHAT_AES_KEY`.
    pub wechat_aes_key: Option<SecretString>,
    /// `WECHAT_TOKEN_PREVIOUS`.
    pub wechat_token_previous: Option<SecretString>,
    /// `WECHAT_AES_KEY_PREVIOUS`.
    pub wechat_aes_key_previous: Option<SecretString>,
    /// `CALLBACK_REDIS_PASSWORD`.
    pub redis_password: Option<SecretString>,
    /// `CALLBACK_REDIS_SENTINEL_PASSWORD`.
    pub redis_sentinel_password: Option<SecretString>,
}

/// A gateway's internal port: `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayAddress(pub String);

impl FromStr for GatewayAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("write host:port, for example gateway.internal:9999".to_owned()),
        }
    }
}

/// Where counts and recent answers are kept.
#[derive(Debug, Clone)]
pub enum Store {
    /// In a SQLite file; the path `:memory:` is this process.
    Sqlite(PathBuf),
    /// In Redis.
    Redis {
        /// Where it is.
        place: Place,
        /// How many replicas must have what is noted.
        replicas: u32,
    },
}

/// Beyond this a push is no news, and what is remembered of it would only cost memory.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// How old a push may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(pub Option<Duration>);

impl FromStr for MaxAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => match settings::duration(text)? {
                age if age <= LONGEST_AGE => Ok(Self(Some(age))),
                _ => Err("at most 1day; off is for replaying recorded pushes".to_owned()),
            },
        }
    }
}

impl Config {
    /// Reads the process's own command line and environment.
    ///
    /// # Errors
    /// When help or the version was asked for, or a setting is wrong or missing.
    pub fn read() -> Result<Self, NoSettings> {
        let mut config: Self = settings::parse_with_empty(std::env::args_os(), texts::may_be_empty)?;
        config.secrets = Secrets {
            notify_key: settings::secret("NOTIFY_KEY")?,
            wechat_app_secret: settings::secret("WECHAT_APP_SECRET")?,
            wechat_token: settings::secret("WECHAT_TOKEN")?,
            wechat_aes_key: settings::secret("WECHAT_AES_KEY")?,
            wechat_token_previous: settings::secret("WECHAT_TOKEN_PREVIOUS")?,
            wechat_aes_key_previous: settings::secret("WECHAT_AES_KEY_PREVIOUS")?,
            redis_password: settings::secret("CALLBACK_REDIS_PASSWORD")?,
            redis_sentinel_password: settings::secret("CALLBACK_REDIS_SENTINEL_PASSWORD")?,
        };
        config.check()?;
        Ok(config)
    }

    /// Takes flags and secrets from a program that runs the service inside itself.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn of(flags: &[&str], secrets: Secrets) -> Result<Self, NoSettings> {
        let config = Self { secrets, ..settings::parse_flags("callback-service", flags)? };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), SettingError> {
        if !server::listen::PLACES.contains(&self.callback_max_connections) {
            return Err(SettingError::new("CALLBACK_MAX_CONNECTIONS", "must be between 1 and 1000000"));
        }
        if !wechat::is_simulated(&self.wechat_api_url) {
            let Secrets { notify_key, wechat_app_secret, wechat_token, wechat_aes_key, .. } = &self.secrets;
            settings::refuse_printed(&[
                ("NOTIFY_KEY", notify_key.as_ref()),
                ("WECHAT_APP_SECRET", wechat_app_secret.as_ref()),
                ("WECHAT_TOKEN", wechat_token.as_ref()),
                ("WECHAT_TOKEN_PREVIOUS", self.secrets.wechat_token_previous.as_ref()),
                ("WECHAT_AES_KEY", wechat_aes_key.as_ref()),
                ("WECHAT_AES_KEY_PREVIOUS", self.secrets.wechat_aes_key_previous.as_ref()),
            ])?;
        }
        self.gateway_tls()?;
        self.store()?;
        self.account()?;
        self.wechat()?;
        self.notify_key().map(|_| ())
    }

    /// How to speak TLS with the gateways, where that is asked for. The files are there and can be used.
    ///
    /// # Errors
    /// Which setting is missing or wrong.
    pub fn gateway_tls(&self) -> Result<Option<ClientTls>, SettingError> {
        const TLS: &str = "CALLBACK_GATEWAY_TLS";
        const CA: &str = "CALLBACK_GATEWAY_CA";
        const NAME: &str = "CALLBACK_GATEWAY_NAME";
        const CERT: &str = "CALLBACK_GATEWAY_CERT";
        const KEY: &str = "CALLBACK_GATEWAY_KEY";
        let identity = match (&self.callback_gateway_cert, &self.callback_gateway_key) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.clone(), key: key.clone() })
            }
            (None, None) => None,
            (Some(_), None) => return Err(SettingError::new(KEY, format!("is not set, and {CERT} is"))),
            (None, Some(_)) => return Err(SettingError::new(CERT, format!("is not set, and {KEY} is"))),
        };
        let (ca, name) = (self.callback_gateway_ca.clone(), self.callback_gateway_name.clone());
        if !self.callback_gateway_tls {
            let set = [(CA, ca.is_some()), (NAME, name.is_some()), (CERT, identity.is_some())];
            return match set.iter().find(|(_, is_set)| *is_set) {
                None => Ok(None),
                Some((setting, _)) => Err(SettingError::new(
                    *setting,
                    format!("is set, and {TLS} is false; set that to true, or take this away"),
                )),
            };
        }
        let tls = ClientTls { ca, name, identity };
        if let Some(GatewayAddress(address)) =
            self.callback_gateway.iter().find(|address| tls.server_name(&address.0).is_none())
        {
            let problem = format!("no certificate could be for {address}; set {NAME} to a name");
            return Err(SettingError::new("CALLBACK_GATEWAY", problem));
        }
        tls.load().map_err(|error| {
            let name = match error.file {
                File::Certificate => CERT,
                File::Key => KEY,
                File::Ca => CA,
            };
            SettingError::new(name, error)
        })?;
        Ok(Some(tls))
    }

    /// Where counts and recent answers are kept.
    ///
    /// # Errors
    /// When the setting is no store. Its text may hold a password and is not repeated.
    pub fn store(&self) -> Result<Store, SettingError> {
        let wrong = |problem: String| SettingError::new("CALLBACK_STORE", problem);
        let Secrets { redis_password: password, redis_sentinel_password: sentinels, .. } = &self.secrets;
        let (password, sentinels) = (password.as_ref(), sentinels.as_ref());
        let text = visible(self.callback_store.expose_secret()).map_err(wrong)?;
        if let Some(path) = text.strip_prefix("sqlite:") {
            return match path {
                "" => Err(wrong("write sqlite: and a file, for example sqlite:callback.db".to_owned())),
                _ if password.or(sentinels).is_some() || self.callback_redis_replicas.is_some() => {
                    Err(wrong("is sqlite:, which has no password and no replicas".to_owned()))
                }
                path => Ok(Store::Sqlite(PathBuf::from(path))),
            };
        }
        let place = Place::of(text, password);
        let mut place = place.map_err(|forms| wrong(format!("{forms}, or sqlite: and a file")))?;
        if let Some(password) = sentinels {
            place = place.with_sentinel_password(password).map_err(|problem| wrong(problem.to_owned()))?;
        }
        let replicas = self.callback_redis_replicas.unwrap_or(place.has_sentinels().into());
        Ok(Store::Redis { place, replicas })
    }

    /// The account whose pushes are believed.
    ///
    /// # Errors
    /// When the token or the key is missing or has another form.
    pub fn account(&self) -> Result<Account, SettingError> {
        let settings = push::Settings {
            mode: self.wechat_mode,
            app_id: self.wechat_app_id.clone(),
            token: needed("WECHAT_TOKEN", self.secrets.wechat_token.as_ref())?,
            previous_token: self.secrets.wechat_token_previous.clone(),
            aes_key: self.secrets.wechat_aes_key.clone(),
            previous_aes_key: self.secrets.wechat_aes_key_previous.clone(),
            original_id: self.wechat_original_id.clone(),
            max_age: self.wechat_push_max_age.0,
        };
        Account::new(settings)
            .map(|account| account.managed_by(self.wechat_component_app_id.clone()))
            .map_err(|error| SettingError::new("WeChat's message push settings", error))
    }

    /// A client of WeChat's API.
    ///
    /// # Errors
    /// When the AppSecret is missing, or the API's URL is none.
    pub fn wechat(&self) -> Result<wechat::Client, SettingError> {
        let settings = wechat::Settings {
            app_id: self.wechat_app_id.clone(),
            app_secret: needed("WECHAT_APP_SECRET", self.secrets.wechat_app_secret.as_ref())?,
            api_url: self.wechat_api_url.clone(),
        };
        wechat::Client::new(settings).map_err(|error| SettingError::new("WECHAT_API_URL", error))
    }

    /// The key that proves this service to the gateway.
    ///
    /// # Errors
    /// When it is missing or too short.
    pub fn notify_key(&self) -> Result<Key, SettingError> {
        let text = needed("NOTIFY_KEY", self.secrets.notify_key.as_ref())?;
        Key::new(&text).map_err(|error| SettingError::new("NOTIFY_KEY", error))
    }
}

fn needed(name: &str, secret: Option<&SecretString>) -> Result<SecretString, SettingError> {
    secret.cloned().ok_or_else(|| SettingError::new(name, format!("is not set; set it or {name}_FILE")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn secrets() -> Secrets {
        Secrets {
            notify_key: Some(SecretString::from("0123456789abcdef0123456789abcdef")),
            wechat_app_secret: Some(SecretString::from("secret")),
            wechat_token: Some(SecretString::from("token")),
            wechat_aes_key: Some(SecretString::from("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")),
            ..Secrets::default()
        }
    }

    fn of(flags: &[&str], secrets: Secrets) -> Result<Config, NoSettings> {
        Config::of(&[&["--wechat-app-id", "wx0123456789abcdef"], flags].concat(), secrets)
    }

    #[test]
    fn the_defaults_are_good() {
        let config = of(&[], secrets()).unwrap();
        assert_eq!(config.wechat_mode, Mode::Safe);
        assert_eq!(config.wechat_push_max_age, MaxAge(Some(Duration::from_secs(300))));
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
            (vec!["--callback-redis-replicas", "1"], secrets(), "CALLBACK_STORE"),
            (vec!["--callback-trusted-proxies", "proxy"], secrets(), "CALLBACK_TRUSTED_PROXIES"),
            (vec!["--callback-drain-time", "8"], secrets(), "CALLBACK_DRAIN_TIME"),
            (vec!["--callback-keep-alive", "2h"], secrets(), "CALLBACK_KEEP_ALIVE"),
            (vec!["--callback-max-connections", "0"], secrets(), "CALLBACK_MAX_CONNECTIONS"),
            (vec!["--wechat-mode", "Plain"], secrets(), "WECHAT_MODE"),
            (vec!["--wechat-push-max-age", "never"], secrets(), "WECHAT_PUSH_MAX_AGE"),
            (vec!["--callback-messages", "reply"], secrets(), "CALLBACK_MESSAGES"),
            (vec![], without(|secrets| secrets.notify_key = None), "NOTIFY_KEY"),
            (vec![], without(|secrets| secrets.notify_key = Some("short".into())), "NOTIFY_KEY"),
            (vec![], without(|secrets| secrets.wechat_token = None), "WECHAT_TOKEN"),
            (vec![], without(|secrets| secrets.wechat_token = Some("x!".into())), "WECHAT_TOKEN"),
            (vec![], without(|secrets| secrets.wechat_aes_key = None), "WECHAT_AES_KEY"),
            (vec![], without(|secrets| secrets.wechat_aes_key = Some("short".into())), "WECHAT_AES_KEY"),
            (vec![], without(|secrets| secrets.wechat_app_secret = None), "WECHAT_APP_SECRET"),
        ] {
            let error = of(&flags, secrets).unwrap_err();
            assert!(error.text.to_uppercase().replace('-', "_").contains(name), "{flags:?}: {}", error.text);
            assert!(!error.text.contains('\n'), "{}", error.text);
            assert_eq!(error.code, settings::EXIT_USAGE);
        }
    }
}
