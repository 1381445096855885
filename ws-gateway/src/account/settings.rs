//! What an operator chooses about the ways in which people log in.

use account_file::Entry;
use clap::{Args, ValueEnum};
use login_page::brand;
use server::settings::SettingError;
use server::visible::identifier;

use super::Presented;
use super::picture::OwnCode;
use super::ways::{Typed, Way, Ways};
use super::web::WebUrl;

/// The settings of the ways.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// How people may log in: scan (a QR code), typed (a short code that they send to the official account), wechat
    /// (a page of callback-service that opens in WeChat), with commas between them. Unset: scan; also typed where the
    /// account has a name or a QR code here, or where no QR code can be had; also wechat where GATEWAY_WEB_URL is set.
    /// With typed alone no QR code is asked for.
    #[arg(
        long = "gateway-ways",
        env = "GATEWAY_WAYS",
        display_order = 29,
        value_delimiter = ',',
        value_parser = way
    )]
    ways: Option<Vec<Way>>,

    /// Which QR code pages show.
    #[arg(long = "gateway-qr", env = "GATEWAY_QR", display_order = 30, default_value = "account")]
    qr: Shows,

    /// Where phones reach callback-service, such as https://login.example.com. Its web code is also shown while WeChat
    /// gives no other, and pages inside WeChat go there by themselves.
    #[arg(long = "gateway-web-url", env = "GATEWAY_WEB_URL", display_order = 31)]
    web_url: Option<WebUrl>,

    /// The official account's own QR code, which pages show beside the code to type: its text, such as
    /// http://weixin.qq.com/r/…, or a PNG file of it, of up to 256 KiB.
    #[arg(
        long = "gateway-account-qr",
        env = "GATEWAY_ACCOUNT_QR",
        display_order = 32,
        hide_env_values = true
    )]
    account_qr: Option<OwnCode>,
}

/// Which QR code pages show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shows {
    /// The official account's, which WeChat makes.
    Account,
    /// That of a page of callback-service, at GATEWAY_WEB_URL, without a limit a day; nobody follows the account by it.
    Web,
}

impl Settings {
    /// The same of an account of the file of accounts, where what its entry leaves out is as it is set here. Its own name and
    /// picture are never another's.
    ///
    /// # Errors
    /// Which key of the entry is wrong.
    pub(crate) fn presented_as(&self, entry: &Entry) -> Result<Presented, SettingError> {
        let wrong = |key: &'static str| move |problem: String| entry.wrong(key, problem);
        let mut own = self.clone();
        own.account_qr = entry.text("account_qr").map(str::parse).transpose().map_err(wrong("account_qr"))?;
        if let Some(ways) = entry.list("ways") {
            own.ways =
                Some(ways.iter().map(|name| way(name)).collect::<Result<_, _>>().map_err(wrong("ways"))?);
        }
        if let Some(qr) = entry.text("qr") {
            own.qr =
                Shows::from_str(qr, false).map_err(|_| entry.wrong("qr", "write \"account\" or \"web\""))?;
        }
        if let Some(url) = entry.text("web_url") {
            own.web_url = Some(url.parse().map_err(wrong("web_url"))?);
        }
        let name = entry.text("account_name").map(brand::account_name).transpose();
        let name = name.map_err(|problem| entry.wrong("account_name", problem))?;
        let key = if entry.text("qr") == Some("web") { "qr" } else { "ways" };
        own.presented(name).map_err(|error| entry.wrong(key, error))
    }

    /// The ways that these settings leave, and what pages show of an account whose name for people this is.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub(crate) fn presented(&self, name: Option<String>) -> Result<Presented, SettingError> {
        let needs_url = |setting, what| {
            let problem = format!("{what} needs GATEWAY_WEB_URL, where phones reach callback-service");
            Err(SettingError::new(setting, problem))
        };
        let named = |way| self.ways.as_ref().map(|ways| ways.contains(&way));
        if self.web_url.is_none() && named(Way::Wechat) == Some(true) {
            return needs_url("GATEWAY_WAYS", "wechat");
        }
        if self.web_url.is_none() && self.qr == Shows::Web {
            return needs_url("GATEWAY_QR", "web");
        }
        let picture = self.account_qr.as_ref().map(OwnCode::picture);
        let is_introduced = name.is_some() || picture.is_some();
        let ways = Ways {
            scan: named(Way::Scan).unwrap_or(true),
            web_first: self.qr == Shows::Web,
            typed: match named(Way::Typed) {
                Some(true) => Typed::Always,
                Some(false) => Typed::Never,
                None if is_introduced => Typed::Always,
                None => Typed::WithoutQrCode,
            },
            wechat: named(Way::Wechat).unwrap_or(self.web_url.is_some()),
        };
        Ok(Presented { name, picture, ways, web: self.web_url.clone() })
    }
}

fn way(text: &str) -> Result<Way, String> {
    let name = identifier(text.trim())?;
    Way::named(&name).ok_or_else(|| "must be of scan, typed and wechat, with commas between them".to_owned())
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

    fn presented(flags: &[&str], name: Option<&str>) -> Result<Presented, String> {
        let flags =
            Flags::try_parse_from([&["ws-gateway"], flags].concat()).map_err(|error| error.to_string())?;
        flags.settings.presented(name.map(str::to_owned)).map_err(|error| error.to_string())
    }

    fn ways(flags: &[&str], name: Option<&str>) -> Ways {
        presented(flags, name).unwrap().ways
    }

    const WEB: [&str; 2] = ["--gateway-web-url", "https://login.example"];

    #[test]
    fn unset_ways_follow_from_what_there_is() {
        let bare = Ways { scan: true, web_first: false, typed: Typed::WithoutQrCode, wechat: false };
        assert_eq!(ways(&[], None), bare);
        let introduced = Ways { typed: Typed::Always, ..bare };
        assert_eq!(ways(&[], Some("店")), introduced);
        assert_eq!(ways(&["--gateway-account-qr", "http://weixin.qq.com/r/1"], None), introduced);
        assert_eq!(ways(&WEB, None), Ways { wechat: true, ..bare });
    }

    #[test]
    fn only_the_named_ways_are_gone() {
        let scan = Ways { scan: true, web_first: false, typed: Typed::Never, wechat: false };
        assert_eq!(ways(&["--gateway-ways", "scan"], Some("店")), scan);
        let flags = [&["--gateway-ways", "typed, scan,typed"], &WEB[..]].concat();
        assert_eq!(ways(&flags, None), Ways { typed: Typed::Always, ..scan });
        let flags = [&["--gateway-ways=scan,wechat", "--gateway-qr=web"], &WEB[..]].concat();
        assert_eq!(ways(&flags, None), Ways { wechat: true, web_first: true, ..scan });
    }

    #[test]
    fn what_cannot_be_is_said_with_what_is_missing() {
        for (flags, says) in [
            (&["--gateway-ways", "wechat"][..], "GATEWAY_WAYS: wechat needs GATEWAY_WEB_URL"),
            (&["--gateway-qr", "web"], "GATEWAY_QR: web needs GATEWAY_WEB_URL"),
            (&["--gateway-ways", ""], "must be of scan, typed and wechat"),
            (&["--gateway-ways", "scan,"], "must be of scan, typed and wechat"),
            (&["--gateway-ways", "scan;typed"], "must be of scan, typed and wechat"),
            (&["--gateway-qr", "both"], "possible values: account, web"),
        ] {
            let said = presented(flags, None).unwrap_err();
            assert!(said.contains(says), "{flags:?}: {said}");
        }
    }
}
