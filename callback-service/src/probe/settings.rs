//! What an operator sets about probes.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use server::settings::{self, SettingError};
use url::Url;

/// How often there may be a probe. More often would be load, and the alert that comes with this program counts on the
/// longest.
const EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(120);

/// What an operator sets about probes.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// The gateway's port for browsers as this service reaches it, such as http://ws-gateway:1099. A login of no person
    /// is delivered there now and then, which shows that logins work. Unset: CALLBACK_BROWSER_URL; without either there
    /// are no probes.
    #[arg(long, env)]
    callback_probe_url: Option<Target>,

    /// How often, between 1s and 2m, or off.
    #[arg(long, env, default_value = "60s", value_parser = every)]
    callback_probe_every: Every,
}

/// How often there is a probe, if ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Every(Option<Duration>);

fn every(text: &str) -> Result<Every, String> {
    if text == "off" {
        return Ok(Every(None));
    }
    let time = settings::duration(text)?;
    if EVERY.contains(&time) {
        Ok(Every(Some(time)))
    } else {
        Err("must be between 1s and 2m, or off".to_owned())
    }
}

/// Settings that were found good.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// Where pages are opened.
    pub(crate) target: Option<Target>,
    /// How often, if ever.
    pub(crate) every: Option<Duration>,
}

/// A gateway's port for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) is_secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// As a person writes it.
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        let Self { is_secure, host, port } = self;
        format!("{}://{host}:{port}", if *is_secure { "https" } else { "http" })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write scheme and host, for example http://ws-gateway:1099".to_owned();
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_secure = match url.scheme() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(wrong()),
        };
        let has_more = !matches!(url.path(), "" | "/")
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some();
        let host = url.host_str().filter(|host| !host.is_empty() && !has_more).ok_or_else(wrong)?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or_else(wrong)?;
        Ok(Self { is_secure, host, port })
    }
}

impl Settings {
    /// Checks the settings. `browsers` is `CALLBACK_BROWSER_URL`.
    ///
    /// # Errors
    /// When that is to be used and cannot be.
    pub(crate) fn checked(self, browsers: Option<&str>) -> Result<Checked, SettingError> {
        let target = match (self.callback_probe_url, browsers) {
            (Some(target), _) => Some(target),
            (None, Some(url)) => Some(
                url.parse().map_err(|problem: String| SettingError::new("CALLBACK_BROWSER_URL", problem))?,
            ),
            (None, None) => None,
        };
        Ok(Checked { target, every: self.callback_probe_every.0 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_target_is_scheme_and_host_and_nothing_behind() {
        for (text, shown) in [
            ("http://ws-gateway:1099", "http://ws-gateway:1099"),
            ("ws://127.0.0.1:1099/", "http://127.0.0.1:1099"),
            ("https://login.example.cn", "https://login.example.cn:443"),
            ("wss://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().shown(), shown, "{text}");
        }
        for text in
            ["", "ws-gateway:1099", "ftp://gateway", "http://gateway/ws", "http://gateway?a=b", "http://a@b"]
        {
            assert!(text.parse::<Target>().unwrap_err().contains("for example"), "{text}");
        }
    }

    #[test]
    fn probes_are_as_often_as_the_alert_counts_on_or_off() {
        assert_eq!(every("off"), Ok(Every(None)));
        assert_eq!(every("90s"), Ok(Every(Some(Duration::from_secs(90)))));
        for text in ["", "0s", "3m", "on", "60"] {
            every(text).unwrap_err();
        }
    }

    #[test]
    fn the_address_for_browsers_stands_in() {
        let settings = |target: Option<&str>| Settings {
            callback_probe_url: target.map(|text| text.parse().unwrap()),
            callback_probe_every: Every(None),
        };
        let target =
            |own, browsers| settings(own).checked(browsers).unwrap().target.map(|target| target.shown());
        assert_eq!(target(None, None), None);
        assert_eq!(target(None, Some("https://login.example")).unwrap(), "https://login.example:443");
        assert_eq!(target(Some("http://a:1"), Some("https://login.example")).unwrap(), "http://a:1");
    }
}
