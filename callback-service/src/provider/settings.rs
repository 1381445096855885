//! What an operator sets about the provider, and what is checked before anything is bound.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use login_page::Accent;
use login_page::brand::{self, Brand, Links};
use server::settings::{self, SettingError};
use url::Url;
use wechat::push::Mode;

use super::keys::{self, Source};
use super::sessions::Lives;
use super::sites::{Sites, file, is_loopback};
use crate::account::Officials;
use crate::storage::Storage;

/// What an operator sets about sites.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// The file of sites that receive logins by OpenID Connect, in TOML; callback-service new-site prints an entry.
    /// Unset: there is no provider. It is read again on SIGHUP.
    #[arg(long, env)]
    pub(crate) callback_sites: Option<PathBuf>,

    /// This service as browsers see it, https://id.example.cn: the issuer. Sites keep it for ever. For web authorizations its
    /// host has to be registered in the account's console (网页授权域名).
    #[arg(long, env)]
    pub(crate) callback_public_url: Option<String>,

    /// The gateway as browsers see it, https://login.example.cn.
    #[arg(long, env)]
    callback_browser_url: Option<String>,

    /// This service as back ends in the same network reach it, if that is another address; it is named for tokens,
    /// user info and keys.
    #[arg(long, env)]
    callback_internal_url: Option<String>,

    /// Login pages a minute for one address (an IPv6 /64), as with the gateway's GATEWAY_ADDRESS_RATE: each keeps a
    /// request for an hour.
    #[arg(long, env, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    callback_address_rate: u32,

    /// The file of the keys that sign tokens. Unset: beside the SQLite file, made at the first start. With Redis it
    /// must be named, and every host needs the same file; callback-service rotate-key makes it.
    #[arg(long, env)]
    pub(crate) callback_signing_keys: Option<PathBuf>,

    /// When a signing key is replaced by the next one, where the file is this service's own.
    #[arg(long, env, default_value = "90days", value_parser = settings::duration)]
    callback_key_age: Duration,

    /// A browser whose person has scanned need not scan for the next site, unless it was idle for this long.
    #[arg(long, env, default_value = "12h", value_parser = settings::duration)]
    callback_session_idle: Duration,

    /// It has to scan again after this in any case.
    #[arg(long, env, default_value = "7days", value_parser = settings::duration)]
    callback_session_life: Duration,

    /// The URL of a picture above the heading of the login page; it must not redirect to another host.
    #[arg(long, env, value_parser = brand::picture)]
    callback_logo: Option<String>,

    /// The colour of buttons and marks on the pages, such as #07803f. White words on it need a contrast of 4.5:1. Unset:
    /// greens like WeChat's.
    #[arg(long, env)]
    callback_accent: Option<Accent>,

    /// A line of your own below the heading of the login page, of up to 200 characters.
    #[arg(long, env, value_parser = brand::line)]
    callback_line: Option<String>,

    /// Links at the end of the login page, up to five, such as
    /// Terms=https://example.com/terms,Privacy=https://example.com/privacy.
    #[arg(long, env)]
    callback_links: Option<Links>,

    /// The name of the official account, with which the login page says before the scan that whoever scans follows it.
    #[arg(long, env, value_parser = brand::account_name)]
    callback_account_name: Option<String>,
}

/// The lifetimes that a session may have: long enough to be of use, and no longer than what is kept of a person.
const SESSION: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 3600);

/// The age at which a key may be replaced.
const KEY_AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(24 * 3600)..=Duration::from_secs(3650 * 24 * 3600);

/// The setting that makes a provider.
const SITES: &str = "CALLBACK_SITES";

/// Where the provider is.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// The issuer, as sites compare it.
    pub issuer: String,
    /// The gateway, as pages reach it.
    pub gateway: String,
    /// Where back ends find tokens, user info and keys.
    pub back_ends: String,
    /// Whether browsers come by TLS.
    pub is_secure: bool,
}

