//! The official accounts: their settings and secrets, from which both sides of each are put together. One may be in
//! variables, and others in a file.

pub(crate) mod names;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use account_file::Entry;
use clap::Args;
use login_page::brand;
use secrecy::{ExposeSecret, SecretString};
use server::settings::{self, SettingError, Wrong};
use server::visible::identifier;
use wechat::push::{self, Endpoint, Mode};
use wechat::{Account, Client};

use self::names::{Directory, Names};
use crate::relay::{self, Routes};

/// What an operator sets about the official accounts.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// How pushes travel: safe, compatible or plaintext, as in WeChat's message push settings.
    #[arg(long, env, default_value = "safe")]
    wechat_mode: Mode,

    /// The gh_ name that pushes must be addressed to.
    #[arg(long, env, value_parser = identifier)]
    wechat_original_id: Option<String>,

    /// How far a push's timestamp may be from now; off is for replaying recorded pushes only.
    #[arg(long, env, default_value = "300s")]
    wechat_push_max_age: MaxAge,

    /// The official account's appid. Unset: the accounts are those of WECHAT_ACCOUNTS.
    #[arg(long, env, value_parser = identifier)]
    wechat_app_id: Option<String>,

    /// A file of official accounts in TOML, beside or in place of the one that the other variables set up. Each has a name,
    /// and its pushes come to /wechat/ and that name. The gateway needs the same file. It is read at the start.
    #[arg(long, env)]
    wechat_accounts: Option<PathBuf>,

    /// The appid of the third-party platform (第三方平台) that manages the account, if pushes are encrypted for it.
    #[arg(long, env, value_parser = identifier)]
    wechat_component_app_id: Option<String>,

    /// Where WeChat's API is. It is asked through the HTTP proxy that HTTPS_PROXY names, if it names one: for an
    /// account that allows one fixed address. Loopback is asked without.
    #[arg(long, env, default_value = wechat::OFFICIAL_API_URL)]
    wechat_api_url: String,

    /// Where browsers are sent for a web authorization. Unset: WeChat's own host, or WECHAT_API_URL when that is set.
    #[arg(long, env)]
    wechat_open_url: Option<String>,
}

/// A push that is older than this is no news, and to remember it for longer would cost memory.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// The way in an account's `ways` by which its people are asked inside WeChat. What else may stand there is the gateway's.
const WECHAT: &str = "wechat";

/// How old a push may be; `None` for any age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MaxAge(Option<Duration>);

impl FromStr for MaxAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => match settings::duration(text)? {
                age if age <= LONGEST_AGE => Ok(Self(Some(age))),
                _ => Err("at most 1day; off is for replaying recorded pushes".to_owned()),
            },
        }
    }
}

/// The account's secrets.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `WECHAT_APP_SECRET`.
    pub app_secret: Option<SecretString>,
    /// `WECHAT_TOKEN`.
    pub token: Option<SecretString>,
    /// `WECHAT_AES_KEY`.
    pub aes_key: Option<SecretString>,
    /// `WECHAT_TOKEN_PREVIOUS`.
    pub previous_token: Option<SecretString>,
    /// `WECHAT_AES_KEY_PREVIOUS`.
    pub previous_aes_key: Option<SecretString>,
}

impl Secrets {
    /// Reads them from the environment or its files.
    pub(crate) fn read(wrong: &mut Wrong) -> Self {
        Self {
            app_secret: wrong.secret("WECHAT_APP_SECRET"),
            token: wrong.secret("WECHAT_TOKEN"),
            aes_key: wrong.secret("WECHAT_AES_KEY"),
            previous_token: wrong.secret("WECHAT_TOKEN_PREVIOUS"),
            previous_aes_key: wrong.secret("WECHAT_AES_KEY_PREVIOUS"),
        }
    }

    /// Refuses secrets of an account whose appid is not set: whoever sets them means it to be there.
    fn refuse_without_an_account(&self) -> Result<(), SettingError> {
        let secrets = [
            ("WECHAT_APP_SECRET", &self.app_secret),
            ("WECHAT_TOKEN", &self.token),
            ("WECHAT_AES_KEY", &self.aes_key),
        ];
        match secrets.into_iter().find(|(_, secret)| secret.is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(SettingError::new(
                name,
                "means nothing without WECHAT_APP_ID; set that, or take this away",
            )),
        }
    }

