//! The call to WeChat that makes a QR code. Nothing else asks for one.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use protocol::Scene;
use wechat::{Class, Unmade};

use super::NoQrCode;
use super::purse::Purse;
use crate::logins::QrCode;

/// How long a code is valid at WeChat. It is far longer than a login lives: a code can be made ahead, and a late scan
/// still reaches us, so that the phone hears why nobody was logged in.
pub(super) const WECHAT_EXPIRY: Duration = Duration::from_secs(1800);

/// Where codes are made; tests play WeChat here.
pub(crate) trait Source: Send + Sync {
    /// Asks for the code of `scene`. The `purse` pays for each request before it goes out.
    ///
    /// # Errors
    /// [`NoQrCode::Slow`] or [`NoQrCode::Refused`], or what the purse refuses with. WeChat may have made a code all
    /// the same, also when the future is dropped.
    fn ask<'a>(&'a self, scene: Scene, purse: &'a Purse<'a>) -> BoxFuture<'a, Result<QrCode, NoQrCode>>;

    /// What WeChat refuses at present, each in a line with what an operator can do.
    fn refusals(&self) -> Vec<String> {
        Vec::new()
    }
}

/// WeChat's API.
#[derive(Debug, Clone)]
pub(crate) struct WeChat {
    client: wechat::Client,
    pictures: String,
}

impl WeChat {
    /// Codes from `client`; browsers find WeChat's own pictures at the host `pictures`.
    #[must_use]
    pub(crate) fn new(client: wechat::Client, pictures: String) -> Self {
        Self { client, pictures }
    }

    /// Has its calls counted, under the account's name.
    pub(crate) fn count(&self, metrics: &wechat::CallMetrics, account: Option<&str>) {
        self.client.count(metrics, account);
    }
}

impl WeChat {
    /// The account at WeChat.
    pub(crate) fn client(&self) -> &wechat::Client {
        &self.client
    }
}

impl Source for WeChat {
    fn ask<'a>(&'a self, scene: Scene, purse: &'a Purse<'a>) -> BoxFuture<'a, Result<QrCode, NoQrCode>> {
        async move {
            match self.client.create_paid_qr_code(scene.as_str(), WECHAT_EXPIRY, purse).await {
                Ok(code) => {
                    let url = wechat::show_qr_code_url(&self.pictures, &code.ticket);
                    Ok(QrCode::Account { url, content: code.url })
                }
                Err(Unmade::Unpaid(none)) => Err(none),
                Err(Unmade::Failed(error)) if error.class() == Class::Timeout => Err(NoQrCode::Slow),
                Err(Unmade::Failed(error)) => Err(NoQrCode::Refused(error)),
            }
        }
        .boxed()
    }

    fn refusals(&self) -> Vec<String> {
        self.client.refusals().iter().map(ToString::to_string).collect()
    }
}
