//! The call that makes a QR code: the one place from which WeChat is asked for one.

use std::time::Duration;

use protocol::Scene;
use wechat::Class;

use super::NoQrCode;
use crate::logins::QrCode;

/// How long WeChat honours a code. Far longer than a login lives, so that a code may be made ahead, and a
/// late scan still reaches us and the phone hears why it is late.
pub(super) const WECHAT_EXPIRY: Duration = Duration::from_secs(1800);

/// Where codes are made; tests play WeChat here.
pub(crate) trait Source: Send + Sync {
    /// Asks for the code of `scene`, once.
    ///
    /// # Errors
    /// [`NoQrCode::Slow`] or [`NoQrCode::Refused`]. After either, and after dropping the future, WeChat may
    /// have made a code all the same.
    fn ask(&self, scene: Scene) -> impl Future<Output = Result<QrCode, NoQrCode>> + Send;
}

/// WeChat's API.
#[derive(Debug)]
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
}

impl Source for WeChat {
    async fn ask(&self, scene: Scene) -> Result<QrCode, NoQrCode> {
        match self.client.create_qr_code(scene.as_str(), WECHAT_EXPIRY).await {
            Ok(code) => {
                let url = wechat::show_qr_code_url(&self.pictures, &code.ticket);
                Ok(QrCode { url, content: code.url })
            }
            Err(error) if error.class() == Class::Timeout => Err(NoQrCode::Slow),
            Err(error) => Err(NoQrCode::Refused(error)),
        }
    }
}
