//! What an operator chooses about pages: where they connect, which may, how many, and what the login page shows.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
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
    #[arg(long = "gateway-logo", env = "GATEWAY_LOGO", display_order = 24, value_parser = picture)]
    pub logo: Option<String>,
}

/// Reads the URL of a picture that a page may show.
fn picture(text: &str) -> Result<String, String> {
    let is_url = ["https://", "http://", "data:image/"].iter().any(|start| text.starts_with(start));
    if is_url { Ok(text.to_owned()) } else { Err("must be an http, https or data:image URL".to_owned()) }
}
