//! Where the clients live: both services as processes and an offline WeChat, behind a proxy with certificates of a test's
//! authority, and one person with a browser and a phone.
//!
//! Each name of a deployment is an address of loopback here, so that each site has cookies of its own and is a foreign
//! site to the issuer, as it is on the Internet.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::browser::Browser;
use e2e::page::PATIENCE;
use e2e::programs::{Program, output, text};
use simulator::{Settings, Simulator};
use tempfile::TempDir;
use test_certificates::{Authority, Identity};
use test_redis::free_port;
use tokio::net::TcpListener;
use tokio::task::block_in_place;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::proxy::{self, Behind, Names, Services};
use crate::recipe;

const NOTIFY_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The state of Saoma's login page that shows a code.
const WAITING: &str = "document.body.dataset.state === 'waiting'";

/// The number that Saoma's login page shows to whoever has scanned, once it is there.
const NUMBER: &str = "document.querySelector('.saoma-number')?.textContent.match(/^\\s*(\\d\\d)\\s*$/)?.[1]";

/// How a site shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    Basic,
    Post,
    /// Not at all: PKCE must do.
    Public,
}

impl Authentication {
    /// Its name in the standard.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::Public => "none",
        }
    }
}

/// Who answers for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// A program behind the proxy.
    Proxy,
    /// The site's own web server.
    Own,
    /// The proxy alone.
    Nobody,
}

/// A site that a test wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) id: &'static str,
    /// The page of docs/recipes/ that has its entry.
    pub(crate) recipe: &'static str,
    /// Its address in there.
    pub(crate) written: &'static str,
    pub(crate) authentication: Authentication,
    pub(crate) tls: Tls,
}

/// A site.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) id: &'static str,
    pub(crate) recipe: &'static str,
    written: &'static str,
    pub(crate) authentication: Authentication,
    pub(crate) secret: Option<String>,
    /// Its address for browsers.
    pub(crate) url: String,
    /// Where its program listens.
    pub(crate) listens: SocketAddr,
}

/// Everything but the clients.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) issuer: String,
    pub(crate) sites: Vec<Site>,
    pub(crate) authority: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) browser: Browser,
    wechat: Simulator,
    person: String,
    proxy: Client,
    _gateway: Program,
    callback: Program,
    _wechat: DropGuard,
}

/// An address of loopback that nobody has.
fn free(last: u8) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), free_port()).into()
}