    /// Refuses the demo's secrets, which everybody can read.
    ///
    /// # Errors
    /// Which one is the demo's.
    pub(crate) fn refuse_printed(&self) -> Result<(), SettingError> {
        settings::refuse_printed(&[
            ("WECHAT_APP_SECRET", self.app_secret.as_ref()),
            ("WECHAT_TOKEN", self.token.as_ref()),
            ("WECHAT_TOKEN_PREVIOUS", self.previous_token.as_ref()),
            ("WECHAT_AES_KEY", self.aes_key.as_ref()),
            ("WECHAT_AES_KEY_PREVIOUS", self.previous_aes_key.as_ref()),
        ])
    }
}

impl Settings {
    /// Whether WeChat is a simulated one, with which a demo's secrets are taken.
    pub(crate) fn is_simulated(&self) -> bool {
        wechat::is_simulated(&self.wechat_api_url)
    }

    /// Where browsers are sent for a web authorization.
    pub(crate) fn open_url(&self) -> String {
        match &self.wechat_open_url {
            Some(url) => url.clone(),
            None if self.wechat_api_url == wechat::OFFICIAL_API_URL => wechat::OFFICIAL_OPEN_URL.to_owned(),
            None => self.wechat_api_url.clone(),
        }
    }

    /// Where WeChat's API is.
    pub(crate) fn api_url(&self) -> &str {
        &self.wechat_api_url
    }

    /// Puts the accounts together: that of the variables first, if there is one, then those of the file in its order.
    ///
    /// # Errors
    /// Which setting or secret is missing or wrong.
    pub(crate) fn checked(self, secrets: Secrets, relay: Option<Routes>) -> Result<Officials, SettingError> {
        let mut accounts = Vec::new();
        match &self.wechat_app_id {
            Some(app_id) => accounts.push(self.of_variables(app_id, secrets, relay.unwrap_or_default())?),
            None if relay.is_some() => {
                let problem = "means nothing without WECHAT_APP_ID; write relay in the account's entry of WECHAT_ACCOUNTS";
                return Err(SettingError::new(relay::RELAY_URL, problem));
            }
            None if self.wechat_accounts.is_none() => {
                let problem = "is not set; set it, or name a file of accounts in WECHAT_ACCOUNTS";
                return Err(SettingError::new("WECHAT_APP_ID", problem));
            }
            None => secrets.refuse_without_an_account()?,
        }
        if let Some(path) = &self.wechat_accounts {
            for entry in account_file::read(path, self.is_simulated())? {
                let problem = "it is that of WECHAT_APP_ID as well; one account has one entry";
                if self.wechat_app_id.as_deref() == Some(entry.app_id()) {
                    return Err(entry.wrong("app_id", problem));
                }
                accounts.push(self.of_entry(&entry)?);
            }
        }
        Ok(Officials(accounts))
    }

    fn of_variables(&self, app_id: &str, secrets: Secrets, relay: Routes) -> Result<Official, SettingError> {
        let push = push::Settings {
            mode: self.wechat_mode,
            app_id: app_id.to_owned(),
            component_app_id: self.wechat_component_app_id.clone(),
            token: settings::needed("WECHAT_TOKEN", secrets.token)?,
            previous_token: secrets.previous_token,
            aes_key: secrets.aes_key,
            previous_aes_key: secrets.previous_aes_key,
            original_id: self.wechat_original_id.clone(),
            max_age: self.wechat_push_max_age.0,
        };
        let push = Endpoint::new(push).map_err(|error| SettingError::new(error.setting(), error))?;
        let api = self.client(app_id, settings::needed("WECHAT_APP_SECRET", secrets.app_secret)?)?;
        Ok(Official { names: Names::new(None, app_id), account: Account { push, api }, relay })
    }

