//! The call that makes a QR code: the one place from which WeChat is asked for one.

use std::time::Duration;

use protocol::Scene;
use wechat::{Class, Meter, Unmade};

use super::NoQrCode;
use crate::logins::QrCode;

/// How long WeChat honours a code. Far longer than a login lives, so that a code may be made ahead, and a
/// late scan still reaches us and the phone hears why it is late.
pub(super) const WECHAT_EXPIRY: Duration = Duration::from_secs(1800);

/// Where codes are made; tests play WeChat here.
pub(crate) trait Source: Send + Sync {
    /// Asks for the code of `scene`. Each request that goes out is paid for first.
    ///
    /// # Errors
    /// [`NoQrCode::Slow`] or [`NoQrCode::Refused`]; after either, and after dropping the future, WeChat may
    /// have made a code all the same. And what the `meter` refuses with.
    fn ask<M>(&self, scene: Scene, meter: &M) -> impl Future<Output = Result<QrCode, NoQrCode>> + Send
    where
        M: Meter<Refusal = NoQrCode>;
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
    async fn ask<M>(&self, scene: Scene, meter: &M) -> Result<QrCode, NoQrCode>
    where
        M: Meter<Refusal = NoQrCode>,
    {
        match self.client.create_paid_qr_code(scene.as_str(), WECHAT_EXPIRY, meter).await {
            Ok(code) => {
                let url = wechat::show_qr_code_url(&self.pictures, &code.ticket);
                Ok(QrCode { url, content: code.url })
            }
            Err(Unmade::Unpaid(none)) => Err(none),
            Err(Unmade::Failed(error)) if error.class() == Class::Timeout => Err(NoQrCode::Slow),
            Err(Unmade::Failed(error)) => Err(NoQrCode::Refused(error)),
        }
    }
}
