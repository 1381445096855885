//! Whom the internal port believes, and the certificate that it shows. The file of clients and the TLS files are read
//! again on SIGHUP, each by itself. What is wrong then changes nothing. Secrets from the environment stay as they were
//! at the start.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use protocol::tls::{File, Identity, ServerTls};
use protocol::{Key, expiry};
use rustls::ServerConfig;
use secrecy::SecretString;
use server::metrics::Expiry;
use server::settings::SettingError;
use tokio::sync::watch;

use crate::logins::rights::Rights;
use crate::notices::clients::{CALLBACK, Client, Clients, file};
use crate::notices::settings::Settings;

/// The clients and the certificate, as they were read last.
#[derive(Debug)]
pub(crate) struct Credentials {
    clients: watch::Sender<Arc<Clients>>,
    tls: Option<watch::Sender<Arc<ServerConfig>>>,
    /// Where they are read again.
    sources: Sources,
    /// Connections that one client may have.
    places: usize,
    /// Until when the certificates hold.
    expiry: Expiry,
}

impl Credentials {
    /// What was read at the start, for a port of so many `places`.
    pub(crate) fn new(files: Files, places: usize) -> Self {
        let Files { clients, tls, sources, ends } = files;
        // One client, however broken, must not take the port from the others.
        let places = (places / 2).max(1);
        let clients = Clients::new(clients, places);
        let expiry = Expiry::default();
        ends.note(&expiry);
        Self {
            clients: watch::Sender::new(Arc::new(clients)),
            tls: tls.map(watch::Sender::new),
            sources,
            places,
            expiry,
        }
    }

    /// Registers when certificates and clients' keys expire.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.expiry.register(registry);
        registry.register_collector(Box::new(KeysExpire(self.clients())));
    }

    /// The present clients, and every change of them.
    pub(crate) fn clients(&self) -> watch::Receiver<Arc<Clients>> {
        self.clients.subscribe()
    }

    /// Replaces the clients.
    pub(crate) fn replace_clients(&self, clients: Vec<Client>) {
        self.clients.send_modify(|now| *now = Arc::new(now.replaced_by(clients, self.places)));
    }

    /// How to speak TLS, if the port does.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow()))
    }

    /// Reads the files again. It may take as long as the disk does.
    pub(crate) fn read_again(&self) -> ReadAgain {
        ReadAgain { clients: self.sources.clients(), tls: self.sources.tls(), ends: self.sources.ends() }
    }

    /// Takes what was read again. New connections see it. Clients that are connected must still have their keys; their
    /// certificates are not asked for again.
    pub(crate) fn renew(&self, ReadAgain { clients, tls, ends }: ReadAgain) {
        match clients {
            Ok(clients) => {
                let names: Vec<&str> = clients.iter().map(|client| client.name.as_str()).collect();
                tracing::info!(clients = names.join(","), "the clients were read again");
                self.replace_clients(clients);
            }
            Err(error) => tracing::error!("{error}; the clients stay as they were"),
        }
        let Some(now) = &self.tls else { return };
        match tls {
            Ok(Some(tls)) => {
                now.send_replace(tls);
                ends.note(&self.expiry);
                tracing::info!("the certificate of the internal port was read again");
            }
            Ok(None) => {}
            Err(error) => tracing::error!("{error}; the certificate stays as it was"),
        }
    }
}

/// What the files say at the start.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    clients: Vec<Client>,
    tls: Option<Arc<ServerConfig>>,
    sources: Sources,
    ends: Ends,
}

impl Files {
    /// What was read from `sources`.
    pub(crate) fn new(clients: Vec<Client>, tls: Option<Arc<ServerConfig>>, sources: Sources) -> Self {
        Self { clients, tls, ends: sources.ends(), sources }
    }
}

/// What the files say later, each by itself, or why it cannot be used.
pub(crate) struct ReadAgain {
    clients: Result<Vec<Client>, SettingError>,
    tls: Result<Option<Arc<ServerConfig>>, SettingError>,
    ends: Ends,
}

/// When the certificate and the CAs of clients expire.
#[derive(Debug, Clone, Copy)]
struct Ends {
    certificate: Option<i64>,
    client_ca: Option<i64>,
}