    fn of_entry(&self, entry: &Entry) -> Result<Official, SettingError> {
        let mode = entry.text("mode").map_or(Ok(Mode::default()), str::parse);
        let owned = |key: &str| entry.text(key).map(str::to_owned);
        let push = push::Settings {
            mode: mode.map_err(|error| entry.wrong("mode", error))?,
            app_id: entry.app_id().to_owned(),
            component_app_id: owned("component_app_id"),
            token: entry.needed("token")?,
            previous_token: entry.secret("token_previous")?,
            aes_key: entry.secret("aes_key")?,
            previous_aes_key: entry.secret("aes_key_previous")?,
            original_id: owned("original_id"),
            max_age: self.wechat_push_max_age.0,
        };
        let push = Endpoint::new(push).map_err(|error| {
            let key = error.setting().trim_start_matches("WECHAT_").to_ascii_lowercase();
            entry.wrong(&key, error)
        })?;
        let api = self.client(entry.app_id(), entry.needed("app_secret")?)?;
        let shown = entry.text("account_name").map(brand::account_name).transpose();
        let shown = shown.map_err(|problem| entry.wrong("account_name", problem))?;
        let has_wechat = entry.list("ways").is_none_or(|ways| ways.iter().any(|way| way.trim() == WECHAT));
        let names = Names::new(Some(entry.name()), entry.app_id()).shown_as(shown.as_deref());
        let names = names.asking_inside(has_wechat);
        let relay = entry.secret("relay")?.map(|routes| routes.expose_secret().parse()).transpose();
        let relay = relay.map_err(|problem: String| entry.wrong("relay", problem))?.unwrap_or_default();
        Ok(Official { names, account: Account { push, api }, relay })
    }

    fn client(&self, app_id: &str, app_secret: SecretString) -> Result<Client, SettingError> {
        let (app_id, api_url) = (app_id.to_owned(), self.wechat_api_url.clone());
        Client::new(wechat::Settings { app_id, app_secret, api_url })
            .map_err(|error| SettingError::new("WECHAT_API_URL", error))
    }
}

/// An official account, and what it is called.
#[derive(Debug)]
pub(crate) struct Official {
    pub names: Names,
    pub account: Account,
    /// Where another back end gets what is not ours.
    pub relay: Routes,
}

/// The official accounts: at least one.
#[derive(Debug)]
pub(crate) struct Officials(Vec<Official>);

impl Officials {
    /// Their names.
    #[must_use]
    pub(crate) fn directory(&self) -> Directory {
        let mut names = self.0.iter().map(|official| official.names.clone());
        let first = names.next().expect("at least one account");
        Directory::new(first, names)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Official> {
        self.0.iter()
    }
}

impl IntoIterator for Officials {
    type Item = Official;
    type IntoIter = std::vec::IntoIter<Official>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    /// The accounts of a file with this line in its one entry.
    fn of_file(line: &str, relay: Option<&str>) -> Result<Officials, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let entry = "[[account]]\nname = \"tea\"\napp_id = \"wx1\"\napp_secret = \"secret\"\ntoken = \"token\"\nmode = \"plaintext\"\n";
        std::fs::write(file.path(), format!("{entry}{line}\n")).unwrap();
        let flag = format!("--wechat-accounts={}", file.path().display());
        let Flags { settings } = Flags::parse_from(["x", &flag]);
        let relay = relay.map(|routes| routes.parse().unwrap());
        settings.checked(Secrets::default(), relay).map_err(|error| error.to_string())
    }

    #[test]
    fn each_account_has_its_own_back_end_and_no_other() {
        let relayed = |line: &str| of_file(line, None).unwrap().iter().next().unwrap().relay.clone();
        assert_eq!(relayed(""), Routes::default());
        assert_eq!(relayed("relay = \"https://old/wx\""), "https://old/wx".parse().unwrap());
        let told = of_file("relay = \"old/SECRET\"", None).unwrap_err();
        assert!(told.contains("line 7, account 1 (\"tea\"): relay: ") && !told.contains("SECRET"), "{told}");
        let told = of_file("", Some("https://old/wx")).unwrap_err();
        assert!(told.contains("CALLBACK_RELAY_URL: means nothing without WECHAT_APP_ID"), "{told}");
    }
}
