//! The program's settings: flags and environment variables become an account.

use std::net::SocketAddr;

use clap::Parser;
use secrecy::ExposeSecret;
use server::logging::LogFormat;
use server::settings::{self, NoSettings};
use simulator::{Format, Mode, Settings};

/// An offline WeChat: one official account, its API, its pushes, and a phone to scan with.
///
/// The account's secrets come from WECHAT_APP_SECRET, WECHAT_TOKEN and WECHAT_AES_KEY (or files named
/// by the same with _FILE); without them it is a ready-made demo account.
#[derive(Debug, Parser)]
#[command(name = "simulator", version)]
pub(crate) struct Options {
    /// Where the API, the phone and the controls are served
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:8090")]
    pub(crate) simulator_listen: SocketAddr,
    /// Where pushes go, such as http://127.0.0.1:8080/wechat
    #[arg(long, env = "SIMULATOR_PUSH_URL")]
    simulator_push_url: Option<String>,
    /// What the QR codes' text begins with [default: the address that is served]
    #[arg(long, env = "SIMULATOR_PUBLIC_URL")]
    simulator_public_url: Option<String>,
    /// How pushes are protected
    #[arg(long, env = "SIMULATOR_MODE", value_enum, default_value = "safe")]
    simulator_mode: Mode,
    /// How pushes are written; an official account has XML
    #[arg(long, env = "SIMULATOR_FORMAT", value_enum, default_value = "xml")]
    simulator_format: Format,
    /// Whether user/info gives nicknames, as it did until December 2021
    #[arg(long, env = "SIMULATOR_NICKNAMES", default_value = "false", default_missing_value = "true",
          num_args = 0..=1, action = clap::ArgAction::Set)]
    simulator_nicknames: bool,
    /// Domains of web authorizations, as id.example.cn,login.example.cn [default: every address of this machine]
    #[arg(long, env = "SIMULATOR_WEB_DOMAINS", value_delimiter = ',')]
    simulator_web_domains: Vec<String>,
    /// Codes that are kept at once; no more are made while all of them are good
    #[arg(long, env = "SIMULATOR_MAX_CODES", default_value_t = 100_000)]
    simulator_max_codes: usize,
    /// The account's appid [default: the demo account's]
    #[arg(long, env = "WECHAT_APP_ID")]
    wechat_app_id: Option<String>,
    /// The account's original id, gh_... [default: the demo account's]
    #[arg(long, env = "SIMULATOR_ORIGINAL_ID")]
    simulator_original_id: Option<String>,
    /// How log lines are written
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// AppSecret, Token and EncodingAESKey as they may be printed: the demo account's own, or only that they are
/// set.
pub(crate) struct Shown(pub(crate) [String; 3]);

/// Makes the account from the options. Its secrets come from the environment, or are the demo account's.
pub(crate) fn account(options: Options) -> Result<(Settings, Shown), NoSettings> {
    let demo = Settings::default();
    let mut shown = Vec::new();
    let mut secret = |name: &str, default: String| -> Result<String, NoSettings> {
        let given = settings::secret(name)?;
        shown.push(given.as_ref().map_or(default.clone(), |_| "(as you set it)".to_owned()));
        Ok(given.map_or(default, |given| given.expose_secret().to_owned()))
    };
    let settings = Settings {
        app_secret: secret("WECHAT_APP_SECRET", demo.app_secret)?,
        token: secret("WECHAT_TOKEN", demo.token)?,
        aes_key: secret("WECHAT_AES_KEY", demo.aes_key)?,
        app_id: options.wechat_app_id.unwrap_or(demo.app_id),
        original_id: options.simulator_original_id.unwrap_or(demo.original_id),
        mode: options.simulator_mode,
        format: options.simulator_format,
        push_url: options.simulator_push_url,
        public_url: options.simulator_public_url,
        nicknames: options.simulator_nicknames,
        languages: demo.languages,
        unionids: demo.unionids,
        web_domains: options.simulator_web_domains,
        answer_within: demo.answer_within,
        max_codes: options.simulator_max_codes,
    };
    let shown = shown.try_into().expect("three secrets");
    Ok((settings, Shown(shown)))
}