/// Settings that were found good.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(super) addresses: Addresses,
    pub(super) sites: Sites,
    pub(super) keys: Source,
    pub(super) key_age: Duration,
    pub(super) lives: Lives,
    /// Login pages a minute for one address.
    pub(super) address_rate: u32,
    /// What the pages show beside the site's name.
    pub(super) brand: Brand,
    /// What is asked of a browser that is WeChat's own, where anything is.
    pub(super) inside: Option<wechat::Scope>,
}

/// This service as browsers see it: what is needed without sites, too, where people log in inside WeChat.
#[derive(Debug, Clone)]
pub(crate) struct ForBrowsers {
    /// `CALLBACK_PUBLIC_URL`.
    pub public: String,
    /// `CALLBACK_BROWSER_URL`.
    pub gateway: Option<String>,
    /// The style of every page, in the operator's colour.
    pub style: String,
    /// Pages a minute for one address.
    pub address_rate: u32,
}

impl Settings {
    /// Checks the settings; `None` where there is to be no provider.
    ///
    /// # Errors
    /// Which setting is wrong or missing.
    pub(crate) fn checked(
        self,
        accounts: &Officials,
        storage: &Storage,
        inside: Option<wechat::Scope>,
    ) -> Result<Option<Checked>, SettingError> {
        let Some(path) = self.callback_sites.clone() else {
            let is_vain = inside.is_none();
            let others = [
                ("CALLBACK_PUBLIC_URL", is_vain && self.callback_public_url.is_some()),
                ("CALLBACK_BROWSER_URL", is_vain && self.callback_browser_url.is_some()),
                ("CALLBACK_INTERNAL_URL", self.callback_internal_url.is_some()),
                ("CALLBACK_LOGO", self.callback_logo.is_some()),
                ("CALLBACK_ACCENT", is_vain && self.callback_accent.is_some()),
                ("CALLBACK_LINE", self.callback_line.is_some()),
                ("CALLBACK_LINKS", self.callback_links.is_some()),
                ("CALLBACK_ACCOUNT_NAME", self.callback_account_name.is_some()),
            ];
            return match others.iter().find(|(_, is_set)| *is_set) {
                None => Ok(None),
                Some((name, _)) => Err(SettingError::new(
                    *name,
                    "means nothing without CALLBACK_SITES; set that, or take this away",
                )),
            };
        };
        if accounts.iter().any(|official| official.account.push.mode() == Mode::Plaintext) {
            return Err(SettingError::new(
                "CALLBACK_SITES",
                "sites need WECHAT_MODE safe or compatible, and so each account in WECHAT_ACCOUNTS: in plaintext mode WeChat's signature does not cover who has \
                 scanned",
            ));
        }
        for (name, time, range) in [
            ("CALLBACK_SESSION_IDLE", self.callback_session_idle, SESSION),
            ("CALLBACK_SESSION_LIFE", self.callback_session_life, SESSION),
            ("CALLBACK_KEY_AGE", self.callback_key_age, KEY_AGE),
        ] {
            if !range.contains(&time) {
                let days = range.end().as_secs() / (24 * 3600);
                let least = range.start().as_secs();
                return Err(SettingError::new(name, format!("must be between {least}s and {days}days")));
            }
        }
        let issuer = address("CALLBACK_PUBLIC_URL", self.callback_public_url.clone(), true, SITES)?;
        let gateway = address("CALLBACK_BROWSER_URL", self.callback_browser_url.clone(), true, SITES)?;
        let back_ends = match self.callback_internal_url.clone() {
            None => issuer.clone(),
            internal => address("CALLBACK_INTERNAL_URL", internal, false, SITES)?,
        };
        let officials = accounts.directory();
        let sites =
            file::read(&path, &officials).map_err(|problem| SettingError::new("CALLBACK_SITES", problem))?;
        let is_secure = issuer.starts_with("https:");
        let keys = key_source(self.callback_signing_keys, storage)?;
        if let Source::Own(path) | Source::Shared(path) = &keys
            && (path.exists() || matches!(keys, Source::Shared(_)))
        {
            keys::file::check(path).map_err(|problem| SettingError::new(keys::SETTING, problem))?;
        }
        if let Source::Own(path) = &keys
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
            && !folder.is_dir()
        {
            return Err(SettingError::new(keys::SETTING, format!("there is no folder {}", folder.display())));
        }
        Ok(Some(Checked {
            addresses: Addresses { issuer, gateway, back_ends, is_secure },
            sites: Sites::new(path, officials, sites),
            keys,
            key_age: self.callback_key_age,
            address_rate: self.callback_address_rate,
            lives: Lives { idle: self.callback_session_idle, life: self.callback_session_life },
            brand: Brand {
                logo: self.callback_logo,
                accent: self.callback_accent,
                line: self.callback_line,
                links: self.callback_links.unwrap_or_default(),
                account: self.callback_account_name,
            },
            inside,
        }))
    }

