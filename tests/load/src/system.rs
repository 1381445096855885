//! The real programs on free ports of loopback, started with settings as an operator would.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use e2e::programs::Program;
use e2e::sites::Site;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::phone::Phones;
use crate::sample::Sample;
use crate::visit::Visitors;

/// A free port of loopback.
pub(crate) const FREE: &str = "127.0.0.1:0";

/// The key of the internal port. It never leaves this machine.
pub(crate) const NOTIFY_KEY: &str = "the load generator's own, on loopback only";

/// The issuer, as the sites know it. Requests name it and go to the callback service's own port.
pub(crate) const ISSUER: &str = "http://localhost:8080";

/// Codes that the offline WeChat keeps. A run makes far fewer, and each is kept for half an hour.
const MAX_CODES: u32 = 5_000_000;

/// The gateway's daily budget for WeChat, so large that the load never reaches it.
const QR_PER_DAY: u32 = 10_000_000;

/// Limit for programs to be ready, and for connections to close.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running programs. Dropping it kills them.
pub(crate) struct System {
    gateway: Program,
    callback: Program,
    wechat: Program,
    /// Its visitors.
    pub(crate) visitors: Arc<Visitors>,
    http: reqwest::Client,
    /// The folder of the callback service's SQLite file.
    _folder: TempDir,
}

/// Starts an offline WeChat that forgets no code of a run.
pub(crate) fn wechat() -> Program {
    Program::start(
        "simulator",
        &HashMap::from([
            ("SIMULATOR_LISTEN", FREE.to_owned()),
            ("SIMULATOR_NICKNAMES", "true".to_owned()),
            ("SIMULATOR_MAX_CODES", MAX_CODES.to_string()),
        ]),
    )
}

/// What both services are told.
pub(crate) fn common(wechat: SocketAddr, account: &simulator::Settings) -> HashMap<&'static str, String> {
    HashMap::from([
        ("WECHAT_APP_ID", account.app_id.clone()),
        ("WECHAT_APP_SECRET", account.app_secret.clone()),
        ("WECHAT_API_URL", format!("http://{wechat}")),
        ("NOTIFY_KEY", NOTIFY_KEY.to_owned()),
    ])
}

/// Settings of a gateway that is at no limit but that of its pages.
pub(crate) fn unlimited_gateway(
    wechat: SocketAddr,
    account: &simulator::Settings,
    login_ttl: Duration,
    pages: usize,
) -> HashMap<&'static str, String> {
    let mut settings = common(wechat, account);
    settings.extend([
        ("GATEWAY_LISTEN", FREE.to_owned()),
        ("GATEWAY_NOTIFY_LISTEN", FREE.to_owned()),
        ("GATEWAY_ADMIN_LISTEN", FREE.to_owned()),
        ("GATEWAY_LOGIN_TTL", format!("{}s", login_ttl.as_secs())),
        ("GATEWAY_QR_PER_DAY", QR_PER_DAY.to_string()),
        ("GATEWAY_ADDRESS_RATE", "1000000".to_owned()),
        ("GATEWAY_MAX_PAGES", pages.to_string()),
        // All come from one address. That is too many for anybody but a proxy.
        ("GATEWAY_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ("GATEWAY_DRAIN_TIME", "2s".to_owned()),
    ]);
    settings
}

/// Settings of a callback service without those of its store.
pub(crate) fn callback(
    wechat: SocketAddr,
    account: &simulator::Settings,
    gateways: String,
) -> HashMap<&'static str, String> {
    let mut settings = common(wechat, account);
    settings.extend([
        ("CALLBACK_LISTEN", FREE.to_owned()),
        ("CALLBACK_ADMIN_LISTEN", FREE.to_owned()),
        ("CALLBACK_GATEWAY", gateways),
        ("CALLBACK_DRAIN_TIME", "2s".to_owned()),
        ("WECHAT_TOKEN", account.token.clone()),
        ("WECHAT_AES_KEY", account.aes_key.clone()),
        ("WECHAT_ORIGINAL_ID", account.original_id.clone()),
    ]);
    settings
}

/// A store in a SQLite file of this folder.
pub(crate) fn sqlite(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("callback.db").display())
}

/// A sample of each program at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Samples {
    /// The gateway.
    pub(crate) gateway: Sample,
    /// The callback service.
    pub(crate) callback: Sample,
    /// The offline WeChat. It keeps every code and is not judged.
    pub(crate) wechat: Sample,
}

