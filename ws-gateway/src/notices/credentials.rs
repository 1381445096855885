//! What the internal port believes, and shows: the clients and the TLS files. Both files are read again on SIGHUP,
//! each by itself; what is wrong then changes nothing. Secrets from the environment stay as they were at the start.

use std::sync::Arc;

use protocol::Key;
use protocol::tls::{File, Identity, ServerTls};
use rustls::ServerConfig;
use server::settings::SettingError;
use tokio::sync::watch;

use crate::config::Config;
use crate::notices::clients::{CALLBACK, Client, Clients, Rights, file};

/// What is believed and shown now.
#[derive(Debug)]
pub(crate) struct Credentials {
    clients: watch::Sender<Arc<Clients>>,
    tls: Option<watch::Sender<Arc<ServerConfig>>>,
    /// Connections that one client may have.
    places: usize,
}

impl Credentials {
    /// Reads everything for the first time, for a port of so many `places`.
    ///
    /// # Errors
    /// What is wrong or missing.
    pub(crate) fn new(config: &Config, places: usize) -> Result<Self, SettingError> {
        // No client, however broken, takes the port from the others.
        let places = (places / 2).max(1);
        let clients = Clients::new(clients(config)?, places);
        let tls = tls(config)?.map(watch::Sender::new);
        Ok(Self { clients: watch::Sender::new(Arc::new(clients)), tls, places })
    }

    /// The clients now, and word of every change.
    pub(crate) fn clients(&self) -> watch::Receiver<Arc<Clients>> {
        self.clients.subscribe()
    }

    /// These clients and no others from now on.
    pub(crate) fn replace_clients(&self, clients: Vec<Client>) {
        self.clients.send_modify(|now| *now = Arc::new(now.replaced_by(clients, self.places)));
    }

    /// How to speak TLS, where the port does.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow()))
    }

    /// Takes what was read again. New connections see it; the keys of old ones are asked for again, their certificates
    /// not.
    pub(crate) fn renew(&self, Files { clients, tls }: Files) {
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
                tracing::info!("the certificate of the internal port was read again");
            }
            Ok(None) => {}
            Err(error) => tracing::error!("{error}; the certificate stays as it was"),
        }
    }
}

/// What the files say, or why they cannot be used.
pub(crate) struct Files {
    clients: Result<Vec<Client>, SettingError>,
    tls: Result<Option<Arc<ServerConfig>>, SettingError>,
}

impl Files {
    /// Reads them. It may take as long as the disk does.
    pub(crate) fn read(config: &Config) -> Self {
        Self { clients: clients(config), tls: tls(config) }
    }
}

/// The back ends that may send notices: those of the file, and `callback` with `NOTIFY_KEY`.
fn clients(config: &Config) -> Result<Vec<Client>, SettingError> {
    const FILE: &str = "GATEWAY_NOTIFY_CLIENTS";
    let mut clients = match &config.gateway_notify_clients {
        Some(path) => file::read(path).map_err(|problem| SettingError::new(FILE, problem))?,
        None => Vec::new(),
    };
    if let Some(text) = &config.secrets.notify_key {
        if clients.iter().any(|client| client.name == CALLBACK) {
            let problem =
                format!("has an entry {CALLBACK:?}, whose key is NOTIFY_KEY as well; take one of them away");
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

fn tls(config: &Config) -> Result<Option<Arc<ServerConfig>>, SettingError> {
    const CERT: &str = "GATEWAY_NOTIFY_TLS_CERT";
    const KEY: &str = "GATEWAY_NOTIFY_TLS_KEY";
    const CA: &str = "GATEWAY_NOTIFY_TLS_CLIENT_CA";
    let client_ca = config.gateway_notify_tls_client_ca.clone();
    let (certificate, key) = match (&config.gateway_notify_tls_cert, &config.gateway_notify_tls_key) {
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