    /// This service as browsers see it, where that is set and a URL.
    pub(crate) fn public_url(&self) -> Option<Url> {
        self.callback_public_url.as_deref().and_then(|url| Url::parse(url).ok())
    }

    /// `CALLBACK_BROWSER_URL`, as it was written.
    pub(crate) fn gateway(&self) -> Option<&str> {
        self.callback_browser_url.as_deref()
    }

    /// Checks what web authorizations need, with sites or without.
    ///
    /// # Errors
    /// Which setting is wrong or missing.
    pub(crate) fn for_browsers(&self, needed_by: &str) -> Result<ForBrowsers, SettingError> {
        let public = self.callback_public_url.clone();
        let gateway = self.callback_browser_url.clone();
        let gateway = gateway.map(|url| address("CALLBACK_BROWSER_URL", Some(url), true, needed_by));
        let brand = Brand { accent: self.callback_accent, ..Brand::NONE };
        Ok(ForBrowsers {
            public: address("CALLBACK_PUBLIC_URL", public, true, needed_by)?,
            gateway: gateway.transpose()?,
            style: brand.style(),
            address_rate: self.callback_address_rate,
        })
    }
}

impl Checked {
    /// The issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.addresses.issuer
    }

    /// The gateway, as pages reach it.
    pub(crate) fn gateway(&self) -> &str {
        &self.addresses.gateway
    }

    /// The file of signing keys, where they are in one.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        match &self.keys {
            Source::Own(path) | Source::Shared(path) => Some(path),
            Source::Memory => None,
        }
    }

    /// Whether the service renews the keys by itself, at [`Checked::key_age`].
    pub(crate) fn renews_keys(&self) -> bool {
        !matches!(self.keys, Source::Shared(_))
    }

    /// The age at which a signing key is to be replaced.
    pub(crate) fn key_age(&self) -> Duration {
        self.key_age
    }

    /// The sites' ids.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sites.all().iter().map(|site| site.id.clone()).collect()
    }

    /// The addresses at which sites are told something: the site's id, the key that names the address, and the address.
    pub(crate) fn back_ends(&self) -> Vec<(String, &'static str, String)> {
        let sites = self.sites.all();
        let of = |key, url: Option<&String>, id: &str| url.map(|url| (id.to_owned(), key, url.clone()));
        let all = sites.iter().flat_map(|site| {
            let webhook = site.webhook.as_ref().map(|webhook| &webhook.url);
            let logout = site.backchannel_logout_uri.as_ref();
            [of("webhook_url", webhook, &site.id), of("backchannel_logout_uri", logout, &site.id)]
        });
        all.flatten().collect()
    }

    /// The same for a command that signs nothing: it neither reads nor makes the file of keys.
    pub(crate) fn without_keys(mut self) -> Self {
        self.keys = Source::Memory;
        self
    }

    /// What is set, in a few words.
    pub(crate) fn summary(&self) -> String {
        let keys = match &self.keys {
            Source::Own(path) if !path.exists() => "signing keys will be made at the start".to_owned(),
            Source::Memory => "signing keys last as long as the process".to_owned(),
            Source::Own(path) | Source::Shared(path) => format!("signing keys are in {}", path.display()),
        };
        let sites: Vec<_> = self.sites.all().iter().map(|site| site.id.clone()).collect();
        format!("the issuer is {}; sites: {}; {keys}", self.addresses.issuer, sites.join(", "))
    }
}