impl World {
    /// Starts everything, and registers these sites by the entries that their recipes show.
    pub(crate) async fn start<const N: usize>(names: Names, wanted: [Wanted; N]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Apache's processes are nobody's, and read pages in there.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::new(folder.path(), "everybody's");
        let addresses: Vec<String> = (30..50).map(|last| format!("127.0.0.{last}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let identity = authority.sign("own", &addresses);

        let (issuer, gateway) = match names {
            Names::Two => (free(30), free(31)),
            Names::One => {
                let both = free(30);
                (both, both)
            }
        };
        let [issuer_url, gateway_url] = [issuer, gateway].map(|address| format!("https://{address}"));
        let mut last = 32;
        let sites = wanted.map(|wanted| {
            let Wanted { id, recipe, written, authentication, tls } = wanted;
            let seen = free(last);
            last += 1;
            let listens = if tls == Tls::Own { seen } else { free(1) };
            let site = |secret| {
                let url = format!("https://{seen}");
                Site { id, recipe, written, authentication, secret, url, listens }
            };
            let (site, entry) = register(site, &issuer_url);
            let behind = match tls {
                Tls::Own => None,
                Tls::Proxy => Some((seen, Behind::Program(listens))),
                Tls::Nobody => Some((seen, Behind::Nothing)),
            };
            (site, entry, behind)
        });
        let entries: String = sites.iter().map(|(_, entry, _)| format!("{entry}\n")).collect();
        let file = folder.path().join("sites.toml");
        std::fs::write(&file, entries).unwrap();

        let wechat = Simulator::new(Settings::default()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        wechat.set_public_url(api.clone());
        let stop = CancellationToken::new();
        tokio::spawn(wechat.clone().serve(listener, stop.clone(), TaskTracker::new()));

        let account = wechat.settings().clone();
        let common = HashMap::from([
            ("WECHAT_APP_ID", account.app_id),
            ("WECHAT_APP_SECRET", account.app_secret),
            ("WECHAT_API_URL", api.clone()),
            ("NOTIFY_KEY", NOTIFY_KEY.to_owned()),
        ]);
        let any = "127.0.0.1:0".to_owned();
        let mut settings = common.clone();
        settings.extend([
            ("GATEWAY_LISTEN", any.clone()),
            ("GATEWAY_NOTIFY_LISTEN", any.clone()),
            ("GATEWAY_ADMIN_LISTEN", any.clone()),
            ("GATEWAY_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ]);
        if names == Names::Two {
            settings.insert("GATEWAY_ALLOWED_ORIGINS", format!("{gateway_url},{issuer_url}"));
        }
        let at_gateway = block_in_place(|| Program::start("ws-gateway", &settings));
        let mut settings = common;
        settings.extend([
            ("CALLBACK_LISTEN", any.clone()),
            ("CALLBACK_ADMIN_LISTEN", any),
            ("CALLBACK_GATEWAY", at_gateway.address("notices").to_string()),
            ("CALLBACK_STORE", format!("sqlite:{}", folder.path().join("callback.db").display())),
            ("CALLBACK_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("CALLBACK_SITES", file.display().to_string()),
            ("CALLBACK_PUBLIC_URL", issuer_url.clone()),
            ("CALLBACK_BROWSER_URL", gateway_url),
            ("WECHAT_TOKEN", account.token),
            ("WECHAT_AES_KEY", account.aes_key),
            ("WECHAT_ORIGINAL_ID", account.original_id),
            // Whom it believes when it tells sites of a logout.
            ("SSL_CERT_FILE", authority.certificate.display().to_string()),
        ]);
        let callback = block_in_place(|| Program::start("callback-service", &settings));
        wechat.set_push_url(format!("http://{}/wechat", callback.address("pushes")));
        let services = Services {
            names,
            gateway,
            gateway_behind: at_gateway.address("browsers"),
            issuer,
            callback_behind: callback.address("pushes"),
        };
        let behind: Vec<_> = sites.iter().filter_map(|(.., behind)| *behind).collect();
        let pins = [identity.pin.as_str()];
        let (proxy, browser) = tokio::join!(
            proxy::start(folder.path(), &identity, &services, &behind),
            Browser::start_trusting("zh-CN", &pins),
        );
        until_ready(callback.address("admin")).await;
        let person = wechat.invent_person("阿狸", true).openid;
        Self {
            folder,
            issuer: issuer_url,
            sites: sites.into_iter().map(|(site, ..)| site).collect(),
            authority: authority.certificate,
            identity,
            browser,
            wechat,
            person,
            proxy,
            _gateway: at_gateway,
            callback,
            _wechat: stop.drop_guard(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The person's openid.
    pub(crate) fn person(&self) -> &str {
        &self.person
    }

    /// Whether the browser shows Saoma's login page.
    pub(crate) async fn until_asked_to_scan(&self) {
        let issuer = &self.issuer;
        self.browser.until(&format!("location.origin === '{issuer}' && {WAITING}")).await;
    }

    /// Scans the code of Saoma's login page, which the browser shows, and confirms it by the number that it shows then. The
    /// browser then leaves for the site.
    pub(crate) async fn scan(&self) {
        self.until_asked_to_scan().await;
        let code = self.browser.read_code(".saoma-code", &[]).await;
        let delivery = self.wechat.scan(&self.person, &code).await.unwrap();
        assert!(delivery.reply.is_some(), "{:?}", delivery.attempts);
        let number = self.browser.until(NUMBER).await;
        let delivery = self.wechat.say(&self.person, number.as_str().unwrap()).await.unwrap();
        let reply = delivery.reply.unwrap_or_default();
        assert!(reply.contains("欢迎回来"), "{reply}: {:?}", delivery.attempts);
    }

    /// Waits until the browser has come to this address, and gives what stands there.
    pub(crate) async fn arrives(&self, address: &str) -> String {
        let shown = format!("location.href.split('?')[0] === '{address}' && document.body.innerText");
        self.browser.until(&shown).await.as_str().unwrap().trim().to_owned()
    }

    /// Opens a page again and again, until what it shows is as wanted; gives that.
    pub(crate) async fn until_shown(&self, url: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let patience = Instant::now() + PATIENCE;
        loop {
            self.browser.open(url).await;
            let shown = self.browser.value("document.body.innerText").await;
            let shown = shown.as_str().unwrap_or_default().trim();
            if is_wanted(shown) {
                return shown.to_owned();
            }
            let log = || format!("{}\n{}", self.callback.log(), self.proxy.said());
            assert!(Instant::now() < patience, "{url} still shows {shown:?}; {}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How the clients have redeemed codes so far: by the scheme of their header, or `-` without one. All were given
    /// something, and each had sent a challenge of PKCE before.
    pub(crate) fn redeemed(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.path("asked.log")).unwrap();
        let mut redeemed = Vec::new();
        for line in asked.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["POST", "/token", how, "200", _] => redeemed.push(how.to_owned()),
                ["GET", "/authorize", _, "200" | "303", "S256"] => {}
                [_, "/token" | "/authorize", ..] => panic!("{line}"),
                _ => {}
            }
        }
        redeemed
    }

    /// A client of HTTP that believes the test's authority alone, and follows no redirect.
    pub(crate) fn http(&self) -> reqwest::Client {
        let authority = std::fs::read(&self.authority).unwrap();
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .build()
            .unwrap()
    }
}

impl Site {
    /// A text of the recipe with this site's addresses and secret in it.
    pub(crate) fn filled(&self, text: &str, issuer: &str) -> String {
        let text = recipe::replace(text, self.written, &self.url).replace(recipe::ISSUER, issuer);
        text.replace(recipe::SECRET, self.secret.as_deref().unwrap_or_default())
    }

    /// The page of its recipe.
    pub(crate) fn page(&self) -> String {
        format!("docs/recipes/{}.md", self.recipe)
    }
}

/// Makes a secret as an operator does, and the site's entry of what the recipe shows.
fn register(site: impl FnOnce(Option<String>) -> Site, issuer: &str) -> (Site, String) {
    let made = block_in_place(|| output("callback-service", &HashMap::new(), &["new-site", "shop"]));
    let made = text(&made.stdout);
    let after = |mark: &str| made.split(mark).nth(1).unwrap().split(['"', '\n']).next().unwrap().to_owned();
    let (hash, secret) = (after("secret_sha256 = \""), after("# client secret: "));
    let site = site(Some(secret));
    let entry = recipe::block(&site.page(), "toml");
    let lines = entry.lines().map(|line| match line.split(" = ").next().unwrap() {
        "id" => format!("id = \"{}\"", site.id),
        "secret_sha256" if site.authentication == Authentication::Public => "public = true".to_owned(),
        "secret_sha256" => format!("secret_sha256 = \"{hash}\""),
        _ => line.to_owned(),
    });
    let entry = site.filled(&lines.collect::<Vec<_>>().join("\n"), issuer);
    let secret = site.secret.clone().filter(|_| site.authentication != Authentication::Public);
    (Site { secret, ..site }, entry)
}

async fn until_ready(admin: SocketAddr) {
    let ready = async {
        while !reqwest::get(format!("http://{admin}/readyz")).await.is_ok_and(|it| it.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("it gets ready");
}

/// Writes a file that Apache's or PHP's processes may read.
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
