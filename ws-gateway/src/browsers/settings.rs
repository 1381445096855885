//! What an operator chooses about pages: where they connect, which may, how many, and what the login page shows.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use login_page::Accent;
use login_page::brand::{self, Brand, Links};
use server::{address, settings};

use super::origin::AllowedOrigins;

/// The settings of the browsers' port.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Where browsers connect.
    #[arg(
        long = "gateway-listen",
        env = "GATEWAY_LISTEN",
        default_value = "0.0.0.0:1099",
        display_order = 1
    )]
    pub listen: SocketAddr,

    /// Origins whose pages may connect: https://example.com, https://*.example.com for every name under it,
    /// schemes of apps such as capacitor://localhost or app://., null for files and sandboxed frames of any
    /// site, or * for all. Unset: the request's own host.
    #[arg(long = "gateway-allowed-origins", env = "GATEWAY_ALLOWED_ORIGINS", display_order = 13)]
    pub allowed_origins: Option<AllowedOrigins>,

    /// Networks of proxies whose X-Forwarded-For is believed.
    #[arg(long = "gateway-trusted-proxies", env = "GATEWAY_TRUSTED_PROXIES", display_order = 14,
          value_delimiter = ',', value_parser = address::network)]
    pub trusted_proxies: Vec<IpNet>,

    /// Pages connected at once, as far as the limit on open files allows.
    #[arg(long = "gateway-max-pages", env = "GATEWAY_MAX_PAGES", display_order = 19, default_value_t = 15_000,
          value_parser = settings::places)]
    pub max_pages: usize,

    /// How long a connection may be idle between requests. It must be longer than the proxy or balancer in front
    /// keeps its own connections, which is 60 s with most: else requests are lost.
    #[arg(long = "gateway-keep-alive", env = "GATEWAY_KEEP_ALIVE", display_order = 20, default_value = "75s",
          value_parser = settings::keep_alive)]
    pub keep_alive: Duration,

    /// The heading of the login page.
    #[arg(
        long = "gateway-title",
        env = "GATEWAY_TITLE",
        display_order = 23,
        default_value = "Saoma 扫码登录"
    )]
    pub title: String,

    /// The URL of a picture above the heading of the login page; it must not redirect to another host.
    #[arg(long = "gateway-logo", env = "GATEWAY_LOGO", display_order = 24, value_parser = brand::picture)]
    logo: Option<String>,

    /// The colour of the login page's buttons and marks, such as #07803f. White words on it need a contrast of 4.5:1.
    /// Unset: greens like WeChat's.
    #[arg(long = "gateway-accent", env = "GATEWAY_ACCENT", display_order = 25)]
    accent: Option<Accent>,

    /// A line of your own below the heading of the login page, of up to 200 characters.
    #[arg(long = "gateway-line", env = "GATEWAY_LINE", display_order = 26, value_parser = brand::line)]
    line: Option<String>,

    /// Links at the end of the login page, up to five, such as
    /// Terms=https://example.com/terms,Privacy=https://example.com/privacy.
    #[arg(long = "gateway-links", env = "GATEWAY_LINKS", display_order = 27)]
    links: Option<Links>,

    /// The name of the official account, with which the login page says before the scan that whoever scans follows it.
    #[arg(
        long = "gateway-account-name",
        env = "GATEWAY_ACCOUNT_NAME",
        display_order = 28,
        value_parser = brand::account_name
    )]
    pub account_name: Option<String>,
}

impl Settings {
    /// What the login page shows beside its title.
    pub(crate) fn brand(&self) -> Brand {
        Brand {
            logo: self.logo.clone(),
            accent: self.accent,
            line: self.line.clone(),
            links: self.links.clone().unwrap_or_default(),
            account: self.account_name.clone(),
        }
    }
}