impl System {
    /// Starts everything. A login is shown for `login_ttl`, and at most `pages` may be open at once.
    ///
    /// # Errors
    /// When the programs are not ready in time. If a program does not start at all, this program ends.
    pub(crate) async fn start(login_ttl: Duration, pages: usize) -> anyhow::Result<Self> {
        Self::start_for(login_ttl, pages, None).await
    }

    /// As [`System::start`], with the provider and one site if there is one. The issuer is [`ISSUER`], wherever the
    /// callback service listens.
    ///
    /// # Errors
    /// As [`System::start`].
    pub(crate) async fn start_for(
        login_ttl: Duration,
        pages: usize,
        site: Option<&Site>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let account = simulator::Settings::default();
        let wechat = wechat();
        let api = wechat.address("wechat");
        let mut settings = unlimited_gateway(api, &account, login_ttl, pages);
        if site.is_some() {
            settings.insert("GATEWAY_ALLOWED_ORIGINS", ISSUER.to_owned());
        }
        let gateway = Program::start("ws-gateway", &settings);
        let mut settings = callback(api, &account, gateway.address("notices").to_string());
        settings.insert("CALLBACK_STORE", sqlite(folder.path()));
        if let Some(site) = site {
            let file = folder.path().join("sites.toml");
            std::fs::write(&file, site.entry())?;
            settings.extend([
                ("CALLBACK_SITES", file.display().to_string()),
                ("CALLBACK_PUBLIC_URL", ISSUER.to_owned()),
                ("CALLBACK_BROWSER_URL", format!("http://{}", gateway.address("browsers"))),
                ("CALLBACK_ADDRESS_RATE", "1000000".to_owned()),
            ]);
        }
        let callback = Program::start("callback-service", &settings);
        let phones = Phones::new(api).await?;
        phones.push_to(callback.address("pushes")).await?;
        let system = Self {
            visitors: Arc::new(Visitors { gateway: gateway.address("browsers"), phones, login_ttl }),
            http: reqwest::Client::builder().no_proxy().build()?,
            _folder: folder,
            gateway,
            callback,
            wechat,
        };
        system.is_ready().await?;
        Ok(system)
    }

    /// Where the callback service takes browsers and back ends.
    pub(crate) fn provider(&self) -> SocketAddr {
        self.callback.address("pushes")
    }

    /// Takes a sample of each program.
    ///
    /// # Errors
    /// When a program has ended.
    pub(crate) fn sample(&self) -> anyhow::Result<Samples> {
        Ok(Samples {
            gateway: Sample::of(self.gateway.id()).context("ws-gateway")?,
            callback: Sample::of(self.callback.id()).context("callback-service")?,
            wechat: Sample::of(self.wechat.id()).context("simulator")?,
        })
    }

    /// Adds the programs' warnings since the last call to `warnings`, each with its count.
    pub(crate) fn collect_warnings(&self, warnings: &mut BTreeMap<String, u64>) {
        let programs = [
            ("ws-gateway", &self.gateway),
            ("callback-service", &self.callback),
            ("simulator", &self.wechat),
        ];
        for (name, program) in programs {
            for line in program.log().lines() {
                let said: Value = serde_json::from_str(line).unwrap_or_default();
                if said["level"] != "INFO" {
                    let message = said["message"].as_str().unwrap_or(line);
                    *warnings.entry(format!("{name}: {message}")).or_default() += 1;
                }
            }
        }
    }

    /// What Prometheus would get from the gateway.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn scrape(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/metrics", self.gateway.address("admin"));
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// Waits until the gateway holds no page.
    ///
    /// # Errors
    /// When it still holds some after half a minute.
    pub(crate) async fn has_no_pages(&self) -> anyhow::Result<()> {
        let admin = self.gateway.address("admin");
        let left = self.becomes(admin, "/metrics", |text| text.lines().any(|line| line == "gateway_pages 0"));
        left.await.context("the gateway still holds pages after they have left")
    }

    /// Ends the services as an operator would.
    ///
    /// # Errors
    /// When a service does not log that everything ended in time.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        for (name, program) in [("callback-service", &mut self.callback), ("ws-gateway", &mut self.gateway)] {
            let status = program.terminate();
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }

    async fn is_ready(&self) -> anyhow::Result<()> {
        let admin = self.callback.address("admin");
        self.becomes(admin, "/readyz", |_| true).await.context("callback-service does not become ready")
    }

    /// Repeats a request until its answer is good.
    async fn becomes(
        &self,
        admin: SocketAddr,
        path: &str,
        is_good: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut pace = interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            let answer = self.http.get(format!("http://{admin}{path}")).send().await?;
            let is_success = answer.status().is_success();
            if is_good(&answer.text().await?) && is_success {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        }
    }
}