impl Ends {
    fn note(self, expiry: &Expiry) {
        expiry.note("notify_tls_cert", self.certificate);
        expiry.note("notify_tls_client_ca", self.client_ca);
    }
}

/// Tells when clients expire, with each of their keys, as they were read last.
#[derive(Debug)]
struct KeysExpire(watch::Receiver<Arc<Clients>>);

impl Collector for KeysExpire {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let clients = Arc::clone(&self.0.borrow());
        let mut expiring = clients.expiring().peekable();
        if expiring.peek().is_none() {
            return Ok(());
        }
        let help = "When a client expires, in seconds since 1970, by client and by which of its keys, 1 or 2";
        let mut metric = encoder.encode_descriptor(
            "client_key_expires_timestamp",
            help,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (labels, at) in expiring {
            ConstGauge::new(at).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Where clients and certificates are: the names of the files, and `NOTIFY_KEY`.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    settings: Settings,
    notify_key: Option<SecretString>,
}

impl Sources {
    pub(crate) fn new(settings: Settings, notify_key: Option<SecretString>) -> Self {
        Self { settings, notify_key }
    }

    /// The back ends that may send notices: those of the file, and `callback` with `NOTIFY_KEY`.
    ///
    /// # Errors
    /// What is wrong or missing.
    pub(crate) fn clients(&self) -> Result<Vec<Client>, SettingError> {
        const FILE: &str = "GATEWAY_NOTIFY_CLIENTS";
        let mut clients = match &self.settings.clients_file {
            Some(path) => file::read(path).map_err(|problem| SettingError::new(FILE, problem))?,
            None => Vec::new(),
        };
        if let Some(text) = &self.notify_key {
            if clients.iter().any(|client| client.name == CALLBACK) {
                let problem = format!(
                    "has an entry {CALLBACK:?}, whose key is NOTIFY_KEY as well; take one of them away"
                );
                return Err(SettingError::new(FILE, problem));
            }
            let key = Key::new(text).map_err(|error| SettingError::new("NOTIFY_KEY", error))?;
            if clients.iter().any(|client| client.keys.contains(&key)) {
                return Err(SettingError::new(
                    FILE,
                    "has a client with the key of NOTIFY_KEY; every client needs its own",
                ));
            }
            clients.push(Client {
                name: CALLBACK.to_owned(),
                keys: vec![key],
                may: Rights::all(),
                rate: None,
                expires: None,
            });
        }
        if clients.is_empty() {
            let problem = "is not set; set it or NOTIFY_KEY_FILE, or GATEWAY_NOTIFY_CLIENTS";
            return Err(SettingError::new("NOTIFY_KEY", problem));
        }
        Ok(clients)
    }

    fn ends(&self) -> Ends {
        let end = |path: &Option<PathBuf>| path.as_deref().and_then(expiry::of_file);
        Ends { certificate: end(&self.settings.tls_cert), client_ca: end(&self.settings.tls_client_ca) }
    }

    /// How the port speaks TLS, if it does.
    ///
    /// # Errors
    /// What is wrong or missing.
    pub(crate) fn tls(&self) -> Result<Option<Arc<ServerConfig>>, SettingError> {
        const CERT: &str = "GATEWAY_NOTIFY_TLS_CERT";
        const KEY: &str = "GATEWAY_NOTIFY_TLS_KEY";
        const CA: &str = "GATEWAY_NOTIFY_TLS_CLIENT_CA";
        let client_ca = self.settings.tls_client_ca.clone();
        let (certificate, key) = match (&self.settings.tls_cert, &self.settings.tls_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (Some(_), None) => return Err(SettingError::new(KEY, format!("is not set, and {CERT} is"))),
            (None, Some(_)) => return Err(SettingError::new(CERT, format!("is not set, and {KEY} is"))),
            (None, None) if client_ca.is_some() => {
                return Err(SettingError::new(CERT, format!("is not set, and {CA} is")));
            }
            (None, None) => return Ok(None),
        };
        let tls = ServerTls { identity: Identity { certificate, key }, client_ca };
        let loaded = tls.load().map_err(|error| {
            let name = match error.file {
                File::Certificate => CERT,
                File::Key => KEY,
                File::Ca => CA,
            };
            SettingError::new(name, error)
        });
        loaded.map(Some)
    }
}
