//! The way to the gateways: addresses, TLS and the key, from the settings to a kept connection.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use protocol::tls::{ClientTls, File, Identity};
use protocol::{Client, Key, expiry};
use secrecy::SecretString;
use server::metrics::Expiry;
use server::settings::{self, SettingError};

/// What an operator sets about the gateways.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// The gateways' internal ports, as host:port; the next is tried when one fails. More than one needs
    /// gateways that share their logins in Redis.
    #[arg(long, env, default_value = "127.0.0.1:9999", value_delimiter = ',')]
    callback_gateway: Vec<Address>,

    /// Speak TLS with the gateways' internal ports.
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set)]
    callback_gateway_tls: bool,

    /// The CAs, in PEM form, of which a gateway must show a certificate. Unset: those of the operating system.
    /// This file and the two below are read again for each connection.
    #[arg(long, env)]
    callback_gateway_ca: Option<PathBuf>,

    /// The name that a gateway's certificate must be for. Unset: the host in CALLBACK_GATEWAY.
    #[arg(long, env)]
    callback_gateway_name: Option<String>,

    /// The certificate, in PEM form, that gateways are shown where they ask for one.
    #[arg(long, env)]
    callback_gateway_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM form.
    #[arg(long, env)]
    callback_gateway_key: Option<PathBuf>,
}

const ADDRESS: &str = "CALLBACK_GATEWAY";
const TLS: &str = "CALLBACK_GATEWAY_TLS";
const CA: &str = "CALLBACK_GATEWAY_CA";
const NAME: &str = "CALLBACK_GATEWAY_NAME";
const CERT: &str = "CALLBACK_GATEWAY_CERT";
const KEY: &str = "CALLBACK_GATEWAY_KEY";

/// How often the certificates' dates are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A gateway's internal port: `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address(String);

impl FromStr for Address {
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

/// The way to the gateways, as the settings give it. Its files are there and can be used.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    key: Key,
    addresses: Vec<String>,
    tls: Option<ClientTls>,
}

impl Link {
    /// Checks the settings, and the key that proves this service to the gateways.
    ///
    /// # Errors
    /// Which setting is missing or wrong.
    pub(crate) fn new(settings: Settings, notify_key: Option<SecretString>) -> Result<Self, SettingError> {
        let key = settings::needed("NOTIFY_KEY", notify_key)?;
        let key = Key::new(&key).map_err(|error| SettingError::new("NOTIFY_KEY", error))?;
        let tls = tls(&settings)?;
        let addresses: Vec<String> =
            settings.callback_gateway.into_iter().map(|Address(address)| address).collect();
        if let Some(tls) = &tls {
            if let Some(address) = addresses.iter().find(|address| tls.server_name(address).is_none()) {
                let problem = format!("no certificate could be for {address}; set {NAME} to a name");
                return Err(SettingError::new(ADDRESS, problem));
            }
            load(tls)?;
        }
        Ok(Self { key, addresses, tls })
    }

    /// Connects, and keeps the connection.
    pub(crate) fn connect(&self) -> Client {
        Client::start(self.settings())
    }

    /// Notes now and again until when the certificates hold, for as long as it is polled. They are read for each
    /// connection, so nobody need tell this service of new ones.
    pub(crate) async fn watch_expiry(&self, expiry: &Expiry) {
        loop {
            let tls = self.tls.clone().unwrap_or_default();
            let certificate = tls.identity.map(|identity| identity.certificate);
            let ends = move || [certificate, tls.ca].map(|file| expiry::of_file(&file?));
            // A panic in there would end the process.
            if let Ok([certificate, ca]) = tokio::task::spawn_blocking(ends).await {
                expiry.note("gateway_cert", certificate);
                expiry.note("gateway_ca", ca);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Who this service is to a gateway, and all gateways.
    pub(crate) fn settings(&self) -> protocol::client::Settings {
        let Self { key, addresses, tls } = self.clone();
        protocol::client::Settings { name: "callback".to_owned(), key, addresses, tls }
    }

    /// The gateways.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// How TLS is spoken, where it is.
    pub(crate) fn tls(&self) -> Option<&ClientTls> {
        self.tls.as_ref()
    }

    /// The files of certificates, with the settings that name them.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&'static str, &std::path::Path)> {
        let tls = self.tls.as_ref();
        let own = tls.and_then(|tls| tls.identity.as_ref()).map(|identity| (CERT, &*identity.certificate));
        let ca = tls.and_then(|tls| tls.ca.as_deref()).map(|ca| (CA, ca));
        own.into_iter().chain(ca)
    }

    /// Reads the files of TLS again; says whether there are any.
    ///
    /// # Errors
    /// Which file's setting is wrong.
    pub(crate) fn read_again(&self) -> Result<bool, SettingError> {
        self.tls.as_ref().map(load).transpose().map(|files| files.is_some())
    }
}

/// Tells how many gateways this service is connected to.
#[derive(Debug)]
pub(crate) struct Gateways(pub(crate) Client);

impl Collector for Gateways {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.connections()).unwrap_or(i64::MAX));
        let help = "Connections to gateways that have accepted this service: 1, or 2 where several are named";
        gauge.encode(encoder.encode_descriptor("gateways_connected", help, None, gauge.metric_type())?)
    }
}

fn tls(settings: &Settings) -> Result<Option<ClientTls>, SettingError> {
    let identity = match (&settings.callback_gateway_cert, &settings.callback_gateway_key) {
        (Some(certificate), Some(key)) => {
            Some(Identity { certificate: certificate.clone(), key: key.clone() })
        }
        (None, None) => None,
        (Some(_), None) => return Err(SettingError::new(KEY, format!("is not set, and {CERT} is"))),
        (None, Some(_)) => return Err(SettingError::new(CERT, format!("is not set, and {KEY} is"))),
    };
    let (ca, name) = (settings.callback_gateway_ca.clone(), settings.callback_gateway_name.clone());
    if settings.callback_gateway_tls {
        return Ok(Some(ClientTls { ca, name, identity }));
    }
    let set = [(CA, ca.is_some()), (NAME, name.is_some()), (CERT, identity.is_some())];
    match set.into_iter().find(|(_, is_set)| *is_set) {
        None => Ok(None),
        Some((setting, _)) => Err(SettingError::new(
            setting,
            format!("is set, and {TLS} is false; set that to true, or take this away"),
        )),
    }
}

fn load(tls: &ClientTls) -> Result<(), SettingError> {
    tls.load().map(|_| ()).map_err(|error| {
        let name = match error.file {
            File::Certificate => CERT,
            File::Key => KEY,
            File::Ca => CA,
        };
        SettingError::new(name, error)
    })
}
