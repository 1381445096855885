//! The official accounts as they are set up: one may be in variables, others in the file of accounts.

use account_file::Entry;
use secrecy::SecretString;
use server::settings::{self, SettingError};

use super::{Presented, Settings};
use crate::codes::{self, PER_DAY, WeChat};

/// An official account that was found good.
#[derive(Debug, Clone)]
pub(crate) struct Official {
    /// Its name in the file; the one of the variables has none.
    pub(crate) id: Option<String>,
    app_id: String,
    /// The heading of its page, where it has one of its own.
    pub(crate) title: Option<String>,
    /// Calls for QR codes in a day.
    pub(crate) per_day: u32,
    pub(crate) presented: Presented,
    /// Where its codes are made.
    pub(crate) source: WeChat,
}

impl Official {
    /// Its appid, where it has a name: so that its counts are not those of the account of the variables.
    #[must_use]
    pub(crate) fn app_id_of_named(&self) -> Option<&str> {
        self.id.as_ref().map(|_| self.app_id.as_str())
    }

    /// Its name for metrics: nothing where it has none.
    #[must_use]
    pub(crate) fn label(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

/// The accounts of the settings: that of the variables first, if there is one, whose name for people this is, then those of
/// the file in its order.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn read(
    codes: &codes::Settings,
    ways: &Settings,
    name: Option<String>,
    app_secret: Option<SecretString>,
) -> Result<Vec<Official>, SettingError> {
    let mut officials = Vec::new();
    match (&codes.wechat_app_id, &codes.wechat_accounts) {
        (Some(app_id), _) => officials.push(Official {
            id: None,
            app_id: app_id.clone(),
            title: None,
            per_day: codes.qr_per_day,
            presented: ways.presented(name)?,
            source: codes.source(app_id, settings::needed("WECHAT_APP_SECRET", app_secret)?)?,
        }),
        (None, None) => {
            let problem = "is not set; set it, or name a file of accounts in WECHAT_ACCOUNTS";
            return Err(SettingError::new("WECHAT_APP_ID", problem));
        }
        (None, Some(_)) if app_secret.is_some() => {
            let problem = "means nothing without WECHAT_APP_ID; set that, or take this away";
            return Err(SettingError::new("WECHAT_APP_SECRET", problem));
        }
        (None, Some(_)) => {}
    }
    let Some(path) = &codes.wechat_accounts else { return Ok(officials) };
    for entry in account_file::read(path, wechat::is_simulated(&codes.wechat_api_url))? {
        if codes.wechat_app_id.as_deref() == Some(entry.app_id()) {
            return Err(
                entry.wrong("app_id", "it is that of WECHAT_APP_ID as well; one account has one entry")
            );
        }
        officials.push(of_entry(&entry, codes, ways)?);
    }
    Ok(officials)
}

fn of_entry(entry: &Entry, codes: &codes::Settings, ways: &Settings) -> Result<Official, SettingError> {
    let per_day = entry.number("qr_per_day").unwrap_or(codes.qr_per_day);
    if !PER_DAY.contains(&per_day.into()) {
        let problem = format!("must be between {} and {}", PER_DAY.start(), PER_DAY.end());
        return Err(entry.wrong("qr_per_day", problem));
    }
    Ok(Official {
        id: Some(entry.name().to_owned()),
        app_id: entry.app_id().to_owned(),
        title: entry.text("title").map(str::to_owned),
        per_day,
        presented: ways.presented_as(entry)?,
        source: codes.source(entry.app_id(), entry.needed("app_secret")?)?,
    })
}
