//! What an operator chooses about the internal port: where it listens, with which certificate, and for whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use server::settings::{self, SettingError};

/// The settings of the internal port.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Where back ends send notices.
    #[arg(
        long = "gateway-notify-listen",
        env = "GATEWAY_NOTIFY_LISTEN",
        display_order = 2,
        default_value = "127.0.0.1:9999"
    )]
    pub notify_listen: SocketAddr,

    /// The internal port's own certificate, in PEM form, with those between it and its CA. With it and its key
    /// the port speaks TLS 1.2 and 1.3 only. Read again on SIGHUP.
    #[arg(long = "gateway-notify-tls-cert", env = "GATEWAY_NOTIFY_TLS_CERT", display_order = 3)]
    pub tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM form.
    #[arg(long = "gateway-notify-tls-key", env = "GATEWAY_NOTIFY_TLS_KEY", display_order = 4)]
    pub tls_key: Option<PathBuf>,

    /// The CAs, in PEM form, of which clients must show a certificate beside their key.
    #[arg(long = "gateway-notify-tls-client-ca", env = "GATEWAY_NOTIFY_TLS_CLIENT_CA", display_order = 5)]
    pub tls_client_ca: Option<PathBuf>,

    /// A TOML file of clients that may send notices: of each its name, keys, may, and perhaps rate and expires.
    /// Read again on SIGHUP. "ws-gateway client-key NAME" makes an entry.
    #[arg(long = "gateway-notify-clients", env = "GATEWAY_NOTIFY_CLIENTS", display_order = 6)]
    pub clients_file: Option<PathBuf>,

    /// Let the internal port listen beyond loopback without TLS.
    #[arg(long = "gateway-notify-allow-plaintext", env = "GATEWAY_NOTIFY_ALLOW_PLAINTEXT", display_order = 7,
          default_value_t = false, action = clap::ArgAction::Set)]
    pub allow_plaintext: bool,

    /// Connections to the internal port at once; a back end should need one.
    #[arg(long = "gateway-max-clients", env = "GATEWAY_MAX_CLIENTS", display_order = 22, default_value_t = 256,
          value_parser = settings::places)]
    pub max_clients: usize,
}

impl Settings {
    /// Checks what no setting can say of itself: beyond loopback the port has TLS, unless plain text is allowed
    /// by name.
    ///
    /// # Errors
    /// Names the port's address and what to set.
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        let beyond_loopback = !self.notify_listen.ip().is_loopback();
        let in_plain_text = self.tls_cert.is_none() && self.tls_key.is_none();
        if !beyond_loopback || !in_plain_text || self.allow_plaintext {
            return Ok(());
        }
        Err(SettingError::new(
            "GATEWAY_NOTIFY_LISTEN",
            format!(
                "{} is beyond loopback and the internal port has no TLS; set GATEWAY_NOTIFY_TLS_CERT and \
                 GATEWAY_NOTIFY_TLS_KEY, or listen on loopback, or set GATEWAY_NOTIFY_ALLOW_PLAINTEXT=true \
                 where the network itself is private",
                self.notify_listen
            ),
        ))
    }
}