/// Where the signing keys are.
///
/// # Errors
/// When it has to be said and is not.
pub(crate) fn key_source(named: Option<PathBuf>, storage: &Storage) -> Result<Source, SettingError> {
    match (named, storage.sqlite_file()) {
        // One machine: nobody else has a copy.
        (Some(path), Some(_)) => Ok(Source::Own(path)),
        (None, Some(sqlite)) => Ok(Source::Own(sqlite.with_extension("keys.json"))),
        (Some(path), None) => Ok(Source::Shared(path)),
        (None, None) if storage.ends_with_the_process() => Ok(Source::Memory),
        (None, None) => Err(SettingError::new(
            keys::SETTING,
            "is not set; with Redis every callback-service needs the same keys: make the file with callback-service \
             rotate-key, copy it to every host, and name it",
        )),
    }
}

/// Reads an address of this system: scheme and host, perhaps a port, and nothing behind. Browsers come by https, but for
/// addresses of the machine itself.
fn address(
    name: &str,
    text: Option<String>,
    is_for_browsers: bool,
    needed_by: &str,
) -> Result<String, SettingError> {
    let wrong = |problem: &str| SettingError::new(name, problem);
    let text = text.ok_or_else(|| wrong(&format!("is not set, and {needed_by} is")))?;
    let url =
        Url::parse(&text).map_err(|_| wrong("is no address; write for example https://id.example.cn"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(wrong("is no address; write for example https://id.example.cn"));
    }
    if is_for_browsers && url.scheme() == "http" && !is_loopback(&url) {
        return Err(wrong("must begin with https://; http is for addresses of this machine only"));
    }
    if text.ends_with('/') {
        return Err(wrong(
            "ends with a slash; take it away, because sites compare the address letter by letter",
        ));
    }
    match url.origin().ascii_serialization() == text {
        true => Ok(text),
        false => Err(wrong(
            "must be scheme and host, lower-case, perhaps with a port, and nothing behind: https://id.example.cn",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_issuer_is_an_origin() {
        let of = |text: &str| address("CALLBACK_PUBLIC_URL", Some(text.to_owned()), true, SITES);
        for good in
            ["https://id.example.cn", "https://id.example.cn:8443", "http://localhost:8080", "http://[::1]:1"]
        {
            assert_eq!(of(good).unwrap(), good);
        }
        for (wrong, say) in [
            ("", "no address"),
            ("id.example.cn", "no address"),
            ("ftp://id.example.cn", "no address"),
            ("http://id.example.cn", "https"),
            ("https://id.example.cn/", "slash"),
            ("https://id.example.cn/oidc", "nothing behind"),
            ("https://id.example.cn?x", "nothing behind"),
            ("https://ID.example.cn", "lower-case"),
            ("https://id.example.cn:443", "nothing behind"),
            ("https://u@id.example.cn", "nothing behind"),
        ] {
            let problem = of(wrong).unwrap_err().to_string();
            assert!(
                problem.starts_with("CALLBACK_PUBLIC_URL: ") && problem.contains(say),
                "{wrong}: {problem}"
            );
        }
        assert!(
            address("CALLBACK_INTERNAL_URL", Some("http://callback:8080".to_owned()), false, SITES).is_ok()
        );
        assert!(address("CALLBACK_PUBLIC_URL", None, true, SITES).is_err());
    }
}
